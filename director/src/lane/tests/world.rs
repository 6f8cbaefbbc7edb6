//! The world that lanes are tried in: scripted sessions, streams, a registry and a log. It judges every output as it
//! comes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use shared::delivery::Rejection;
use shared::group::offsets::Tracker;
use shared::position::{Epoch, PartitionId, Position};
use shared::record;

use super::settings::{Pick, settings};
use crate::lane::*;
use crate::testing::notification;

const RECIPIENTS: u64 = 2;
const BASE: u64 = 40;

/// A session at the far end of a stream: takes records in order, may spill, and then is behind until it may not be.
#[derive(Debug, Default)]
pub(super) struct Session {
    pub(super) recipient: u64,
    pub(super) alive: bool,
    pub(super) registered: bool,
    /// Frames on their way to it.
    pub(super) inbound: VecDeque<Frame>,
    /// Records it holds, unanswered.
    pub(super) held: BTreeSet<u64>,
    /// Set while it refuses: the `parked_upto` seen when it spilled.
    pub(super) behind: Option<u64>,
    /// Spilled and not taken since.
    pub(super) missed: BTreeSet<u64>,
    pub(super) taken_upto: Option<u64>,
    /// Spilled at some time, so that not everything is sent to it.
    pub(super) was_behind: bool,
}

#[derive(Debug)]
pub(super) enum Frame {
    Record(u64, u64),
    Resume,
}

#[derive(Debug)]
pub(super) struct World {
    pub(super) lanes: Lanes,
    pub(super) tracker: Tracker,
    pub(super) now: Instant,
    pub(super) records: BTreeMap<u64, Arc<Record>>,
    pub(super) ended: BTreeMap<u64, Option<End>>,
    /// Ended by being parked, with the offset on `parked`.
    pub(super) parked: BTreeMap<u64, u64>,
    pub(super) next_offset: u64,
    pub(super) parked_end: u64,
    pub(super) sessions: Vec<Session>,
    pub(super) lookups: Vec<Recipient>,
    /// Answers of the registry on their way.
    pub(super) answers: VecDeque<(Recipient, Vec<Route>)>,
    /// Whose routes were entered, and how much of it was told.
    pub(super) entered: Vec<Recipient>,
    pub(super) told: usize,
    /// News that were asked for, and how far they tell once the registry has said.
    pub(super) news: Option<(u64, Option<usize>)>,
    /// Sessions that had registered when a record was taken.
    pub(super) due: BTreeMap<u64, Vec<usize>>,
    pub(super) sent: BTreeSet<(usize, u64)>,
    pub(super) looks: Vec<Recipient>,
    pub(super) parks: Vec<Vec<u64>>,
    pub(super) burials: Vec<u64>,
    /// Recipients of which something was parked that no look was asked for since.
    pub(super) unlooked: BTreeSet<Recipient>,
    pub(super) verdicts: VecDeque<(usize, u64, Verdict)>,
}

pub(super) fn route(session: usize) -> Route {
    Route { session: SessionId(session as u64), node: NodeId(session as u64 % 2) }
}

/// Each of a tenant of its own.
fn key(recipient: u64) -> String {
    format!("t{recipient}/r")
}

pub(super) fn name(recipient: u64) -> Recipient {
    notification(&key(recipient), 0).recipient
}

impl World {
    /// The registry is asked for every record.
    pub(super) fn new() -> Self {
        Self::remembering(0)
    }

    /// The routes of so many recipients are remembered.
    pub(super) fn remembering(recipients: usize) -> Self {
        let mut settings = settings();
        settings.known.recipients = recipients;
        Self {
            lanes: Lanes::new(settings, BASE, 1),
            tracker: Tracker::new(0),
            now: Instant::now(),
            records: BTreeMap::new(),
            ended: BTreeMap::new(),
            parked: BTreeMap::new(),
            next_offset: 0,
            parked_end: BASE,
            sessions: Vec::new(),
            lookups: Vec::new(),
            answers: VecDeque::new(),
            entered: Vec::new(),
            told: 0,
            news: None,
            due: BTreeMap::new(),
            sent: BTreeSet::new(),
            looks: Vec::new(),
            parks: Vec::new(),
            burials: Vec::new(),
            unlooked: BTreeSet::new(),
            verdicts: VecDeque::new(),
        }
    }

    pub(super) fn owner(&self, offset: u64) -> &Recipient {
        &self.records[&offset].notification.recipient
    }

    /// Records of the same recipient below `offset` that have not ended.
    pub(super) fn open_before(&self, offset: u64) -> Vec<u64> {
        self.records
            .range(..offset)
            .map(|(earlier, _)| *earlier)
            .filter(|earlier| !self.ended.contains_key(earlier) && self.owner(*earlier) == self.owner(offset))
            .collect()
    }

    pub(super) fn feed(&mut self, input: Input) {
        let mut out = Vec::new();
        self.lanes.step(input, self.now, &mut out);
        for output in out {
            self.judge(output);
        }
    }

    pub(super) fn judge(&mut self, output: Output) {
        match output {
            Output::Lookup(recipient) => self.lookups.push(recipient),
            Output::Look(recipient) => {
                self.unlooked.remove(&recipient);
                self.looks.push(recipient);
            }
            Output::Forward { route, record, parked_upto } => {
                let offset = record.position.offset;
                assert!(!self.ended.contains_key(&offset), "{offset} is forwarded after its end");
                assert!(
                    !self.looks.contains(self.owner(offset)),
                    "{offset} is forwarded before the second look"
                );
                for (parked, at) in &self.parked {
                    if self.owner(*parked) == self.owner(offset) {
                        assert!(parked_upto > *at, "{offset} does not wait for what was parked at {at}");
                    }
                }
                let before = self.open_before(offset);
                let session = &mut self.sessions[route.session.0 as usize];
                let sent: BTreeSet<u64> = session
                    .inbound
                    .iter()
                    .filter_map(|frame| match frame {
                        Frame::Record(offset, _) => Some(*offset),
                        Frame::Resume => None,
                    })
                    .chain(session.held.iter().copied())
                    .collect();
                let answered = |offset: &u64| {
                    session.missed.contains(offset) || session.taken_upto.is_some_and(|upto| *offset <= upto)
                };
                for earlier in before {
                    assert!(
                        !session.alive || sent.contains(&earlier) || answered(&earlier),
                        "{offset} is sent before {earlier}, which session {route:?} was not sent"
                    );
                }
                session.inbound.push_back(Frame::Record(offset, parked_upto));
                self.sent.insert((route.session.0 as usize, offset));
            }
            Output::Resume(route) => self.sessions[route.session.0 as usize].inbound.push_back(Frame::Resume),
            Output::Park(run) => {
                let run: Vec<u64> = run.iter().map(|(record, _)| record.position.offset).collect();
                for (index, offset) in run.iter().enumerate() {
                    assert_eq!(self.open_before(*offset), run[..index], "{offset} is parked too early");
                }
                let owner = self.owner(run[0]);
                assert!(self.parks.iter().all(|other| self.owner(other[0]) != owner), "two runs of one lane");
                assert!(run.len() <= settings().run.records, "{run:?} is too long");
                self.parks.push(run);
            }
            Output::Bury(record, reason) => {
                // What a client refused is behind that client already.
                if matches!(reason, DeadReason::Rejected(_)) {
                    self.end(record.position.offset, None);
                }
                self.burials.push(record.position.offset);
            }
            Output::Ended(record, end) => {
                self.end(record.position.offset, Some(end));
                if matches!(end, End::Acknowledged | End::Expired) {
                    self.was_sent_to_everybody(record.position.offset);
                }
                self.tracker.finish(record.ticket);
            }
            Output::Unregister(_, route) => self.sessions[route.session.0 as usize].registered = false,
            Output::Poke(..) | Output::Retry | Output::GaveWay(_) => {}
        }
    }

    pub(super) fn end(&mut self, offset: u64, end: Option<End>) {
        assert!(self.ended.insert(offset, end).is_none(), "{offset} ends twice");
    }

    pub(super) fn take(&mut self, recipient: u64) {
        let offset = self.next_offset;
        self.next_offset += 1 + offset % 3;
        let notification = notification(&key(recipient), offset);
        let entry = record::encode(&notification);
        let record = Arc::new(Record {
            position: Position { epoch: Epoch(1), partition: PartitionId(0), offset },
            ticket: self.tracker.take(offset).unwrap(),
            size_bytes: entry.size_bytes(),
            notification,
            entry,
        });
        self.records.insert(offset, Arc::clone(&record));
        let routes = self.routes(&name(recipient));
        self.due.insert(offset, routes.iter().map(|route| route.session.0 as usize).collect());
        self.feed(Input::Taken(record));
    }

    pub(super) fn routes(&self, recipient: &Recipient) -> Vec<Route> {
        let here = |session: &Session| session.registered && name(session.recipient) == *recipient;
        (0..self.sessions.len()).filter(|index| here(&self.sessions[*index])).map(route).collect()
    }

    /// A session reads one frame; `spill` is its mood.
    pub(super) fn read(&mut self, index: usize, spill: bool) {
        let session = &mut self.sessions[index];
        let Some(frame) = session.inbound.pop_front() else { return };
        match frame {
            Frame::Record(offset, _) if !session.alive => {
                self.verdicts.push_back((index, offset, Verdict::Gone));
            }
            Frame::Resume => session.behind = None,
            Frame::Record(offset, upto) => {
                if session.behind.is_some_and(|seen| upto > seen) {
                    session.behind = None;
                }
                if spill || session.behind.is_some() {
                    session.behind = Some(session.behind.unwrap_or(upto));
                    session.missed.insert(offset);
                    session.was_behind = true;
                    self.verdicts.push_back((index, offset, Verdict::Spilled));
                    return;
                }
                for missed in session.missed.range(..offset) {
                    let ended = self.ended.contains_key(missed);
                    let waits = self.parked.get(missed).is_none_or(|at| upto > *at);
                    assert!(
                        ended && waits,
                        "session {index} takes {offset} although {missed} may come later"
                    );
                }
                session.missed.remove(&offset);
                session.taken_upto = session.taken_upto.max(Some(offset));
                session.held.insert(offset);
            }
        }
    }

    /// A session answers the lowest record it holds.
    pub(super) fn answer(&mut self, index: usize, verdict: Verdict) {
        let session = &mut self.sessions[index];
        if let Some(offset) = session.held.pop_first() {
            if verdict == Verdict::Spilled {
                session.behind = Some(u64::MAX);
                session.was_behind = true;
                session.missed.insert(offset);
            }
            self.verdicts.push_back((index, offset, verdict));
        }
    }

    pub(super) fn lose_stream(&mut self, node: u64) {
        self.verdicts.retain(|(session, ..)| *session as u64 % 2 != node);
        for (_, session) in
            self.sessions.iter_mut().enumerate().filter(|(index, _)| *index as u64 % 2 == node)
        {
            session.inbound.clear();
            session.held.clear();
            session.behind = None;
            session.taken_upto = None;
            session.missed.clear();
        }
        self.feed(Input::StreamLost(NodeId(node)));
    }

    pub(super) fn step(&mut self, choice: u8, pick: Pick, faults: bool) {
        let any_session = (!self.sessions.is_empty()).then(|| pick.index(self.sessions.len().max(1)));
        match (choice, any_session) {
            (0..=5, _) if faults => self.take(pick.index(RECIPIENTS as usize) as u64),
            (6, _) if faults && self.sessions.len() < 12 => {
                self.connect(pick.index(RECIPIENTS as usize) as u64);
            }
            (7, Some(index)) if faults => {
                let session = &mut self.sessions[index];
                session.alive = false;
                session.registered &= pick.index(2) == 0;
                for offset in std::mem::take(&mut session.held) {
                    self.verdicts.push_back((index, offset, Verdict::Gone));
                }
            }
            (8, _) if faults => self.lose_stream(pick.index(2) as u64),
            (9, _) => {
                self.now += Duration::from_millis(pick.index(40_000) as u64 / if faults { 40 } else { 1 });
                self.feed(Input::Tick);
            }
            (10..=13, Some(index)) => self.read(index, faults && pick.index(6) == 0),
            (14..=16, Some(index)) => self.answer(index, Verdict::Acknowledged),
            (17, Some(index)) if faults => {
                let verdicts = [
                    Verdict::Spilled,
                    Verdict::Expired,
                    Verdict::Rejected(Rejection::Refused),
                    Verdict::Acknowledged,
                ];
                self.answer(index, verdicts[pick.index(4)].clone());
            }
            (18..=21, _) => {
                if let Some((session, offset, verdict)) = self.verdicts.pop_front() {
                    self.feed(Input::Verdict(route(session), offset, verdict));
                }
            }
            (22..=24, _) if !self.lookups.is_empty() => {
                let recipient = self.lookups.remove(pick.index(self.lookups.len()));
                match (!faults || pick.index(5) > 0, pick.index(2) == 0) {
                    (true, _) => self.answers.push_back((recipient.clone(), self.routes(&recipient))),
                    (false, true) => self.feed(Input::Away(recipient)),
                    (false, false) => self.feed(Input::Routed(recipient, None)),
                }
            }
            (30 | 31, _) => {
                if let Some((recipient, routes)) = self.answers.pop_front() {
                    self.feed(Input::Routed(recipient, Some(routes)));
                }
            }
            (32..=34, _) => self.hear_news(faults && pick.index(7) == 0),
            (25, _) if !self.looks.is_empty() => {
                let recipient = self.looks.remove(pick.index(self.looks.len()));
                let routes = (!faults || pick.index(5) > 0).then(|| self.routes(&recipient));
                self.feed(Input::Looked(recipient, routes));
            }
            (26..=28, _) if !self.parks.is_empty() => {
                let run = self.parks.remove(pick.index(self.parks.len()));
                self.park(&run, faults && pick.index(9) == 0, pick);
            }
            (29, _) => {
                if let Some(offset) = self.burials.pop() {
                    let ticket = self.records[&offset].ticket;
                    self.tracker.finish(ticket);
                    if !self.ended.contains_key(&offset) {
                        self.end(offset, None);
                    }
                    self.feed(Input::Buried(offset));
                }
            }
            _ => {}
        }
    }

    /// The log takes a run: as one record, or one after the other, and then it may refuse some of them for good.
    fn park(&mut self, run: &[u64], singly: bool, pick: Pick) {
        for (index, offset) in run.iter().enumerate() {
            if singly && pick.index(2 + index) == 0 {
                return self.feed(Input::Unparkable(*offset, DeadReason::Misplaced));
            }
            self.parked_end += u64::from(singly || index == 0);
            let parked = self.parked_end - 1;
            self.parked.insert(*offset, parked);
            self.unlooked.insert(self.owner(*offset).clone());
            self.feed(Input::Parked { offset: *offset, parked });
        }
    }

    pub(super) fn is_quiet(&self) -> bool {
        self.ended.len() == self.records.len()
            && self.lanes.is_empty()
            && self.burials.is_empty()
            && self.looks.is_empty()
    }
}
