//! Frames as events of `text/event-stream` (HTML Living Standard, section 9.2). Pure.

use bytes::Bytes;

use crate::protocol::{Opened, cursor_after, encode};
use crate::session::Frame;

/// A comment, which every client ignores.
pub(super) const HEARTBEAT: &[u8] = b":\n\n";

/// Appends `frame` to `chunk`. The id is a cursor, which has no line break.
pub(super) fn event(frame: &Frame, opened: &Opened, chunk: &mut String) {
    if let Some(cursor) = cursor_after(frame) {
        chunk.push_str("id: ");
        chunk.push_str(&cursor.encode());
        chunk.push('\n');
    }
    append(name(frame), &encode(frame, opened), chunk);
}

/// An event without an id: it leaves the client's where it is.
pub(super) fn named(name: &str, json: &str) -> Bytes {
    let mut chunk = String::new();
    append(name, json, &mut chunk);
    Bytes::from(chunk)
}

/// JSON may have line breaks between its tokens, of either kind; each becomes a line of data of its own, which the
/// client joins again.
fn append(name: &str, json: &str, chunk: &mut String) {
    chunk.push_str("event: ");
    chunk.push_str(name);
    chunk.push('\n');
    for line in json.split(['\n', '\r']) {
        chunk.push_str("data: ");
        chunk.push_str(line);
        chunk.push('\n');
    }
    chunk.push('\n');
}

fn name(frame: &Frame) -> &'static str {
    match frame {
        Frame::Welcome { .. } => "welcome",
        Frame::Notification { .. } => "notification",
        Frame::Drained { .. } => "drained",
        Frame::Gap { .. } => "gap",
    }
}

#[cfg(test)]
mod tests {
    use shared::delivery::{SessionId, SessionName};
    use shared::position::{Cursor, Epoch, PartitionId};

    use super::*;

    #[test]
    fn line_breaks_inside_json_never_end_an_event() {
        let chunk = named("notification", "{\"a\":\r\n 1,\n\"b\":\r2}");
        let expected = "event: notification\ndata: {\"a\":\ndata: \ndata:  1,\ndata: \"b\":\ndata: 2}\n\n";
        assert_eq!(chunk, expected.as_bytes());
    }

    #[test]
    fn welcome_carries_an_id_and_drained_does_not() {
        let session = SessionName { session: SessionId(1), node: None };
        let opened = Opened { session, ping_ms: 1, window: 1 };
        let cursor = Cursor { epoch: Epoch(1), partition: PartitionId(2), next: 3 };
        let mut chunk = String::new();
        event(&Frame::Welcome { cursor, stored: false }, &opened, &mut chunk);
        assert!(chunk.starts_with(&format!("id: {cursor}\nevent: welcome\ndata: {{")), "{chunk}");
        chunk.clear();
        event(&Frame::Drained { count: 1 }, &opened, &mut chunk);
        assert_eq!(chunk, "event: drained\ndata: {\"frame\":\"drained\",\"count\":1}\n\n");
    }
}
