//! Frames of RFC 6455 as a client reads and writes them. Pure.

/// The largest payload that is read: far above what a distributor sends.
const MOST: u64 = 16 * 1024 * 1024;

/// A control frame that asks for an answer, ends the connection, or carries text.
pub(crate) const TEXT: u8 = 1;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;

/// A whole frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    pub(crate) opcode: u8,
    pub(crate) payload: &'a [u8],
}

/// The first frame of `bytes` and its length; `None` while it is not whole.
///
/// # Errors
/// When it is masked, fragmented or too large: nothing that a distributor sends.
pub(crate) fn next(bytes: &[u8]) -> Result<Option<(Frame<'_>, usize)>, String> {
    let [first, second, rest @ ..] = bytes else { return Ok(None) };
    if first & 0xf0 != 0x80 || second & 0x80 != 0 {
        return Err(format!("a frame that begins {first:#04x} {second:#04x}"));
    }
    let (length, head) = match second {
        126 => match rest {
            [a, b, ..] => (u64::from(u16::from_be_bytes([*a, *b])), 4),
            _short => return Ok(None),
        },
        127 => match rest.first_chunk::<8>() {
            Some(length) => (u64::from_be_bytes(*length), 10),
            None => return Ok(None),
        },
        length => (u64::from(*length), 2),
    };
    if length > MOST {
        return Err(format!("a frame of {length} bytes"));
    }
    let end = head + length as usize;
    let Some(payload) = bytes.get(head..end) else { return Ok(None) };
    Ok(Some((Frame { opcode: first & 0x0f, payload }, end)))
}

/// Appends a client frame. Its mask is zero, which leaves the payload as it is: no proxy stands on loopback that the mask
/// would protect.
///
/// `payload` must be under 64 KiB.
pub(crate) fn write(opcode: u8, payload: &[u8], into: &mut Vec<u8>) {
    into.push(0x80 | opcode);
    match payload.len() {
        short @ 0..126 => into.push(0x80 | short as u8),
        long => {
            into.push(0x80 | 126);
            into.extend_from_slice(&(long.min(0xffff) as u16).to_be_bytes());
        }
    }
    into.extend_from_slice(&[0; 4]);
    into.extend_from_slice(&payload[..payload.len().min(0xffff)]);
}

/// Why the server closed: its code and reason.
pub(crate) fn close(payload: &[u8]) -> String {
    match payload {
        [a, b, reason @ ..] => {
            format!("closed: {} {}", u16::from_be_bytes([*a, *b]), String::from_utf8_lossy(reason))
        }
        _none => "closed".into(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As a server writes it.
    fn served(payload: &[u8], into: &mut Vec<u8>) {
        into.push(0x80 | TEXT);
        match payload.len() {
            short @ 0..126 => into.push(short as u8),
            middle @ 126..65_536 => {
                into.push(126);
                into.extend_from_slice(&(middle as u16).to_be_bytes());
            }
            long => {
                into.push(127);
                into.extend_from_slice(&(long as u64).to_be_bytes());
            }
        }
        into.extend_from_slice(payload);
    }

    proptest! {
        #[test]
        fn frames_come_out_whole_however_the_bytes_are_split(
            lengths in prop::collection::vec(prop_oneof![0_usize..300, 65_000_usize..66_000], 1..8),
            splits in prop::collection::vec(1_usize..5000, 1..64),
        ) {
            let payloads: Vec<Vec<u8>> = lengths.iter().map(|length| vec![*length as u8; *length]).collect();
            let mut wire = Vec::new();
            payloads.iter().for_each(|payload| served(payload, &mut wire));
            let (mut rest, mut read) = (Vec::new(), Vec::new());
            let (mut sent, mut split) = (0, splits.iter().cycle());
            while sent < wire.len() {
                let upto = wire.len().min(sent + split.next().expect("it cycles"));
                rest.extend_from_slice(&wire[sent..upto]);
                sent = upto;
                let mut used = 0;
                while let Some((frame, length)) = next(&rest[used..]).expect("a server's frame") {
                    prop_assert_eq!(frame.opcode, TEXT);
                    read.push(frame.payload.to_vec());
                    used += length;
                }
                rest.drain(..used);
            }
            prop_assert!(rest.is_empty());
            prop_assert_eq!(read, payloads);
        }

        #[test]
        fn no_bytes_do_harm(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(Some((frame, length))) = next(&bytes) {
                prop_assert!(frame.payload.len() < length && length <= bytes.len());
            }
        }
    }

    #[test]
    fn what_no_server_sends_is_refused() {
        assert!(next(&[0x01, 0]).is_err(), "fragmented");
        assert!(next(&[0x81, 0x80, 0, 0, 0, 0]).is_err(), "masked");
        assert!(next(&[0x81, 127, 0xff, 0, 0, 0, 0, 0, 0, 0]).is_err(), "too large");
        assert_eq!(close(&[0x0f, 0xa0, b'x']), "closed: 4000 x");
    }
}
