//! What waits its turn: first come first served, the urgent before the rest, but so many urgent ones at most for one of the
//! rest. Pure.

use std::collections::VecDeque;

use shared::notification::Urgency;

/// See the module.
#[derive(Debug)]
pub(crate) struct Ranked<T> {
    urgent: VecDeque<T>,
    rest: VecDeque<T>,
    /// Urgent ones taken since one of the rest was.
    streak: usize,
    turns: usize,
}

impl<T> Ranked<T> {
    /// Nothing waits; `turns` urgent ones go before one of the rest.
    pub(crate) fn new(turns: usize) -> Self {
        Self { urgent: VecDeque::new(), rest: VecDeque::new(), streak: 0, turns }
    }

    pub(crate) fn push(&mut self, item: T, urgency: Urgency) {
        match urgency {
            Urgency::High => self.urgent.push_back(item),
            Urgency::Normal | Urgency::Low | Urgency::VeryLow => self.rest.push_back(item),
        }
    }

    /// Who is next.
    pub(crate) fn pop(&mut self) -> Option<T> {
        let urgent =
            if self.rest.is_empty() || self.streak < self.turns { self.urgent.pop_front() } else { None };
        if urgent.is_some() {
            self.streak = (self.streak + 1).min(self.turns);
            return urgent;
        }
        self.streak = 0;
        self.rest.pop_front()
    }

    /// Up to `limit`, those whose turn it is first.
    pub(crate) fn take(&mut self, limit: usize) -> Vec<T> {
        std::iter::from_fn(|| self.pop()).take(limit).collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.urgent.is_empty() && self.rest.is_empty()
    }

    pub(crate) fn clear(&mut self) {
        self.urgent.clear();
        self.rest.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_urgent_go_first_and_the_rest_still_have_their_turn() {
        let mut ranked = Ranked::new(2);
        for number in 0..3 {
            ranked.push(number, Urgency::Normal);
            ranked.push(number + 10, Urgency::High);
            ranked.push(number + 20, Urgency::High);
        }
        assert_eq!(ranked.take(20), [10, 20, 0, 11, 21, 1, 12, 22, 2]);
        assert!(ranked.is_empty());
    }
}
