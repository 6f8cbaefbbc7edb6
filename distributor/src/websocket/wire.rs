//! One WebSocket on its bare socket: reads and writes at the same time, so that a client whose reading stalls is still
//! heard. What comes is read into a buffer of the thread, what goes is built in one and written at once; a connection
//! holds bytes of its own only while a frame is incomplete or the socket takes no more.

use std::cell::{Cell, RefCell};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead as _, AsyncReadExt as _, AsyncWrite as _, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::protocol::frame::coding::Control;

use super::codec::{self, Broken, Event, Reader};
use crate::http::settings::EdgeSettings;
use crate::protocol::{ClientFrame, Close, Mistake};

/// Most bytes read and thrown away behind a close frame, so that the network does not take the frame back.
const DISCARDED_BYTES: u64 = 1024 * 1024;

/// Most bytes of answers that may wait before the client is no longer read: they must not pile up.
const ANSWER_BYTES: usize = 64 * 1024;

/// What a thread's buffer for what goes may grow to before it is given back.
const KEPT_BYTES: usize = 1024 * 1024;

thread_local! {
    static INCOMING: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static OUTGOING: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// What a client said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// A text frame.
    Frame(Result<ClientFrame, Mistake>),
    /// A binary frame.
    Binary,
    /// A ping or pong: the client is there.
    Sign,
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The client closed, or the network did.
    Gone,
    /// We close.
    Closed(Close),
}

impl From<Broken> for Ended {
    fn from(broken: Broken) -> Self {
        Self::Closed(match broken {
            Broken::Protocol => Close::WebSocketError,
            Broken::NotUtf8 => Close::NotUtf8,
            Broken::TooLarge => Close::FrameTooLarge,
        })
    }
}

impl From<io::Error> for Ended {
    fn from(_gone: io::Error) -> Self {
        Self::Gone
    }
}

/// One WebSocket.
pub(super) struct Wire {
    stream: TcpStream,
    reader: Reader,
    /// Whether the reader was given bytes that it has not looked at.
    early: bool,
    /// Whether our close frame is on its way: nothing is sent behind it.
    closing: bool,
    /// What the socket did not take.
    pending: Vec<u8>,
    /// Since when it has taken none of it.
    stalled_since: Option<Instant>,
}

impl Wire {
    /// A socket behind its handshake, with which `early` bytes came.
    pub(super) fn new(stream: TcpStream, early: &Bytes) -> Self {
        let reader = Reader::with(early);
        Self {
            early: reader.has_rest(),
            stream,
            reader,
            closing: false,
            pending: Vec::new(),
            stalled_since: None,
        }
    }

    /// Whether everything is written.
    pub(super) fn is_idle(&self) -> bool {
        self.pending.is_empty()
    }

    /// When the writes will have made no progress for `limit`.
    pub(super) fn write_deadline(&self, limit: Duration) -> Option<Instant> {
        self.stalled_since.map(|since| since + limit)
    }

    /// Builds frames in a buffer of the thread and writes them, as far as the socket takes them; the rest follows with
    /// [`Wire::poll_flush`].
    ///
    /// # Errors
    /// Those of `build`, before which what it built is written as well; or the connection is over.
    pub(super) fn send(
        &mut self,
        build: impl FnOnce(&mut Vec<u8>) -> Result<(), Ended>,
    ) -> Result<(), Ended> {
        let mut out = OUTGOING.take();
        let built = build(&mut out);
        let written = self.write(&out);
        out.clear();
        if out.capacity() <= KEPT_BYTES {
            OUTGOING.set(out);
        }
        built.and(written)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Ended> {
        let mut rest = bytes;
        while self.pending.is_empty() && !rest.is_empty() {
            match self.stream.try_write(rest) {
                Ok(0) => return Err(Ended::Gone),
                Ok(written) => rest = &rest[written..],
                Err(full) if full.kind() == io::ErrorKind::WouldBlock => break,
                Err(gone) => return Err(gone.into()),
            }
        }
        if !rest.is_empty() {
            self.pending.extend_from_slice(rest);
            self.stalled_since.get_or_insert_with(Instant::now);
        }
        Ok(())
    }

    /// Goes on writing what the socket did not take; ready once it has taken all.
    pub(super) fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Ended>> {
        let mut written = 0;
        while written < self.pending.len() {
            match Pin::new(&mut self.stream).poll_write(context, &self.pending[written..]) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(Ended::Gone)),
                Poll::Ready(Ok(more)) => written += more,
                Poll::Ready(Err(gone)) => return Poll::Ready(Err(gone.into())),
                Poll::Pending => break,
            }
        }
        if written == self.pending.len() {
            (self.pending, self.stalled_since) = (Vec::new(), None);
            return Poll::Ready(Ok(()));
        }
        if written > 0 {
            self.pending.drain(..written);
            self.stalled_since = Some(Instant::now());
        }
        Poll::Pending
    }

    /// Reads once and tells `hear` what was said, whose answers are written.
    ///
    /// # Errors
    /// Those of `hear`, or the connection is over.
    pub(super) fn poll_hear(
        &mut self,
        context: &mut Context<'_>,
        settings: &EdgeSettings,
        mut hear: impl FnMut(&mut Vec<u8>, Said) -> Result<(), Ended>,
    ) -> Poll<Result<(), Ended>> {
        self.poll_events(context, settings, |answers, event| match event {
            Event::Text(text) => hear(answers, Said::Frame(ClientFrame::decode(text))),
            Event::Binary(_) => hear(answers, Said::Binary),
            Event::Ping(_) | Event::Pong | Event::Close(_) => hear(answers, Said::Sign),
        })
    }

    /// Reads once. Pings and close frames are answered; `hear` is told of them all the same.
    pub(super) fn poll_events(
        &mut self,
        context: &mut Context<'_>,
        settings: &EdgeSettings,
        mut hear: impl FnMut(&mut Vec<u8>, Event<'_>) -> Result<(), Ended>,
    ) -> Poll<Result<(), Ended>> {
        if self.pending.len() >= settings.batch_bytes + settings.server_frame_bytes + ANSWER_BYTES {
            // A client that sends without reading is not read either, until the write deadline ends it.
            return Poll::Pending;
        }
        INCOMING.with_borrow_mut(|buffer| {
            if buffer.len() < settings.read_buffer_bytes {
                buffer.resize(settings.read_buffer_bytes, 0);
            }
            let mut into = ReadBuf::new(buffer);
            if !std::mem::take(&mut self.early) {
                ready!(Pin::new(&mut self.stream).poll_read(context, &mut into))?;
                if into.filled().is_empty() {
                    return Poll::Ready(Err(Ended::Gone));
                }
            }
            let (mut reader, closing) = (std::mem::take(&mut self.reader), self.closing);
            let heard = self.send(|answers| {
                reader.read(into.filled_mut(), settings.client_frame_bytes, |event| {
                    hear(answers, event)?;
                    match event {
                        Event::Ping(payload) if !closing => codec::control(answers, Control::Pong, payload),
                        Event::Close(answer) => {
                            if !closing {
                                codec::control(answers, Control::Close, answer);
                            }
                            return Err(Ended::Gone);
                        }
                        Event::Ping(_) | Event::Pong | Event::Text(_) | Event::Binary(_) => {}
                    }
                    Ok(())
                })
            });
            self.reader = reader;
            Poll::Ready(heard)
        })
    }

    /// Waits until something was said or written; answers nothing by itself.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(super) async fn hear(
        &mut self,
        settings: &EdgeSettings,
        mut hear: impl FnMut(Said),
    ) -> Result<(), Ended> {
        std::future::poll_fn(|context| {
            let written = !self.is_idle() && self.poll_flush(context)?.is_ready();
            let said = self.poll_hear(context, settings, |_answers, said| {
                hear(said);
                Ok(())
            })?;
            if written || said.is_ready() { Poll::Ready(Ok(())) } else { Poll::Pending }
        })
        .await
    }

    /// Ends the connection: a close frame, a bounded wait for the client's, and no unread byte that would make the
    /// network take the close frame back. What the client still says until then goes to `last_words`.
    pub(super) async fn finish(
        mut self,
        ended: Ended,
        settings: &EdgeSettings,
        mut last_words: impl FnMut(Said),
    ) {
        let Ended::Closed(close) = ended else { return };
        let closing = async {
            while close != Close::Slow && !self.is_idle() {
                self.hear(settings, &mut last_words).await?;
            }
            self.pending = Vec::new();
            let payload = [&close.code().to_be_bytes(), close.reason().as_bytes()].concat();
            self.send(|out| {
                codec::control(out, Control::Close, &payload);
                Ok(())
            })?;
            self.closing = true;
            // Who has sent its own is waiting for the end of the connection.
            while !self.reader.is_closed() && self.hear(settings, &mut last_words).await.is_ok() {}
            self.stream.shutdown().await?;
            tokio::io::copy(&mut (&mut self.stream).take(DISCARDED_BYTES), &mut tokio::io::sink()).await?;
            Ok::<(), Ended>(())
        };
        match tokio::time::timeout(settings.close_ms, closing).await {
            Ok(Ok(())) => {}
            Ok(Err(_gone)) => tracing::debug!("close not completed"),
            Err(_elapsed) => tracing::debug!("close not answered"),
        }
    }
}
