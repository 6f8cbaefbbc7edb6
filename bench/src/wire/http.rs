//! Answers of HTTP/1.1. Pure.

use std::borrow::Cow;

use super::sse::chunk;

/// The head of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) status: u16,
    pub(crate) length: Option<usize>,
    pub(crate) chunked: bool,
    /// The connection ends behind it.
    pub(crate) closes: bool,
}

/// A whole answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer<'a> {
    pub(crate) head: Head,
    pub(crate) body: Cow<'a, [u8]>,
    /// What it took on the wire.
    pub(crate) used: usize,
}

/// The head that `bytes` begin with and its length; `None` while it is not whole.
///
/// # Errors
/// When it is none.
pub(crate) fn head(bytes: &[u8]) -> Result<Option<(Head, usize)>, String> {
    let Some(end) = memchr::memmem::find(bytes, b"\r\n\r\n") else {
        return if bytes.len() > 64 * 1024 { Err("an endless head".into()) } else { Ok(None) };
    };
    let strange = || format!("no answer: {:?}", String::from_utf8_lossy(&bytes[..end.min(80)]));
    let status = bytes.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
    let Some(status) = status.filter(|_| bytes.starts_with(b"HTTP/1.")) else { return Err(strange()) };
    let mut head = Head { status, ..Head::default() };
    let mut from = 0;
    while let Some(line) = memchr::memmem::find(&bytes[from..end + 2], b"\r\n") {
        field(&bytes[from..from + line], &mut head).ok_or_else(strange)?;
        from += line + 2;
    }
    Ok(Some((head, end + 4)))
}

/// Takes a line of a head, if it is one that says where the answer ends; `None` when it is wrong.
fn field(line: &[u8], head: &mut Head) -> Option<()> {
    // The letters that the names begin with, before anything is compared.
    if !matches!(line.first(), Some(b'c' | b'C' | b't' | b'T')) {
        return Some(());
    }
    let colon = memchr::memchr(b':', line)?;
    let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
    if name.eq_ignore_ascii_case(b"content-length") {
        head.length = Some(std::str::from_utf8(value).ok()?.parse().ok()?);
    } else if name.eq_ignore_ascii_case(b"connection") {
        head.closes = value.eq_ignore_ascii_case(b"close");
    } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
        head.chunked = value.eq_ignore_ascii_case(b"chunked");
    }
    Some(())
}

/// The answer that `bytes` begin with; `None` while it is not whole.
///
/// # Errors
/// When it is none.
pub(crate) fn answer(bytes: &[u8]) -> Result<Option<Answer<'_>>, String> {
    let Some((head, begin)) = head(bytes)? else { return Ok(None) };
    if !head.chunked {
        let length = head.length.unwrap_or(0);
        let Some(body) = bytes.get(begin..begin + length) else { return Ok(None) };
        return Ok(Some(Answer { head, body: body.into(), used: begin + length }));
    }
    let (mut body, mut used) = (Vec::new(), begin);
    loop {
        match chunk(&bytes[used..])? {
            Some((&[], last)) => return Ok(Some(Answer { head, body: body.into(), used: used + last })),
            Some((data, length)) => {
                body.extend_from_slice(data);
                used += length;
            }
            None => return Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_when_it_is_whole() {
        let wire = b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\nconnection: close\r\n\r\n{}HTTP";
        for upto in 0..wire.len() - 4 {
            assert_eq!(answer(&wire[..upto]), Ok(None), "{upto}");
        }
        let read = answer(wire).expect("an answer").expect("whole");
        let head = Head { status: 202, length: Some(2), chunked: false, closes: true };
        assert_eq!(read, Answer { head, body: b"{}"[..].into(), used: wire.len() - 4 });
    }

    #[test]
    fn chunks_are_put_together() {
        let wire = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\n\r\n";
        assert_eq!(answer(&wire[..wire.len() - 1]), Ok(None));
        let read = answer(wire).expect("an answer").expect("whole");
        assert_eq!((&*read.body, read.used), (&b"abc"[..], wire.len()));
        assert!(answer(b"SMTP ready\r\n\r\n").is_err());
    }
}
