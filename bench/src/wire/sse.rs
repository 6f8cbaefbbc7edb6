//! Chunks of HTTP/1.1 and the events in them. Pure.

use super::scan::Scan;

/// The first chunk of `bytes` and its length on the wire; `None` while it is not whole. The last one is empty.
///
/// # Errors
/// When it is no chunk.
pub(crate) fn chunk(bytes: &[u8]) -> Result<Option<(&[u8], usize)>, String> {
    let Some(line) = memchr::memmem::find(bytes, b"\r\n") else {
        return if bytes.len() > 64 { Err("a chunk without a length".into()) } else { Ok(None) };
    };
    let length = std::str::from_utf8(&bytes[..line])
        .ok()
        .and_then(|text| usize::from_str_radix(text.split(';').next().unwrap_or_default().trim(), 16).ok());
    let Some(length) = length.filter(|length| *length <= 64 * 1024 * 1024) else {
        return Err(format!("a chunk with length {:?}", String::from_utf8_lossy(&bytes[..line])));
    };
    let data = line + 2;
    match bytes.get(data..data + length + 2) {
        Some(found) if found.ends_with(b"\r\n") => Ok(Some((&found[..length], data + length + 2))),
        Some(_) => Err("a chunk that does not end".into()),
        None => Ok(None),
    }
}

/// The data of the first event of `bytes`, empty for a comment, and the event's length; `None` while it is not whole.
pub(crate) fn event(bytes: &[u8]) -> Option<(std::borrow::Cow<'_, [u8]>, usize)> {
    let end = memchr::memmem::find(bytes, b"\n\n")?;
    let mut scan = Scan(&bytes[..=end]);
    let mut data: std::borrow::Cow<'_, [u8]> = (&[][..]).into();
    let mut first = true;
    while let Some(line) = scan.until(b'\n') {
        let Some(line) = line.strip_prefix(b"data:") else { continue };
        let line = line.strip_prefix(b" ").unwrap_or(line);
        if std::mem::take(&mut first) {
            data = line.into();
        } else {
            let joined = data.to_mut();
            joined.push(b'\n');
            joined.extend_from_slice(line);
        }
    }
    Some((data, end + 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_wait_until_they_are_whole() {
        let wire = b"5\r\nhello\r\n0\r\n\r\n";
        for upto in 0..10 {
            assert_eq!(chunk(&wire[..upto]), Ok(None), "{upto}");
        }
        assert_eq!(chunk(wire), Ok(Some((&b"hello"[..], 10))));
        assert_eq!(chunk(&wire[10..]), Ok(Some((&b""[..], 5))));
        assert!(chunk(b"g\r\n").is_err());
        assert!(chunk(b"1\r\nabc").is_err());
    }

    #[test]
    fn the_lines_of_data_are_one() {
        let wire = b"id: a\nevent: x\ndata: {\"a\":\ndata: 1}\n\n:\n\n";
        let (data, length) = event(wire).expect("whole");
        assert_eq!(&*data, b"{\"a\":\n1}");
        let (comment, _) = event(&wire[length..]).expect("whole");
        assert!(comment.is_empty());
        assert!(event(b"data: x\n").is_none());
    }
}
