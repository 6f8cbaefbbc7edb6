//! Engines that are away, and a registry that lost what it knew.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use postrider_distributor::session::{Frame, State};
use shared::registry::{Flag, Flags as _, Routes as _};

use crate::engines::{Log, PARTITIONS, Registry, Store};
use crate::node::{PATIENCE, Running, notifications, quick, recipient, row, until};

async fn until_routed(node: &Running, name: &str) {
    let begun = tokio::time::Instant::now();
    while node.registry.routes(&recipient(name)).await.is_empty() {
        assert!(begun.elapsed() < PATIENCE, "no route of {name}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_registry_that_lost_everything_is_told_everything_again() {
    let node = Running::start().await;
    let handle = node.live(&recipient("alice")).await;
    until_routed(&node, "alice").await;
    node.registry.inner.forget();
    until_routed(&node, "alice").await;
    assert_eq!(node.registry.routes(&recipient("alice")).await[0].session, handle.id());
}

#[tokio::test]
async fn a_node_that_lost_its_lease_announces_again_and_drains_what_was_parked_meanwhile() {
    let node = Running::start().await;
    let alice = recipient("alice");
    let handle = node.live(&alice).await;
    until_routed(&node, "alice").await;
    let route = node.registry.routes(&alice).await.remove(0);
    node.registry.away.store(true, Ordering::SeqCst);
    let begun = tokio::time::Instant::now();
    while !node.registry.routes(&alice).await.is_empty() {
        assert!(begun.elapsed() < PATIENCE, "the lease never ends");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // What other nodes and directors do to an entry of a node without a lease.
    node.registry.inner.remove(&[(alice.clone(), route)]).await.unwrap();
    node.store.put(row(&node.hub, &alice, 0));
    node.log.parked_end.store(1, Ordering::SeqCst);
    node.store.archive_upto(1);
    node.registry.away.store(false, Ordering::SeqCst);
    until_routed(&node, "alice").await;
    assert_eq!(notifications(&handle, 1).await, [(1, 0)]);
}

#[tokio::test]
async fn without_a_registry_clients_are_welcomed_and_given_what_is_stored() {
    let (registry, store) = (Arc::new(Registry::default()), Arc::new(Store::default()));
    registry.away.store(true, Ordering::SeqCst);
    let node = Running::start_on(registry, store, Arc::new(Log::default()), quick()).await;
    let alice = recipient("alice");
    node.store.put(row(&node.hub, &alice, 0));
    node.store.archive_upto(1);
    let handle = node.open(&alice);
    tokio::time::timeout(PATIENCE, handle.ready()).await.unwrap();
    assert!(matches!(handle.take(1).first(), Some(Frame::Welcome { .. })));
    assert_eq!(notifications(&handle, 1).await, [(1, 0)]);
    handle.acknowledge(1).unwrap();
    // Parked while the registry is still away: nobody pokes.
    node.store.put(row(&node.hub, &alice, 1));
    node.store.archive_upto(2);
    assert_eq!(notifications(&handle, 1).await, [(2, 1)]);
    node.registry.away.store(false, Ordering::SeqCst);
    until_routed(&node, "alice").await;
    until("the session is live", || handle.acknowledge(2).is_ok() && handle.state() == State::Live).await;
}

#[tokio::test]
async fn a_flag_is_cleared_only_when_what_is_behind_the_client_is_deleted() {
    let node = Running::start().await;
    let alice = recipient("alice");
    let row = row(&node.hub, &alice, 0);
    let flag = async || {
        let asked = [(alice.clone(), row.position.partition)];
        node.registry.inner.read(&asked).await.unwrap().remove(0).flag
    };
    node.store.put(row.clone());
    node.store.archive_upto(1);
    node.log.parked_end.store(1, Ordering::SeqCst);
    node.registry.inner.mark(&[(alice.clone(), 1)]).await.unwrap();
    node.registry.inner.advance(row.position.partition, None, 1).await.unwrap();
    node.store.keeps_rows.store(true, Ordering::SeqCst);
    let handle = node.open(&alice);
    assert_eq!(notifications(&handle, 1).await, [(1, 0)]);
    handle.acknowledge(1).unwrap();
    until("deletions are tried", || node.store.deletions.load(Ordering::SeqCst) >= 3).await;
    assert_ne!(flag().await, Flag::Clean, "a node that dies now leaves a row that nobody looks for");
    node.store.keeps_rows.store(false, Ordering::SeqCst);
    let begun = tokio::time::Instant::now();
    while flag().await != Flag::Clean {
        assert!(begun.elapsed() < PATIENCE, "the flag is never cleared");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_live_session_is_fed_from_the_store_while_the_registry_is_away() {
    let node = Running::start().await;
    let alice = recipient("alice");
    let handle = node.live(&alice).await;
    node.registry.away.store(true, Ordering::SeqCst);
    node.store.put(row(&node.hub, &alice, 0));
    node.store.archive_upto(1);
    assert_eq!(notifications(&handle, 1).await, [(1, 0)]);
}

#[tokio::test]
async fn while_the_registry_is_away_the_store_is_asked_for_what_it_has_archived_since_and_no_more() {
    const SESSIONS: usize = 40;
    let (registry, store) = (Arc::new(Registry::default()), Arc::new(Store::default()));
    let node = Running::start_on(registry, store, Arc::new(Log::default()), quick()).await;
    let mut live = Vec::new();
    for number in 0..SESSIONS {
        live.push(node.live(&recipient(&format!("r{number}"))).await);
    }
    node.registry.away.store(true, Ordering::SeqCst);
    let rounds = async |count: usize| {
        let until_looks = node.store.looks.load(Ordering::SeqCst) + count * PARTITIONS as usize;
        until("rounds of the sweep", || node.store.looks.load(Ordering::SeqCst) >= until_looks).await;
    };
    rounds(2).await;
    let before = node.store.pages.load(Ordering::SeqCst);
    rounds(5).await;
    assert_eq!(node.store.pages.load(Ordering::SeqCst), before, "nothing was archived");
    let alice = recipient("r0");
    node.store.put(row(&node.hub, &alice, 0));
    node.store.archive_upto(1);
    assert_eq!(notifications(&live[0], 1).await, [(1, 0)]);
    live[0].acknowledge(1).unwrap();
    rounds(5).await;
    // Once for each, since all partitions went on; one more looks whether what it was sent is all.
    let asked = node.store.pages.load(Ordering::SeqCst) - before;
    assert!((SESSIONS..=SESSIONS + 2).contains(&asked), "{asked} pages for {SESSIONS} sessions");
}

#[tokio::test]
async fn after_a_wipe_every_session_is_announced_once_at_the_stated_rate_and_drains_once() {
    const SESSIONS: usize = 120;
    let mut config = quick();
    config.lease.announce_per_second = 200;
    let node = Running::start_with(config).await;
    let mut live = Vec::new();
    for number in 0..SESSIONS {
        live.push(node.live(&recipient(&format!("r{number}"))).await);
    }
    until("all are registered", || node.registry.registered.load(Ordering::SeqCst) == SESSIONS).await;
    let pages = node.store.pages.load(Ordering::SeqCst);
    // Something was parked for each meanwhile.
    node.log.parked_end.store(1, Ordering::SeqCst);
    node.store.archive_upto(1);
    node.registry.inner.forget();
    let begun = tokio::time::Instant::now();
    until("all are announced", || node.registry.registered.load(Ordering::SeqCst) >= 2 * SESSIONS).await;
    // All but the first batch had to wait for its turn.
    let least = Duration::from_secs_f64((SESSIONS - 20) as f64 / 200.0);
    assert!(begun.elapsed() >= least, "{:?}", begun.elapsed());
    until("all have drained", || node.store.pages.load(Ordering::SeqCst) >= pages + SESSIONS).await;
    let looks = node.store.looks.load(Ordering::SeqCst);
    until("two rounds of the sweep", || {
        node.store.looks.load(Ordering::SeqCst) >= looks + 2 * PARTITIONS as usize
    })
    .await;
    assert_eq!(node.registry.registered.load(Ordering::SeqCst), 2 * SESSIONS, "announced more than once");
    assert_eq!(node.store.pages.load(Ordering::SeqCst), pages + SESSIONS, "drained more than once");
}

#[tokio::test]
async fn a_route_that_a_failover_lost_is_entered_again_with_the_notification_that_missed_it() {
    let node = Running::start().await;
    let alice = recipient("alice");
    let handle = node.live(&alice).await;
    until_routed(&node, "alice").await;
    let route = node.registry.routes(&alice).await.remove(0);
    // The registry came back as it was before the session registered, and kept its epoch.
    node.registry.inner.remove(&[(alice.clone(), route)]).await.unwrap();
    // What a director and its archiver do for a recipient who is nowhere.
    node.store.put(row(&node.hub, &alice, 0));
    node.store.archive_upto(1);
    node.registry.inner.mark(&[(alice.clone(), 1)]).await.unwrap();
    node.registry.inner.advance(node.hub.partition_of(&alice), None, 1).await.unwrap();
    assert_eq!(notifications(&handle, 1).await, [(1, 0)]);
    until_routed(&node, "alice").await;
    assert_eq!(node.registry.routes(&alice).await, [route]);
}

#[tokio::test]
async fn a_store_that_was_away_is_asked_again() {
    let node = Running::start().await;
    let alice = recipient("alice");
    node.store.away.store(true, Ordering::SeqCst);
    node.store.put(row(&node.hub, &alice, 0));
    node.store.archive_upto(1);
    node.log.parked_end.store(1, Ordering::SeqCst);
    let handle = node.open(&alice);
    until_routed(&node, "alice").await;
    node.store.away.store(false, Ordering::SeqCst);
    assert_eq!(notifications(&handle, 1).await, [(1, 0)]);
    node.store.away.store(true, Ordering::SeqCst);
    handle.acknowledge(1).unwrap();
    node.store.away.store(false, Ordering::SeqCst);
    until("what was acknowledged is deleted", || node.store.stored(&alice) == 0).await;
}

#[tokio::test]
async fn a_log_that_was_away_is_asked_again_where_parked_ends() {
    let log = Arc::new(Log::default());
    log.away.store(true, Ordering::SeqCst);
    let node =
        Running::start_on(Arc::new(Registry::default()), Arc::new(Store::default()), log, quick()).await;
    let handle = node.open(&recipient("alice"));
    until_routed(&node, "alice").await;
    assert_eq!(handle.state(), State::Handshake);
    node.log.away.store(false, Ordering::SeqCst);
    until("the session is live", || handle.state() == State::Live).await;
}
