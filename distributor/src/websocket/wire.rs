//! One WebSocket: reads and writes at the same time, so that a client whose reading stalls is still heard, with a bound on
//! what is encoded ahead.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::{Sink as _, Stream as _};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::Instant;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::CapacityError;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};
use tokio_tungstenite::tungstenite::{Bytes, Error, Message, Utf8Bytes};

use super::handshake::limits;
use crate::http::settings::EdgeSettings;
use crate::protocol::Close;

/// Most bytes read and thrown away behind a close frame, so that the network does not take the frame back.
const DISCARDED_BYTES: u64 = 1024 * 1024;

/// Most frames waiting to be written before the client is no longer read: answers must not pile up.
const OUT_FRAMES: usize = 256;

/// What a wire reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// A text frame.
    Text(Utf8Bytes),
    /// A binary frame.
    Binary,
    /// A ping or pong: the client is there.
    Sign,
    /// Everything given to [`Wire::send`] was handed to the operating system.
    Written,
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The client closed, or the network did.
    Gone,
    /// We close.
    Closed(Close),
}

/// One WebSocket.
pub(super) struct Wire {
    socket: WebSocketStream<TokioIo<Upgraded>>,
    out: VecDeque<Message>,
    /// Since when something given to [`Wire::send`] has made no progress.
    stalled_since: Option<Instant>,
}

impl Wire {
    pub(super) async fn new(upgraded: Upgraded, settings: &EdgeSettings) -> Self {
        let config = limits(settings);
        let socket =
            WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, Some(config)).await;
        Self { socket, out: VecDeque::new(), stalled_since: None }
    }

    /// Puts a text frame behind the others.
    pub(super) fn send(&mut self, text: String) {
        self.put(Message::text(text));
    }

    /// Asks for a sign of life.
    pub(super) fn ping(&mut self) {
        self.put(Message::Ping(Bytes::new()));
    }

    fn put(&mut self, frame: Message) {
        self.out.push_back(frame);
        self.stalled_since.get_or_insert_with(Instant::now);
    }

    /// Whether everything is written.
    pub(super) fn is_idle(&self) -> bool {
        self.stalled_since.is_none()
    }

    /// When the writes will have made no progress for `limit`.
    pub(super) fn write_deadline(&self, limit: Duration) -> Option<Instant> {
        self.stalled_since.map(|since| since + limit)
    }

    /// The next thing to know.
    ///
    /// # Errors
    /// When the connection is over.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(super) async fn hear(&mut self) -> Result<Heard, Ended> {
        std::future::poll_fn(|context| self.poll(context)).await
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<Heard, Ended>> {
        if self.stalled_since.is_some()
            && let Poll::Ready(written) = self.poll_write(context)
        {
            self.stalled_since = None;
            return Poll::Ready(written.map(|()| Heard::Written).map_err(|error| ended_by(&error)));
        }
        if self.out.len() >= OUT_FRAMES {
            // A client that sends without reading is not read either, until the write deadline ends it.
            return Poll::Pending;
        }
        Poll::Ready(match ready!(Pin::new(&mut self.socket).poll_next(context)) {
            Some(Ok(Message::Text(text))) => Ok(Heard::Text(text)),
            Some(Ok(Message::Binary(_))) => Ok(Heard::Binary),
            // The library answers pings and close frames by itself.
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_))) => {
                Ok(Heard::Sign)
            }
            Some(Err(error)) => Err(ended_by(&error)),
            None => Err(Ended::Gone),
        })
    }

    fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let mut socket = Pin::new(&mut self.socket);
        while !self.out.is_empty() {
            ready!(socket.as_mut().poll_ready(context))?;
            if let Some(frame) = self.out.pop_front() {
                socket.as_mut().start_send(frame)?;
                self.stalled_since = Some(Instant::now());
            }
        }
        socket.poll_flush(context)
    }

    /// Ends the connection: a close frame, a bounded wait for the client's, and no unread byte that would make the
    /// network take the close frame back.
    /// What the client still says until then goes to `last_words`.
    pub(super) async fn finish(mut self, ended: Ended, limit: Duration, last_words: impl Fn(&str)) {
        let Ended::Closed(close) = ended else { return };
        let closing = async {
            let frame =
                CloseFrame { code: close.code().into(), reason: Utf8Bytes::from_static(close.reason()) };
            if close != Close::Slow {
                while !self.is_idle() {
                    match self.hear().await {
                        Ok(Heard::Text(text)) => last_words(&text),
                        Ok(Heard::Binary | Heard::Sign | Heard::Written) => {}
                        Err(_ended) => break,
                    }
                }
            }
            self.out.clear();
            self.socket.close(Some(frame)).await?;
            while let Some(Ok(frame)) = futures_util::StreamExt::next(&mut self.socket).await {
                if let Message::Text(text) = frame {
                    last_words(&text);
                }
            }
            let raw = self.socket.get_mut();
            raw.shutdown().await?;
            tokio::io::copy(&mut raw.take(DISCARDED_BYTES), &mut tokio::io::sink()).await?;
            Ok::<(), Error>(())
        };
        match tokio::time::timeout(limit, closing).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "close not completed"),
            Err(_elapsed) => tracing::debug!("close not answered"),
        }
    }
}

/// What a failure of the socket means.
fn ended_by(error: &Error) -> Ended {
    match error {
        Error::Capacity(CapacityError::MessageTooLong { .. }) => Ended::Closed(Close::FrameTooLarge),
        Error::Protocol(_) => Ended::Closed(Close::WebSocketError),
        Error::Utf8(_) => Ended::Closed(Close::NotUtf8),
        // The network, or a close that both sides have made.
        _ => Ended::Gone,
    }
}
