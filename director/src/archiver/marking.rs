//! What the flags stage asks of the engines about one partition, and in which order. Pure: `flags.rs` carries the
//! [`Call`]s out and brings the [`Answer`]s.
//!
//! The order is what makes "the flag reads clean, and `flagged_upto` ≥ *p*" a proof that nothing parked below *p* is left
//! for a recipient: `flagged_upto` moves over a record only after its recipient was marked, so at `flagged_upto` ≥ *p* the
//! mark of every record below *p* is in the flag's past, and clean was set after it, by a session that had read the store
//! empty that far. A registry that lost its content has lost `flagged_upto` too (`None`), and with it every proof, until
//! whoever has rows is marked again: those archived up to *a*, read **before** the scan, by the scan, and the rest by
//! reading `parked` from *a* on.

use std::collections::BTreeMap;

use shared::log::Fetched;
use shared::recipient::Recipient;

/// What is asked of an engine. Each may be repeated until it is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// The registry's `flagged_upto`; answered by [`Answer::Upto`].
    FlaggedUpto,
    /// The store's `archived_upto`; answered by [`Answer::Upto`].
    ArchivedUpto,
    /// Recipients with rows, those after this one; answered by [`Answer::Recipients`].
    Recipients(Option<Recipient>),
    /// Mark these in the registry; answered by [`Answer::Done`].
    Mark(Vec<(Recipient, u64)>),
    /// Move `flagged_upto`; answered by [`Answer::Done`] or [`Answer::Conflict`].
    Advance {
        /// From here.
        from: Option<u64>,
        /// To here.
        to: u64,
    },
}

/// What an engine says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// How far; `None`: it does not know.
    Upto(Option<u64>),
    /// A page, ascending; an empty one is the last.
    Recipients(Vec<Recipient>),
    /// It is done.
    Done,
    /// What stands there is not what was expected.
    Conflict,
}

/// What follows from an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Ask this.
    Call(Call),
    /// The stage stands here.
    Stands(u64),
    /// The stage must begin anew.
    Conflict,
}

/// Why the store's recipients are scanned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scan {
    /// The registry knows nothing: `flagged_upto` is set behind the scan.
    Reset,
    /// A mark may be missing.
    Sweep,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Awaited {
    Flagged,
    Archived(Scan),
    Page { scan: Scan, upto: u64 },
    Set { upto: u64 },
    BatchMarked { from: u64, to: u64 },
    Advanced { to: u64 },
    AdvanceChecked { to: u64 },
}

/// One piece of the stage's work, question by question.
#[derive(Debug)]
pub struct Marking {
    awaited: Awaited,
    /// The last recipient of the page that is being marked.
    marked: Option<Recipient>,
}

impl Marking {
    /// Finds out where the stage stands; where the registry does not know, marks whoever has rows, and says so.
    #[must_use]
    pub fn begin() -> (Self, Call) {
        (Self::awaiting(Awaited::Flagged), Call::FlaggedUpto)
    }

    /// Marks again whoever has rows.
    #[must_use]
    pub fn sweep() -> (Self, Call) {
        (Self::awaiting(Awaited::Archived(Scan::Sweep)), Call::ArchivedUpto)
    }

    /// Marks the recipients of `batch`, all that `parked` has from `from` up to `to`, then moves `flagged_upto`.
    #[must_use]
    pub fn shift(batch: &[Fetched], from: u64, to: u64) -> (Self, Call) {
        (Self::awaiting(Awaited::BatchMarked { from, to }), Call::Mark(marks(batch)))
    }

    fn awaiting(awaited: Awaited) -> Self {
        Self { awaited, marked: None }
    }

    /// Takes the answer to the last call.
    pub fn answer(&mut self, answer: Answer) -> Step {
        let (awaited, call) = match (self.awaited, answer) {
            (Awaited::Flagged, Answer::Upto(Some(upto))) => return Step::Stands(upto),
            (Awaited::Flagged, Answer::Upto(None)) => (Awaited::Archived(Scan::Reset), Call::ArchivedUpto),
            (Awaited::Archived(scan), Answer::Upto(Some(upto))) => {
                (Awaited::Page { scan, upto }, Call::Recipients(None))
            }
            (Awaited::Page { upto, .. }, Answer::Recipients(page)) if !page.is_empty() => {
                self.marked = page.last().cloned();
                (self.awaited, Call::Mark(page.into_iter().map(|recipient| (recipient, upto)).collect()))
            }
            (Awaited::Page { .. }, Answer::Done) => (self.awaited, Call::Recipients(self.marked.take())),
            (Awaited::Page { scan: Scan::Reset, upto }, Answer::Recipients(_)) => {
                (Awaited::Set { upto }, Call::Advance { from: None, to: upto })
            }
            (Awaited::Page { scan: Scan::Sweep, upto }, Answer::Recipients(_)) => return Step::Stands(upto),
            (Awaited::Set { upto }, Answer::Done) => return Step::Stands(upto),
            (Awaited::BatchMarked { from, to }, Answer::Done) => {
                (Awaited::Advanced { to }, Call::Advance { from: Some(from), to })
            }
            (Awaited::Advanced { to }, Answer::Done) => return Step::Stands(to),
            // An advance whose answer was lost has happened.
            (Awaited::Advanced { to }, Answer::Conflict) => {
                (Awaited::AdvanceChecked { to }, Call::FlaggedUpto)
            }
            (Awaited::AdvanceChecked { to }, Answer::Upto(Some(upto))) if upto == to => {
                return Step::Stands(to);
            }
            // A conflict, or an answer to another question.
            (_, Answer::Upto(_) | Answer::Recipients(_) | Answer::Done | Answer::Conflict) => {
                return Step::Conflict;
            }
        };
        self.awaited = awaited;
        Step::Call(call)
    }
}

/// The highest offset of each recipient, and one more. A record without a readable key has no recipient to mark; the rows
/// stage makes a dead letter of it.
fn marks(batch: &[Fetched]) -> Vec<(Recipient, u64)> {
    let mut upto: BTreeMap<Recipient, u64> = BTreeMap::new();
    for record in batch {
        let key = std::str::from_utf8(&record.entry.key).ok();
        if let Some(recipient) = key.and_then(|key| Recipient::parse_key(key).ok()) {
            upto.insert(recipient, record.offset + 1);
        }
    }
    upto.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use shared::clock::Timestamp;
    use shared::log::Entry;
    use shared::position::PartitionId;

    use super::*;

    fn recipient(name: &str) -> Recipient {
        Recipient::parse_key(&format!("acme/{name}")).unwrap()
    }

    fn parked(key: &str, offset: u64) -> Fetched {
        let entry = Entry { key: key.to_owned().into(), ..Entry::default() };
        Fetched { partition: PartitionId(0), offset, timestamp: Timestamp::from_millis(1), entry }
    }

    #[test]
    fn every_recipient_is_marked_before_flagged_upto_moves_over_it() {
        let batch = [parked("acme/alice", 4), parked("acme/bob", 5), parked("acme/alice", 7), parked("?", 8)];
        let (mut marking, call) = Marking::shift(&batch, 4, 9);
        assert_eq!(call, Call::Mark(vec![(recipient("alice"), 8), (recipient("bob"), 6)]));
        assert_eq!(marking.answer(Answer::Done), Step::Call(Call::Advance { from: Some(4), to: 9 }));
        assert_eq!(marking.answer(Answer::Done), Step::Stands(9));
    }

    #[test]
    fn an_advance_whose_answer_was_lost_has_happened_and_any_other_conflict_begins_anew() {
        for (found, then) in [(Some(9), Step::Stands(9)), (Some(4), Step::Conflict), (None, Step::Conflict)] {
            let (mut marking, _) = Marking::shift(&[], 4, 9);
            marking.answer(Answer::Done);
            assert_eq!(marking.answer(Answer::Conflict), Step::Call(Call::FlaggedUpto));
            assert_eq!(marking.answer(Answer::Upto(found)), then);
        }
    }

    #[test]
    fn a_registry_that_knows_nothing_is_told_only_after_whoever_has_rows_is_marked() {
        let (mut marking, call) = Marking::begin();
        assert_eq!(call, Call::FlaggedUpto);
        assert_eq!(marking.answer(Answer::Upto(None)), Step::Call(Call::ArchivedUpto));
        assert_eq!(marking.answer(Answer::Upto(Some(6))), Step::Call(Call::Recipients(None)));
        let page = Answer::Recipients(vec![recipient("alice"), recipient("bob")]);
        let marks = vec![(recipient("alice"), 6), (recipient("bob"), 6)];
        assert_eq!(marking.answer(page), Step::Call(Call::Mark(marks)));
        assert_eq!(marking.answer(Answer::Done), Step::Call(Call::Recipients(Some(recipient("bob")))));
        let set = Call::Advance { from: None, to: 6 };
        assert_eq!(marking.answer(Answer::Recipients(Vec::new())), Step::Call(set));
        assert_eq!(marking.answer(Answer::Conflict), Step::Conflict);
    }

    #[test]
    fn a_sweep_moves_nothing() {
        let (mut marking, call) = Marking::sweep();
        assert_eq!(call, Call::ArchivedUpto);
        assert_eq!(marking.answer(Answer::Upto(Some(6))), Step::Call(Call::Recipients(None)));
        assert_eq!(marking.answer(Answer::Recipients(Vec::new())), Step::Stands(6));
    }
}
