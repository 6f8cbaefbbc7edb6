//! Directors' streams: how they end, and how many there may be.

use shared::config::Secret;
use shared::delivery::Verdict;
use shared::link::{self, wire};

use crate::director::Director;
use crate::node::{PATIENCE, Running, at, notification, notifications, quick, recipient, until};

#[tokio::test]
async fn a_frame_nobody_could_mean_ends_the_stream() {
    let node = Running::start().await;
    let mut director = Director::connect(&node.link).await;
    director.send(vec![wire::Frame { session: 1, body: None }]).await;
    assert_eq!(director.ended().await.unwrap().code(), tonic::Code::InvalidArgument);
}

#[tokio::test]
async fn a_record_without_a_position_ends_the_stream_and_no_other() {
    let node = Running::start().await;
    let alice = recipient("alice");
    let handle = node.live(&alice).await;
    let (mut good, mut bad) = (Director::connect(&node.link).await, Director::connect(&node.link).await);
    let position = at(&node.hub, &alice, 1);
    let mut frame = link::record(handle.id(), position, 0, &notification(&alice, "n-1"));
    if let Some(wire::frame::Body::Record(record)) = &mut frame.body {
        record.position = None;
    }
    bad.send(vec![frame]).await;
    assert_eq!(bad.ended().await.unwrap().code(), tonic::Code::InvalidArgument);
    good.forward(handle.id(), position, 0, &notification(&alice, "n-1")).await;
    assert_eq!(notifications(&handle, 1).await, [(1, 1)]);
    handle.acknowledge(1).unwrap();
    assert_eq!(good.verdict().await, (handle.id(), position, Verdict::Acknowledged));
}

#[tokio::test]
async fn what_came_by_a_lost_stream_is_answered_to_the_next_one() {
    let node = Running::start().await;
    let alice = recipient("alice");
    let handle = node.live(&alice).await;
    let first = Director::connect(&node.link).await;
    let position = at(&node.hub, &alice, 1);
    let record = notification(&alice, "n-1");
    first.forward(handle.id(), position, 0, &record).await;
    assert_eq!(notifications(&handle, 1).await, [(1, 1)]);
    drop(first);
    let mut second = Director::connect(&node.link).await;
    second.forward(handle.id(), position, 0, &record).await;
    second.forward(handle.id(), at(&node.hub, &alice, 2), 0, &notification(&alice, "n-2")).await;
    assert_eq!(notifications(&handle, 1).await, [(2, 2)], "it is sent once");
    handle.acknowledge(1).unwrap();
    assert_eq!(second.verdict().await, (handle.id(), position, Verdict::Acknowledged));
}

#[tokio::test]
async fn a_record_that_only_a_lost_stream_forwarded_never_leaves_the_gate() {
    let mut config = quick();
    config.link.streams = 1;
    let node = Running::start_with(config).await;
    let alice = recipient("alice");
    let handle = node.live(&alice).await;
    let first = Director::connect(&node.link).await;
    // Nobody proves what is parked up to 9 yet, so position 1 waits in the gate; position 0 shows that both were read.
    first.forward(handle.id(), at(&node.hub, &alice, 1), 9, &notification(&alice, "n-1")).await;
    first.forward(handle.id(), at(&node.hub, &alice, 0), 0, &notification(&alice, "n-0")).await;
    assert_eq!(notifications(&handle, 1).await, [(1, 0)]);
    drop(first);
    // There is a place for it once the loss was noticed.
    let mut second = admitted(&node).await;
    second.forward(handle.id(), at(&node.hub, &alice, 2), 9, &notification(&alice, "n-2")).await;
    node.store.archive_upto(9);
    handle.acknowledge(1).unwrap();
    assert_eq!(notifications(&handle, 1).await, [(2, 2)]);
    handle.acknowledge(2).unwrap();
    assert_eq!(second.verdict().await, (handle.id(), at(&node.hub, &alice, 2), Verdict::Acknowledged));
}

/// A director that gets a place, as soon as there is one.
async fn admitted(node: &Running) -> Director {
    let admitted = async {
        loop {
            match Director::try_connect(&node.link).await {
                Ok(director) => return director,
                Err(full) => assert_eq!(full.code(), tonic::Code::ResourceExhausted),
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, admitted).await.unwrap()
}

#[tokio::test]
async fn streams_are_admitted_up_to_the_cap_and_one_more_is_refused() {
    let mut config = quick();
    config.link.streams = 2;
    let node = Running::start_with(config).await;
    let first = Director::connect(&node.link).await;
    let _second = Director::connect(&node.link).await;
    let refused = Director::try_connect(&node.link).await.err().unwrap();
    assert_eq!(refused.code(), tonic::Code::ResourceExhausted);
    drop(first);
    admitted(&node).await;
}

#[tokio::test]
async fn a_stopping_node_ends_its_streams_last() {
    let node = Running::start().await;
    let alice = recipient("alice");
    let handle = node.live(&alice).await;
    let mut director = Director::connect(&node.link).await;
    let position = at(&node.hub, &alice, 1);
    director.forward(handle.id(), position, 0, &notification(&alice, "n-1")).await;
    assert_eq!(notifications(&handle, 1).await, [(1, 1)]);
    node.shutdown.begin();
    assert_eq!(director.verdict().await, (handle.id(), position, Verdict::Gone));
    assert_eq!(director.ended().await.unwrap().code(), tonic::Code::Unavailable);
    until("no session is left", || node.hub.is_empty()).await;
    node.stop().await;
}

#[tokio::test]
async fn a_stranger_without_the_secret_is_refused() {
    let (own, other) = (Secret::new("own".into()), Secret::new("other".into()));
    let mut config = quick();
    config.link.secret = own.clone();
    let node = Running::start_with(config).await;
    for secret in [other, Secret::default()] {
        let refused = Director::connect_showing(&node.link, &secret).await.err().unwrap();
        assert_eq!(refused.code(), tonic::Code::Unauthenticated);
    }
    assert!(Director::connect_showing(&node.link, &own).await.is_ok());
}
