//! The server's frames as a client reads them (`docs/PROTOCOL.md`). What is not known is passed over.

use std::collections::BTreeMap;

use base64::Engine as _;
use serde::Deserialize;
use serde_json::value::RawValue;

/// A frame of the server.
#[derive(Clone, Debug)]
pub(super) enum ServerFrame {
    Welcome(Welcome),
    Notification(Notification),
    Gap(Gap),
    Drained {
        count: u64,
    },
    Goaway {
        after_ms: u64,
        reason: String,
    },
    Error {
        code: String,
        detail: String,
        temporary: bool,
    },
    /// A later version's.
    Unknown,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Welcome {
    pub(super) session: String,
    pub(super) cursor: String,
    pub(super) stored: bool,
    pub(super) ping_ms: u64,
}

/// A notification as it came.
#[derive(Clone, Debug)]
pub struct Notification {
    /// Its id.
    pub id: String,
    /// Where the client stands once it is processed.
    pub cursor: String,
    /// What kind of thing happened.
    pub kind: String,
    /// When it was accepted, RFC 3339.
    pub time: String,
    /// Media type of the content.
    pub content_type: String,
    /// The content, as the producer gave it.
    pub content: Vec<u8>,
    /// The frame itself, JSON.
    pub frame: String,
    pub(super) seq: u64,
}

/// Notifications that will never come.
#[derive(Clone, Debug, Deserialize)]
pub struct Gap {
    /// Where the client stands once it has taken note.
    pub cursor: String,
    /// Where it stood before the first of them.
    pub from: String,
    /// How many, by cause.
    pub causes: BTreeMap<String, u64>,
    pub(super) seq: u64,
}

#[derive(Deserialize)]
struct Head {
    frame: String,
}

#[derive(Deserialize)]
struct NotificationFields<'a> {
    seq: u64,
    cursor: String,
    id: String,
    #[serde(rename = "type")]
    kind: String,
    time: String,
    content_type: String,
    #[serde(borrow, default, deserialize_with = "present")]
    content: Option<&'a RawValue>,
    content_base64: Option<String>,
}

/// `null` is content too.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

#[derive(Deserialize)]
struct Drained {
    count: u64,
}

#[derive(Deserialize)]
struct Goaway {
    after_ms: u64,
    reason: String,
}

#[derive(Deserialize)]
struct Failed {
    code: String,
    #[serde(default)]
    detail: String,
    temporary: bool,
}

impl ServerFrame {
    /// Reads a frame.
    pub(super) fn decode(text: &str) -> Result<Self, serde_json::Error> {
        let head: Head = serde_json::from_str(text)?;
        Ok(match head.frame.as_str() {
            "welcome" => Self::Welcome(serde_json::from_str(text)?),
            "notification" => Self::Notification(notification(text)?),
            "gap" => Self::Gap(serde_json::from_str(text)?),
            "drained" => Self::Drained { count: serde_json::from_str::<Drained>(text)?.count },
            "goaway" => {
                let goaway: Goaway = serde_json::from_str(text)?;
                Self::Goaway { after_ms: goaway.after_ms, reason: goaway.reason }
            }
            "error" => {
                let failed: Failed = serde_json::from_str(text)?;
                Self::Error { code: failed.code, detail: failed.detail, temporary: failed.temporary }
            }
            _later => Self::Unknown,
        })
    }
}

fn notification(text: &str) -> Result<Notification, serde_json::Error> {
    use serde::de::Error as _;
    let fields: NotificationFields<'_> = serde_json::from_str(text)?;
    let content = match (&fields.content, &fields.content_base64) {
        (None, Some(encoded)) => {
            base64::engine::general_purpose::STANDARD.decode(encoded).map_err(serde_json::Error::custom)?
        }
        (Some(raw), _) if is_json(&fields.content_type) => raw.get().as_bytes().to_vec(),
        (Some(raw), _) => serde_json::from_str::<String>(raw.get())?.into_bytes(),
        (None, None) => Vec::new(),
    };
    Ok(Notification {
        id: fields.id,
        cursor: fields.cursor,
        kind: fields.kind,
        time: fields.time,
        content_type: fields.content_type,
        content,
        frame: text.to_owned(),
        seq: fields.seq,
    })
}

fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || essence.ends_with("+json")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(content_type: &str, content: &str) -> Notification {
        let text = format!(
            r#"{{"frame":"notification","seq":1,"cursor":"c","id":"i","source":"/s","type":"t","time":"2026-11-21T07:00:00.000Z",
                "expires":"2026-11-28T07:00:00.000Z","urgency":"normal","content_type":"{content_type}",{content},"later":1}}"#
        );
        match ServerFrame::decode(&text).unwrap() {
            ServerFrame::Notification(notification) => notification,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn content_comes_back_as_the_producer_gave_it() {
        let json = "{\"big\": 12345678901234567890123, \"z\":1.0}";
        assert_eq!(frame("application/json", &format!("\"content\":{json}")).content, json.as_bytes());
        assert_eq!(frame("application/problem+json", "\"content\":null").content, b"null");
        assert_eq!(frame("text/plain; charset=utf-8", "\"content\":\"h\\ni\"").content, b"h\ni");
        assert_eq!(frame("image/png", "\"content_base64\":\"/w==\"").content, [0xff]);
        assert_eq!(frame("text/plain", "\"content\":\"\"").content, b"");
    }

    #[test]
    fn a_later_frame_is_passed_over() {
        assert!(matches!(ServerFrame::decode(r#"{"frame":"confetti","n":1}"#), Ok(ServerFrame::Unknown)));
        assert!(ServerFrame::decode("[]").is_err());
    }
}
