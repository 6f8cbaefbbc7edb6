//! The tracker: which offset of a partition may be committed. The worker takes a ticket for every record it starts and
//! finishes the ticket when the record has ended; what the tracker answers goes to the group's progress.
//!
//! Pure. A ring with one slot per record that was started and is not yet behind the commit; O(1) per record, whatever
//! gaps the offsets have.

use std::collections::VecDeque;

/// The place of one record in its [`Tracker`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket(u64);

#[derive(Clone, Copy, Debug)]
struct Slot {
    offset: u64,
    finished: bool,
}

/// Records of one partition between the commit and the last one started.
#[derive(Debug)]
pub struct Tracker {
    ring: VecDeque<Slot>,
    /// The ticket of the ring's first slot.
    first: u64,
    /// The lowest offset that may be started.
    next: u64,
    commit: u64,
}

impl Tracker {
    /// Nothing started yet; reading begins at `from`.
    #[must_use]
    pub fn new(from: u64) -> Self {
        Self { ring: VecDeque::new(), first: 0, next: from, commit: from }
    }

    /// Starts the record at `offset`; `None` when it, or a later one, was started before.
    pub fn take(&mut self, offset: u64) -> Option<Ticket> {
        if offset < self.next {
            return None;
        }
        self.next = offset + 1;
        self.ring.push_back(Slot { offset, finished: false });
        Some(Ticket(self.first + self.ring.len() as u64 - 1))
    }

    /// Finishes a record. Answers the offset below which everything has ended, when that has grown.
    pub fn finish(&mut self, ticket: Ticket) -> Option<u64> {
        let index = usize::try_from(ticket.0.checked_sub(self.first)?).ok()?;
        self.ring.get_mut(index)?.finished = true;
        let before = self.commit;
        while let Some(slot) = self.ring.front().filter(|slot| slot.finished) {
            self.commit = slot.offset + 1;
            self.ring.pop_front();
            self.first += 1;
        }
        (self.commit > before).then_some(self.commit)
    }

    /// The offset below which everything has ended.
    #[must_use]
    pub fn commit(&self) -> u64 {
        self.commit
    }

    /// How many records lie between the commit and the last one started.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ring.len()
    }

    /// Whether every record that was started has ended.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ring.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn commit_is_the_highest_contiguous_finished_offset(
            from in 0_u64..1000,
            steps in prop::collection::vec((0_u64..5, any::<prop::sample::Index>(), any::<bool>()), 1..120),
        ) {
            let (mut tracker, mut started, mut finished) = (Tracker::new(from), Vec::new(), BTreeSet::new());
            let (mut offset, mut commit) = (from, from);
            for (gap, index, take) in steps {
                if take || started.is_empty() {
                    offset += gap;
                    started.push((offset, tracker.take(offset).unwrap()));
                    prop_assert_eq!(tracker.take(offset), None, "an offset is started once");
                    offset += 1;
                } else {
                    let (offset, ticket) = started[index.index(started.len())];
                    finished.insert(offset);
                    if let Some(next) = tracker.finish(ticket) {
                        prop_assert!(next > commit);
                        commit = next;
                    }
                }
                let naive = started.iter().take_while(|(offset, _)| finished.contains(offset)).last();
                prop_assert_eq!(commit, naive.map_or(from, |(offset, _)| offset + 1));
                prop_assert_eq!(tracker.commit(), commit);
            }
        }
    }
}
