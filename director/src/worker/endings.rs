//! Ends that leave no other trace on the log, on their way to `outcomes`. Their offsets are finished once they are there, so
//! that whoever compares the log with the commit finds an end below it for every record.

use std::collections::VecDeque;
use std::time::Duration;

use shared::group::offsets::Ticket;
use shared::record::outcomes::Outcome;
use tokio::time::Instant;

use crate::config::OutcomeSettings;

/// An end and the place in the tracker that it finishes.
#[derive(Clone, Debug)]
pub(super) struct Ending {
    pub(super) ticket: Ticket,
    pub(super) outcome: Outcome,
}

/// Whether a batch that is neither full nor old is made all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Haste {
    /// It may fill.
    Fill,
    /// The partition is being given up.
    Now,
}

/// See the module. Bounded by `waiting` of the settings: past it the worker takes no more records.
#[derive(Debug, Default)]
pub(super) struct Endings {
    waiting: VecDeque<(Ending, Instant)>,
    bytes: usize,
    /// Handed out and not yet on the log.
    outstanding: usize,
}

impl Endings {
    pub(super) fn push(&mut self, ending: Ending, now: Instant) {
        self.bytes += ending.outcome.most_bytes();
        self.waiting.push_back((ending, now));
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len() + self.outstanding
    }

    /// When a batch that does not fill is due; never while one is outstanding.
    pub(super) fn due(&self, age: Duration) -> Option<Instant> {
        let (_, since) = self.waiting.front().filter(|_| self.outstanding == 0)?;
        Some(*since + age)
    }

    /// The next batch, when it is full or due and none is outstanding.
    pub(super) fn batch(&mut self, settings: &OutcomeSettings, haste: Haste, now: Instant) -> Vec<Ending> {
        let full = self.waiting.len() >= settings.batch_outcomes || self.bytes >= settings.batch_bytes;
        let ripe = full || haste == Haste::Now || self.due(settings.age_ms).is_some_and(|due| due <= now);
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while ripe && self.outstanding == 0 && batch.len() < settings.batch_outcomes {
            let Some((ending, _)) = self.waiting.front() else { break };
            bytes += ending.outcome.most_bytes();
            if bytes > settings.batch_bytes && !batch.is_empty() {
                break;
            }
            self.bytes -= ending.outcome.most_bytes();
            batch.extend(self.waiting.pop_front().map(|(ending, _)| ending));
        }
        self.outstanding += batch.len();
        batch
    }

    /// The batch that was handed out is on the log.
    pub(super) fn told(&mut self) {
        self.outstanding = 0;
    }
}

#[cfg(test)]
mod tests {
    use shared::clock::Timestamp;
    use shared::outcome::End;

    use super::*;
    use crate::testing::notification;
    use shared::group::offsets::Tracker;

    fn settings() -> OutcomeSettings {
        OutcomeSettings { batch_outcomes: 3, age_ms: Duration::from_millis(50), ..OutcomeSettings::default() }
    }

    fn ending(offset: u64) -> Ending {
        let outcome = Outcome {
            offset,
            id: notification("acme/alice", offset).id,
            end: End::Acknowledged,
            time: Timestamp::from_millis(offset),
        };
        Ending { ticket: Tracker::new(offset).take(offset).unwrap(), outcome }
    }

    fn offsets(batch: &[Ending]) -> Vec<u64> {
        batch.iter().map(|ending| ending.outcome.offset).collect()
    }

    #[test]
    fn a_batch_is_made_when_it_is_full_old_or_wanted_and_one_at_a_time() {
        let (mut endings, settings, now) = (Endings::default(), settings(), Instant::now());
        endings.push(ending(1), now);
        assert!(endings.batch(&settings, Haste::Fill, now).is_empty(), "it may fill");
        assert_eq!(endings.due(settings.age_ms), Some(now + settings.age_ms));
        assert_eq!(offsets(&endings.batch(&settings, Haste::Fill, now + settings.age_ms)), [1]);
        (2..6).for_each(|offset| endings.push(ending(offset), now));
        assert!(endings.batch(&settings, Haste::Now, now).is_empty(), "one is outstanding");
        assert_eq!((endings.len(), endings.due(settings.age_ms)), (5, None));
        endings.told();
        assert_eq!(offsets(&endings.batch(&settings, Haste::Fill, now)), [2, 3, 4], "full");
        endings.told();
        assert_eq!(offsets(&endings.batch(&settings, Haste::Now, now)), [5]);
        endings.told();
        assert_eq!(endings.len(), 0);
    }

    #[test]
    fn a_batch_keeps_to_its_bytes_but_for_a_single_outcome() {
        let (mut endings, now) = (Endings::default(), Instant::now());
        let most = ending(1).outcome.most_bytes();
        let settings = OutcomeSettings { batch_outcomes: 100, batch_bytes: 2 * most, ..settings() };
        (1..4).for_each(|offset| endings.push(ending(offset), now));
        assert_eq!(offsets(&endings.batch(&settings, Haste::Fill, now)), [1, 2]);
        endings.told();
        let narrow = OutcomeSettings { batch_bytes: 1, ..settings };
        assert_eq!(offsets(&endings.batch(&narrow, Haste::Fill, now)), [3]);
    }
}
