//! What a node holds at most, and what is left when sessions are over: nothing.

use std::time::Duration;

use postrider_distributor::hub::{ClosingReason, Refused};
use postrider_distributor::session::State;
use shared::position::{Cursor, Epoch, PartitionId};
use shared::registry::Nodes as _;

use crate::node::{Running, opened, quick, recipient, until};

#[tokio::test]
async fn a_node_holds_as_many_sessions_as_it_may_and_no_more() {
    let mut config = quick();
    config.caps.sessions = 2;
    let node = Running::start_with(config).await;
    let (first, _second) = (node.open(&recipient("a")), node.open(&recipient("b")));
    assert_eq!(node.hub.open(opened(&recipient("c"))).unwrap_err(), Refused::Full);
    first.end();
    node.open(&recipient("c"));
    assert_eq!(node.hub.len(), 2);
}

#[tokio::test]
async fn a_recipient_has_as_many_sessions_as_it_may_and_no_more() {
    let mut config = quick();
    config.caps.per_recipient = 2;
    let node = Running::start_with(config).await;
    let alice = recipient("alice");
    let (first, second) = (node.open(&alice), node.open(&alice));
    assert_eq!(node.hub.open(opened(&alice)).unwrap_err(), Refused::RecipientFull);
    assert_eq!(node.hub.len(), 2, "a refused session takes no place");
    let ids: Vec<_> = node.hub.sessions_of(&alice).iter().map(|handle| handle.id()).collect();
    assert_eq!(ids, [first.id(), second.id()]);
    first.end();
    node.open(&alice);
}

#[tokio::test]
async fn nothing_is_left_of_sessions_that_are_over() {
    let node = Running::start().await;
    let alice = recipient("alice");
    let handles: Vec<_> = (0..3).map(|_| node.open(&alice)).collect();
    until("the routes stand", || handles.iter().all(|handle| handle.state() == State::Live)).await;
    assert_eq!(node.registry.routes(&alice).await.len(), 3);
    for handle in handles {
        handle.end();
        handle.end();
    }
    assert!(node.hub.is_empty());
    assert!(node.hub.sessions_of(&alice).is_empty());
    let begun = tokio::time::Instant::now();
    while !node.registry.routes(&alice).await.is_empty() {
        assert!(begun.elapsed() < crate::node::PATIENCE, "a route is left");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_cursor_that_cannot_be_this_recipients_is_ignored_and_said_so() {
    let node = Running::start().await;
    let alice = recipient("alice");
    let own = node.hub.partition_of(&alice);
    let cursors = [
        (Epoch(2), own, false),
        (Epoch(1), own, false),
        (Epoch(3), own, true),
        (Epoch(2), PartitionId(own.0 + 1), true),
    ];
    for (epoch, partition, ignored) in cursors {
        let cursor = Cursor { epoch, partition, next: 9 };
        let handle = node
            .hub
            .open(postrider_distributor::hub::Opened { cursor: Some(cursor), ..opened(&alice) })
            .unwrap();
        assert_eq!(handle.cursor_ignored(), ignored, "{cursor:?}");
        assert_eq!(handle.cursor().next, if ignored { 0 } else { 9 });
        assert_eq!(handle.acknowledge_cursor(cursor).is_err(), ignored);
        handle.end();
    }
}

#[tokio::test]
async fn a_stopping_node_tells_its_clients_waits_and_leaves_nothing_behind() {
    let node = Running::start().await;
    let (alice, bob) = (recipient("alice"), recipient("bob"));
    let (polite, deaf) = (node.live(&alice).await, node.live(&bob).await);
    node.shutdown.begin();
    polite.ready().await;
    let closing = polite.closing().unwrap();
    assert_eq!(closing.reason, ClosingReason::Shutdown);
    assert!(closing.after <= Duration::from_millis(100));
    assert_eq!(node.hub.open(opened(&alice)).unwrap_err(), Refused::Draining);
    polite.end();
    until("the limit ends the other", || deaf.state() == State::Closed).await;
    let registry = node.registry.clone();
    node.stop().await;
    assert!(registry.nodes().await.unwrap().is_empty(), "the lease is released");
    assert!(registry.routes(&alice).await.is_empty() && registry.routes(&bob).await.is_empty());
}
