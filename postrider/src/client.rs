//! A client that listens: connects over WebSocket, SSE or long-poll, gives what comes, acknowledges, remembers where it
//! stands, drops what it has seen, and reconnects. Used by `postrider listen` and by the guarantee tests; the protocol is
//! in `docs/PROTOCOL.md`.

mod acknowledgements;
mod connection;
mod frames;
mod http;
mod parser;
mod poll;
mod seen;
mod sse;
mod ws;

use std::str::FromStr;
use std::time::Duration;

use shared::retry::Backoff;
use tokio::time::Instant;

use acknowledgements::Acknowledgements;
use connection::{Connection, Retry, Trouble};
use frames::ServerFrame;
pub use frames::{Gap, Notification};
use seen::{Admission, Seen};

/// Acknowledgements waiting before they are sent, unless [`ACKNOWLEDGE_AFTER`] passes first.
const ACKNOWLEDGE_AT: usize = 32;
/// How long an acknowledgement waits for others to go with it.
const ACKNOWLEDGE_AFTER: Duration = Duration::from_millis(50);
/// A connection that lived this long was a good one: the next failure starts from the shortest delay.
const GOOD_AFTER: Duration = Duration::from_secs(10);

/// How notifications travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// WebSocket.
    WebSocket,
    /// Server-sent events.
    Sse,
    /// Long-poll.
    Poll,
}

impl Transport {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::WebSocket, Self::Sse, Self::Poll];
}

impl FromStr for Transport {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "ws" => Ok(Self::WebSocket),
            "sse" => Ok(Self::Sse),
            "poll" => Ok(Self::Poll),
            _other => Err("must be ws, sse or poll".into()),
        }
    }
}

/// What a [`Listener`] starts with.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the distributor is: `http://host:port` or `https://…`.
    pub url: String,
    /// The client token.
    pub token: String,
    /// How notifications travel.
    pub transport: Transport,
    /// Where this client stands, from an earlier run.
    pub cursor: Option<String>,
    /// Most notifications sent ahead of acknowledgement.
    pub window: u32,
    /// Between attempts to connect.
    pub backoff: Backoff,
}

impl Options {
    /// Over WebSocket, from all that is stored.
    #[must_use]
    pub fn new(url: impl Into<String>, token: impl Into<String>) -> Self {
        Self {
            url: url.into().trim_end_matches('/').to_owned(),
            token: token.into(),
            transport: Transport::WebSocket,
            cursor: None,
            window: 64,
            backoff: Backoff { base: Duration::from_millis(250), cap: Duration::from_secs(30) },
        }
    }

    /// Over another transport.
    #[must_use]
    pub fn over(mut self, transport: Transport) -> Self {
        self.transport = transport;
        self
    }

    /// From where an earlier listener stood.
    #[must_use]
    pub fn from_cursor(mut self, cursor: Option<String>) -> Self {
        self.cursor = cursor;
        self
    }
}

/// What comes.
#[derive(Clone, Debug)]
pub enum Incoming {
    /// A session is open.
    Opened {
        /// Its id.
        session: String,
        /// Where it starts.
        cursor: String,
        /// Whether stored notifications may come first.
        stored: bool,
    },
    /// A notification that this listener has not given before.
    Notification(Notification),
    /// Notifications that will never come.
    Gap(Gap),
    /// Stored ones are through.
    Drained {
        /// How many there were.
        count: u64,
    },
    /// The connection is gone or could not be made; the next call waits, then connects again.
    Interrupted {
        /// Why.
        why: String,
        /// How long it waits.
        retry_in: Duration,
    },
}

/// Why listening cannot go on: something has to change first.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server does not want this client, or not like this.
    #[error("the distributor refuses: {code}: {detail}")]
    Refused {
        /// Stable code.
        code: String,
        /// For a person.
        detail: String,
    },
    /// The address is no URL that can be used.
    #[error("{0} is no usable address")]
    Address(String),
}

/// A client that listens.
#[derive(Debug)]
pub struct Listener {
    options: Options,
    http: reqwest::Client,
    connection: Option<Connection>,
    opened: Instant,
    attempt: u32,
    /// When to connect, while there is no connection.
    due: Instant,
    seen: Seen,
    acknowledgements: Acknowledgements,
}

impl Listener {
    /// A listener that is not connected yet; [`Listener::next`] connects it.
    ///
    /// # Errors
    /// [`Error::Address`] when there can be no HTTP client for the address.
    pub fn new(options: Options) -> Result<Self, Error> {
        let http = http::client().map_err(|error| Error::Address(format!("{}: {error}", options.url)))?;
        let acknowledgements = Acknowledgements::from_cursor(options.cursor.clone());
        let now = Instant::now();
        Ok(Self {
            options,
            http,
            connection: None,
            opened: now,
            attempt: 0,
            due: now,
            seen: Seen::default(),
            acknowledgements,
        })
    }

    /// Up to where everything is acknowledged, by [`Listener::acknowledge`] or an earlier run. Keep it.
    #[must_use]
    pub fn cursor(&self) -> Option<&str> {
        self.acknowledgements.cursor()
    }

    /// The next thing that comes; connects where needed.
    ///
    /// # Errors
    /// When reconnecting is of no use.
    ///
    /// # Cancel safety
    /// Nothing that was not acknowledged is lost when the future is dropped.
    pub async fn next(&mut self) -> Result<Incoming, Error> {
        loop {
            let frame = match self.frame().await {
                Ok(Some(frame)) => frame,
                Ok(None) => continue,
                Err(trouble) => return self.interrupted(trouble),
            };
            match frame {
                ServerFrame::Welcome(welcome) => {
                    self.seen.start_from(&welcome.cursor);
                    self.acknowledgements.session_began(&welcome.cursor);
                    return Ok(Incoming::Opened {
                        session: welcome.session,
                        cursor: welcome.cursor,
                        stored: welcome.stored,
                    });
                }
                ServerFrame::Notification(notification) => {
                    self.came(&notification.cursor, notification.seq);
                    match self.seen.admit(&notification.id, &notification.cursor) {
                        Admission::New => return Ok(Incoming::Notification(notification)),
                        Admission::Redelivered => {}
                        Admission::Repeated => {
                            self.acknowledgements.repeated(&notification.cursor);
                            self.tell_connection();
                        }
                    }
                }
                ServerFrame::Gap(gap) => {
                    self.came(&gap.cursor, gap.seq);
                    return Ok(Incoming::Gap(gap));
                }
                ServerFrame::Drained { count } => return Ok(Incoming::Drained { count }),
                ServerFrame::Goaway { after_ms, reason } => {
                    let retry = Retry::After(Duration::from_millis(after_ms));
                    // What is acknowledged before the session ends is not sent again.
                    self.flush().await;
                    let connection = self.lose();
                    let told = self.interrupted(Trouble::new(format!("the node goes away: {reason}"), retry));
                    if let Some(connection) = connection {
                        connection.close().await;
                    }
                    return told;
                }
                ServerFrame::Error { code, detail, temporary } => {
                    let retry = if temporary { Retry::Backoff } else { Retry::Never { code: code.clone() } };
                    return self.interrupted(Trouble::new(format!("{code}: {detail}"), retry));
                }
                ServerFrame::Unknown => {}
            }
        }
    }

    /// Says that everything up to `cursor`, a notification's or a gap's, is processed. It is sent with others, soon,
    /// while [`Listener::next`] or [`Listener::flush`] runs.
    pub fn acknowledge(&mut self, cursor: &str) {
        self.acknowledgements.processed(cursor);
        self.tell_connection();
    }

    /// Sends the acknowledgements that wait. Without a connection the next one brings them, by the cursor.
    pub async fn flush(&mut self) {
        self.send_acknowledgements().await;
        let Some(connection) = &mut self.connection else { return };
        if let Err(trouble) = connection.settle().await {
            self.acknowledging_failed(&trouble);
        }
    }

    async fn send_acknowledgements(&mut self) {
        let Some((_count, seq, _since)) = self.acknowledgements.unsent() else { return };
        let (Some(connection), Some(cursor)) = (&mut self.connection, self.acknowledgements.cursor()) else {
            return;
        };
        match connection.acknowledge(seq, cursor).await {
            Ok(()) => self.acknowledgements.sent(),
            Err(trouble) => self.acknowledging_failed(&trouble),
        }
    }

    /// The next connection says it by its cursor.
    fn acknowledging_failed(&mut self, trouble: &Trouble) {
        tracing::debug!(why = trouble.why, "acknowledging failed");
        self.disconnect();
    }

    /// Drops the connection without a word, as a network does; the next call connects again.
    pub fn disconnect(&mut self) {
        self.connection = None;
        self.acknowledgements.session_ended();
    }

    /// Acknowledges what waits and says goodbye.
    pub async fn close(mut self) {
        if let (Some(Connection::Poll(poll)), Some(cursor)) =
            (&mut self.connection, self.acknowledgements.cursor())
            && let Err(trouble) = poll.finish(cursor).await
        {
            tracing::debug!(why = trouble.why, "acknowledging failed");
        }
        self.flush().await;
        if let Some(connection) = self.connection {
            connection.close().await;
        }
    }

    fn came(&mut self, cursor: &str, seq: u64) {
        self.acknowledgements.came(cursor, seq);
        self.tell_connection();
    }

    fn tell_connection(&mut self) {
        if let (Some(connection), Some(cursor)) = (&mut self.connection, self.acknowledgements.cursor()) {
            connection.processed(cursor);
        }
    }

    /// One frame; `None` after acknowledgements were sent meanwhile.
    async fn frame(&mut self) -> Result<Option<ServerFrame>, Trouble> {
        if self.acknowledgements.unsent().is_some_and(|(count, ..)| count >= ACKNOWLEDGE_AT) {
            self.send_acknowledgements().await;
        }
        if self.connection.is_none() {
            tokio::time::sleep_until(self.due).await;
            self.acknowledgements.session_ended();
            let cursor = self.acknowledgements.cursor();
            let opened = Connection::open(&self.options, &self.http, cursor).await?;
            self.connection = Some(opened);
            self.opened = Instant::now();
        }
        let Some(connection) = &mut self.connection else { return Ok(None) };
        let Some((_count, _seq, since)) = self.acknowledgements.unsent() else {
            return connection.next().await.map(Some);
        };
        tokio::select! {
            biased;
            frame = connection.next() => frame.map(Some),
            () = tokio::time::sleep_until(since + ACKNOWLEDGE_AFTER) => {
                self.send_acknowledgements().await;
                Ok(None)
            }
        }
    }

    /// Takes the connection, after which connecting again starts from the shortest delay if it was a good one.
    fn lose(&mut self) -> Option<Connection> {
        let connection = self.connection.take();
        if connection.is_some() && self.opened.elapsed() >= GOOD_AFTER {
            self.attempt = 0;
        }
        connection
    }

    fn interrupted(&mut self, trouble: Trouble) -> Result<Incoming, Error> {
        drop(self.lose());
        let jittered = self.options.backoff.delay(self.attempt, rand::random());
        let retry_in = match trouble.retry {
            Retry::Never { code } => return Err(Error::Refused { code, detail: trouble.why }),
            Retry::Backoff => jittered,
            Retry::After(delay) => delay + jittered,
        };
        self.attempt = self.attempt.saturating_add(1);
        self.due = Instant::now() + retry_in;
        Ok(Incoming::Interrupted { why: trouble.why, retry_in })
    }
}
