//! Which member of a group gets which partition. Pure; called by the group whenever its members change.

/// The owner of each partition: as even as can be, and moving as little as that allows. `owned` tells who has each
/// partition now; `members` is in ascending order. Nobody gets anything when there are no members.
pub(super) fn balance(owned: &[Option<u64>], members: &[u64]) -> Vec<Option<u64>> {
    let mut target = vec![None; owned.len()];
    if members.is_empty() {
        return target;
    }
    let (share, mut extra) = (owned.len() / members.len(), owned.len() % members.len());
    // Whoever has most keeps one of the odd ones, so that a stable group stays as it is.
    let mut ranked: Vec<(u64, usize)> = members
        .iter()
        .map(|member| (*member, owned.iter().filter(|owner| **owner == Some(*member)).count()))
        .collect();
    ranked.sort_by_key(|(_, held)| std::cmp::Reverse(*held));
    let mut free: Vec<(u64, usize)> = Vec::with_capacity(members.len());
    for (member, _) in ranked {
        let mut quota = share + usize::from(extra > 0);
        extra = extra.saturating_sub(1);
        for (slot, owner) in target.iter_mut().zip(owned) {
            if quota > 0 && *owner == Some(member) {
                *slot = Some(member);
                quota -= 1;
            }
        }
        free.push((member, quota));
    }
    let mut takers = free.into_iter().flat_map(|(member, quota)| std::iter::repeat_n(member, quota));
    for slot in target.iter_mut().filter(|slot| slot.is_none()) {
        *slot = takers.next();
    }
    target
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn everybody_gets_an_even_share_and_nothing_moves_needlessly(
            owned in proptest::collection::vec(proptest::option::of(0_u64..6), 1..40),
            members in proptest::collection::btree_set(0_u64..6, 1..6),
        ) {
            let members: Vec<u64> = members.into_iter().collect();
            let target = balance(&owned, &members);
            let held = |of: &[Option<u64>], member| of.iter().filter(|owner| **owner == Some(member)).count();
            prop_assert!(target.iter().all(|owner| owner.is_some_and(|member| members.contains(&member))));
            let counts: Vec<usize> = members.iter().map(|member| held(&target, *member)).collect();
            prop_assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1);
            for member in &members {
                let kept = target.iter().zip(&owned).filter(|(to, from)| to == from && **to == Some(*member)).count();
                prop_assert_eq!(kept, held(&owned, *member).min(held(&target, *member)));
            }
            prop_assert_eq!(balance(&target, &members), target);
        }
    }
}
