//! Checks of what is left when the registry loses its content. Each needs a registry that nobody else uses.

use super::super::{Entered, Error, Flag, Flags, Mark, Node, Nodes, Routes};
use super::{LONG, recipient, route};
use crate::delivery::NodeId;
use crate::position::PartitionId;

/// Makes a registry lose everything.
#[async_trait::async_trait]
pub trait Wipe: Send + Sync {
    /// Returns once nothing is left.
    async fn wipe(&self);
}

/// All checks, one after the other.
pub async fn all(routes: &dyn Routes, nodes: &dyn Nodes, flags: &dyn Flags, engine: &dyn Wipe) {
    the_epoch_changes(nodes, engine).await;
    routes_and_flags_are_gone_and_can_be_entered_again(routes, nodes, flags, engine).await;
    a_clear_that_read_before_the_wipe_does_nothing(flags, engine).await;
    progress_starts_over(flags, engine).await;
    who_remembers_routes_is_told_to_forget_them(routes, nodes, engine).await;
}

/// A mark from before is recognised, whatever was entered since.
pub async fn who_remembers_routes_is_told_to_forget_them(
    routes: &dyn Routes,
    nodes: &dyn Nodes,
    engine: &dyn Wipe,
) {
    let node = Node { id: NodeId::random(), address: "a:1".into() };
    nodes.renew(&node, LONG).await.expect("renew");
    routes.register(&[(recipient("alice"), route(node.id))]).await.expect("register");
    let (_, mark) = routes.entered(&Mark::default()).await.expect("entered");
    engine.wipe().await;
    assert_eq!(routes.entered(&mark).await.expect("entered").0, Entered::Any);
    for _ in 0..3 {
        routes.register(&[(recipient("bob"), route(node.id))]).await.expect("register");
        assert_eq!(routes.entered(&mark).await.expect("entered").0, Entered::Any);
    }
}

/// So every node knows to announce its sessions again.
pub async fn the_epoch_changes(nodes: &dyn Nodes, engine: &dyn Wipe) {
    let node = Node { id: NodeId::random(), address: "a:1".into() };
    let before = nodes.renew(&node, LONG).await.expect("renew");
    engine.wipe().await;
    let after = nodes.renew(&node, LONG).await.expect("renew");
    assert_ne!(before, after);
    assert_eq!(nodes.renew(&node, LONG).await.expect("renew"), after);
}

/// Nothing of the old content is remembered anywhere.
pub async fn routes_and_flags_are_gone_and_can_be_entered_again(
    routes: &dyn Routes,
    nodes: &dyn Nodes,
    flags: &dyn Flags,
    engine: &dyn Wipe,
) {
    let node = Node { id: NodeId::random(), address: "a:1".into() };
    let (alice, here) = (recipient("alice"), route(node.id));
    nodes.renew(&node, LONG).await.expect("renew");
    routes.register(&[(alice.clone(), here)]).await.expect("register");
    flags.mark(&[(alice.clone(), 4)]).await.expect("mark");
    engine.wipe().await;
    assert_eq!(routes.lookup(std::slice::from_ref(&alice)).await.expect("lookup"), [vec![]]);
    let seen = flags.read(&[(alice.clone(), PartitionId(0))]).await.expect("read").remove(0);
    assert_eq!((seen.flag, seen.version), (Flag::Unknown, 0));
    nodes.renew(&node, LONG).await.expect("renew");
    routes.register(&[(alice.clone(), here)]).await.expect("register");
    assert_eq!(routes.lookup(&[alice]).await.expect("lookup"), [vec![here]]);
}

/// A version from before proves nothing after.
pub async fn a_clear_that_read_before_the_wipe_does_nothing(flags: &dyn Flags, engine: &dyn Wipe) {
    let alice = recipient("alice");
    flags.mark(&[(alice.clone(), 4)]).await.expect("mark");
    engine.wipe().await;
    assert_eq!(flags.clear(&[(alice.clone(), 4)]).await.expect("clear"), [false]);
    let seen = flags.read(&[(alice, PartitionId(0))]).await.expect("read").remove(0);
    assert_eq!((seen.flag, seen.flagged_upto), (Flag::Unknown, None));
}

/// The flags stage notices.
pub async fn progress_starts_over(flags: &dyn Flags, engine: &dyn Wipe) {
    let here = PartitionId(rand::random());
    flags.advance(here, None, 3).await.expect("advance");
    engine.wipe().await;
    assert!(matches!(flags.advance(here, Some(3), 4).await, Err(Error::Conflict)));
    assert_eq!(flags.flagged_upto(here).await.expect("flagged_upto"), None);
    flags.advance(here, None, 4).await.expect("advance");
}
