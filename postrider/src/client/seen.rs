//! What this listener has given already, so that a redelivery is given once. Pure.

use std::collections::{HashMap, VecDeque};

use shared::position::Cursor;

/// Ids kept: more than any window, so that every redelivery after a reconnect is recognised.
const KEPT: usize = 8192;

/// Recognises redeliveries: by cursor, which only grows, and by id.
#[derive(Debug, Default)]
pub(super) struct Seen {
    highest: Option<Cursor>,
    /// The cursor that each was given with.
    given: HashMap<String, String>,
    order: VecDeque<String>,
}

/// Whether a notification was there before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// It is new.
    New,
    /// It was given from this position, or passed over: whether it is processed is for the caller to say.
    Redelivered,
    /// It was given from another position, for it stands on the log twice: nothing is left to be processed.
    Repeated,
}

impl Seen {
    /// A session starts at `cursor`. The server's word counts: after the topics were rebuilt it lies below what we had.
    pub(super) fn start_from(&mut self, cursor: &str) {
        self.highest = Cursor::decode(cursor).ok();
    }

    /// Whether a notification with this id, which moves the client to `cursor`, is a new one. Remembers it.
    pub(super) fn admit(&mut self, id: &str, cursor: &str) -> Admission {
        let at = Cursor::decode(cursor).ok();
        let behind = matches!((at, self.highest), (Some(at), Some(highest)) if (at.epoch, at.next) <= (highest.epoch, highest.next));
        match self.given.get(id) {
            Some(given) if given != cursor && !behind => return Admission::Repeated,
            Some(_) => return Admission::Redelivered,
            None if behind => return Admission::Redelivered,
            None => self.given.insert(id.to_owned(), cursor.to_owned()),
        };
        self.order.push_back(id.to_owned());
        if self.order.len() > KEPT
            && let Some(oldest) = self.order.pop_front()
        {
            self.given.remove(&oldest);
        }
        self.highest = at.or(self.highest);
        Admission::New
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
        assert_eq!(seen.admit("a", &cursor(1, 1)), Admission::New);
        assert_eq!(seen.admit("b", &cursor(1, 2)), Admission::New);
        assert_eq!(seen.admit("b", &cursor(1, 2)), Admission::Redelivered, "same position");
        assert_eq!(seen.admit("c", &cursor(1, 2)), Admission::Redelivered, "a position that was passed");
        seen.start_from(&cursor(1, 0));
        assert_eq!(seen.admit("a", &cursor(1, 1)), Admission::Redelivered, "same id after a reconnect");
        assert_eq!(seen.admit("a", &cursor(1, 4)), Admission::Repeated, "same id at another position");
        assert_eq!(seen.admit("d", &cursor(1, 5)), Admission::New);
    }

    #[test]
    fn a_new_generation_of_topics_starts_anew() {
        let mut seen = Seen::default();
        seen.start_from(&cursor(1, 900));
        seen.start_from(&cursor(2, 0));
        assert_eq!(seen.admit("a", &cursor(2, 1)), Admission::New);
    }

    #[test]
    fn memory_is_bounded() {
        let mut seen = Seen::default();
        for next in 1..=KEPT as u64 + 10 {
            assert_eq!(seen.admit(&next.to_string(), &cursor(1, next)), Admission::New);
        }
        assert_eq!((seen.given.len(), seen.order.len()), (KEPT, KEPT));
    }
}
