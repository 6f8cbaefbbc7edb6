//! The clients: each holds one WebSocket, acknowledges what came together at once, and keeps account.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _};
use serde_json::json;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;
use tokio_util::sync::CancellationToken;

use crate::target::{Frame, Socket};

/// What a client got.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// Received and acknowledged.
    pub(crate) ids: HashSet<String>,
    pub(crate) duplicates: u64,
    pub(crate) out_of_order: u64,
    pub(crate) gaps: u64,
    /// From when each was to be sent to its acknowledgement, in microseconds.
    pub(crate) latencies: Vec<u64>,
    /// When the server had taken the last acknowledgement, from the start.
    pub(crate) last: Duration,
    /// Why it ended before it had everything.
    pub(crate) ended: Option<String>,
    next: u64,
}

/// A client that is live.
pub(crate) struct Client {
    pub(crate) socket: Socket,
    /// How many notifications are to come.
    pub(crate) share: u64,
}

/// What a read was.
enum Came {
    /// Received, to be acknowledged; when it was to be sent.
    Counted {
        seq: u64,
        at: Option<u64>,
    },
    Pong,
    Nothing,
}

impl Client {
    /// Receives and acknowledges until it has its share and the server has taken the last acknowledgement, or `stop`.
    pub(crate) async fn listen(mut self, start: Instant, stop: CancellationToken) -> Heard {
        let mut heard = Heard::default();
        let listened = stop.run_until_cancelled(self.receive(&mut heard, start)).await;
        heard.ended = match listened {
            Some(Ok(())) => None,
            Some(Err(error)) => Some(format!("{error:#}")),
            None => Some(format!("{} of {} came in time", heard.ids.len(), self.share)),
        };
        heard
    }

    async fn receive(&mut self, heard: &mut Heard, start: Instant) -> anyhow::Result<()> {
        let mut since = Vec::new();
        while (heard.ids.len() as u64) < self.share {
            let mut upto = None;
            // What is here already is acknowledged together.
            let mut came = self.socket.next().await;
            loop {
                if let Came::Counted { seq, at } = heard.read(came)? {
                    upto = Some(seq);
                    since.extend(at);
                }
                match self.socket.next().now_or_never() {
                    Some(more) => came = more,
                    None => break,
                }
            }
            if let Some(seq) = upto {
                self.say(&json!({"frame": "ack", "seq": seq})).await?;
                let now = micros(start.elapsed());
                heard.latencies.extend(since.drain(..).map(|at| now.saturating_sub(at)));
            }
        }
        // Frames are taken in order: the answer to this proves that every acknowledgement was taken.
        self.say(&json!({"frame": "ping"})).await?;
        while !matches!(heard.read(self.socket.next().await)?, Came::Pong) {}
        heard.last = start.elapsed();
        Ok(())
    }

    async fn say(&mut self, frame: &serde_json::Value) -> anyhow::Result<()> {
        Ok(self.socket.send(Message::text(frame.to_string())).await?)
    }
}

impl Heard {
    fn read(
        &mut self,
        came: Option<Result<Message, tokio_tungstenite::tungstenite::Error>>,
    ) -> anyhow::Result<Came> {
        let text = match came {
            Some(Ok(Message::Text(text))) => text,
            Some(Ok(Message::Close(close))) => anyhow::bail!("closed: {close:?}"),
            Some(Ok(_control)) => return Ok(Came::Nothing),
            Some(Err(error)) => return Err(error.into()),
            None => anyhow::bail!("the connection ended"),
        };
        let frame: Frame<'_> = serde_json::from_str(&text)?;
        match (frame.frame, frame.id, frame.content) {
            ("notification", Some(id), Some(content)) => {
                if !self.ids.insert(id.to_owned()) {
                    self.duplicates += 1;
                    return Ok(Came::Counted { seq: frame.seq, at: None });
                }
                self.out_of_order += u64::from(content.n != self.next);
                self.next = content.n + 1;
                Ok(Came::Counted { seq: frame.seq, at: Some(content.at) })
            }
            ("gap", ..) => {
                self.gaps += 1;
                Ok(Came::Counted { seq: frame.seq, at: None })
            }
            ("pong", ..) => Ok(Came::Pong),
            ("drained", ..) => Ok(Came::Nothing),
            _unexpected => anyhow::bail!("unexpected: {text}"),
        }
    }
}

pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
