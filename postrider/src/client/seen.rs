//! What this listener has given already, so that a redelivery is given once. Pure.

use std::collections::{HashSet, VecDeque};

use shared::position::Cursor;

/// Ids kept: more than any window, so that every redelivery after a reconnect is recognised.
const KEPT: usize = 8192;

/// Recognises redeliveries: by cursor, which only grows, and by id.
#[derive(Debug, Default)]
pub(super) struct Seen {
    highest: Option<Cursor>,
    ids: HashSet<String>,
    order: VecDeque<String>,
}

impl Seen {
    /// A session starts at `cursor`. The server's word counts: after the topics were rebuilt it lies below what we had.
    pub(super) fn start_from(&mut self, cursor: &str) {
        self.highest = Cursor::decode(cursor).ok();
    }

    /// Whether a notification with this id, which moves the client to `cursor`, is a new one. Remembers it.
    pub(super) fn admit(&mut self, id: &str, cursor: &str) -> bool {
        let at = Cursor::decode(cursor).ok();
        let behind = matches!((at, self.highest), (Some(at), Some(highest)) if (at.epoch, at.next) <= (highest.epoch, highest.next));
        if behind || !self.ids.insert(id.to_owned()) {
            return false;
        }
        self.order.push_back(id.to_owned());
        if self.order.len() > KEPT
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
        self.highest = at.or(self.highest);
        true
    }
}

#[cfg(test)]
mod tests {
    use shared::position::{Epoch, PartitionId};

    use super::*;

    fn cursor(epoch: u32, next: u64) -> String {
        Cursor { epoch: Epoch(epoch), partition: PartitionId(0), next }.encode()
    }

    #[test]
    fn a_redelivery_is_given_once() {
        let mut seen = Seen::default();
        seen.start_from(&cursor(1, 0));
        assert!(seen.admit("a", &cursor(1, 1)) && seen.admit("b", &cursor(1, 2)));
        assert!(!seen.admit("b", &cursor(1, 2)), "same position");
        assert!(!seen.admit("c", &cursor(1, 2)), "a position that was passed");
        seen.start_from(&cursor(1, 0));
        assert!(!seen.admit("a", &cursor(1, 1)), "same id after a reconnect");
        assert!(seen.admit("d", &cursor(1, 5)));
    }

    #[test]
    fn a_new_generation_of_topics_starts_anew() {
        let mut seen = Seen::default();
        seen.start_from(&cursor(1, 900));
        seen.start_from(&cursor(2, 0));
        assert!(seen.admit("a", &cursor(2, 1)));
    }

    #[test]
    fn memory_is_bounded() {
        let mut seen = Seen::default();
        for next in 1..=KEPT as u64 + 10 {
            assert!(seen.admit(&next.to_string(), &cursor(1, next)));
        }
        assert_eq!((seen.ids.len(), seen.order.len()), (KEPT, KEPT));
    }
}
