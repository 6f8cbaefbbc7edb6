//! What a WebSocket does for its session: frames out, acknowledgements in, heartbeats, and every way it can end.

use std::sync::Arc;

use tokio::time::Instant;

use super::codec;
use super::first::{Greeting, Open};
use super::wire::{Ended, Said, Wire};
use crate::heartbeat::{Beat, Heartbeat};
use crate::http::Edge;
use crate::hub::{BeyondSent, Handle};
use crate::protocol::{
    ClientFrame, Close, Code, Hello, Mistake, Nack, encode_error, encode_goaway, encode_into, encode_pong,
};
use crate::session::{Frame, State};
use shared::delivery::Rejection;
use tokio_tungstenite::tungstenite::protocol::frame::coding::Control;

/// An open session as its connection drives it. Dropping it ends the session.
pub(super) struct Client {
    pub(super) edge: Arc<Edge>,
    pub(super) handle: Handle,
    /// The window that the client asked for.
    window: Option<u32>,
    heartbeat: Heartbeat,
    /// When the client's right ends.
    expires: Instant,
    bad_frames: u32,
    greeting: Greeting,
}

impl Client {
    /// The client of a session that has just been opened. What it said since its greeting is served first.
    ///
    /// # Errors
    /// When that ends the connection.
    pub(super) fn begin(edge: &Arc<Edge>, wire: &mut Wire, open: Open) -> Result<Self, Ended> {
        let Open { handle, expires, window, waiting, greeting } = open;
        let now = Instant::now();
        let settings = &edge.settings;
        let mut client = Self {
            heartbeat: Heartbeat::new(handle.id(), settings.ping_ms, settings.missed_pings, now.into_std()),
            expires: now + expires.since(edge.now()),
            handle,
            edge: Arc::clone(edge),
            window,
            bad_frames: 0,
            greeting,
        };
        wire.send(|answers| waiting.into_iter().try_for_each(|said| client.hear(answers, said)))?;
        Ok(client)
    }

    /// When [`Client::on_time`] is due, as far as the session is concerned.
    pub(super) fn deadline(&self) -> Instant {
        Instant::from_std(self.heartbeat.next()).min(self.expires)
    }

    pub(super) fn on_time(&mut self, wire: &mut Wire) -> Result<(), Ended> {
        let now = Instant::now();
        if wire.write_deadline(self.edge.settings.write_ms).is_some_and(|deadline| deadline <= now) {
            return Err(Ended::Closed(Close::Slow));
        }
        if self.expires <= now {
            let mistake = Mistake::new(Code::TokenExpired, "the token has expired");
            wire.send(|out| {
                say(out, &encode_error(&mistake));
                Err(Ended::Closed(Close::TokenExpired))
            })?;
        }
        self.beat(wire, now)
    }

    fn beat(&mut self, wire: &mut Wire, now: Instant) -> Result<(), Ended> {
        match self.heartbeat.beat(now.into_std()) {
            Beat::Wait => Ok(()),
            Beat::Ping => wire.send(|out| {
                codec::control(out, Control::Ping, &[]);
                Ok(())
            }),
            Beat::Lost => Err(Ended::Closed(Close::HeartbeatLost)),
        }
    }

    /// Takes what the session has for the client.
    pub(super) fn write(&mut self, wire: &mut Wire) -> Result<(), Ended> {
        if self.handle.closing().is_some() {
            return Err(self.go_away(wire));
        }
        if self.handle.state() == State::Closed {
            return Err(Ended::Closed(Close::Replaced));
        }
        if self.handle.take_probe() {
            let now = Instant::now();
            self.heartbeat.probe(now.into_std());
            self.beat(wire, now)?;
        }
        wire.send(|out| {
            for _frame in 0..self.edge.settings.batch {
                let Some(frame) = self.handle.take_next() else { break };
                self.put(out, &frame);
                if out.len() >= self.edge.settings.batch_bytes {
                    break;
                }
            }
            Ok(())
        })
    }

    /// Appends a frame, unless it is larger than may be sent: it would never get through, and hold up everything behind it.
    fn put(&self, out: &mut Vec<u8>, frame: &Frame) {
        let (begin, opened) = (out.len(), self.edge.opened(&self.handle, self.window));
        codec::text(out, |out| encode_into(frame, &opened, out));
        if let Frame::Notification { seq, .. } = frame
            && out.len() - begin > self.edge.settings.server_frame_bytes
        {
            out.truncate(begin);
            crate::metrics::frame_not_sendable();
            if let Err(error) = self.handle.refuse(*seq, Some(Rejection::Refused)) {
                tracing::warn!(%error, "a notification too large to send was not refused");
            }
        }
    }

    /// Tells the client to go; answers how the connection ends.
    pub(super) fn go_away(&self, wire: &mut Wire) -> Ended {
        let (after_ms, reason) = self
            .handle
            .closing()
            .map_or((0, "shutdown"), |closing| (closing.after_ms(), closing.reason.as_str()));
        let told = wire.send(|out| {
            say(out, &encode_goaway(after_ms, reason));
            Ok(())
        });
        told.err().unwrap_or(Ended::Closed(Close::GoAway))
    }

    /// A frame that came after the client was told to go: what it says of what it was sent counts.
    pub(super) fn hear_last(&self, said: &Said) {
        let done = match said {
            Said::Frame(Ok(ClientFrame::Ack { seq, .. })) => self.handle.acknowledge(*seq),
            Said::Frame(Ok(ClientFrame::Nack(Nack { seq, rejection, .. }))) => {
                self.handle.refuse(*seq, *rejection)
            }
            Said::Frame(_) | Said::Binary | Said::Sign => Ok(()),
        };
        if let Err(beyond) = done {
            tracing::debug!(%beyond, "after the goaway");
        }
    }

    pub(super) fn hear(&mut self, answers: &mut Vec<u8>, said: Said) -> Result<(), Ended> {
        self.heartbeat.heard();
        match said {
            Said::Frame(Ok(frame)) => self.serve(answers, frame),
            Said::Frame(Err(mistake)) => self.bad(answers, &mistake),
            Said::Binary => {
                say(answers, &encode_error(&Mistake::new(Code::BinaryUnsupported, "frames are text")));
                Err(Ended::Closed(Close::Binary))
            }
            Said::Sign => Ok(()),
        }
    }

    fn serve(&mut self, answers: &mut Vec<u8>, frame: ClientFrame) -> Result<(), Ended> {
        match frame {
            ClientFrame::Ack { seq, reference } => {
                self.sent(answers, self.handle.acknowledge(seq), reference)
            }
            ClientFrame::Nack(Nack { seq, rejection, reference }) => {
                self.sent(answers, self.handle.refuse(seq, rejection), reference)
            }
            ClientFrame::Ping { reference } => {
                say(answers, &encode_pong(reference.as_deref()));
                Ok(())
            }
            ClientFrame::Subscribe { reference } | ClientFrame::Unsubscribe { reference } => {
                let mistake = Mistake::new(Code::NotSupported, "is not served in this version");
                self.bad(answers, &mistake.answering(reference))
            }
            ClientFrame::Hello(hello) => self.late_hello(answers, hello),
        }
    }

    /// A `hello` that was on its way when the session opened without it still says where the client stands.
    fn late_hello(&mut self, answers: &mut Vec<u8>, hello: Hello) -> Result<(), Ended> {
        if std::mem::replace(&mut self.greeting, Greeting::Over) == Greeting::Over {
            let mistake = Mistake::new(Code::AlreadyOpen, "the session is open");
            return self.bad(answers, &mistake.answering(hello.reference));
        }
        if let Some(cursor) = hello.cursor
            && let Err(foreign) = self.handle.acknowledge_cursor(cursor)
        {
            // As on opening: a cursor that is not this recipient's is not believed.
            tracing::debug!(%foreign, "late hello");
        }
        Ok(())
    }

    fn sent(
        &mut self,
        answers: &mut Vec<u8>,
        done: Result<(), BeyondSent>,
        reference: Option<String>,
    ) -> Result<(), Ended> {
        let Err(beyond) = done else { return Ok(()) };
        let mut mistake = Mistake::new(Code::AckOutOfRange, beyond.to_string()).answering(reference);
        mistake.pointer = Some("/seq".to_owned());
        self.bad(answers, &mistake)
    }

    /// Answers a frame that cannot be served; a client that sends many of them is broken.
    fn bad(&mut self, answers: &mut Vec<u8>, mistake: &Mistake) -> Result<(), Ended> {
        crate::metrics::bad_frame(mistake.code);
        say(answers, &encode_error(mistake));
        self.bad_frames += 1;
        if self.bad_frames > self.edge.settings.bad_frames {
            return Err(Ended::Closed(Close::TooManyBadFrames));
        }
        Ok(())
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.handle.end();
    }
}

/// Appends a text frame.
pub(super) fn say(out: &mut Vec<u8>, text: &str) {
    codec::text(out, |out| out.extend_from_slice(text.as_bytes()));
}
