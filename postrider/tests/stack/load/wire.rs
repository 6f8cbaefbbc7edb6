//! A client on the wire: frames as they come, over any transport, nothing hidden. It fails where a network fails; whoever
//! drives it reconnects.

mod poll;
mod sse;
mod websocket;

use std::time::Duration;

use postrider::client::Transport;
use serde_json::{Value, json};
use shared::position::Cursor;
use uuid::Uuid;

/// How long connecting, or an answer to a short request, may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// What came.
#[derive(Clone, Debug)]
pub enum Heard {
    /// The session is open.
    Opened,
    Notification(Came),
    Gap {
        seq: u64,
        expired: u64,
        over_quota: u64,
        from: Cursor,
        cursor: Cursor,
    },
    /// The node asks to reconnect after this long.
    Leave(Duration),
    /// A sign of life.
    Alive,
}

/// A notification that came.
#[derive(Clone, Debug)]
pub struct Came {
    pub seq: u64,
    pub id: Uuid,
    pub cursor: Cursor,
    pub mark: Mark,
}

/// What the producer wrote into it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mark {
    pub attempt: Option<u64>,
    /// The client is to refuse it for good.
    pub refuse: bool,
}

impl Mark {
    /// Reads the content that [`producers`](super::producers) wrote.
    pub fn of(content: &Value) -> Self {
        Self { attempt: content["n"].as_u64(), refuse: content["refuse"].as_bool().unwrap_or(false) }
    }
}

/// Why a connection is over, or was not made.
pub type Trouble = String;

/// A connection.
pub enum Wire {
    WebSocket(Box<websocket::Connection>),
    Sse(Box<sse::Connection>),
    Poll(Box<poll::Connection>),
}

/// Where and as whom to connect.
pub struct Door<'a> {
    pub http: &'a reqwest::Client,
    pub url: String,
    pub token: &'a str,
    pub cursor: Option<String>,
}

impl Wire {
    pub async fn open(transport: Transport, door: &Door<'_>) -> Result<Self, Trouble> {
        let opening = async {
            Ok(match transport {
                Transport::WebSocket => Self::WebSocket(Box::new(websocket::Connection::open(door).await?)),
                Transport::Sse => Self::Sse(Box::new(sse::Connection::open(door).await?)),
                Transport::Poll => Self::Poll(Box::new(poll::Connection::new(door))),
            })
        };
        tokio::time::timeout(ANSWER_WITHIN, opening).await.unwrap_or_else(|_late| Err("no answer".to_owned()))
    }

    /// The next thing that comes. Cancel safe.
    pub async fn next(&mut self) -> Result<Heard, Trouble> {
        match self {
            Self::WebSocket(connection) => connection.next().await,
            Self::Sse(connection) => connection.next().await,
            Self::Poll(connection) => connection.next().await,
        }
    }

    /// Everything up to `seq`, which stands at `cursor`, is processed.
    pub async fn acknowledge(&mut self, seq: u64, cursor: Cursor) -> Result<(), Trouble> {
        match self {
            Self::WebSocket(connection) => connection.say(&json!({"frame": "ack", "seq": seq})).await,
            Self::Sse(connection) => connection.acknowledge(cursor).await,
            Self::Poll(connection) => {
                connection.processed(cursor);
                Ok(())
            }
        }
    }

    /// This one is refused for good. Only a WebSocket has a word for it.
    pub async fn refuse(&mut self, seq: u64) -> Result<(), Trouble> {
        let Self::WebSocket(connection) = self else { return Err("no word for a refusal".to_owned()) };
        connection.say(&json!({"frame": "nack", "seq": seq, "code": "reject"})).await
    }
}

/// Reads a frame; `None` for one that says nothing of interest.
fn read(frame: &Value) -> Result<Option<Heard>, Trouble> {
    let cursor = |name: &str| frame[name].as_str().and_then(|text| Cursor::decode(text).ok());
    let cursor = |name: &str| cursor(name).ok_or_else(|| format!("no {name} in {frame}"));
    let seq = frame["seq"].as_u64().unwrap_or_default();
    Ok(Some(match frame["frame"].as_str() {
        Some("welcome") => Heard::Opened,
        Some("notification") => Heard::Notification(Came {
            seq,
            id: frame["id"]
                .as_str()
                .and_then(|id| id.parse().ok())
                .ok_or_else(|| format!("no id in {frame}"))?,
            cursor: cursor("cursor")?,
            mark: Mark::of(&frame["content"]),
        }),
        Some("gap") => Heard::Gap {
            seq,
            expired: frame["causes"]["expired"].as_u64().unwrap_or_default(),
            over_quota: frame["causes"]["over_quota"].as_u64().unwrap_or_default(),
            from: cursor("from")?,
            cursor: cursor("to")?,
        },
        Some("goaway") => Heard::Leave(Duration::from_millis(frame["after_ms"].as_u64().unwrap_or_default())),
        Some("error") => return Err(format!("error {}: {}", frame["code"], frame["detail"])),
        Some(_) | None => return Ok(None),
    }))
}
