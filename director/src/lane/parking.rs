//! How a lane parks: from its head, one run at a time, each looked after once more, until nothing is left in it.
//!
//! A run is what stands at the head with nobody awaited for it, within the limits. The log takes it as one record, so a
//! copy is never durable without those before it; that is why the next run waits for this one's answer. A session that
//! found a later copy stored without an earlier one would send it, and the earlier one would be below its cursor for ever.

use std::time::Instant;

use shared::delivery::NodeId;
use shared::outcome::{DeadReason, End, ParkReason};
use shared::recipient::Recipient;
use shared::registry::Route;

use super::entry::{Answer, Entry, Peer, Proof};
use super::shares::Load;
use super::single::{Lane, Phase};
use super::{Lanes, Output, Run, Turn};

/// How far the parking of a lane has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Parking {
    /// How many records from the head on are on their way to `parked`, or to `dead`.
    appending: usize,
    look: Look,
}

/// The second look: a session that registered while the record was on its way to `parked` must hear of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Look {
    #[default]
    None,
    Outstanding,
    /// Outstanding, and something was parked after it was asked.
    Outdated,
}

impl Parking {
    pub(super) fn is_over(self) -> bool {
        self == Self::default()
    }
}

impl Lanes {
    /// Lets the lane, which is about to send to `node`, give way if it is above a share, and answers whether it did.
    pub(super) fn relieve(
        &mut self,
        recipient: &Recipient,
        node: Option<NodeId>,
        now: Instant,
        out: &mut Vec<Output>,
    ) -> bool {
        let Some(lane) = self.lanes.get(recipient).filter(|lane| !lane.has_given_way()) else { return false };
        let load = Load { node: node.or(lane.load().node), ..lane.load() };
        let Some(sharer) = self.shares.excess(&recipient.tenant, load, self.lanes.len()) else {
            return false;
        };
        out.push(Output::GaveWay(sharer));
        self.with(recipient, now, out, Lane::give_way);
        true
    }
}

impl Lane {
    /// How many records from the head on are on their way to `parked`.
    pub(super) fn appending(&self) -> usize {
        match self.phase {
            Phase::Parking(parking) => parking.appending,
            Phase::Forwarding | Phase::Looking | Phase::Waiting(_) => 0,
        }
    }

    /// Turns the lane to parking when a record awaits nobody; `cause` says why, if the answers do not.
    pub(super) fn park_stranded(&mut self, cause: Option<ParkReason>, turn: &mut Turn<'_>) {
        if self.phase != Phase::Forwarding {
            return;
        }
        let connected = self.peers.iter().any(Peer::is_behind);
        let usual = if connected { ParkReason::Spilled } else { ParkReason::Offline };
        if let Some(entry) = self.entries.iter_mut().find(|entry| !entry.is_awaited()) {
            // What was believed was wrong, or may have been.
            let asks = entry.proof != Proof::Given && (entry.end.is_some() || !connected);
            if cause.is_none() && asks {
                return self.look_up(turn);
            }
            entry.cause = cause.or(Some(usual));
            self.phase = Phase::Parking(Parking::default());
            self.park_head(turn);
        }
    }

    /// Whether it parks and waits for nobody: giving way would change nothing.
    pub(super) fn has_given_way(&self) -> bool {
        matches!(self.phase, Phase::Parking(_)) && !self.entries.front().is_some_and(Entry::is_awaited)
    }

    /// Waits for no verdict any more and parks what the lane has, in order. What a client acknowledges before it is on
    /// its way to `parked` has that end all the same. What a session refused still waits for the others: who may have
    /// it decides whether it is a dead letter.
    pub(super) fn give_way(&mut self, turn: &mut Turn<'_>) {
        let appending = self.appending();
        for entry in self.entries.iter_mut().skip(appending).filter(|entry| entry.refused.is_none()) {
            entry.cause = entry.cause.or(Some(ParkReason::Crowded));
            entry.stop_waiting(Answer::Dropped);
        }
        if !matches!(self.phase, Phase::Parking(_)) {
            self.phase = Phase::Parking(Parking::default());
        }
        self.settle(turn);
    }

    /// Parks a run from the head on, when the lane is parking and nothing is on its way.
    pub(super) fn park_head(&mut self, turn: &mut Turn<'_>) {
        let Phase::Parking(parking) = &mut self.phase else { return };
        if parking.appending > 0 {
            return;
        }
        let (mut run, mut bytes) = (Run::new(), 0);
        for entry in self.entries.iter().take_while(|entry| !entry.is_awaited()).take(turn.run.records.max(1))
        {
            bytes += entry.record.size_bytes;
            if bytes > turn.run.bytes && !run.is_empty() {
                break;
            }
            run.push((entry.record.clone(), reason(entry)));
        }
        parking.appending = run.len();
        if !run.is_empty() {
            turn.out.push(Output::Park(run));
        }
    }

    /// The head is durable on `parked`.
    pub(super) fn parked(&mut self, offset: u64, parked: u64, turn: &mut Turn<'_>) {
        let Phase::Parking(parking) = &mut self.phase else { return };
        if parking.appending == 0 || self.entries.front().map(offset_of) != Some(offset) {
            return;
        }
        parking.appending -= 1;
        let Some(record) = self.remove(0) else { return };
        let Phase::Parking(parking) = &mut self.phase else { return };
        self.parked_upto = self.parked_upto.max(parked + 1);
        self.has_parked = true;
        if parking.look == Look::None {
            parking.look = Look::Outstanding;
            turn.out.push(Output::Look(record.notification.recipient.clone()));
        } else {
            parking.look = Look::Outdated;
        }
        turn.out.push(Output::Ended(record, End::Parked));
        self.settle(turn);
    }

    /// The head can never be parked, and what was to follow it was not. It keeps its place until `dead` has it: should this
    /// director die before, the next one forwards it again, and a session that had drained a later one would take it for
    /// acknowledged.
    pub(super) fn unparkable(&mut self, offset: u64, reason: DeadReason, turn: &mut Turn<'_>) {
        let Phase::Parking(parking) = &mut self.phase else { return };
        if parking.appending == 0 || self.entries.front().map(offset_of) != Some(offset) {
            return;
        }
        parking.appending = 1;
        if let Some(head) = self.entries.front() {
            turn.out.push(Output::Bury(head.record.clone(), reason));
        }
    }

    /// The head is durable on `dead`.
    pub(super) fn buried(&mut self, offset: u64, turn: &mut Turn<'_>) {
        let Phase::Parking(parking) = &mut self.phase else { return };
        if parking.appending != 1 || self.entries.front().map(offset_of) != Some(offset) {
            return;
        }
        parking.appending = 0;
        drop(self.remove(0));
        self.settle(turn);
    }

    /// The second look: pokes who is there. A registry that cannot say is made good by the sweep of the nodes.
    pub(super) fn looked(&mut self, recipient: &Recipient, routes: Option<&[Route]>, turn: &mut Turn<'_>) {
        let Phase::Parking(parking) = &mut self.phase else { return };
        let parked_upto = self.parked_upto;
        turn.out.extend(routes.unwrap_or_default().iter().map(|route| Output::Poke(*route, parked_upto)));
        parking.look = match parking.look {
            Look::Outdated => {
                turn.out.push(Output::Look(recipient.clone()));
                Look::Outstanding
            }
            Look::None | Look::Outstanding => Look::None,
        };
    }
}

fn offset_of(entry: &Entry) -> u64 {
    entry.record.position.offset
}

fn reason(entry: &Entry) -> ParkReason {
    let answered = |answer| entry.asks.iter().any(|ask| ask.answer == answer);
    if answered(Answer::Spilled) {
        ParkReason::Spilled
    } else if answered(Answer::Silent) {
        ParkReason::Exhausted
    } else {
        entry.cause.unwrap_or(ParkReason::Behind)
    }
}
