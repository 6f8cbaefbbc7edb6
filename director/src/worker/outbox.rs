//! What waits to be sent to one node. Bounded by what the partition may have in flight.
//!
//! The frames of a session keep their order; sessions take turns, those with a record of urgency high first. So one that
//! is sent thousands of records does not hold up the next, and what is urgent waits only for what must come before it.

use std::collections::{HashMap, VecDeque};

use shared::delivery::SessionId;
use shared::link::outgoing::{Batch, Outgoing};
use shared::notification::Urgency;

use crate::config::{FairnessSettings, LinkSettings};
use crate::forward::{Link, StreamId};
use crate::ranked::Ranked;
use crate::routing::Record;

/// A frame on its way.
type Frame = Outgoing<Record>;

/// What a frame weighs beyond its record, in bytes.
const FRAME_BYTES: usize = 128;

/// See the module.
pub(super) struct Outbox {
    sessions: HashMap<SessionId, Waiting>,
    /// Sessions with frames. A turn that is not its session's latest has been given up for a better one.
    turns: Ranked<(SessionId, u64)>,
    latest_turn: u64,
    session_frames: usize,
    /// The stream that frames went to, until it is lost.
    link: Option<Link>,
    flush: Flush,
}

/// The frames of one session.
#[derive(Default)]
struct Waiting {
    /// Most have one.
    first: Option<Weighed>,
    rest: VecDeque<Weighed>,
    /// How many of them are of urgency high.
    urgent: usize,
    turn: u64,
}

/// A frame, its size in bytes, and its urgency.
type Weighed = (Frame, usize, Urgency);

impl Waiting {
    fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    fn push(&mut self, frame: Weighed) {
        if self.first.is_none() {
            self.first = Some(frame);
        } else {
            self.rest.push_back(frame);
        }
    }

    fn pop(&mut self) -> Option<Weighed> {
        std::mem::replace(&mut self.first, self.rest.pop_front())
    }

    fn urgency(&self) -> Urgency {
        if self.urgent > 0 { Urgency::High } else { Urgency::Normal }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Flush {
    #[default]
    Idle,
    /// A batch is being handed over.
    Outstanding,
    /// As before, and its stream was lost meanwhile: how it ends says nothing any more.
    Outdated,
}

/// Whether there is a way to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Open,
    Lost,
}

impl Outbox {
    pub(super) fn new(fairness: &FairnessSettings) -> Self {
        Self {
            sessions: HashMap::new(),
            turns: Ranked::new(fairness.urgent_turns),
            latest_turn: 0,
            session_frames: fairness.session_frames,
            link: None,
            flush: Flush::Idle,
        }
    }

    pub(super) fn push(&mut self, frame: Frame, size_bytes: usize, urgency: Urgency) {
        let session = frame.session();
        let waiting = self.sessions.entry(session).or_default();
        let is_urgent = urgency == Urgency::High;
        let moves_up = waiting.is_empty() || (is_urgent && waiting.urgent == 0);
        waiting.push((frame, size_bytes + FRAME_BYTES, urgency));
        waiting.urgent += usize::from(is_urgent);
        if moves_up {
            self.line_up(session);
        }
    }

    /// Gives the session a turn, behind those that have one.
    fn line_up(&mut self, session: SessionId) {
        self.latest_turn += 1;
        if let Some(waiting) = self.sessions.get_mut(&session) {
            waiting.turn = self.latest_turn;
            self.turns.push((session, self.latest_turn), waiting.urgency());
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    pub(super) fn is_on(&self, stream: StreamId) -> bool {
        self.link.as_ref().is_some_and(|link| link.stream() == stream)
    }

    /// Whether nothing is lost by forgetting it.
    pub(super) fn is_forgettable(&self) -> bool {
        self.is_empty() && self.link.is_none() && self.flush == Flush::Idle
    }

    /// The next batch and the stream to send it on (`None`: to be opened), when one is to be handed over now.
    pub(super) fn start_flush(&mut self, settings: &LinkSettings) -> Option<(Option<Link>, Batch<Record>)> {
        if self.is_empty() || self.flush != Flush::Idle {
            return None;
        }
        let frames = self.batch(settings.batch_frames, settings.batch_bytes);
        self.flush = Flush::Outstanding;
        Some((self.link.clone(), Batch(frames)))
    }

    /// Frames of the sessions whose turn it is. The last session may carry it past `limit_bytes` by one frame.
    fn batch(&mut self, limit_frames: usize, limit_bytes: usize) -> Vec<Frame> {
        let (mut frames, mut bytes) = (Vec::new(), 0);
        while frames.len() < limit_frames && bytes < limit_bytes {
            let Some((session, turn)) = self.turns.pop() else { break };
            let Some(waiting) = self.sessions.get_mut(&session).filter(|waiting| waiting.turn == turn) else {
                continue;
            };
            for _ in 0..self.session_frames.min(limit_frames - frames.len()) {
                if bytes >= limit_bytes {
                    break;
                }
                let Some((frame, size_bytes, urgency)) = waiting.pop() else { break };
                waiting.urgent -= usize::from(urgency == Urgency::High);
                bytes += size_bytes;
                frames.push(frame);
            }
            if waiting.is_empty() {
                self.sessions.remove(&session);
            } else {
                self.line_up(session);
            }
        }
        frames
    }

    /// A batch was handed to the stream, or could not be (`None`). Answers whether the lanes must hear that the way is
    /// lost.
    #[must_use]
    pub(super) fn flushed(&mut self, link: Option<Link>) -> Way {
        if std::mem::take(&mut self.flush) == Flush::Outdated {
            return Way::Open;
        }
        self.link = link.filter(|link| !link.is_over());
        if self.link.is_some() { Way::Open } else { Way::Lost }
    }

    /// The stream is lost, and what waits for it with it.
    pub(super) fn lose(&mut self) {
        self.sessions.clear();
        self.turns.clear();
        self.link = None;
        if self.flush == Flush::Outstanding {
            self.flush = Flush::Outdated;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outbox() -> Outbox {
        let fairness = FairnessSettings { session_frames: 2, urgent_turns: 4, ..FairnessSettings::default() };
        let mut outbox = Outbox::new(&fairness);
        for number in 0..5 {
            outbox.push(Outgoing::poke(SessionId(1), number), 100, Urgency::Normal);
        }
        outbox
    }

    fn sent(frames: Vec<Frame>) -> Vec<(u64, u64)> {
        let number = |frame: &Frame| frame.parked_upto().unwrap_or(u64::MAX);
        frames.iter().map(|frame| (frame.session().0, number(frame))).collect()
    }

    #[test]
    fn sessions_take_turns_and_keep_their_order() {
        let mut outbox = outbox();
        outbox.push(Outgoing::poke(SessionId(2), 7), 100, Urgency::Normal);
        assert_eq!(sent(outbox.batch(4, 1 << 20)), [(1, 0), (1, 1), (2, 7), (1, 2)]);
        assert_eq!(sent(outbox.batch(4, 1 << 20)), [(1, 3), (1, 4)]);
        assert!(outbox.is_empty() && outbox.turns.is_empty());
    }

    #[test]
    fn what_is_urgent_waits_only_for_what_must_come_before_it() {
        let mut outbox = outbox();
        outbox.push(Outgoing::poke(SessionId(2), 7), 100, Urgency::Normal);
        outbox.push(Outgoing::poke(SessionId(2), 8), 100, Urgency::High);
        assert_eq!(sent(outbox.batch(3, 1 << 20)), [(2, 7), (2, 8), (1, 0)]);
    }

    #[test]
    fn a_batch_ends_at_its_bytes_and_one_large_frame_goes_alone() {
        let mut outbox = outbox();
        assert_eq!(sent(outbox.batch(10, 300)), [(1, 0), (1, 1)]);
        assert_eq!(sent(outbox.batch(10, 1)), [(1, 2)]);
    }
}
