//! How a lane parks: from its head, one record at a time, each looked after once more, until nothing is left in it.

use shared::outcome::{DeadReason, End, ParkReason};
use shared::recipient::Recipient;
use shared::registry::Route;

use super::single::{Answer, Entry, Lane, Peer, Phase};
use super::{Output, Turn};

/// How far the parking of a lane has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Parking {
    append: Append,
    look: Look,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Append {
    #[default]
    None,
    /// The head is on its way to `parked`.
    Outstanding,
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

impl Lane {
    pub(super) fn is_appending(&self) -> bool {
        matches!(self.phase, Phase::Parking(Parking { append: Append::Outstanding, .. }))
    }

    /// Turns the lane to parking when a record awaits nobody; `cause` says why, if the answers do not.
    pub(super) fn park_stranded(&mut self, cause: Option<ParkReason>, turn: &mut Turn<'_>) {
        if self.phase != Phase::Forwarding {
            return;
        }
        let connected = self.peers.iter().any(Peer::is_behind);
        let usual = if connected { ParkReason::Spilled } else { ParkReason::Offline };
        if let Some(entry) = self.entries.iter_mut().find(|entry| !entry.is_awaited()) {
            entry.cause = cause.or(Some(usual));
            self.phase = Phase::Parking(Parking::default());
            self.park_head(turn);
        }
    }

    /// Parks the head, when the lane is parking, nothing is on its way, and nobody is awaited for it.
    pub(super) fn park_head(&mut self, turn: &mut Turn<'_>) {
        let Phase::Parking(parking) = &mut self.phase else { return };
        let Some(head) = self.entries.front().filter(|head| !head.is_awaited()) else { return };
        if parking.append == Append::None {
            parking.append = Append::Outstanding;
            turn.out.push(Output::Park(head.record.clone(), reason(head)));
        }
    }

    /// The head is durable on `parked`.
    pub(super) fn parked(&mut self, offset: u64, parked: u64, turn: &mut Turn<'_>) {
        let Phase::Parking(parking) = &mut self.phase else { return };
        if parking.append == Append::None || self.entries.front().map(offset_of) != Some(offset) {
            return;
        }
        let Some(head) = self.entries.pop_front() else { return };
        parking.append = Append::None;
        self.parked_upto = self.parked_upto.max(parked + 1);
        self.has_parked = true;
        if parking.look == Look::None {
            parking.look = Look::Outstanding;
            turn.out.push(Output::Look(head.record.notification.recipient.clone()));
        } else {
            parking.look = Look::Outdated;
        }
        turn.out.push(Output::Ended(head.record, End::Parked));
        self.settle(turn);
    }

    /// The head can never be parked.
    pub(super) fn unparkable(&mut self, offset: u64, reason: DeadReason, turn: &mut Turn<'_>) {
        let Phase::Parking(parking) = &mut self.phase else { return };
        if parking.append == Append::None || self.entries.front().map(offset_of) != Some(offset) {
            return;
        }
        parking.append = Append::None;
        if let Some(head) = self.entries.pop_front() {
            turn.out.push(Output::Bury(head.record, reason));
        }
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
