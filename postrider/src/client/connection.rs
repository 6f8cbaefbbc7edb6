//! One connection over one of the three transports, and what went wrong with it.

use std::time::Duration;

use super::frames::ServerFrame;
use super::{Options, Transport, poll, sse, ws};

/// A connection.
#[derive(Debug)]
pub(super) enum Connection {
    WebSocket(Box<ws::Connection>),
    Sse(Box<sse::Connection>),
    Poll(Box<poll::Connection>),
}

/// What is wrong, and what to do about it.
#[derive(Clone, Debug)]
pub(super) struct Trouble {
    pub(super) why: String,
    pub(super) retry: Retry,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Retry {
    /// Connect again, later.
    Backoff,
    /// Connect again, not before.
    After(Duration),
    /// Something has to change first.
    Never { code: String },
}

impl Trouble {
    pub(super) fn new(why: impl Into<String>, retry: Retry) -> Self {
        Self { why: why.into(), retry }
    }

    pub(super) fn network(why: impl std::fmt::Display) -> Self {
        Self::new(why.to_string(), Retry::Backoff)
    }

    /// A server that does not speak the protocol; trying again may find another behind the same address.
    pub(super) fn undecodable(error: &serde_json::Error) -> Self {
        Self::network(format!("a frame cannot be read: {error}"))
    }
}

impl Connection {
    pub(super) async fn open(
        options: &Options,
        http: &reqwest::Client,
        cursor: Option<&str>,
    ) -> Result<Self, Trouble> {
        Ok(match options.transport {
            Transport::WebSocket => Self::WebSocket(Box::new(ws::Connection::open(options, cursor).await?)),
            Transport::Sse => Self::Sse(Box::new(sse::Connection::open(options, http, cursor).await?)),
            Transport::Poll => Self::Poll(Box::new(poll::Connection::open(options, http, cursor))),
        })
    }

    /// The next frame. Cancel safe.
    pub(super) async fn next(&mut self) -> Result<ServerFrame, Trouble> {
        match self {
            Self::WebSocket(connection) => connection.next().await,
            Self::Sse(connection) => connection.next().await,
            Self::Poll(connection) => connection.next().await,
        }
    }

    /// The caller has processed everything up to `cursor`.
    pub(super) fn processed(&mut self, cursor: &str) {
        if let Self::Poll(connection) = self {
            connection.processed(cursor);
        }
    }

    /// Tells the server that everything up to here is processed, at once or while [`Connection::next`] runs.
    pub(super) async fn acknowledge(&mut self, seq: u64, cursor: &str) -> Result<(), Trouble> {
        match self {
            Self::WebSocket(connection) => connection.acknowledge(seq).await,
            Self::Sse(connection) => {
                connection.acknowledge(cursor);
                Ok(())
            }
            // Asking again with the cursor does it.
            Self::Poll(_connection) => Ok(()),
        }
    }

    /// Waits until what was acknowledged has left this client.
    pub(super) async fn settle(&mut self) -> Result<(), Trouble> {
        match self {
            Self::Sse(connection) => connection.settle().await,
            Self::WebSocket(_) | Self::Poll(_) => Ok(()),
        }
    }

    pub(super) async fn close(self) {
        if let Self::WebSocket(connection) = self {
            connection.close().await;
        }
    }
}
