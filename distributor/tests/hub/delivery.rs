//! What reaches a client, in which order, and what its directors are told.

use std::sync::atomic::Ordering;
use std::time::Duration;

use postrider_distributor::session::State;
use shared::delivery::{Rejection, SessionId, Verdict};
use shared::link;
use shared::record::{dead, parked};
use shared::registry::Flags as _;

use crate::director::Director;
use crate::node::{Running, at, notification, notifications, quick, recipient, row, until};

#[tokio::test]
async fn a_live_record_arrives_and_its_acknowledgement_is_the_verdict() {
    let node = Running::start().await;
    let alice = recipient("alice");
    let handle = node.live(&alice).await;
    let mut director = Director::connect(&node.link).await;
    let position = at(&node.hub, &alice, 7);
    director.forward(handle.id(), position, 0, &notification(&alice, "n-7")).await;
    assert_eq!(notifications(&handle, 1).await, [(1, 7)]);
    handle.acknowledge(1).unwrap();
    assert_eq!(director.verdict().await, (handle.id(), position, Verdict::Acknowledged));
    assert_eq!(handle.cursor().next, 8);
}

#[tokio::test]
async fn an_acknowledgement_beyond_what_was_taken_is_the_clients_mistake() {
    let node = Running::start().await;
    let handle = node.live(&recipient("alice")).await;
    assert_eq!(handle.acknowledge(1).unwrap_err().sent, 0);
    assert!(handle.refuse(1, None).is_err());
}

#[tokio::test]
async fn a_record_for_a_session_that_is_not_here_is_gone_at_once() {
    let node = Running::start().await;
    let (alice, unknown) = (recipient("alice"), SessionId(42));
    let mut director = Director::connect(&node.link).await;
    let position = at(&node.hub, &alice, 1);
    director.forward(unknown, position, 0, &notification(&alice, "n-1")).await;
    assert_eq!(director.verdict().await, (unknown, position, Verdict::Gone));
}

#[tokio::test]
async fn a_record_never_reaches_a_session_of_another_recipient() {
    let node = Running::start().await;
    let (alice, bob) = (recipient("alice"), recipient("bob"));
    let handle = node.live(&alice).await;
    let mut director = Director::connect(&node.link).await;
    let position = at(&node.hub, &bob, 1);
    director.forward(handle.id(), position, 0, &notification(&bob, "n-1")).await;
    assert_eq!(director.verdict().await, (handle.id(), position, Verdict::Gone));
    assert!(handle.take(usize::MAX).is_empty());
}

#[tokio::test]
async fn stored_ones_come_before_new_ones_page_by_page() {
    const STORED: u64 = 300;
    let node = Running::start().await;
    let alice = recipient("alice");
    for offset in 0..STORED {
        node.store.put(row(&node.hub, &alice, offset));
    }
    node.store.archive_upto(STORED);
    node.log.parked_end.store(STORED, Ordering::SeqCst);
    let handle = node.open(&alice);
    let mut director = Director::connect(&node.link).await;
    let position = at(&node.hub, &alice, STORED);
    director.forward(handle.id(), position, STORED, &notification(&alice, "live")).await;
    for offset in 0..=STORED {
        assert_eq!(notifications(&handle, 1).await, [(offset + 1, offset)]);
        handle.acknowledge(offset + 1).unwrap();
    }
    assert_eq!(director.verdict().await, (handle.id(), position, Verdict::Acknowledged));
    until("what was acknowledged is deleted", || node.store.stored(&alice) == 0).await;
    until("the session is live", || handle.state() == State::Live).await;
}

#[tokio::test]
async fn many_sessions_share_a_call_of_the_store_within_its_limits() {
    let mut config = quick();
    (config.store.concurrency, config.store.batch, config.store.rows) = (1, 16, 512);
    let node = Running::start_with(config).await;
    node.store.archive_upto(1);
    node.log.parked_end.store(1, Ordering::SeqCst);
    let mut handles = Vec::new();
    for index in 0..200 {
        let recipient = recipient(&format!("r{index}"));
        node.store.put(row(&node.hub, &recipient, 0));
        handles.push(node.open(&recipient));
    }
    for handle in &handles {
        assert_eq!(notifications(handle, 1).await, [(1, 0)]);
    }
    let most_sessions = node.store.most_sessions.load(Ordering::SeqCst);
    assert!((2..=16).contains(&most_sessions), "{most_sessions}");
    assert!(node.store.most_rows.load(Ordering::SeqCst) <= 512);
}

#[tokio::test]
async fn what_an_ended_session_held_goes_back_to_its_director() {
    let node = Running::start().await;
    let alice = recipient("alice");
    let handle = node.live(&alice).await;
    let guard = handle.guard();
    let mut director = Director::connect(&node.link).await;
    let position = at(&node.hub, &alice, 3);
    director.forward(handle.id(), position, 0, &notification(&alice, "n-3")).await;
    assert_eq!(notifications(&handle, 1).await, [(1, 3)]);
    drop(guard);
    assert_eq!(director.verdict().await, (handle.id(), position, Verdict::Gone));
    assert_eq!(handle.state(), State::Closed);
    handle.ready().await;
}

#[tokio::test]
async fn a_live_record_that_is_not_acknowledged_in_time_is_spilled_and_its_connection_probed() {
    let mut config = quick();
    config.session.ack_deadline_ms = Duration::from_millis(200);
    let node = Running::start_with(config).await;
    let alice = recipient("alice");
    let handle = node.live(&alice).await;
    let mut director = Director::connect(&node.link).await;
    let position = at(&node.hub, &alice, 3);
    director.forward(handle.id(), position, 0, &notification(&alice, "n-3")).await;
    assert_eq!(notifications(&handle, 1).await, [(1, 3)]);
    assert_eq!(director.verdict().await, (handle.id(), position, Verdict::Spilled));
    handle.ready().await;
    assert!(handle.take_probe());
    assert!(!handle.take_probe());
}

#[tokio::test]
async fn a_refused_stored_notification_is_dead_lettered_before_its_row_goes() {
    let node = Running::start().await;
    let alice = recipient("alice");
    node.store.put(row(&node.hub, &alice, 5));
    node.store.archive_upto(1);
    node.log.parked_end.store(1, Ordering::SeqCst);
    let handle = node.open(&alice);
    assert_eq!(notifications(&handle, 1).await, [(1, 5)]);
    node.log.away.store(true, Ordering::SeqCst);
    handle.refuse(1, Some(Rejection::Undecodable)).unwrap();
    until("the session is live", || handle.state() == State::Live).await;
    assert_eq!((node.store.stored(&alice), node.log.dead().len()), (1, 0));
    node.log.away.store(false, Ordering::SeqCst);
    until("it is dead-lettered", || node.log.dead().len() == 1).await;
    let entry = node.log.dead().remove(0);
    assert_eq!(parked::position(&entry), Ok(at(&node.hub, &alice, 5)));
    assert_eq!(dead::reason(&entry).unwrap().0, "undecodable");
    until("its row is deleted", || node.store.stored(&alice) == 0).await;
}

#[tokio::test]
async fn a_refused_record_is_a_dead_letter_also_when_no_director_hears_of_it_and_without_its_body_if_need_be()
{
    let node = Running::start().await;
    node.log.takes_no_body.store(true, Ordering::SeqCst);
    let alice = recipient("alice");
    let handle = node.live(&alice).await;
    let director = Director::connect(&node.link).await;
    let notification = row(&node.hub, &alice, 5).notification;
    director.send(vec![link::record(handle.id(), at(&node.hub, &alice, 5), 0, &notification)]).await;
    assert_eq!(notifications(&handle, 1).await, [(1, 5)]);
    drop(director);
    handle.refuse(1, Some(Rejection::Refused)).unwrap();
    until("it is dead-lettered", || node.log.dead().len() == 1).await;
    let entry = node.log.dead().remove(0);
    assert_eq!(parked::position(&entry), Ok(at(&node.hub, &alice, 5)));
    assert!(dead::is_cut(&entry) && entry.payload.is_empty());
}

#[tokio::test]
async fn a_poke_brings_what_was_parked() {
    let node = Running::start().await;
    let alice = recipient("alice");
    let handle = node.live(&alice).await;
    node.store.put(row(&node.hub, &alice, 4));
    node.store.archive_upto(1);
    let director = Director::connect(&node.link).await;
    director.send(vec![link::poke(handle.id(), 1)]).await;
    assert_eq!(notifications(&handle, 1).await, [(1, 4)]);
}

#[tokio::test]
async fn a_poke_that_never_came_is_made_good_by_the_sweep() {
    let node = Running::start().await;
    let alice = recipient("alice");
    let handle = node.live(&alice).await;
    node.store.put(row(&node.hub, &alice, 4));
    node.store.archive_upto(1);
    let partition = node.hub.partition_of(&alice);
    node.registry.mark(&[(alice.clone(), 1)]).await.unwrap();
    node.registry.advance(partition, None, 1).await.unwrap();
    assert_eq!(notifications(&handle, 1).await, [(1, 4)]);
}
