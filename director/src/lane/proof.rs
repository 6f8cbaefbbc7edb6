//! What is remembered of routes serves at once, and is proved afterwards: that every record was sent to every session that
//! had registered before it was taken. [`super::known`] says how.

use std::collections::VecDeque;
use std::time::Instant;

use shared::recipient::Recipient;
use shared::registry::{Entered, Fingerprint, Route};

use super::entry::{Entry, Proof};
use super::known::Worth;
use super::single::{Lane, Phase};
use super::{Lanes, Output, Turn};

/// What is wanted for a record that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Nothing yet.
    Nothing,
    /// Routes: remembered ones, or the registry's answer.
    Routes,
    /// A proof: it will be sent by an answer of the registry that may be older than the record.
    Proof,
}

/// Records whose proof is due, in order.
#[derive(Debug, Default)]
pub(super) struct Unproved(VecDeque<(u64, Fingerprint)>);

impl Unproved {
    pub(super) fn push(&mut self, offset: u64, recipient: &Recipient) {
        self.0.push_back((offset, Fingerprint::of(recipient)));
    }
}

impl Lanes {
    /// The last record taken, when the proof of one is due: the registry is to be asked for news, and what it says goes
    /// to [`Input::Entered`](super::Input::Entered) and then [`Input::Proved`](super::Input::Proved) with this offset.
    #[must_use]
    pub fn unproved(&mut self) -> Option<u64> {
        while let Some((offset, _)) = self.unproved.0.front() {
            if self.is_due(*offset) {
                return self.unproved.0.back().map(|(offset, _)| *offset);
            }
            self.unproved.0.pop_front();
        }
        None
    }

    fn is_due(&self, offset: u64) -> bool {
        let lane = self.owners.get(&offset).and_then(|recipient| self.lanes.get(recipient));
        let entry = lane.and_then(|lane| lane.find(offset).map(|index| &lane.entries[index]));
        entry.is_some_and(|entry| entry.proof == Proof::Due)
    }

    /// Whether an answer of the registry is the one that counts.
    pub(super) fn counts(&mut self, recipient: &Recipient) -> bool {
        self.known.answered(recipient) != Worth::Nothing
    }

    pub(super) fn routed(
        &mut self,
        recipient: &Recipient,
        routes: &[Route],
        now: Instant,
        out: &mut Vec<Output>,
    ) {
        let worth = self.known.answered(recipient);
        match worth {
            Worth::Nothing => return,
            Worth::Outdated => {}
            Worth::Current => self.known.learn(recipient, routes, now),
        }
        let node = routes.first().map(|route| route.node);
        if self.relieve(recipient, node, now, out) {
            self.with(recipient, now, out, |lane, _| lane.answered());
        } else {
            self.with(recipient, now, out, |lane, turn| lane.routed(routes, worth, turn));
        }
    }

    /// Whoever is in the news is asked about again.
    pub(super) fn hear(&mut self, news: &Entered, now: Instant, out: &mut Vec<Output>) {
        self.known.hear(news);
        if *news == Entered::Of(Vec::new()) {
            return;
        }
        let doubted = |(_, print): &&(u64, Fingerprint)| news.may_be(*print);
        let offsets: Vec<u64> = self.unproved.0.iter().filter(doubted).map(|(offset, _)| *offset).collect();
        for offset in offsets {
            self.with_owner(offset, now, out, |lane, turn| lane.doubted(turn));
        }
    }

    /// The news that were asked for after the record at `upto` was taken have been heard.
    pub(super) fn prove(&mut self, upto: u64, now: Instant, out: &mut Vec<Output>) {
        while let Some((offset, _)) = self.unproved.0.pop_front_if(|(offset, _)| *offset <= upto) {
            self.with_owner(offset, now, out, |lane, turn| lane.proved(offset, turn));
        }
    }
}

impl Lane {
    /// The routes that are remembered are taken for true until their proof says otherwise.
    pub(super) fn trust(&mut self, routes: &[Route], turn: &mut Turn<'_>) {
        if self.phase == Phase::Forwarding {
            self.follow(routes, turn);
        }
    }

    /// Nobody has registered who was not sent what was taken up to this offset.
    pub(super) fn proved(&mut self, upto: u64, turn: &mut Turn<'_>) {
        let proved = |entry: &&mut Entry| entry.record.position.offset <= upto && entry.proof == Proof::Due;
        self.entries.iter_mut().filter(proved).for_each(|entry| entry.proof = Proof::Given);
        if self.held > 0 {
            self.settle(turn);
        }
    }

    /// Somebody has registered, or may have.
    pub(super) fn doubted(&mut self, turn: &mut Turn<'_>) {
        for entry in self.entries.iter_mut().filter(|entry| entry.proof == Proof::Due) {
            entry.proof = Proof::Owed;
        }
        match self.phase {
            Phase::Forwarding if self.entries.iter().any(|entry| entry.proof == Proof::Owed) => {
                self.look_up(turn)
            }
            Phase::Parking(_) => self.settle(turn),
            Phase::Forwarding | Phase::Looking | Phase::Waiting(_) => {}
        }
    }

    /// Takes out what only waited for its proof.
    pub(super) fn end_proved(&mut self, turn: &mut Turn<'_>) {
        let mut index = self.appending();
        let held = self.held;
        while self.held > 0 && index < self.entries.len() {
            let entry = &self.entries[index];
            match entry.end {
                Some(end) if entry.proof == Proof::Given => {
                    if let Some(record) = self.remove(index) {
                        turn.out.push(Output::Ended(record, end));
                    }
                }
                _ => index += 1,
            }
        }
        if self.held < held {
            self.resume(turn);
        }
    }
}
