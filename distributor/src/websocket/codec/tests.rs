//! What the reader refuses, and that nothing depends on where the bytes were cut.

use proptest::prelude::*;

use super::*;

/// What was heard, owned.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Heard {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong,
    Close(Vec<u8>),
}

const MOST: usize = 1000;

fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        short @ ..126 => bytes.push(0x80 | u8::try_from(short).unwrap()),
        long => {
            bytes.push(0x80 | 126);
            bytes.extend(u16::try_from(long).unwrap().to_be_bytes());
        }
    }
    let mask = [7, 0, 255, 90];
    bytes.extend(mask);
    bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
    bytes
}

fn read(reader: &mut Reader, bytes: &[u8]) -> (Vec<Heard>, Result<(), Broken>) {
    let mut heard = Vec::new();
    let read = reader.read(&mut bytes.to_vec(), MOST, |event| {
        heard.push(match event {
            Event::Text(text) => Heard::Text(text.to_owned()),
            Event::Binary(bytes) => Heard::Binary(bytes.to_owned()),
            Event::Ping(payload) => Heard::Ping(payload.to_owned()),
            Event::Pong => Heard::Pong,
            Event::Close(answer) => Heard::Close(answer.to_owned()),
        });
        Ok(())
    });
    (heard, read)
}

fn broken(bytes: &[u8]) -> Option<Broken> {
    read(&mut Reader::default(), bytes).1.err()
}

#[test]
fn whatever_a_client_may_not_send_is_refused() {
    let mut unmasked = frame(0x81, b"a");
    unmasked[1] &= 0x7f;
    let text_in_text = [frame(0x01, b"a"), frame(0x81, b"b")].concat();
    let rows: [(&str, &[u8], Broken); 13] = [
        ("no mask", &unmasked, Broken::Protocol),
        ("a reserved bit", &frame(0xc1, b"a"), Broken::Protocol),
        ("a reserved opcode", &frame(0x83, b"a"), Broken::Protocol),
        ("a reserved control opcode", &frame(0x8b, b""), Broken::Protocol),
        ("a fragmented ping", &frame(0x09, b""), Broken::Protocol),
        ("a long ping", &frame(0x89, &[0; 126]), Broken::Protocol),
        ("a continuation of nothing", &frame(0x80, b"a"), Broken::Protocol),
        ("a message in a message", &text_in_text, Broken::Protocol),
        ("half a close code", &frame(0x88, &[3]), Broken::Protocol),
        ("a close code nobody may send", &frame(0x88, &1005_u16.to_be_bytes()), Broken::Protocol),
        ("bytes as text", &frame(0x81, &[0xff]), Broken::NotUtf8),
        ("bytes as a reason", &frame(0x88, &[3, 232, 0xff]), Broken::NotUtf8),
        ("too much", &frame(0x81, &[b'a'; MOST + 1])[..8], Broken::TooLarge),
    ];
    for (what, bytes, expected) in rows {
        assert_eq!(broken(bytes), Some(expected), "{what}");
    }
}

#[test]
fn fragments_are_bounded_together_and_bad_text_is_refused_before_its_end() {
    let half = frame(0x01, &[b'a'; MOST / 2 + 1]);
    let more = frame(0x00, &[b'a'; MOST / 2]);
    assert_eq!(broken(&[half, more].concat()), Some(Broken::TooLarge));
    assert_eq!(broken(&frame(0x01, &[b'a', 0xff])), Some(Broken::NotUtf8));
    // The first byte of a character whose others may come.
    assert_eq!(broken(&frame(0x01, &[b'a', 0xc3])), None);
}

#[test]
fn nothing_is_read_behind_a_close_frame() {
    let bytes = [frame(0x88, &[3, 232, b'x']), frame(0x81, b"late")].concat();
    let mut reader = Reader::default();
    assert_eq!(read(&mut reader, &bytes), (vec![Heard::Close(vec![3, 232])], Ok(())));
    assert_eq!(read(&mut reader, &frame(0x81, b"later")), (vec![], Ok(())));
    assert!(!reader.has_rest());
}

#[test]
fn a_header_of_every_size_is_written_before_its_text() {
    for length in [0, 1, 125, 126, 127, 65_535, 65_536, 70_000] {
        let mut out = b"before".to_vec();
        text(&mut out, |out| out.resize(out.len() + length, b'x'));
        let mut cursor = Cursor::new(&out[6..]);
        let (header, told) = FrameHeader::parse(&mut cursor).unwrap().unwrap();
        assert_eq!((header.opcode, header.mask, told), (OpCode::Data(Data::Text), None, length as u64));
        let at = 6 + usize::try_from(cursor.position()).unwrap();
        assert!(out[at..].len() == length && out[at..].iter().all(|byte| *byte == b'x'), "{length}");
    }
}

/// A message or control frame, whole or in fragments: its bytes, and what is to be heard of it.
fn sent() -> impl Strategy<Value = (Vec<u8>, Heard)> {
    prop_oneof![
        (".{0,60}", 1_usize..4).prop_map(|(text, parts)| {
            let size = text.len().div_ceil(parts).max(1);
            let chunks: Vec<&[u8]> =
                if text.is_empty() { vec![b""] } else { text.as_bytes().chunks(size).collect() };
            let last = chunks.len() - 1;
            let bytes = chunks
                .iter()
                .enumerate()
                .flat_map(|(at, chunk)| frame(u8::from(at == 0) | if at == last { 0x80 } else { 0 }, chunk));
            (bytes.collect(), Heard::Text(text.clone()))
        }),
        proptest::collection::vec(any::<u8>(), 0..300)
            .prop_map(|bytes| (frame(0x82, &bytes), Heard::Binary(bytes))),
        proptest::collection::vec(any::<u8>(), 0..126)
            .prop_map(|bytes| (frame(0x89, &bytes), Heard::Ping(bytes))),
        Just((frame(0x8a, b"x"), Heard::Pong)),
    ]
}

proptest! {
    #[test]
    fn however_the_bytes_are_cut_the_same_is_heard_and_nothing_is_kept(
        sent in proptest::collection::vec(sent(), 0..8), cuts in proptest::collection::vec(1_usize..40, 1..20)
    ) {
        let bytes: Vec<u8> = sent.iter().flat_map(|(bytes, _)| bytes.clone()).collect();
        let (mut reader, mut heard, mut at) = (Reader::default(), Vec::new(), 0);
        for cut in cuts.iter().cycle() {
            if at == bytes.len() {
                break;
            }
            let end = bytes.len().min(at + cut);
            let (more, told) = read(&mut reader, &bytes[at..end]);
            prop_assert_eq!(told, Ok(()));
            heard.extend(more);
            at = end;
        }
        let expected: Vec<Heard> = sent.into_iter().map(|(_, heard)| heard).collect();
        prop_assert_eq!(heard, expected);
        prop_assert_eq!((reader.rest.capacity(), reader.fragments.is_none()), (0, true));
    }

    #[test]
    fn no_bytes_make_the_reader_panic_or_keep_more_than_a_frame(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let mut reader = Reader::default();
        let (_heard, told) = read(&mut reader, &bytes);
        prop_assert!(told.is_err() || reader.rest.len() <= MOST + 14);
    }
}
