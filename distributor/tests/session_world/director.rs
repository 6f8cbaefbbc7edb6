//! A director as DESIGN section 5 has it, for one recipient: a lane, parking in order, the second look, pokes and
//! resumes. It may die, be replaced, and live on as a zombie.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use postrider_distributor::session::StreamId;
use shared::delivery::Verdict;

/// What travels to a session.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Forward {
    Record { offset: u64, parked_upto: u64 },
    Poke(u64),
    Resume,
}

/// A record of the lane.
#[derive(Debug, Default)]
struct Lane {
    offset: u64,
    awaited: BTreeSet<u64>,
    asked: BTreeSet<u64>,
    park: bool,
}

/// A stream to one session.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) id: StreamId,
    pub(crate) out: VecDeque<Forward>,
    pub(crate) back: VecDeque<(u64, Verdict)>,
}

/// See the file's description.
#[derive(Debug)]
pub(crate) struct Director {
    pub(crate) id: usize,
    pub(crate) alive: bool,
    next: u64,
    parked_upto: u64,
    lane: Vec<Lane>,
    parking: bool,
    look: bool,
    /// Sessions that spilled and are not resumed: they are sent nothing new.
    behind: BTreeSet<u64>,
    pub(crate) ended: BTreeSet<u64>,
    pub(crate) streams: BTreeMap<u64, Stream>,
}

impl Director {
    pub(crate) fn new(id: usize, committed: u64, parked_end: u64) -> Self {
        Self {
            id,
            alive: true,
            next: committed,
            parked_upto: parked_end,
            lane: Vec::new(),
            parking: false,
            look: false,
            behind: BTreeSet::new(),
            ended: BTreeSet::new(),
            streams: BTreeMap::new(),
        }
    }

    fn stream(&mut self, session: u64, fresh: &mut u64) -> &mut Stream {
        self.streams.entry(session).or_insert_with(|| {
            *fresh += 1;
            Stream { id: StreamId(*fresh), out: VecDeque::new(), back: VecDeque::new() }
        })
    }

    /// Takes the next record of the log, whose end is `log_end`, with the routes as the registry tells them.
    pub(crate) fn take(&mut self, log_end: u64, routes: &BTreeSet<u64>, fresh: &mut u64) {
        if self.next >= log_end || self.lane.len() >= 6 {
            return;
        }
        let routes: Vec<u64> = routes.difference(&self.behind).copied().collect();
        let park = self.parking || routes.is_empty() || self.look;
        self.lane.push(Lane { offset: self.next, park, ..Lane::default() });
        self.next += 1;
        self.parking |= park;
        if park {
            return;
        }
        for session in routes {
            let parked_upto = self.parked_upto;
            let mut forwards = Vec::new();
            for entry in &mut self.lane {
                if entry.asked.insert(session) {
                    entry.awaited.insert(session);
                    forwards.push(Forward::Record { offset: entry.offset, parked_upto });
                }
            }
            self.stream(session, fresh).out.extend(forwards);
        }
    }

    /// Takes an answer; `None`: it will never come. Answers whether to drop the route.
    pub(crate) fn verdict(&mut self, offset: u64, session: u64, verdict: Option<Verdict>) -> bool {
        let spilled = verdict == Some(Verdict::Spilled);
        let gone = verdict == Some(Verdict::Gone);
        if spilled {
            self.behind.insert(session);
        }
        let found =
            self.lane.iter_mut().find(|entry| entry.offset == offset && entry.awaited.contains(&session));
        if let Some(entry) = found {
            entry.awaited.remove(&session);
            if verdict.is_some() && !spilled && !gone {
                self.finish(offset);
            } else if entry.awaited.is_empty() {
                entry.park = true;
                self.parking = true;
            }
        }
        self.resume();
        gone
    }

    /// A session that is behind takes records again once nothing of the lane that it was sent is left (ADR 0004).
    fn resume(&mut self) {
        let lane = &self.lane;
        let complete = |session: &u64| !lane.iter().any(|entry| entry.asked.contains(session));
        for session in self.behind.iter().copied().filter(complete).collect::<Vec<_>>() {
            self.behind.remove(&session);
            if let Some(stream) = self.streams.get_mut(&session) {
                stream.out.push_back(Forward::Resume);
            }
        }
    }

    fn finish(&mut self, offset: u64) {
        self.ended.insert(offset);
        self.lane.retain(|entry| entry.offset != offset);
    }

    /// Parks the head of the lane, if that is to be parked.
    pub(crate) fn park(&mut self, parked: &mut Vec<u64>) {
        let Some(head) = self.lane.first().filter(|entry| entry.park) else { return };
        let offset = head.offset;
        parked.push(offset);
        self.parked_upto = parked.len() as u64;
        self.look = true;
        self.finish(offset);
        self.resume();
    }

    /// Looks at the routes once more after parking, and pokes.
    pub(crate) fn second_look(&mut self, routes: &BTreeSet<u64>, fresh: &mut u64) {
        if std::mem::take(&mut self.look) {
            let poke = Forward::Poke(self.parked_upto);
            for &session in routes {
                self.stream(session, fresh).out.push_back(poke);
            }
        }
        if self.lane.is_empty() {
            self.parking = false;
        }
    }

    /// The stream to `session` ends: what was sent may have arrived or not, answers are lost.
    pub(crate) fn lose_stream(&mut self, session: u64) -> Option<StreamId> {
        let lost = self.streams.remove(&session)?;
        self.behind.remove(&session);
        let offsets: Vec<u64> = self.lane.iter().map(|entry| entry.offset).collect();
        for entry in &mut self.lane {
            entry.asked.remove(&session);
        }
        for offset in offsets {
            self.verdict(offset, session, None);
        }
        Some(lost.id)
    }
}
