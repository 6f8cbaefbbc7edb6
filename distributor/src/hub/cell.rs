//! One session of this node: the machine, what waits to be written to its client, and the wake-up of whoever writes.
//! Stepped by the hub under its lock; read by [`super::Handle`].

use std::collections::VecDeque;
use std::sync::Mutex;
use std::task::Waker;

use shared::clock::Timestamp;
use shared::delivery::SessionId;
use shared::position::PartitionId;
use shared::recipient::Recipient;
use smallvec::SmallVec;

use super::spans::Spans;
use super::{Closing, Transport, lock};
use crate::session::{Frame, Session, State};

/// A session, shared by its connection, the directors' streams and the answers of the engines.
#[derive(Debug)]
pub(crate) struct Cell {
    id: SessionId,
    recipient: Recipient,
    partition: PartitionId,
    transport: Transport,
    cursor_ignored: bool,
    pub(super) core: Mutex<Core>,
}

/// What changes.
#[derive(Debug)]
pub(super) struct Core {
    pub(super) session: Session,
    /// Frames not yet taken by the connection; the session's window bounds it.
    pub(super) outbox: VecDeque<Frame>,
    /// The highest sequence number that the connection took.
    pub(super) taken_seq: u64,
    /// The session wants to know whether its connection lives.
    pub(super) probe: bool,
    /// The node is going away.
    pub(super) closing: Option<Closing>,
    /// Whether the connection has looked at `closing`.
    pub(super) closing_seen: bool,
    /// Set once, when the session is over.
    pub(super) ended: bool,
    /// The latest question for the end of `parked`; an answer to an older one proves nothing for it.
    pub(super) end_asked: u64,
    /// The earliest wake-up that the timer wheel holds for this session.
    pub(super) armed: Option<Timestamp>,
    /// What is traced of what was sent.
    pub(super) spans: Spans,
    /// Whoever waits for [`Core::is_ready`]: the connection, or those that find out that they are not it any more.
    waiting: SmallVec<[Waker; 1]>,
}

impl Cell {
    pub(super) fn new(
        id: SessionId,
        recipient: Recipient,
        partition: PartitionId,
        transport: Transport,
        cursor_ignored: bool,
        session: Session,
    ) -> Self {
        let core = Core {
            session,
            outbox: VecDeque::new(),
            taken_seq: 0,
            probe: false,
            closing: None,
            closing_seen: false,
            ended: false,
            end_asked: 0,
            armed: None,
            spans: Spans::default(),
            waiting: SmallVec::new(),
        };
        Self { id, recipient, partition, transport, cursor_ignored, core: Mutex::new(core) }
    }

    pub(crate) fn id(&self) -> SessionId {
        self.id
    }

    pub(crate) fn recipient(&self) -> &Recipient {
        &self.recipient
    }

    pub(crate) fn partition(&self) -> PartitionId {
        self.partition
    }

    /// Where its session stands.
    pub(crate) fn state(&self) -> State {
        lock(&self.core).session.state()
    }

    /// How far of `parked` it is proved to have drained.
    pub(crate) fn drained_upto(&self) -> u64 {
        lock(&self.core).session.drained_upto()
    }

    pub(super) fn transport(&self) -> Transport {
        self.transport
    }

    pub(super) fn cursor_ignored(&self) -> bool {
        self.cursor_ignored
    }
}

impl Core {
    /// Puts a frame behind the others. Two `drained` in a row become one, so that the window bounds the outbox.
    pub(super) fn push(&mut self, frame: Frame) {
        if let (Some(Frame::Drained { count }), Frame::Drained { count: more }) =
            (self.outbox.back_mut(), &frame)
        {
            *count += more;
            return;
        }
        self.outbox.push_back(frame);
    }

    /// Takes the next frame.
    pub(super) fn take(&mut self) -> Option<Frame> {
        let frame = self.outbox.pop_front()?;
        if let Frame::Notification { seq, .. } | Frame::Gap { seq, .. } = &frame {
            self.taken_seq = self.taken_seq.max(*seq);
        }
        if self.outbox.is_empty() {
            // An idle connection holds no buffer.
            self.outbox = VecDeque::new();
        }
        Some(frame)
    }

    /// Wakes `waker` at the next [`Core::wake`], once.
    pub(super) fn wait(&mut self, waker: &Waker) {
        if !self.waiting.iter().any(|waiting| waiting.will_wake(waker)) {
            self.waiting.push(waker.clone());
        }
    }

    /// `waker` waits no longer.
    pub(super) fn leave(&mut self, waker: &Waker) {
        self.waiting.retain(|waiting| !waiting.will_wake(waker));
    }

    /// Has whoever waits look again.
    pub(super) fn wake(&mut self) {
        self.waiting.drain(..).for_each(Waker::wake);
    }

    /// Whether the connection has something to do.
    pub(super) fn is_ready(&self) -> bool {
        !self.outbox.is_empty() || self.probe || self.ended || (self.closing.is_some() && !self.closing_seen)
    }
}
