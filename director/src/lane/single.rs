//! One lane: the records of one recipient that have not ended, lowest first, and the sessions they were sent to.
//! How it parks is in [`super::parking`].

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use shared::delivery::{NodeId, SessionId, Verdict};
use shared::notification::Urgency;
use shared::outcome::{DeadReason, End, ParkReason};
use shared::registry::Route;
use smallvec::SmallVec;

use super::entry::{Answer, Entry, Pace, Peer, Proof};
use super::known::Worth;
use super::parking::Parking;
use super::patience::{Blame, Failures};
use super::proof::Wanted;
use super::shares::{Load, Weight};
use super::{Output, Turn};
use crate::routing::Record;

/// What the lane is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Everything in it awaits a verdict.
    Forwarding,
    /// The registry was asked; nothing is sent before it answers.
    Looking,
    /// A delivery failed; nothing is sent before this instant.
    Waiting(Instant),
    /// See [`super::parking`].
    Parking(Parking),
}

/// See the module.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) entries: VecDeque<Entry>,
    pub(super) peers: SmallVec<[Peer; 2]>,
    pub(super) phase: Phase,
    /// Pinned while the lane lives; only its own parking raises it.
    pub(super) parked_upto: u64,
    pub(super) has_parked: bool,
    lookup_outstanding: bool,
    /// The last record that was there when the registry was asked.
    asked_upto: u64,
    /// How many of its entries only wait for their proof.
    pub(super) held: usize,
    failures: Failures,
    /// Of its entries, in bytes.
    bytes: usize,
    /// How many of its entries are of urgency high.
    urgent: usize,
}

impl Lane {
    pub(super) fn new(parked_upto: u64) -> Self {
        Self {
            entries: VecDeque::new(),
            peers: SmallVec::new(),
            phase: Phase::Forwarding,
            parked_upto,
            has_parked: false,
            lookup_outstanding: false,
            asked_upto: 0,
            held: 0,
            failures: Failures::default(),
            bytes: 0,
            urgent: 0,
        }
    }

    /// What it holds.
    pub(super) fn load(&self) -> Load {
        Load {
            weight: Weight { records: self.entries.len(), bytes: self.bytes },
            node: self.peers.first().map(|peer| peer.route.node),
            is_urgent: self.urgent > 0,
        }
    }

    /// How urgent its most urgent record is.
    pub(super) fn urgency(&self) -> Urgency {
        if self.urgent > 0 {
            return Urgency::High;
        }
        self.entries.iter().map(|entry| entry.record.notification.urgency).max().unwrap_or(Urgency::VeryLow)
    }

    /// Takes the record at `index` out, for whatever end.
    pub(super) fn remove(&mut self, index: usize) -> Option<Arc<Record>> {
        let Entry { record, end, .. } = self.entries.remove(index)?;
        self.held -= usize::from(end.is_some());
        self.bytes -= record.size_bytes;
        self.urgent -= usize::from(record.notification.urgency == Urgency::High);
        Some(record)
    }

    pub(super) fn peers(&self) -> &[Peer] {
        &self.peers
    }

    pub(super) fn knows(&self, node: NodeId) -> bool {
        self.peers.iter().any(|peer| peer.route.node == node)
    }

    pub(super) fn sessions_of(&self, node: NodeId) -> SmallVec<[SessionId; 2]> {
        self.peers.iter().filter(|peer| peer.route.node == node).map(|peer| peer.route.session).collect()
    }

    pub(super) fn parked_here(&self) -> Option<u64> {
        self.has_parked.then_some(self.parked_upto)
    }

    pub(super) fn is_over(&self) -> bool {
        self.entries.is_empty()
            && match self.phase {
                Phase::Parking(parking) => parking.is_over(),
                Phase::Forwarding | Phase::Looking | Phase::Waiting(_) => true,
            }
    }

    /// Takes a record, and answers what is wanted for it.
    pub(super) fn take(&mut self, record: Arc<Record>, turn: &mut Turn<'_>) -> Wanted {
        self.bytes += record.size_bytes;
        self.urgent += usize::from(record.notification.urgency == Urgency::High);
        self.entries.push_back(Entry::new(record));
        match self.phase {
            Phase::Forwarding => return Wanted::Routes,
            Phase::Looking | Phase::Waiting(_) => return Wanted::Proof,
            Phase::Parking(_) => self.park_head(turn),
        }
        Wanted::Nothing
    }

    /// Asks the registry; nothing is sent before it answers.
    pub(super) fn look_up(&mut self, turn: &mut Turn<'_>) {
        let Some((head, last)) = self.entries.front().zip(self.entries.back()) else { return };
        self.phase = Phase::Looking;
        if !std::mem::replace(&mut self.lookup_outstanding, true) {
            self.asked_upto = last.record.position.offset;
            turn.out.push(Output::Lookup(head.record.notification.recipient.clone()));
        }
    }

    /// The registry has answered, and may be asked again.
    pub(super) fn answered(&mut self) {
        self.lookup_outstanding = false;
    }

    /// The registry knows these routes; `worth` says whether it may know more by now.
    pub(super) fn routed(&mut self, routes: &[Route], worth: Worth, turn: &mut Turn<'_>) {
        self.answered();
        if self.phase != Phase::Looking {
            return;
        }
        for entry in &mut self.entries {
            if entry.record.position.offset <= self.asked_upto {
                entry.proof = Proof::Given;
            } else if worth == Worth::Outdated {
                entry.proof = Proof::Owed;
            }
        }
        self.follow(routes, turn);
        if self.phase == Phase::Forwarding && self.entries.iter().any(|entry| entry.proof == Proof::Owed) {
            self.look_up(turn);
        }
    }

    pub(super) fn follow(&mut self, routes: &[Route], turn: &mut Turn<'_>) {
        self.phase = Phase::Forwarding;
        for peer in self.peers.iter_mut().filter(|peer| !peer.is_behind()) {
            peer.pace = if routes.contains(&peer.route) { Pace::Following } else { Pace::Absent };
        }
        for route in routes {
            if !self.peers.iter().any(|peer| peer.route == *route) {
                self.peers.push(Peer { route: *route, pace: Pace::Following, sent: None });
            }
        }
        self.settle(turn);
    }

    /// The registry could not answer.
    pub(super) fn unrouted(&mut self, turn: &mut Turn<'_>) {
        self.answered();
        if self.phase == Phase::Looking {
            self.fail(ParkReason::RegistryUnavailable, Blame::Registry, turn);
        }
    }

    /// The registry is away, and trying again is of no use: what nobody has is parked.
    pub(super) fn unroutable(&mut self, turn: &mut Turn<'_>) {
        self.answered();
        if self.phase == Phase::Looking {
            self.give_up(ParkReason::RegistryUnavailable, turn);
            self.settle(turn);
        }
    }

    /// A retry that was waited for is due; the lane may have other things to do by now.
    pub(super) fn retry(&mut self, turn: &mut Turn<'_>) {
        if matches!(self.phase, Phase::Waiting(until) if until <= turn.now) {
            self.look_up(turn);
        }
    }

    pub(super) fn verdict(&mut self, route: Route, offset: u64, verdict: &Verdict, turn: &mut Turn<'_>) {
        let Some(index) = self.find(offset) else { return };
        let is_on_its_way = index < self.appending();
        let entry = &mut self.entries[index];
        match verdict {
            // What is on its way to `parked` ends there.
            Verdict::Acknowledged | Verdict::Expired if is_on_its_way => {}
            Verdict::Acknowledged => return self.end(index, End::Acknowledged, turn),
            Verdict::Expired => return self.end(index, End::Expired, turn),
            Verdict::Spilled => {
                entry.answer(route.session, Answer::Spilled);
                return self.fell_behind(route, turn);
            }
            Verdict::Gone => {
                entry.answer(route.session, Answer::Gone);
                turn.out.push(Output::Unregister(entry.record.notification.recipient.clone(), route));
            }
            Verdict::Rejected(rejection) => {
                entry.answer(route.session, Answer::Refused);
                entry.refused = Some(*rejection);
            }
        }
        self.settle(turn);
    }

    /// A session spilled a record of this lane, or one that was acknowledged by another meanwhile.
    pub(super) fn fell_behind(&mut self, route: Route, turn: &mut Turn<'_>) {
        match self.peers.iter_mut().find(|peer| peer.route == route) {
            Some(peer) => peer.pace = Pace::Behind,
            None => turn.out.push(Output::Resume(route)),
        }
        self.settle(turn);
    }

    /// Takes the record at `index` out as acknowledged or expired: its recipient can be reached. One without its proof
    /// stays until it has that.
    fn end(&mut self, index: usize, end: End, turn: &mut Turn<'_>) {
        self.failures = Failures::default();
        let entry = &mut self.entries[index];
        if entry.proof != Proof::Given {
            self.held += usize::from(entry.end.is_none());
            entry.end.get_or_insert(end);
            if entry.proof == Proof::Owed {
                self.settle(turn);
            }
            return;
        }
        if let Some(record) = self.remove(index) {
            turn.out.push(Output::Ended(record, end));
        }
        if matches!(self.phase, Phase::Parking(_)) || self.peers.iter().any(Peer::is_behind) {
            self.settle(turn);
        }
    }

    /// The stream to `node` is lost, and with it what its sessions remembered of it.
    pub(super) fn stream_lost(&mut self, node: NodeId, turn: &mut Turn<'_>) {
        let lost = self.sessions_of(node);
        self.peers.retain(|peer| peer.route.node != node);
        for entry in &mut self.entries {
            entry.asks.retain(|ask| !lost.contains(&ask.session));
        }
        match self.phase {
            Phase::Forwarding | Phase::Looking if self.entries.len() > self.held => {
                self.fail(ParkReason::Exhausted, Blame::Node(node), turn);
            }
            Phase::Forwarding | Phase::Looking | Phase::Waiting(_) => {}
            Phase::Parking(_) => self.settle(turn),
        }
    }

    /// Whether a verdict is awaited since `limit` or earlier.
    pub(super) fn awaits_since(&self, limit: Instant) -> bool {
        self.entries.iter().flat_map(|entry| &entry.asks).any(|ask| ask.is_late(limit))
    }

    /// Awaits no longer what is awaited since `limit` or earlier.
    pub(super) fn silence(&mut self, limit: Instant, turn: &mut Turn<'_>) {
        for ask in self.entries.iter_mut().flat_map(|entry| &mut entry.asks).filter(|ask| ask.is_late(limit))
        {
            ask.answer = Answer::Silent;
        }
        self.settle(turn);
    }

    /// Waits to try again, or parks what nobody has when that was tried enough.
    fn fail(&mut self, cause: ParkReason, blame: Blame, turn: &mut Turn<'_>) {
        let Some(head) = self.entries.front() else { return };
        let recipient = head.record.notification.recipient.clone();
        let urgency = self.urgency();
        match turn.retries.grant(&recipient, urgency, blame, &mut self.failures, turn.now) {
            Some(until) => {
                self.phase = Phase::Waiting(until);
                turn.out.push(Output::Retry);
            }
            None => self.give_up(cause, turn),
        }
        self.settle(turn);
    }

    /// Waits no longer: parks what nobody has.
    fn give_up(&mut self, cause: ParkReason, turn: &mut Turn<'_>) {
        self.failures = Failures::default();
        self.phase = Phase::Forwarding;
        self.park_stranded(Some(cause), turn);
    }

    /// Draws the conclusions of a change: buries what was refused by all who were asked, resumes who has nothing left
    /// to miss, sends what can be sent, and parks what nobody can take.
    pub(super) fn settle(&mut self, turn: &mut Turn<'_>) {
        self.bury_refused(turn);
        self.resume(turn);
        if self.phase == Phase::Forwarding {
            self.send(turn);
        }
        self.end_proved(turn);
        self.park_stranded(None, turn);
        self.park_head(turn);
    }

    fn bury_refused(&mut self, turn: &mut Turn<'_>) {
        let mut index = self.appending();
        while index < self.entries.len() {
            let entry = &self.entries[index];
            match entry.refused {
                Some(rejection) if !entry.is_awaited() && entry.end.is_none() => {
                    if let Some(record) = self.remove(index) {
                        turn.out.push(Output::Bury(record, DeadReason::Rejected(rejection)));
                    }
                }
                _ => index += 1,
            }
        }
    }

    /// A session that spilled is resumed when nothing it was sent is left in the lane. Earlier would be wrong: it would
    /// take a later record while one that it spilled may yet be parked below no `parked_upto` that it was told.
    pub(super) fn resume(&mut self, turn: &mut Turn<'_>) {
        for peer in self.peers.iter_mut().filter(|peer| peer.is_behind()) {
            if !self.entries.iter().any(|entry| entry.is_open_at(peer.route.session)) {
                *peer = Peer { route: peer.route, pace: Pace::Following, sent: None };
                turn.out.push(Output::Resume(peer.route));
            }
        }
    }

    /// Sends every session that follows what it was not sent yet; to one just met, that is the whole lane.
    fn send(&mut self, turn: &mut Turn<'_>) {
        for peer in self.peers.iter_mut().filter(|peer| peer.pace == Pace::Following) {
            let session = peer.route.session;
            let from = self
                .entries
                .partition_point(|entry| peer.sent.is_some_and(|sent| entry.record.position.offset <= sent));
            for entry in self.entries.range_mut(from..) {
                peer.sent = Some(entry.record.position.offset);
                if entry.ask(session).is_some() {
                    continue;
                }
                entry.await_answer(session, turn.now);
                turn.out.push(Output::Forward {
                    route: peer.route,
                    record: Arc::clone(&entry.record),
                    parked_upto: self.parked_upto,
                });
            }
        }
    }

    pub(super) fn find(&self, offset: u64) -> Option<usize> {
        self.entries.binary_search_by_key(&offset, |entry| entry.record.position.offset).ok()
    }
}
