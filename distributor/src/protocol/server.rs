//! What this server sends. Content is never parsed and built again: JSON goes out as it came in (checked once), text
//! as a JSON string, everything else as base64.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::value::RawValue;
use shared::clock::Timestamp;
use shared::delivery::SessionName;
use shared::notification::Notification;
use shared::position::{Cursor, Position};

use super::{Mistake, SUBPROTOCOL};
use crate::session::Frame;

/// What `welcome` says of a session beside its cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The session.
    pub session: SessionName,
    /// Milliseconds between heartbeats; a client that hears nothing for two of them reconnects.
    pub ping_ms: u64,
    /// Most notifications sent and unacknowledged.
    pub window: u32,
}

/// One frame, without line breaks of its own making.
#[derive(Serialize)]
#[serde(tag = "frame", rename_all = "lowercase")]
enum Wire<'a> {
    Welcome {
        protocol: &'static str,
        session: String,
        cursor: String,
        stored: bool,
        ping_ms: u64,
        window: u32,
    },
    Notification {
        seq: u64,
        cursor: String,
        #[serde(flatten)]
        notification: Described<'a>,
    },
    Drained {
        count: u64,
    },
    Gap {
        seq: u64,
        cursor: String,
        from: String,
        to: String,
        causes: Causes,
    },
    Goaway {
        after_ms: u64,
        reason: &'a str,
    },
    Error {
        code: &'static str,
        temporary: bool,
        detail: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        pointer: Option<&'a str>,
        #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
        reference: Option<&'a str>,
    },
    Pong {
        #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
        reference: Option<&'a str>,
    },
}

/// How many positions will never come, by cause.
#[derive(Serialize)]
struct Causes {
    #[serde(skip_serializing_if = "Option::is_none")]
    expired: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    over_quota: Option<u64>,
}

#[derive(Serialize)]
struct Described<'a> {
    id: &'a str,
    source: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    time: Shown,
    expires: Shown,
    urgency: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Cow<'a, RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tracestate: Option<&'a str>,
    content_type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<Content<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_base64: Option<String>,
}

/// A time as text, without a copy of it.
struct Shown(Timestamp);

impl Serialize for Shown {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// Content that JSON can hold as it is.
#[derive(Serialize)]
#[serde(untagged)]
enum Content<'a> {
    Json(&'a RawValue),
    Text(&'a str),
}

/// A frame of the session as text.
#[must_use]
pub fn encode(frame: &Frame, opened: &Opened) -> String {
    let mut text = Vec::new();
    encode_into(frame, opened, &mut text);
    String::from_utf8(text).unwrap_or_default()
}

/// Appends a frame of the session to `out`, as text in UTF-8.
pub fn encode_into(frame: &Frame, opened: &Opened, out: &mut Vec<u8>) {
    let wire = match frame {
        Frame::Welcome { cursor, stored } => Wire::Welcome {
            protocol: SUBPROTOCOL,
            session: opened.session.to_string(),
            cursor: cursor.encode(),
            stored: *stored,
            ping_ms: opened.ping_ms,
            window: opened.window,
        },
        Frame::Notification { seq, position, notification } => Wire::Notification {
            seq: *seq,
            cursor: Cursor::after(*position).encode(),
            notification: describe(notification),
        },
        Frame::Drained { count } => Wire::Drained { count: *count },
        Frame::Gap { seq, cause, count, first, last } => Wire::Gap {
            seq: *seq,
            cursor: Cursor::after(*last).encode(),
            from: before(*first).encode(),
            to: Cursor::after(*last).encode(),
            causes: match cause {
                shared::store::GapCause::Expired => Causes { expired: Some(*count), over_quota: None },
                shared::store::GapCause::OverQuota => Causes { expired: None, over_quota: Some(*count) },
            },
        },
    };
    let written = serde_json::to_writer(out, &wire);
    debug_assert!(written.is_ok(), "its keys are strings and its writer is memory");
}

/// Where a client stands once it has processed `frame`; `None` for a frame that moves nothing.
#[must_use]
pub fn cursor_after(frame: &Frame) -> Option<Cursor> {
    match frame {
        Frame::Welcome { cursor, .. } => Some(*cursor),
        Frame::Notification { position, .. } => Some(Cursor::after(*position)),
        Frame::Gap { last, .. } => Some(Cursor::after(*last)),
        Frame::Drained { .. } => None,
    }
}

/// `goaway`: this node will close the connection in `after_ms`.
#[must_use]
pub fn encode_goaway(after_ms: u64, reason: &str) -> String {
    write(&Wire::Goaway { after_ms, reason })
}

/// `error`: the answer to a frame that could not be served.
#[must_use]
pub fn encode_error(mistake: &Mistake) -> String {
    write(&Wire::Error {
        code: mistake.code.as_str(),
        temporary: mistake.code.temporary(),
        detail: &mistake.detail,
        pointer: mistake.pointer.as_deref(),
        reference: mistake.reference.as_deref(),
    })
}

/// `pong`: the answer to `ping`.
#[must_use]
pub fn encode_pong(reference: Option<&str>) -> String {
    write(&Wire::Pong { reference })
}

fn write(frame: &Wire<'_>) -> String {
    // Nothing in a frame can fail to be written: its keys are strings and its writer is memory.
    serde_json::to_string(frame).unwrap_or_default()
}

fn before(position: Position) -> Cursor {
    Cursor { epoch: position.epoch, partition: position.partition, next: position.offset }
}

fn describe(notification: &Notification) -> Described<'_> {
    let content = content_of(notification.content_type.as_str(), &notification.content);
    let content_base64 = content.is_none().then(|| STANDARD.encode(&notification.content));
    Described {
        id: notification.id.as_str(),
        source: &notification.source,
        kind: notification.kind.as_str(),
        time: Shown(notification.time),
        expires: Shown(notification.expires),
        urgency: notification.urgency.as_str(),
        metadata: notification.metadata.as_deref().and_then(raw_or_text),
        traceparent: notification.trace.parent.as_deref(),
        tracestate: notification.trace.state.as_deref(),
        content_type: notification.content_type.as_str(),
        content,
        content_base64,
    }
}

/// The JSON itself; a JSON string of it when a producer that writes to the log wrote something else.
fn raw_or_text(text: &str) -> Option<Cow<'_, RawValue>> {
    match serde_json::from_str::<&RawValue>(text) {
        Ok(raw) => Some(Cow::Borrowed(raw)),
        Err(_not_json) => serde_json::value::to_raw_value(text).ok().map(Cow::Owned),
    }
}

/// How JSON can hold `content`; `None`: only as base64.
fn content_of<'a>(content_type: &str, content: &'a [u8]) -> Option<Content<'a>> {
    match Media::of(content_type) {
        Media::Json => serde_json::from_slice::<&RawValue>(content).ok().map(Content::Json),
        Media::Text => std::str::from_utf8(content).ok().map(Content::Text),
        Media::Other => None,
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Media {
    Json,
    Text,
    Other,
}

impl Media {
    /// By type and subtype (RFC 6839 for `+json`); text in another charset than UTF-8 or US-ASCII stays bytes.
    fn of(content_type: &str) -> Self {
        let lower = content_type.to_ascii_lowercase();
        let mut parts = lower.split(';').map(str::trim);
        let essence = parts.next().unwrap_or_default();
        let charset = parts.find_map(|parameter| parameter.strip_prefix("charset="));
        let utf8 = charset.is_none_or(|name| matches!(name.trim_matches('"'), "utf-8" | "utf8" | "us-ascii"));
        if essence == "application/json" || essence.ends_with("+json") {
            Self::Json
        } else if essence.starts_with("text/") && utf8 {
            Self::Text
        } else {
            Self::Other
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use serde_json::{Value, json};
    use shared::clock::Timestamp;
    use shared::notification::{ContentType, NotificationId, NotificationType, Trace, Urgency};
    use shared::position::{Epoch, PartitionId};
    use shared::recipient::Recipient;

    use super::super::Code;
    use shared::delivery::{NodeId, SessionId};

    use super::*;

    const NAME: SessionName = SessionName { session: SessionId(0xab), node: Some(NodeId(7)) };
    const OPENED: Opened = Opened { session: NAME, ping_ms: 25_000, window: 64 };

    fn at(offset: u64) -> Position {
        Position { epoch: Epoch(1), partition: PartitionId(2), offset }
    }

    fn notification(content_type: &str, content: &'static [u8]) -> Frame {
        let notification = Notification {
            id: NotificationId::parse("n-1").unwrap(),
            recipient: Recipient::parse_key("acme/alice").unwrap(),
            source: "/orders".to_owned(),
            kind: NotificationType::parse("order.shipped").unwrap(),
            time: Timestamp::from_millis(1_000),
            expires: Timestamp::from_millis(61_000),
            urgency: Urgency::High,
            content_type: ContentType::parse(content_type).unwrap(),
            metadata: Some(r#"{"a":  1}"#.to_owned()),
            trace: Trace { parent: Some("00-1-2-01".to_owned()), ..Trace::default() },
            content: Bytes::from_static(content),
        };
        Frame::Notification { seq: 7, position: at(41), notification: Arc::new(notification) }
    }

    fn read(frame: &Frame) -> Value {
        serde_json::from_str(&encode(frame, &OPENED)).unwrap()
    }

    #[test]
    fn a_notification_has_every_word_of_its_own() {
        let expected = json!({
            "frame": "notification", "seq": 7, "cursor": Cursor::after(at(41)).encode(), "id": "n-1",
            "source": "/orders", "type": "order.shipped", "time": "1970-01-01T00:00:01.000Z",
            "expires": "1970-01-01T00:01:01.000Z", "urgency": "high", "metadata": {"a": 1},
            "traceparent": "00-1-2-01", "content_type": "application/json", "content": {"n": 1.0},
        });
        assert_eq!(read(&notification("application/json", b"{\"n\":1.0}")), expected);
    }

    #[test]
    fn json_content_goes_out_byte_for_byte() {
        let content = "{\"big\": 12345678901234567890123,\n \"z\":1,\"a\":2}";
        let text = encode(&notification("application/problem+json", content.as_bytes()), &OPENED);
        assert!(text.contains(content), "{text}");
    }

    #[test]
    fn content_takes_the_form_its_type_and_bytes_allow() {
        let rows: [(&str, &'static [u8], Value, Value); 7] = [
            ("text/plain", b"h\"i\n", json!("h\"i\n"), Value::Null),
            ("text/plain; charset=\"UTF-8\"", b"hi", json!("hi"), Value::Null),
            ("text/plain; charset=iso-8859-1", b"hi", Value::Null, json!("aGk=")),
            ("text/plain", b"\xff", Value::Null, json!("/w==")),
            ("application/json", b"{broken", Value::Null, json!("e2Jyb2tlbg==")),
            ("application/octet-stream", b"hi", Value::Null, json!("aGk=")),
            ("application/octet-stream", b"", Value::Null, json!("")),
        ];
        for (content_type, content, inline, encoded) in rows {
            let frame = read(&notification(content_type, content));
            assert_eq!((&frame["content"], &frame["content_base64"]), (&inline, &encoded), "{content_type}");
        }
    }

    #[test]
    fn the_other_frames_are_as_documented() {
        let cursor = Cursor::after(at(3));
        let gap = Frame::Gap {
            seq: 2,
            cause: shared::store::GapCause::Expired,
            count: 4,
            first: at(1),
            last: at(9),
        };
        let mut mistake = Mistake::new(Code::AckOutOfRange, "d").answering(Some("r".to_owned()));
        mistake.pointer = Some("/seq".to_owned());
        let rows = [
            (
                encode(&Frame::Welcome { cursor, stored: true }, &OPENED),
                json!({"frame": "welcome", "protocol": "postrider.v1.json", "session": "00000000000000ab-0000000000000007",
                       "cursor": cursor.encode(), "stored": true, "ping_ms": 25000, "window": 64}),
            ),
            (encode(&Frame::Drained { count: 3 }, &OPENED), json!({"frame": "drained", "count": 3})),
            (
                encode(&gap, &OPENED),
                json!({"frame": "gap", "seq": 2, "cursor": Cursor::after(at(9)).encode(),
                       "from": before(at(1)).encode(), "to": Cursor::after(at(9)).encode(), "causes": {"expired": 4}}),
            ),
            (encode_goaway(5, "draining"), json!({"frame": "goaway", "after_ms": 5, "reason": "draining"})),
            (
                encode_error(&mistake),
                json!({"frame": "error", "code": "ack-out-of-range", "temporary": false, "detail": "d",
                       "pointer": "/seq", "ref": "r"}),
            ),
            (encode_pong(None), json!({"frame": "pong"})),
            (encode_pong(Some("x")), json!({"frame": "pong", "ref": "x"})),
        ];
        for (text, expected) in rows {
            assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), expected);
        }
    }
}
