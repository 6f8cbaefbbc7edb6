//! Whose turn it is: which of the requeues that are asked for are appended together. Pure.

use std::collections::{HashSet, VecDeque};

use shared::position::Position;
use shared::store::Requested;

/// At most `most` of `asked`, which come tenant by tenant and by position in each: one of each tenant in turn, at most one of
/// each recipient, and together at most `bytes`, but for a single one that is larger.
pub(super) fn select(asked: &[Requested], most: usize, bytes: u64) -> Vec<Position> {
    let mut tenants: VecDeque<VecDeque<&Requested>> =
        asked.chunk_by(|one, next| one.tenant == next.tenant).map(|own| own.iter().collect()).collect();
    let (mut chosen, mut recipients, mut left) = (Vec::new(), HashSet::new(), bytes);
    while let Some(mut own) = tenants.pop_front() {
        let Some(next) = own.pop_front_until(|one| recipients.insert(one.key.as_str())) else { continue };
        if chosen.len() >= most || (!chosen.is_empty() && next.size_bytes > left) {
            break;
        }
        left = left.saturating_sub(next.size_bytes);
        chosen.push(next.position);
        tenants.push_back(own);
    }
    chosen
}

trait PopUntil<T> {
    /// Takes from the front until one `fits`, and answers that.
    fn pop_front_until(&mut self, fits: impl FnMut(&T) -> bool) -> Option<T>;
}

impl<T> PopUntil<T> for VecDeque<T> {
    fn pop_front_until(&mut self, mut fits: impl FnMut(&T) -> bool) -> Option<T> {
        while let Some(one) = self.pop_front() {
            if fits(&one) {
                return Some(one);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use shared::position::{Epoch, PartitionId};
    use shared::recipient::Recipient;

    use super::*;

    /// `key:offset` and, behind another colon, a size.
    fn asked(all: &[&str]) -> Vec<Requested> {
        let read = |text: &&str| {
            let mut parts = text.split(':');
            let key = parts.next().unwrap();
            let mut number = || parts.next().map_or(1, |number| number.parse().unwrap());
            let position = Position { epoch: Epoch(1), partition: PartitionId(0), offset: number() };
            let tenant = Recipient::parse_key(key).unwrap().tenant;
            Requested { position, tenant, key: key.into(), size_bytes: number() }
        };
        all.iter().map(read).collect()
    }

    fn offsets(asked: &[Requested], most: usize, bytes: u64) -> Vec<u64> {
        select(asked, most, bytes).into_iter().map(|position| position.offset).collect()
    }

    #[test]
    fn tenants_take_turns() {
        let asked = asked(&["a/1:1", "a/2:2", "a/3:3", "b/1:4", "c/1:5", "c/2:6"]);
        assert_eq!(offsets(&asked, 100, 100), [1, 4, 5, 2, 6, 3]);
        assert_eq!(offsets(&asked, 4, 100), [1, 4, 5, 2]);
    }

    #[test]
    fn a_recipient_has_its_lowest_position_under_way_and_no_other() {
        let asked = asked(&["a/1:1", "a/1:2", "a/2:3", "a/1:4"]);
        assert_eq!(offsets(&asked, 100, 100), [1, 3]);
    }

    #[test]
    fn bytes_are_bounded_but_the_largest_goes_alone() {
        let large = asked(&["a/1:1:50", "a/2:2:1", "b/1:3:60", "b/2:4:1"]);
        assert_eq!(offsets(&large, 100, 100), [1]);
        assert_eq!(offsets(&asked(&["a/1:1:500", "a/2:2:1"]), 100, 100), [1]);
        assert_eq!(offsets(&[], 100, 100), [] as [u64; 0]);
    }
}
