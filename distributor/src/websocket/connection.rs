//! One open WebSocket session: frames out, acknowledgements in, heartbeats, and every way it can end.

use tokio::time::Instant;

use super::first::{Greeting, Open};
use super::wire::{Ended, Heard, Wire};
use crate::auth::Identity;
use crate::heartbeat::{Beat, Heartbeat};
use crate::http::Edge;
use crate::hub::{BeyondSent, Handle, SessionGuard};
use crate::protocol::{
    ClientFrame, Close, Code, Hello, Mistake, Nack, Opened, encode, encode_error, encode_goaway, encode_pong,
};
use crate::session::{Frame, State};
use shared::delivery::Rejection;

/// An open session and its connection's state. Dropping it ends the session.
pub(super) struct Connection<'a> {
    edge: &'a Edge,
    handle: Handle,
    #[expect(dead_code, reason = "held to be dropped")]
    guard: SessionGuard,
    opened: Opened,
    heartbeat: Heartbeat,
    /// When the client's right ends.
    expires: Instant,
    bad_frames: u32,
    waiting: Option<ClientFrame>,
    greeting: Greeting,
}

impl<'a> Connection<'a> {
    pub(super) fn new(edge: &'a Edge, open: Open) -> Self {
        let Open { handle, identity, window, waiting, greeting } = open;
        let now = Instant::now();
        let Identity { expires, .. } = identity;
        Self {
            opened: edge.opened(&handle, window),
            heartbeat: Heartbeat::new(
                handle.id(),
                edge.settings.ping_ms,
                edge.settings.missed_pings,
                now.into_std(),
            ),
            expires: now + expires.since(edge.now()),
            guard: handle.guard(),
            handle,
            edge,
            bad_frames: 0,
            waiting,
            greeting,
        }
    }

    /// Serves the connection until it ends. The session lives until this is dropped.
    pub(super) async fn run(&mut self, wire: &mut Wire) -> Ended {
        if let Some(frame) = self.waiting.take()
            && let Err(ended) = self.serve(wire, frame)
        {
            return ended;
        }
        loop {
            if let Err(ended) = self.step(wire).await {
                return ended;
            }
        }
    }

    async fn step(&mut self, wire: &mut Wire) -> Result<(), Ended> {
        let (idle, deadline) = (wire.is_idle(), self.deadline(wire));
        tokio::select! {
            heard = wire.hear() => self.hear(wire, heard?),
            () = self.handle.ready(), if idle => self.write(wire),
            () = tokio::time::sleep_until(deadline) => self.on_time(wire),
            () = self.edge.shutdown.begun() => self.go_away(wire),
        }
    }

    fn deadline(&self, wire: &Wire) -> Instant {
        let next = Instant::from_std(self.heartbeat.next()).min(self.expires);
        wire.write_deadline(self.edge.settings.write_ms).map_or(next, |write| write.min(next))
    }

    fn on_time(&mut self, wire: &mut Wire) -> Result<(), Ended> {
        let now = Instant::now();
        if wire.write_deadline(self.edge.settings.write_ms).is_some_and(|deadline| deadline <= now) {
            return Err(Ended::Closed(Close::Slow));
        }
        if self.expires <= now {
            wire.send(encode_error(&Mistake::new(Code::TokenExpired, "the token has expired")));
            return Err(Ended::Closed(Close::TokenExpired));
        }
        self.beat(wire, now)
    }

    fn beat(&mut self, wire: &mut Wire, now: Instant) -> Result<(), Ended> {
        match self.heartbeat.beat(now.into_std()) {
            Beat::Wait => Ok(()),
            Beat::Ping => {
                wire.ping();
                Ok(())
            }
            Beat::Lost => Err(Ended::Closed(Close::HeartbeatLost)),
        }
    }

    /// Takes what the session has for the client.
    fn write(&mut self, wire: &mut Wire) -> Result<(), Ended> {
        if self.handle.closing().is_some() {
            return self.go_away(wire);
        }
        if self.handle.state() == State::Closed {
            return Err(Ended::Closed(Close::Replaced));
        }
        if self.handle.take_probe() {
            let now = Instant::now();
            self.heartbeat.probe(now.into_std());
            self.beat(wire, now)?;
        }
        let (mut frames, mut bytes) = (0, 0);
        while frames < self.edge.settings.batch && bytes < self.edge.settings.batch_bytes {
            let taken = self.handle.take(1);
            let Some(frame) = taken.first() else { break };
            frames += 1;
            bytes += self.put(wire, frame);
        }
        Ok(())
    }

    /// Sends a frame; answers how large it is.
    fn put(&self, wire: &mut Wire, frame: &Frame) -> usize {
        let text = encode(frame, &self.opened);
        let bytes = text.len();
        match frame {
            // It would never get through, and hold up everything behind it.
            Frame::Notification { seq, .. } if text.len() > self.edge.settings.server_frame_bytes => {
                crate::metrics::frame_not_sendable();
                if let Err(error) = self.handle.refuse(*seq, Some(Rejection::Refused)) {
                    tracing::warn!(%error, "a notification too large to send was not refused");
                }
            }
            _ => wire.send(text),
        }
        bytes
    }

    fn go_away(&self, wire: &mut Wire) -> Result<(), Ended> {
        let (after_ms, reason) = self
            .handle
            .closing()
            .map_or((0, "shutdown"), |closing| (closing.after_ms(), closing.reason.as_str()));
        wire.send(encode_goaway(after_ms, reason));
        Err(Ended::Closed(Close::GoAway))
    }

    /// A frame that came after the client was told to go: what it says of what it was sent counts.
    pub(super) fn hear_last(&self, text: &str) {
        let done = match ClientFrame::decode(text) {
            Ok(ClientFrame::Ack { seq, .. }) => self.handle.acknowledge(seq),
            Ok(ClientFrame::Nack(Nack { seq, rejection, .. })) => self.handle.refuse(seq, rejection),
            Ok(
                ClientFrame::Hello(_)
                | ClientFrame::Ping { .. }
                | ClientFrame::Subscribe { .. }
                | ClientFrame::Unsubscribe { .. },
            )
            | Err(_) => Ok(()),
        };
        if let Err(beyond) = done {
            tracing::debug!(%beyond, "after the goaway");
        }
    }

    fn hear(&mut self, wire: &mut Wire, heard: Heard) -> Result<(), Ended> {
        if heard != Heard::Written {
            self.heartbeat.heard();
        }
        match heard {
            Heard::Text(text) => match ClientFrame::decode(&text) {
                Ok(frame) => self.serve(wire, frame),
                Err(mistake) => self.bad(wire, &mistake),
            },
            Heard::Binary => {
                wire.send(encode_error(&Mistake::new(Code::BinaryUnsupported, "frames are text")));
                Err(Ended::Closed(Close::Binary))
            }
            Heard::Sign | Heard::Written => Ok(()),
        }
    }

    fn serve(&mut self, wire: &mut Wire, frame: ClientFrame) -> Result<(), Ended> {
        match frame {
            ClientFrame::Ack { seq, reference } => self.sent(wire, self.handle.acknowledge(seq), reference),
            ClientFrame::Nack(Nack { seq, rejection, reference }) => {
                self.sent(wire, self.handle.refuse(seq, rejection), reference)
            }
            ClientFrame::Ping { reference } => {
                wire.send(encode_pong(reference.as_deref()));
                Ok(())
            }
            ClientFrame::Subscribe { reference } | ClientFrame::Unsubscribe { reference } => {
                let mistake = Mistake::new(Code::NotSupported, "is not served in this version");
                self.bad(wire, &mistake.answering(reference))
            }
            ClientFrame::Hello(hello) => self.late_hello(wire, hello),
        }
    }

    /// A `hello` that was on its way when the session opened without it still says where the client stands.
    fn late_hello(&mut self, wire: &mut Wire, hello: Hello) -> Result<(), Ended> {
        if std::mem::replace(&mut self.greeting, Greeting::Over) == Greeting::Over {
            let mistake = Mistake::new(Code::AlreadyOpen, "the session is open");
            return self.bad(wire, &mistake.answering(hello.reference));
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
        wire: &mut Wire,
        done: Result<(), BeyondSent>,
        reference: Option<String>,
    ) -> Result<(), Ended> {
        let Err(beyond) = done else { return Ok(()) };
        let mut mistake = Mistake::new(Code::AckOutOfRange, beyond.to_string()).answering(reference);
        mistake.pointer = Some("/seq".to_owned());
        self.bad(wire, &mistake)
    }

    /// Answers a frame that cannot be served; a client that sends many of them is broken.
    fn bad(&mut self, wire: &mut Wire, mistake: &Mistake) -> Result<(), Ended> {
        crate::metrics::bad_frame(mistake.code);
        wire.send(encode_error(mistake));
        self.bad_frames += 1;
        if self.bad_frames > self.edge.settings.bad_frames {
            return Err(Ended::Closed(Close::TooManyBadFrames));
        }
        Ok(())
    }
}
