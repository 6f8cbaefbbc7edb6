//! Checks of [`Flags`].

use super::super::{Error, Flag, FlagReading, Flags, Nodes, Routes};
use super::{leased, recipient, route};
use crate::position::PartitionId;
use crate::recipient::Recipient;

/// All checks.
pub async fn all(routes: &dyn Routes, nodes: &dyn Nodes, flags: &dyn Flags) {
    no_entry_reads_unknown(flags).await;
    a_version_never_shrinks(flags).await;
    a_mark_between_read_and_clear_wins(flags).await;
    an_absent_entry_is_cleared_at_zero_only(flags).await;
    a_flag_and_routes_live_beside_each_other(routes, nodes, flags).await;
    clear_answers_in_the_order_asked(flags).await;
    advance_compares_before_it_sets(flags).await;
    numbers_beyond_53_bits_are_exact(flags).await;
    tenants_never_see_each_other(flags).await;
}

/// A partition that no other check uses.
fn partition() -> PartitionId {
    PartitionId(rand::random())
}

async fn read(flags: &dyn Flags, recipient: &Recipient) -> FlagReading {
    flags.read(&[(recipient.clone(), partition())]).await.expect("read").remove(0)
}

async fn clear(flags: &dyn Flags, recipient: &Recipient, version: u64) -> bool {
    flags.clear(&[(recipient.clone(), version)]).await.expect("clear").remove(0)
}

const fn reading(flag: Flag, version: u64) -> FlagReading {
    FlagReading { flag, version, flagged_upto: None }
}

/// Unknown, version zero, progress unknown.
pub async fn no_entry_reads_unknown(flags: &dyn Flags) {
    assert_eq!(read(flags, &recipient("alice")).await, reading(Flag::Unknown, 0));
}

/// A late mark with a lower offset marks, and keeps the version.
pub async fn a_version_never_shrinks(flags: &dyn Flags) {
    let alice = recipient("alice");
    flags.mark(&[(alice.clone(), 9), (alice.clone(), 4)]).await.expect("mark");
    assert_eq!(read(flags, &alice).await, reading(Flag::Backlog, 9));
    assert!(clear(flags, &alice, 9).await);
    assert_eq!(read(flags, &alice).await, reading(Flag::Clean, 9));
    flags.mark(&[(alice.clone(), 5)]).await.expect("mark");
    assert_eq!(read(flags, &alice).await, reading(Flag::Backlog, 9));
}

/// A clear that read before a mark does not erase the mark; repeating a clear is harmless.
pub async fn a_mark_between_read_and_clear_wins(flags: &dyn Flags) {
    let alice = recipient("alice");
    flags.mark(&[(alice.clone(), 3)]).await.expect("mark");
    let seen = read(flags, &alice).await.version;
    flags.mark(&[(alice.clone(), 4)]).await.expect("mark");
    assert!(!clear(flags, &alice, seen).await);
    assert_eq!(read(flags, &alice).await, reading(Flag::Backlog, 4));
    assert!(clear(flags, &alice, 4).await);
    assert!(clear(flags, &alice, 4).await);
    assert!(!clear(flags, &alice, 3).await);
    assert_eq!(read(flags, &alice).await, reading(Flag::Clean, 4));
}

/// Zero stands for no entry.
pub async fn an_absent_entry_is_cleared_at_zero_only(flags: &dyn Flags) {
    let (alice, bob) = (recipient("alice"), recipient("bob"));
    assert!(!clear(flags, &alice, 7).await);
    assert_eq!(read(flags, &alice).await, reading(Flag::Unknown, 0));
    assert!(clear(flags, &alice, 0).await);
    assert_eq!(read(flags, &alice).await, reading(Flag::Clean, 0));
    flags.mark(&[(bob.clone(), 1)]).await.expect("mark");
    assert!(!clear(flags, &bob, 0).await);
}

/// Neither side of an entry disturbs the other.
pub async fn a_flag_and_routes_live_beside_each_other(
    routes: &dyn Routes,
    nodes: &dyn Nodes,
    flags: &dyn Flags,
) {
    let (alice, node) = (recipient("alice"), leased(nodes).await);
    let (first, second) = (route(node), route(node));
    routes.register(&[(alice.clone(), first)]).await.expect("register");
    assert!(clear(flags, &alice, 0).await, "routes alone are no flag");
    flags.mark(&[(alice.clone(), 12)]).await.expect("mark");
    routes.register(&[(alice.clone(), second)]).await.expect("register");
    assert_eq!(routes.lookup(std::slice::from_ref(&alice)).await.expect("lookup"), [vec![first, second]]);
    assert_eq!(read(flags, &alice).await, reading(Flag::Backlog, 12));
    routes.remove(&[(alice.clone(), first), (alice.clone(), second)]).await.expect("remove");
    assert_eq!(read(flags, &alice).await, reading(Flag::Backlog, 12));
}

/// Answers stand where their questions stood.
pub async fn clear_answers_in_the_order_asked(flags: &dyn Flags) {
    let all: Vec<_> = (1..=100_u64).map(|n| (recipient(&format!("r{n}")), n)).collect();
    flags.mark(&all).await.expect("mark");
    let asked: Vec<_> = all.iter().map(|(recipient, n)| (recipient.clone(), n - n % 2)).collect();
    let expected: Vec<_> = all.iter().map(|(_, n)| n % 2 == 0).collect();
    assert_eq!(flags.clear(&asked).await.expect("clear"), expected);
}

/// Progress moves only from where the caller believes it to be, and is read beside the flag.
pub async fn advance_compares_before_it_sets(flags: &dyn Flags) {
    let (here, alice) = (partition(), recipient("alice"));
    assert_eq!(flags.flagged_upto(here).await.expect("flagged_upto"), None);
    assert!(matches!(flags.advance(here, Some(0), 5).await, Err(Error::Conflict)));
    flags.advance(here, None, 5).await.expect("advance");
    assert!(matches!(flags.advance(here, None, 6).await, Err(Error::Conflict)));
    assert!(matches!(flags.advance(here, Some(4), 6).await, Err(Error::Conflict)));
    flags.advance(here, Some(5), 6).await.expect("advance");
    assert_eq!(flags.flagged_upto(here).await.expect("flagged_upto"), Some(6));
    let seen = flags.read(&[(alice.clone(), here), (alice, partition())]).await.expect("read");
    assert_eq!(seen.iter().map(|reading| reading.flagged_upto).collect::<Vec<_>>(), [Some(6), None]);
}

/// No adapter squeezes an offset through a floating-point number.
pub async fn numbers_beyond_53_bits_are_exact(flags: &dyn Flags) {
    let (here, alice, big) = (partition(), recipient("alice"), (1_u64 << 53) + 1);
    flags
        .mark(&[(alice.clone(), big - 1), (alice.clone(), big), (alice.clone(), big - 1)])
        .await
        .expect("mark");
    assert_eq!(read(flags, &alice).await, reading(Flag::Backlog, big));
    assert!(!clear(flags, &alice, big - 1).await);
    flags.advance(here, None, big).await.expect("advance");
    assert!(matches!(flags.advance(here, Some(big - 1), big).await, Err(Error::Conflict)));
    assert_eq!(flags.flagged_upto(here).await.expect("flagged_upto"), Some(big));
}

/// The same name in two tenants is two recipients.
pub async fn tenants_never_see_each_other(flags: &dyn Flags) {
    let (here, there) = (recipient("alice"), recipient("alice"));
    flags.mark(&[(here, 5)]).await.expect("mark");
    assert_eq!(read(flags, &there).await, reading(Flag::Unknown, 0));
}
