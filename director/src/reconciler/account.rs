//! The account of one partition: which positions have an end, which have none though they are committed, and from where
//! the log must be read again to know as much. Pure.
//!
//! **Why it gives no false alarm.** A director commits past a position only after its end is on the log. So whoever reads
//! the commit first, then where `outcomes`, `parked` and `dead` end, and then each of them up to there, has seen the end of
//! every position below the commit: what has none by then is unaccounted. No time is involved.
//!
//! **Why it gives no false all-clear after a restart.** A [`Checkpoint`] says from where each topic must be read to see the
//! end of every position from `upto` on. It is the places read to at some moment, and a position above every one that had
//! an end by then; it is good once everything below `upto` is accounted for, however much later that is. While anything is
//! unaccounted no checkpoint is given out: who starts again finds it again.

use std::collections::BTreeMap;
use std::time::Instant;

use super::window::{Noted, Window};

/// The topics that ends are read from, in the order of [`Places`].
pub(super) const WITNESSES: usize = 3;

/// How far each of `outcomes`, `parked` and `dead` was read.
pub(super) type Places = [u64; WITNESSES];

/// From where an account can be made again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Checkpoint {
    /// Everything below is accounted for.
    pub(super) upto: u64,
    /// Every end of a position from `upto` on stands at or above these.
    pub(super) places: Places,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Account {
    window: Window,
    /// Where each topic is to be read next.
    places: Places,
    /// The place of the first record that the window had no room for, by topic, since the last judgement.
    again: [Option<u64>; WITNESSES],
    unaccounted: BTreeMap<u64, Instant>,
    /// Given out once its `upto` is behind.
    snapshot: Option<Checkpoint>,
}

/// What is known of positions without an end.
#[derive(Debug, Default)]
pub(super) struct Verdicts {
    /// Records stand there: they are unaccounted.
    pub(super) missing: Vec<u64>,
    /// Everything below is judged.
    pub(super) upto: u64,
}

impl Account {
    /// Begins at `checkpoint`; the window reaches `most` positions.
    pub(super) fn new(checkpoint: Checkpoint, most: u64) -> Self {
        Self {
            window: Window::new(checkpoint.upto, most),
            places: checkpoint.places,
            again: [None; WITNESSES],
            unaccounted: BTreeMap::new(),
            snapshot: None,
        }
    }

    /// Everything below is accounted for or known to be unaccounted.
    pub(super) fn upto(&self) -> u64 {
        self.window.base()
    }

    /// How many positions are unaccounted.
    pub(super) fn unaccounted(&self) -> usize {
        self.unaccounted.len()
    }

    /// Where a topic is to be read next.
    pub(super) fn place(&self, witness: usize) -> u64 {
        self.places[witness]
    }

    /// The record at `place` of a topic tells of the ends of these positions. Answers those that were unaccounted.
    pub(super) fn take(&mut self, witness: usize, place: u64, ended: &[u64]) -> Vec<u64> {
        self.places[witness] = place + 1;
        let mut explained = Vec::new();
        for offset in ended {
            match self.window.note(*offset) {
                Noted::Within => {}
                Noted::Below => explained.extend(self.unaccounted.remove(offset).map(|_| *offset)),
                Noted::Beyond => {
                    self.again[witness].get_or_insert(place);
                }
            }
        }
        explained
    }

    /// A topic was read up to `place`, whether or not records stand there.
    pub(super) fn read_to(&mut self, witness: usize, place: u64) {
        self.places[witness] = self.places[witness].max(place);
    }

    /// Below what a judgement is possible, where `committed` was read before the topics' ends, and they were read to those.
    pub(super) fn judgeable(&self, committed: u64) -> u64 {
        committed.min(self.window.reach())
    }

    /// The lowest positions below `upto` without an end, at most `limit`.
    pub(super) fn open(&self, upto: u64, limit: usize) -> Vec<u64> {
        self.window.open(upto, limit)
    }

    /// Takes a judgement, and has what the window had no room for shown again.
    pub(super) fn judge(&mut self, verdicts: &Verdicts, now: Instant) {
        self.unaccounted.extend(verdicts.missing.iter().map(|offset| (*offset, now)));
        self.window.pass(verdicts.upto);
        for (place, again) in self.places.iter_mut().zip(&mut self.again) {
            *place = again.take().map_or(*place, |again| again.min(*place));
        }
    }

    /// Stops counting what has been unaccounted since before `horizon`; answers which.
    pub(super) fn forget(&mut self, horizon: Instant) -> Vec<u64> {
        let old: Vec<u64> = self
            .unaccounted
            .iter()
            .filter_map(|(offset, since)| (*since <= horizon).then_some(*offset))
            .collect();
        old.iter().for_each(|offset| {
            self.unaccounted.remove(offset);
        });
        old
    }

    /// A checkpoint above the last one, when there is one. Asked for after each judgement.
    pub(super) fn checkpoint(&mut self) -> Option<Checkpoint> {
        let now = Checkpoint { upto: self.window.above(), places: self.places };
        let snapshot = *self.snapshot.get_or_insert(now);
        if snapshot.upto > self.window.base() || !self.unaccounted.is_empty() {
            return None;
        }
        self.snapshot.take()
    }
}

#[cfg(test)]
mod tests;
