//! Checks of [`Nodes`].

use std::time::Duration;

use super::super::{Node, Nodes, Routes};
use super::{LONG, Pass, leased, recipient, route};
use crate::delivery::NodeId;

/// All checks.
pub async fn all(routes: &dyn Routes, nodes: &dyn Nodes, time: &dyn Pass) {
    a_lease_is_listed_until_it_is_released(nodes).await;
    a_renewal_carries_the_newest_address(nodes).await;
    every_renewal_answers_the_same_epoch(nodes).await;
    a_lease_ends_by_itself(routes, nodes, time).await;
    a_renewed_lease_does_not_end(nodes, time).await;
}

async fn addresses(nodes: &dyn Nodes, id: NodeId) -> Vec<String> {
    let listed = nodes.nodes().await.expect("nodes");
    listed.into_iter().filter(|node| node.id == id).map(|node| node.address).collect()
}

/// Renew, list, release, gone.
pub async fn a_lease_is_listed_until_it_is_released(nodes: &dyn Nodes) {
    let id = leased(nodes).await;
    assert_eq!(addresses(nodes, id).await, [format!("{id}.test:1")]);
    nodes.release(id).await.expect("release");
    nodes.release(id).await.expect("release again");
    assert!(addresses(nodes, id).await.is_empty());
}

/// An address, whatever characters it has, is answered as it was given last.
pub async fn a_renewal_carries_the_newest_address(nodes: &dyn Nodes) {
    let id = leased(nodes).await;
    nodes.renew(&Node { id, address: "[::1]:7|x".into() }, LONG).await.expect("renew");
    assert_eq!(addresses(nodes, id).await, ["[::1]:7|x"]);
}

/// As long as nothing was lost.
pub async fn every_renewal_answers_the_same_epoch(nodes: &dyn Nodes) {
    let (one, other) = (NodeId::random(), NodeId::random());
    let first = nodes.renew(&Node { id: one, address: "a:1".into() }, LONG).await.expect("renew");
    let second = nodes.renew(&Node { id: other, address: "b:1".into() }, LONG).await.expect("renew");
    assert_eq!(first, second);
}

/// A node that stops renewing stops being a route, everywhere, within a second of its lease.
pub async fn a_lease_ends_by_itself(routes: &dyn Routes, nodes: &dyn Nodes, time: &dyn Pass) {
    let (id, alice) = (NodeId::random(), recipient("alice"));
    nodes.renew(&Node { id, address: "a:1".into() }, Duration::from_millis(300)).await.expect("renew");
    routes.register(&[(alice.clone(), route(id))]).await.expect("register");
    for _ in 0..200 {
        let reached = routes.lookup(std::slice::from_ref(&alice)).await.expect("lookup");
        if addresses(nodes, id).await.is_empty() && reached == [vec![]] {
            return;
        }
        time.pass(Duration::from_millis(50)).await;
    }
    assert!(addresses(nodes, id).await.is_empty(), "the lease never ended");
    assert_eq!(routes.lookup(&[alice]).await.expect("lookup"), [vec![]], "the route never ended");
}

/// Renewals in time keep it.
pub async fn a_renewed_lease_does_not_end(nodes: &dyn Nodes, time: &dyn Pass) {
    let node = Node { id: NodeId::random(), address: "a:1".into() };
    for _ in 0..8 {
        nodes.renew(&node, Duration::from_secs(5)).await.expect("renew");
        time.pass(Duration::from_millis(100)).await;
        assert_eq!(addresses(nodes, node.id).await, ["a:1"]);
    }
}
