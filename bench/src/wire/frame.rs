//! Server frames of the client protocol. Those of notifications, of which there are many, are scanned as the distributor
//! writes them; all others, and any that look different, are parsed. Pure.

use serde::Deserialize;

use super::scan::Scan;

/// A frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Frame<'a> {
    Notification(Notification<'a>),
    /// So many will never come.
    Gap {
        seq: u64,
        cursor: String,
        count: u64,
    },
    Welcome {
        session: String,
        cursor: String,
    },
    Drained,
    Pong,
    Goaway,
    Error(String),
    /// One that may be ignored.
    Other,
}

/// A notification of this load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Notification<'a> {
    pub(crate) seq: u64,
    pub(crate) cursor: &'a [u8],
    pub(crate) id: &'a [u8],
    pub(crate) stamp: Stamp,
}

/// What every content of this load says.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Counts the recipient's notifications from 0.
    pub(crate) n: u32,
    /// When it was to be sent, in microseconds of the machine's monotonic clock.
    pub(crate) at: u64,
}

#[derive(Deserialize)]
struct Slow<'a> {
    frame: &'a str,
    #[serde(default)]
    seq: u64,
    cursor: Option<&'a str>,
    id: Option<&'a str>,
    session: Option<&'a str>,
    content: Option<Stamp>,
    causes: Option<std::collections::BTreeMap<String, u64>>,
    code: Option<&'a str>,
    detail: Option<String>,
}

/// Reads one frame.
///
/// # Errors
/// What it is when it is none, or a notification that is not of this load.
pub(crate) fn read(text: &[u8]) -> Result<Frame<'_>, String> {
    match notification(text) {
        Some((notification, _)) => Ok(Frame::Notification(notification)),
        None => parse(text),
    }
}

/// A notification that begins at the start of `text`, and what comes behind its stamp.
pub(crate) fn notification(text: &[u8]) -> Option<(Notification<'_>, &[u8])> {
    let mut scan = Scan(text);
    scan.expect(br#"{"frame":"notification","seq":"#)?;
    let seq = scan.number()?;
    scan.expect(br#","cursor":""#)?;
    let cursor = scan.until(b'"')?;
    scan.expect(br#","id":""#)?;
    let id = scan.until(b'"')?;
    scan.behind(br#""content":{"n":"#)?;
    let n = u32::try_from(scan.number()?).ok()?;
    scan.expect(br#","at":"#)?;
    let at = scan.number()?;
    Some((Notification { seq, cursor, id, stamp: Stamp { n, at } }, scan.0))
}

fn parse(text: &[u8]) -> Result<Frame<'_>, String> {
    let strange = |why: &str| format!("{why}: {}", String::from_utf8_lossy(text));
    let slow: Slow<'_> = serde_json::from_slice(text).map_err(|error| strange(&error.to_string()))?;
    let cursor = slow.cursor.unwrap_or_default();
    Ok(match slow.frame {
        "notification" => {
            let (Some(id), Some(stamp)) = (slow.id, slow.content) else {
                return Err(strange("a notification of somebody else"));
            };
            Frame::Notification(Notification {
                seq: slow.seq,
                cursor: cursor.as_bytes(),
                id: id.as_bytes(),
                stamp,
            })
        }
        "gap" => Frame::Gap {
            seq: slow.seq,
            cursor: cursor.to_owned(),
            count: slow.causes.unwrap_or_default().values().sum(),
        },
        "welcome" => {
            Frame::Welcome { session: slow.session.unwrap_or_default().to_owned(), cursor: cursor.to_owned() }
        }
        "drained" => Frame::Drained,
        "pong" => Frame::Pong,
        "goaway" => Frame::Goaway,
        "error" => {
            let (code, detail) = (slow.code.unwrap_or("?"), slow.detail.unwrap_or_default());
            Frame::Error(format!("{code}: {detail}"))
        }
        _unknown => Frame::Other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &[u8] = b"019ab3c4-5d6e-7f80-9a1b-2c3d4e5f6071";

    #[test]
    fn a_notification_is_read_alike_in_any_order_of_fields() {
        let id = String::from_utf8_lossy(ID);
        let quick = format!(
            r#"{{"frame":"notification","seq":7,"cursor":"AQ","id":"{id}","source":"/","content":{{"n":3,"at":9,"pad":"x"}}}}"#
        );
        let slow = format!(
            r#"{{"content":{{"at":9,"n":3}},"id":"{id}","cursor":"AQ","seq":7,"frame":"notification"}}"#
        );
        let expected = Notification { seq: 7, cursor: b"AQ", id: ID, stamp: Stamp { n: 3, at: 9 } };
        assert!(notification(quick.as_bytes()).is_some());
        for text in [quick, slow] {
            assert_eq!(read(text.as_bytes()), Ok(Frame::Notification(expected)));
        }
    }

    #[test]
    fn other_frames_are_told_apart() {
        let gap = br#"{"frame":"gap","seq":4,"cursor":"c","from":"a","to":"c","causes":{"expired":2,"over_quota":1}}"#;
        assert_eq!(read(gap), Ok(Frame::Gap { seq: 4, cursor: "c".into(), count: 3 }));
        assert_eq!(read(br#"{"frame":"drained","count":3}"#), Ok(Frame::Drained));
        assert_eq!(read(br#"{"frame":"invented"}"#), Ok(Frame::Other));
        assert!(read(br#"{"frame":"notification","seq":1,"id":"x","content":"else"}"#).is_err());
        assert!(read(b"{").is_err());
    }
}
