//! The window: frames that were sent and are not yet behind the client, in the order of their positions, with who waits
//! for a verdict on each and until when. Bounded by the window of the client. Pure bookkeeping: it answers what
//! became due, the session says so.
//!
//! A frame leaves when it and every frame before it ended; then the cursor moves past it. So a frame that the client
//! wants again holds the cursor back, while later ones may end before it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use shared::clock::Timestamp;
use shared::delivery::{Rejection, Verdict};
use shared::notification::Notification;
use shared::position::{Cursor, Position};
use shared::store::GapCause;
use smallvec::SmallVec;

use super::interface::{Frame, StreamId};

/// A director's stream to which a verdict is owed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Waiter {
    pub(super) stream: StreamId,
    /// A frame also answers for positions that it passed over.
    pub(super) position: Position,
    /// What to say once the client has the frame: that it was told in a gap is a verdict of its own.
    pub(super) once_known: Verdict,
}

/// Whom verdicts are owed when a frame ends.
pub(super) type Waiting = SmallVec<[Waiter; 1]>;

/// What a frame carries.
#[derive(Clone, Debug)]
pub(super) enum Content {
    Notification(Arc<Notification>),
    Gap { cause: GapCause, count: u64, first: Position },
}

/// How long after its grace a frame counts as acknowledged. A node that was stopped wakes with every timer due, before it
/// has heard which connections died meanwhile (ADR 0009); this leaves it the time to hear.
const HEARING: Duration = Duration::from_millis(250);

/// What comes later than this after [`HEARING`] comes from a node that was stopped once more.
const HEARING_LATE: Duration = Duration::from_secs(1);

/// How a frame stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Sent; overdue from then on.
    Sent(Timestamp),
    /// Handed to the operating system; its grace is over then, if the connection lives.
    Flushed(Timestamp),
    /// Its grace was over then; counts as acknowledged when the node still has not heard that the connection died.
    Outlived(Timestamp),
    /// Its deadline passed, then; whoever waited was told `spilled`.
    Overdue(Timestamp),
    /// The client wants it again, later.
    Again,
    /// The client has it, or refused it for good.
    Ended(Option<Rejection>),
}

/// A frame in the window. Its position is the highest it carries.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) position: Position,
    pub(super) seq: u64,
    pub(super) parked_upto: u64,
    pub(super) content: Content,
    pub(super) waiting: Waiting,
    /// Whether the store has it, or may come to have it.
    pub(super) stored: bool,
    pub(super) standing: Standing,
}

impl Entry {
    pub(super) fn frame(&self) -> Frame {
        let (seq, position) = (self.seq, self.position);
        match &self.content {
            Content::Notification(notification) => {
                Frame::Notification { seq, position, notification: Arc::clone(notification) }
            }
            Content::Gap { cause, count, first } => {
                Frame::Gap { seq, cause: *cause, count: *count, first: *first, last: position }
            }
        }
    }
}

/// See the file's description.
#[derive(Debug)]
pub(super) struct Window {
    entries: VecDeque<Entry>,
    limit: u32,
    seq: u64,
    acked: Cursor,
    passed: Cursor,
    /// When what the client wants again is sent again. Until then nothing else is sent.
    again_at: Option<Timestamp>,
    stalled: bool,
    /// What was refused for good and is behind the client, the latest last.
    refused: VecDeque<(Position, Rejection)>,
    most_refused: usize,
}

impl Window {
    pub(super) fn new(limit: u32, most_refused: usize, cursor: Cursor) -> Self {
        Self {
            entries: VecDeque::new(),
            limit: limit.max(1),
            seq: 0,
            acked: cursor,
            passed: cursor,
            again_at: None,
            stalled: false,
            refused: VecDeque::new(),
            most_refused,
        }
    }

    /// Everything behind it was processed by the client.
    pub(super) fn acked(&self) -> Cursor {
        self.acked
    }

    /// Everything behind it was processed or sent, or will never be sent by this session.
    pub(super) fn passed(&self) -> Cursor {
        self.passed
    }

    /// Why the client refused `position`, if it is remembered that it did.
    pub(super) fn refusal(&self, position: Position) -> Option<Rejection> {
        self.refused.iter().find(|(refused, _)| *refused == position).map(|(_, rejection)| *rejection)
    }

    pub(super) fn last_seq(&self) -> u64 {
        self.seq
    }

    /// Whether a frame may be sent now.
    pub(super) fn is_open(&self) -> bool {
        self.again_at.is_none() && self.entries.len() < self.limit as usize
    }

    /// By when the oldest frame that waits for its client's word had or has to have it; `None` when none does.
    pub(super) fn oldest_due(&self) -> Option<Timestamp> {
        match self.entries.front()?.standing {
            Standing::Sent(until) | Standing::Overdue(until) => Some(until),
            Standing::Flushed(_) | Standing::Outlived(_) | Standing::Again | Standing::Ended(_) => None,
        }
    }

    /// Whether a frame is overdue.
    pub(super) fn is_stalled(&self) -> bool {
        self.stalled
    }

    /// Enters a frame that goes out now, above everything before it; answers it.
    pub(super) fn push(
        &mut self,
        position: Position,
        parked_upto: u64,
        content: Content,
        (waiting, stored): (Waiting, bool),
        overdue_at: Timestamp,
    ) -> Frame {
        debug_assert!(!self.passed.covers(position), "positions sent are strictly increasing");
        self.seq += 1;
        self.passed = Cursor::after(position);
        let standing = Standing::Sent(overdue_at);
        let entry = Entry { position, seq: self.seq, parked_upto, content, waiting, stored, standing };
        let frame = entry.frame();
        self.entries.push_back(entry);
        frame
    }

    /// Widens the gap sent last by one position, `last`, and takes over who waits for that; answers the frame in its new
    /// form. `None`, and nothing done, when what was sent last is no gap.
    pub(super) fn widen_gap(
        &mut self,
        last: Position,
        parked_upto: u64,
        (waiting, stored): (&mut Waiting, bool),
    ) -> Option<Frame> {
        let entry = self.entries.back_mut()?;
        let Content::Gap { count, .. } = &mut entry.content else { return None };
        *count += 1;
        entry.position = last;
        entry.parked_upto = entry.parked_upto.max(parked_upto);
        entry.waiting.append(waiting);
        entry.stored |= stored;
        self.passed = Cursor::after(last);
        Some(entry.frame())
    }

    /// The frame that answers for `position`: its own, or else the lowest above it.
    pub(super) fn answering(&mut self, position: Position) -> Option<&mut Entry> {
        let index = self.entries.partition_point(|entry| entry.position < position);
        self.entries.get_mut(index)
    }

    /// The frame that was sent under `seq`.
    pub(super) fn by_seq(&mut self, seq: u64) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.seq == seq)
    }

    /// Every frame.
    pub(super) fn entries_mut(&mut self) -> impl Iterator<Item = &mut Entry> {
        self.entries.iter_mut()
    }

    /// Moves the cursor past the frames that ended from the front, handing each to `leave`. Answers whether anything
    /// that is stored, or may be, is behind the client since.
    pub(super) fn settle(&mut self, mut leave: impl FnMut(Entry)) -> bool {
        let mut stored = false;
        while let Some(entry) =
            self.entries.pop_front_if(|entry| matches!(entry.standing, Standing::Ended(_)))
        {
            self.acked = furthest(self.acked, Cursor::after(entry.position));
            stored |= entry.stored;
            if let Standing::Ended(Some(rejection)) = entry.standing {
                self.refused.push_back((entry.position, rejection));
                if self.refused.len() > self.most_refused {
                    self.refused.pop_front();
                }
            }
            leave(entry);
        }
        if self.entries.is_empty() {
            // A client that has everything costs no memory for it.
            self.entries = VecDeque::new();
        }
        self.passed = furthest(self.passed, self.acked);
        self.stalled &= self.entries.iter().any(|entry| matches!(entry.standing, Standing::Overdue(_)));
        if !self.entries.iter().any(|entry| entry.standing == Standing::Again) {
            self.again_at = None;
        }
        stored
    }

    /// Takes the client's word that everything behind `cursor` is processed.
    pub(super) fn jump(&mut self, cursor: Cursor) {
        self.acked = furthest(self.acked, cursor);
        for entry in &mut self.entries {
            if cursor.covers(entry.position) && !matches!(entry.standing, Standing::Ended(_)) {
                entry.standing = Standing::Ended(None);
            }
        }
    }

    /// Notes that frames up to `seq` left this machine, and count as acknowledged at `acknowledged_at`.
    pub(super) fn flushed(&mut self, seq: u64, acknowledged_at: Timestamp) {
        for entry in self.entries.iter_mut().filter(|entry| entry.seq <= seq) {
            if matches!(entry.standing, Standing::Sent(_)) {
                entry.standing = Standing::Flushed(acknowledged_at);
            }
        }
    }

    /// The highest sequence number whose connection has outlived its grace at `now`.
    pub(super) fn graced(&mut self, now: Timestamp) -> Option<u64> {
        let mut graced = None;
        for entry in &mut self.entries {
            match entry.standing {
                Standing::Flushed(until) if until <= now => entry.standing = Standing::Outlived(now),
                Standing::Outlived(at) if now.since(at) > HEARING + HEARING_LATE => {
                    entry.standing = Standing::Outlived(now);
                }
                Standing::Outlived(at) if now.since(at) >= HEARING => graced = graced.max(Some(entry.seq)),
                Standing::Sent(_)
                | Standing::Flushed(_)
                | Standing::Outlived(_)
                | Standing::Overdue(_)
                | Standing::Again
                | Standing::Ended(_) => {}
            }
        }
        graced
    }

    /// Marks what is overdue at `now`. Answers whether that is news: the client has just become slow.
    pub(super) fn mark_overdue(&mut self, now: Timestamp) -> Option<Stall> {
        let mut any = false;
        for entry in &mut self.entries {
            if let Standing::Sent(until) = entry.standing
                && until <= now
            {
                entry.standing = Standing::Overdue(until);
                any = true;
            }
        }
        let news = any && !self.stalled;
        self.stalled |= any;
        any.then_some(if news { Stall::Begins } else { Stall::GoesOn })
    }

    /// Holds everything back until `at`, when what the client wants again is sent again.
    pub(super) fn hold_until(&mut self, at: Timestamp) {
        self.again_at = Some(self.again_at.map_or(at, |before| before.max(at)));
    }

    /// Sends again what the client wanted again, if that is due: hands each frame, under a new sequence number and in
    /// order, to `send`. What expired meanwhile has become a gap.
    pub(super) fn send_again(
        &mut self,
        now: Timestamp,
        patience: Duration,
        mut send: impl FnMut(&mut Entry),
    ) {
        if self.again_at.is_none_or(|at| at > now) {
            return;
        }
        self.again_at = None;
        for entry in self.entries.iter_mut().filter(|entry| entry.standing == Standing::Again) {
            self.seq += 1;
            entry.seq = self.seq;
            entry.standing = Standing::Sent(now.after(patience));
            if let Content::Notification(notification) = &entry.content
                && notification.is_expired(now)
            {
                entry.content = Content::Gap { cause: GapCause::Expired, count: 1, first: entry.position };
            }
            send(entry);
        }
    }

    /// When something becomes due next.
    pub(super) fn deadline(&self) -> Option<Timestamp> {
        let due = |entry: &Entry| match entry.standing {
            Standing::Sent(until) | Standing::Flushed(until) => Some(until),
            Standing::Outlived(at) => Some(at.after(HEARING)),
            Standing::Overdue(_) | Standing::Again | Standing::Ended(_) => None,
        };
        self.entries.iter().filter_map(due).chain(self.again_at).min()
    }

    /// Forgets everything that waits, handing each frame to `leave`.
    pub(super) fn close(&mut self, leave: impl FnMut(Entry)) {
        self.entries.drain(..).for_each(leave);
    }
}

/// What an overdue frame means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stall {
    Begins,
    GoesOn,
}

fn furthest(one: Cursor, other: Cursor) -> Cursor {
    if (one.epoch, one.next) < (other.epoch, other.next) { other } else { one }
}
