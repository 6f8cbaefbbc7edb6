//! The last parked offset of recipients that have no lane at the moment, for at most so many of them.

use std::collections::{HashMap, VecDeque};

use shared::recipient::Recipient;

/// What a new lane's `parked_upto` is. Forgetting a recipient raises the answer for all that are not remembered, which
/// makes sessions wait a little longer and is never wrong.
#[derive(Debug)]
pub(super) struct ParkedMemory {
    base: u64,
    limit: usize,
    parked_upto: HashMap<Recipient, u64>,
    /// Oldest first; an element that disagrees with the map was superseded.
    order: VecDeque<(Recipient, u64)>,
}

impl ParkedMemory {
    /// Remembers nothing; `base` is the end of `parked` at assignment.
    pub(super) fn new(base: u64, limit: usize) -> Self {
        Self { base, limit, parked_upto: HashMap::new(), order: VecDeque::new() }
    }

    /// One more than the last parked offset of `recipient`, or something higher.
    pub(super) fn parked_upto(&self, recipient: &Recipient) -> u64 {
        self.parked_upto.get(recipient).copied().unwrap_or(self.base)
    }

    /// Notes how far the lane of `recipient` parked.
    pub(super) fn remember(&mut self, recipient: Recipient, parked_upto: u64) {
        self.parked_upto.insert(recipient.clone(), parked_upto);
        self.order.push_back((recipient, parked_upto));
        while self.parked_upto.len() > self.limit {
            let Some((oldest, upto)) = self.order.pop_front() else { return };
            if self.parked_upto.get(&oldest) == Some(&upto) {
                self.parked_upto.remove(&oldest);
                self.base = self.base.max(upto);
            }
        }
        if self.order.len() > self.limit.saturating_mul(2).max(16) {
            self.order.retain(|(recipient, upto)| self.parked_upto.get(recipient) == Some(upto));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipient(number: u64) -> Recipient {
        Recipient::parse_key(&format!("acme/r{number}")).unwrap()
    }

    #[test]
    fn forgetting_only_ever_raises_the_answer() {
        let mut memory = ParkedMemory::new(5, 3);
        let mut truth = HashMap::new();
        for step in 0..200_u64 {
            let parked_upto = 6 + step;
            memory.remember(recipient(step % 7), parked_upto);
            truth.insert(step % 7, parked_upto);
            for (number, upto) in &truth {
                assert!(memory.parked_upto(&recipient(*number)) >= *upto);
            }
            assert!(memory.parked_upto.len() <= 3 && memory.order.len() <= 17);
        }
    }
}
