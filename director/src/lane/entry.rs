//! What is in a lane: records, what sessions were asked about them, and those sessions.

use std::sync::Arc;
use std::time::Instant;

use shared::delivery::{Rejection, SessionId};
use shared::outcome::{End, ParkReason};
use shared::registry::Route;
use smallvec::SmallVec;

use crate::routing::Record;

/// What one session was asked about one record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ask {
    pub(super) session: SessionId,
    since: Instant,
    pub(super) answer: Answer,
}

/// What it answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Nothing yet.
    Awaited,
    /// It cannot take it now.
    Spilled,
    /// Nothing in time; nobody waits for it any more.
    Silent,
    /// Nothing before the lane gave way; nobody waits for it any more.
    Dropped,
    /// There is no such session.
    Gone,
    /// The client refused it.
    Refused,
}

impl Answer {
    /// Whether the session may still have, or have missed, the record.
    fn is_open(self) -> bool {
        matches!(self, Self::Awaited | Self::Spilled | Self::Silent | Self::Dropped)
    }
}

/// Whether a record was sent to every session that had registered before it was taken. Before that is known it does not
/// end, see [`super::known`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proof {
    /// The news that decide it are not heard yet.
    Due,
    /// It may not have been: the registry is to be asked.
    Owed,
    /// It was, or will be before anything behind it.
    Given,
}

/// A record in the lane.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) record: Arc<Record>,
    pub(super) asks: SmallVec<[Ask; 2]>,
    pub(super) refused: Option<Rejection>,
    /// Why it turned the lane to parking, if it did.
    pub(super) cause: Option<ParkReason>,
    pub(super) proof: Proof,
    /// How a client ended it; it stays for want of a proof.
    pub(super) end: Option<End>,
}

impl Entry {
    pub(super) fn new(record: Arc<Record>) -> Self {
        Self { record, asks: SmallVec::new(), refused: None, cause: None, proof: Proof::Due, end: None }
    }

    /// Whether something is to be waited for before it is parked: a verdict, or the proof that lets it end.
    pub(super) fn is_awaited(&self) -> bool {
        match self.end {
            Some(_) => self.proof == Proof::Due,
            None => self.asks.iter().any(|ask| ask.answer == Answer::Awaited),
        }
    }

    pub(super) fn ask(&mut self, session: SessionId) -> Option<&mut Ask> {
        self.asks.iter_mut().find(|ask| ask.session == session)
    }

    /// Notes that `session` is asked.
    pub(super) fn await_answer(&mut self, session: SessionId, now: Instant) {
        self.asks.push(Ask { session, since: now, answer: Answer::Awaited });
    }

    /// Notes what `session` answered, if it was asked.
    pub(super) fn answer(&mut self, session: SessionId, answer: Answer) {
        if let Some(ask) = self.ask(session) {
            ask.answer = answer;
        }
    }

    /// Waits for no session and no proof any more; `answer` says why.
    pub(super) fn stop_waiting(&mut self, answer: Answer) {
        if self.end.is_some() {
            self.proof = Proof::Owed;
        }
        for ask in self.asks.iter_mut().filter(|ask| ask.answer == Answer::Awaited) {
            ask.answer = answer;
        }
    }

    pub(super) fn is_open_at(&self, session: SessionId) -> bool {
        self.asks.iter().any(|ask| ask.session == session && ask.answer.is_open())
    }
}

/// A session that the lane has met.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer {
    pub(super) route: Route,
    pub(super) pace: Pace,
    /// Everything up to this offset was sent to it on this stream.
    pub(super) sent: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// In the latest routes; is sent everything.
    Following,
    /// Not in the latest routes; is sent nothing new.
    Absent,
    /// It spilled; is sent nothing new before it is resumed.
    Behind,
}

impl Peer {
    pub(super) fn is_behind(&self) -> bool {
        self.pace == Pace::Behind
    }
}

impl Ask {
    pub(super) fn is_late(&self, limit: Instant) -> bool {
        self.answer == Answer::Awaited && self.since <= limit
    }
}
