//! The judge: knows what was accepted and what became of it, and holds every step against the promises.

use std::collections::{BTreeMap, BTreeSet};

use shared::notification::Notification;
use shared::outcome::End;
use shared::position::Position;

use super::world::World;

/// What a producer published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Good,
    /// Does not parse.
    Poison,
    /// Too large to be parked.
    Unparkable,
}

/// A record that was accepted.
#[derive(Clone, Debug)]
pub(crate) struct Accepted {
    pub(crate) recipient: usize,
    pub(crate) id: String,
    pub(crate) expires: u64,
    pub(crate) kind: Kind,
}

/// A partition and an offset of `notifications`.
pub(crate) type Place = (usize, u64);

/// A gap that a device was told of.
#[derive(Clone, Copy, Debug)]
struct Told {
    recipient: usize,
    first: u64,
    last: u64,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Judge {
    pub(crate) accepted: BTreeMap<Place, Accepted>,
    /// By whom it was shown, or refused.
    processed: BTreeMap<Place, BTreeSet<usize>>,
    pub(crate) parked: BTreeSet<Place>,
    pub(crate) dead: BTreeSet<Place>,
    told: Vec<Told>,
    pub(crate) frames: u64,
    pub(crate) gates_filled: u64,
}

impl Judge {
    fn has_gap(&self, (_, offset): Place, recipient: usize) -> bool {
        let covers = |told: &Told| told.recipient == recipient && (told.first..=told.last).contains(&offset);
        self.told.iter().any(covers)
    }

    /// Whether somebody has it, or was told that nobody will.
    fn is_known(&self, place: Place, now: u64) -> bool {
        let Some(accepted) = self.accepted.get(&place) else { return false };
        self.processed.contains_key(&place)
            || self.dead.contains(&place)
            || (accepted.expires <= now && self.has_gap(place, accepted.recipient))
    }

    /// What was accepted and has no end that its recipient or an operator can see.
    pub(crate) fn unaccounted(&self, now: u64) -> Vec<Place> {
        self.accepted.keys().filter(|place| !self.is_known(**place, now)).copied().collect()
    }
}

impl World {
    /// Promises 3 and 4: nothing comes late, nothing under another name.
    pub(crate) fn judge_frame(&mut self, device: usize, position: Position, notification: &Notification) {
        self.judge.frames += 1;
        let place = (position.partition.0 as usize, position.offset);
        let state = &self.devices[device];
        let accepted = self.judge.accepted.get(&place);
        let same = accepted.is_some_and(|accepted| {
            accepted.id == notification.id.as_str() && accepted.recipient == state.recipient
        });
        if !same {
            self.object(format!("device {device} is sent {} at {place:?}", notification.id.as_str()));
        }
        let state = &self.devices[device];
        if position.offset < state.stands_at() && !state.processed.contains(&position.offset) {
            let stands_at = state.stands_at();
            self.object(format!("order: device {device} is sent {place:?} when it stands at {stands_at}"));
        }
    }

    pub(crate) fn judge_shown(&mut self, device: usize, position: Position) {
        let place = (position.partition.0 as usize, position.offset);
        self.judge.processed.entry(place).or_default().insert(device);
    }

    /// Promise 5: what is told to be missing has expired.
    pub(crate) fn judge_gap(&mut self, device: usize, (first, last): (Position, Position), count: u64) {
        let (recipient, partition) = (self.devices[device].recipient, first.partition.0 as usize);
        let now = self.schedule.now;
        let span = self.judge.accepted.range((partition, first.offset)..=(partition, last.offset));
        let expired = span.filter(|(_, accepted)| accepted.recipient == recipient && accepted.expires <= now);
        if count == 0 || expired.count() == 0 {
            self.object(format!(
                "device {device} is told of a gap {first:?}..={last:?} where nothing expired"
            ));
        }
        self.judge.told.push(Told { recipient, first: first.offset, last: last.offset });
    }

    /// A worker says that a record has ended: it must be so.
    pub(crate) fn judge_end(&mut self, partition: usize, offset: u64, end: End) {
        let (place, now) = ((partition, offset), self.schedule.now);
        let Some(accepted) = self.judge.accepted.get(&place) else {
            return self.object(format!("{place:?} ends and was never accepted"));
        };
        let true_end = match end {
            End::Acknowledged => self.judge.is_known(place, now),
            End::Parked => self.judge.parked.contains(&place),
            End::Expired => accepted.expires <= now,
            End::DeadLettered => self.judge.dead.contains(&place),
            // Nobody asks for a task here.
            End::HandedOver => false,
        };
        if !true_end {
            self.object(format!("{place:?} is said to be {end:?} and is not"));
        }
    }

    /// Promise 2: nothing is committed without an end.
    pub(crate) fn judge_commit(&mut self, partition: usize, from: u64, to: u64) {
        let now = self.schedule.now;
        let places: Vec<Place> =
            self.judge.accepted.range((partition, from)..(partition, to)).map(|(place, _)| *place).collect();
        for place in places {
            let expired = self.judge.accepted[&place].expires <= now;
            if !expired && !self.judge.parked.contains(&place) && !self.judge.is_known(place, now) {
                self.object(format!("{place:?} is committed without an end"));
            }
        }
    }

    /// What is left once everything has had its time.
    pub(crate) fn leftovers(&self) -> Vec<String> {
        let mut left = Vec::new();
        for place in self.judge.unaccounted(self.schedule.now) {
            left.push(format!("{place:?} has no end: {:?}", self.judge.accepted[&place]));
        }
        for (number, partition) in self.log.partitions.iter().enumerate() {
            let (committed, end) = (partition.committed, partition.notifications.end);
            if committed < end {
                left.push(format!("partition {number} is committed at {committed} of {end}"));
            }
        }
        for (recipient, inbox) in &self.store.inboxes {
            let rows: Vec<u64> = inbox.rows.keys().copied().collect();
            if !rows.is_empty() || inbox.gap.is_some() {
                left.push(format!("{recipient} has {rows:?} stored, and {:?}", inbox.gap));
            }
        }
        left
    }
}
