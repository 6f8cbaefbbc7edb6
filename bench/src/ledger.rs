//! The ledger: for every recipient which of its notifications were accepted, and which came to its client how. Sets of
//! consecutive numbers and a sum over all ids, so that a recipient takes some dozens of bytes however much it gets. Pure.

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

/// Numbers from 0, as ranges in ascending order that do not touch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Numbers(SmallVec<[(u32, u32); 1]>);

/// How a number came to those before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Came {
    /// Above all of them.
    InOrder,
    /// New, below one that came before.
    Late,
    /// Known.
    Again,
}

impl Numbers {
    /// Enters `n`.
    pub fn enter(&mut self, n: u32) -> Came {
        match self.0.last_mut() {
            Some((_, end)) if *end == n => {
                *end += 1;
                Came::InOrder
            }
            Some((_, end)) if *end > n => self.enter_below(n),
            _none_or_above => {
                self.0.push((n, n + 1));
                Came::InOrder
            }
        }
    }

    fn enter_below(&mut self, n: u32) -> Came {
        // The first range that ends above it.
        let at = self.0.partition_point(|(_, end)| *end <= n);
        if self.0.get(at).is_none_or(|(start, _)| *start <= n) {
            return Came::Again;
        }
        let joins_before = at > 0 && self.0[at - 1].1 == n;
        let joins_after = self.0[at].0 == n + 1;
        match (joins_before, joins_after) {
            (true, true) => {
                self.0[at - 1].1 = self.0[at].1;
                self.0.remove(at);
            }
            (true, false) => self.0[at - 1].1 += 1,
            (false, true) => self.0[at].0 = n,
            (false, false) => self.0.insert(at, (n, n + 1)),
        }
        Came::Late
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.iter().map(|(start, end)| u64::from(end - start)).sum()
    }

    /// How many of these `others` has as well.
    #[must_use]
    pub fn shared(&self, others: &Self) -> u64 {
        let (mut mine, mut theirs) = (self.0.iter().peekable(), others.0.iter().peekable());
        let mut shared = 0;
        while let (Some((a, b)), Some((c, d))) = (mine.peek(), theirs.peek()) {
            shared += u64::from((*b).min(*d).saturating_sub((*a).max(*c)));
            if b <= d {
                mine.next()
            } else {
                theirs.next()
            };
        }
        shared
    }
}

/// One side's entries of one recipient.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entries {
    /// Which came, or were accepted.
    pub numbers: Numbers,
    /// A sum over their ids and numbers: the same on both sides when everything came under the id that was answered.
    pub sum: u64,
    /// How many came again.
    pub duplicates: u32,
    /// How many came behind one that was sent after them.
    pub late: u32,
    /// How many were announced never to come.
    pub gaps: u32,
}

impl Entries {
    /// Enters a notification by its number and id.
    pub fn enter(&mut self, n: u32, id: &[u8]) -> Came {
        let came = self.numbers.enter(n);
        match came {
            Came::Again => self.duplicates += 1,
            Came::Late | Came::InOrder => self.sum = self.sum.wrapping_add(mark(n, id)),
        }
        self.late += u32::from(came == Came::Late);
        came
    }
}

/// A number that differs for any two ids or numbers, as well as 64 bits can.
fn mark(n: u32, id: &[u8]) -> u64 {
    let mut mark = u64::from(n) ^ 0x9e37_79b9_7f4a_7c15;
    for part in id.chunks(8) {
        let mut bytes = [0; 8];
        bytes[..part.len()].copy_from_slice(part);
        mark = (mark ^ u64::from_le_bytes(bytes)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        mark ^= mark >> 32;
    }
    mark
}

/// What became of a load.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Balance {
    /// 202.
    pub accepted: u64,
    /// Of the accepted ones, those that a client got and acknowledged.
    pub acknowledged: u64,
    /// Accepted and never seen.
    pub lost: u64,
    /// Came more than once.
    pub duplicated: u64,
    /// Came behind a later one of the same recipient.
    pub out_of_order: u64,
    /// Announced never to come: expired, over quota.
    pub gaps: u64,
    /// Came without having been accepted; the answers to as many may have been lost.
    pub unaccounted: u64,
    /// Recipients whose notifications came under other ids than those that were answered.
    pub changed: u64,
    /// Answered with a problem.
    pub refused: u64,
    /// Asked and never answered.
    pub unanswered: u64,
    /// Connections that ended before they should.
    pub dropped: u64,
    /// Acknowledgements that the distributor did not confirm.
    pub unconfirmed: u64,
}

impl Balance {
    /// Adds one recipient: what its producer was answered, what its client got.
    pub fn add(&mut self, accepted: &Entries, came: &Entries) {
        let shared = accepted.numbers.shared(&came.numbers);
        self.accepted += accepted.numbers.count();
        self.acknowledged += shared;
        self.lost += accepted.numbers.count() - shared;
        self.unaccounted += came.numbers.count() - shared;
        self.duplicated += u64::from(came.duplicates);
        self.out_of_order += u64::from(came.late);
        self.gaps += u64::from(came.gaps);
        self.changed += u64::from(accepted.numbers == came.numbers && accepted.sum != came.sum);
    }

    /// Whether everything was accepted and acknowledged once and in order.
    #[must_use]
    pub fn sound(&self) -> bool {
        let Self { accepted, acknowledged, .. } = *self;
        let sound = Self { accepted, acknowledged, ..Self::default() };
        *self == sound && accepted == acknowledged
    }

    /// What was wrong, in words.
    #[must_use]
    pub fn faults(&self) -> String {
        let counts = [
            (self.lost, "lost"),
            (self.duplicated, "duplicated"),
            (self.out_of_order, "out of order"),
            (self.gaps, "announced never to come"),
            (self.unaccounted, "never accepted"),
            (self.changed, "recipients with changed ids"),
            (self.refused, "refused"),
            (self.unanswered, "unanswered"),
            (self.dropped, "connections dropped"),
            (self.unconfirmed, "acknowledgements unconfirmed"),
        ];
        let faults = counts.iter().filter(|(count, _)| *count > 0);
        faults.map(|(count, what)| format!("{count} {what}")).collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
#[path = "ledger/tests.rs"]
mod tests;
