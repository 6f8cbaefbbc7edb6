//! The rules of the ledger, with every fault planted.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn id(n: u32) -> Vec<u8> {
    format!("019ab3c4-5d6e-7f80-9a1b-{n:012}").into_bytes()
}

fn entries(numbers: &[u32]) -> Entries {
    let mut entries = Entries::default();
    for n in numbers {
        entries.enter(*n, &id(*n));
    }
    entries
}

fn balance(accepted: &[u32], came: &[u32]) -> Balance {
    let mut balance = Balance::default();
    balance.add(&entries(accepted), &entries(came));
    balance
}

#[test]
fn everything_once_and_in_order_is_sound() {
    let balance = balance(&[0, 1, 2, 3], &[0, 1, 2, 3]);
    assert!(balance.sound(), "{balance:?}");
    assert_eq!((balance.accepted, balance.acknowledged, balance.faults().as_str()), (4, 4, ""));
}

#[test]
fn a_planted_loss_is_found() {
    let balance = balance(&[0, 1, 2, 3], &[0, 1, 3]);
    assert_eq!((balance.lost, balance.out_of_order), (1, 0));
    assert!(!balance.sound());
    assert_eq!(balance.faults(), "1 lost");
}

#[test]
fn a_planted_duplicate_is_found() {
    let balance = balance(&[0, 1, 2], &[0, 1, 1, 2]);
    assert_eq!((balance.duplicated, balance.lost), (1, 0));
    assert!(!balance.sound());
}

#[test]
fn a_planted_disorder_is_found() {
    let balance = balance(&[0, 1, 2, 3], &[0, 2, 1, 3]);
    assert_eq!((balance.out_of_order, balance.lost, balance.duplicated), (1, 0, 0));
    assert!(!balance.sound());
}

#[test]
fn a_planted_id_is_found() {
    let mut came = entries(&[0, 1]);
    came.enter(2, &id(7));
    let mut balance = Balance::default();
    balance.add(&entries(&[0, 1, 2]), &came);
    assert_eq!(balance.changed, 1);
    assert!(!balance.sound());
}

#[test]
fn what_was_refused_need_not_come_but_what_was_not_accepted_is_seen() {
    let refused = balance(&[0, 2], &[0, 2]);
    assert_eq!((refused.lost, refused.out_of_order, refused.unaccounted), (0, 0, 0));
    assert_eq!(balance(&[0, 2], &[0, 1, 2]).unaccounted, 1);
}

#[test]
fn other_faults_are_none_of_a_sound_load() {
    for faulty in [
        Balance { refused: 1, ..Balance::default() },
        Balance { unanswered: 1, ..Balance::default() },
        Balance { dropped: 1, ..Balance::default() },
        Balance { unconfirmed: 1, ..Balance::default() },
        Balance { gaps: 1, ..Balance::default() },
    ] {
        assert!(!faulty.sound(), "{faulty:?}");
        assert!(!faulty.faults().is_empty());
    }
}

proptest! {
    #[test]
    fn numbers_are_a_set(numbers in prop::collection::vec(0_u32..64, 0..128), others in prop::collection::vec(0_u32..64, 0..64)) {
        let (mut ours, mut theirs, mut set) = (Numbers::default(), Numbers::default(), BTreeSet::new());
        for n in &numbers {
            let expected = match (set.contains(n), set.last().is_some_and(|last| last > n)) {
                (true, _) => Came::Again,
                (false, true) => Came::Late,
                (false, false) => Came::InOrder,
            };
            prop_assert_eq!(ours.enter(*n), expected);
            set.insert(*n);
        }
        others.iter().for_each(|n| { theirs.enter(*n); });
        prop_assert_eq!(ours.count(), set.len() as u64);
        prop_assert!(ours.0.windows(2).all(|two| two[0].1 < two[1].0), "{:?}", ours);
        let shared = others.iter().collect::<BTreeSet<_>>().into_iter().filter(|n| set.contains(n)).count();
        prop_assert_eq!(ours.shared(&theirs), shared as u64);
    }
}
