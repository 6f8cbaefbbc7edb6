//! The director on embedded engines, with nodes whose sessions are scripted: what it forwards, what it parks, and what
//! its archiver makes of that.

#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "service/dead_letters.rs"]
mod dead_letters;
#[path = "service/fairness.rs"]
mod fairness;
#[path = "service/node.rs"]
mod node;
#[path = "service/outcomes.rs"]
mod outcomes;
#[path = "service/rebalance.rs"]
mod rebalance;
#[path = "service/registry.rs"]
mod registry;
#[path = "service/stage.rs"]
mod stage;
#[path = "service/store.rs"]
mod store;

use std::time::Duration;

use node::{Mood, Node};
use shared::config::Secret;
use shared::delivery::SessionId;
use shared::log::Entry;
use shared::registry::{Flag, Flags as _};
use stage::{Stage, eventually};

const ALICE: &str = "acme/alice";
const BOB: &str = "acme/bob";

#[tokio::test(flavor = "multi_thread")]
async fn records_reach_a_session_in_order_and_are_committed_once_acknowledged() {
    let stage = Stage::open().await;
    let node = Node::start(&stage.registry).await;
    let alice = node.session(&stage.registry, ALICE, Mood::Acknowledge).await;
    let director = stage.direct();
    let offsets = stage.publish(ALICE, 0..50).await;
    eventually("all acknowledged", async || node.records(alice).len() == 50).await;
    let arrived: Vec<u64> = node.records(alice).into_iter().map(|record| record.offset).collect();
    assert_eq!(arrived, offsets);
    director.stop().await;
    assert_eq!(stage.committed(ALICE).await, offsets[49] + 1);
    assert!(stage.stored(ALICE).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_can_take_is_parked_stored_and_flagged_in_order() {
    let stage = Stage::open().await;
    let director = stage.direct();
    let offsets = stage.publish(ALICE, 0..20).await;
    eventually("all stored", async || stage.stored(ALICE).await == offsets).await;
    eventually("flagged", async || {
        let reading = stage.flag(ALICE).await;
        reading.flag == Flag::Backlog && reading.flagged_upto == Some(stage.parked_end(ALICE).await)
    })
    .await;
    director.stop().await;
    assert_eq!(stage.committed(ALICE).await, offsets[19] + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_backlog_of_one_recipient_is_parked_in_runs_and_stored_record_by_record_in_order() {
    let mut stage = Stage::open().await;
    (stage.config.run_records, stage.config.archiver.rows) = (100, 150);
    let offsets = stage.publish(ALICE, 0..1000).await;
    let director = stage.direct();
    eventually("all stored", async || stage.stored(ALICE).await == offsets).await;
    director.stop().await;
    assert_eq!(stage.committed(ALICE).await, offsets[999] + 1);
    let parked = stage.parked_end(ALICE).await;
    assert!((10..100).contains(&parked), "{parked} records of parked hold 1000");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_comes_is_told_how_far_to_drain_before_what_is_new() {
    let stage = Stage::open().await;
    let node = Node::start(&stage.registry).await;
    let director = stage.direct();
    stage.publish(ALICE, 0..3).await;
    eventually("stored", async || stage.stored(ALICE).await.len() == 3).await;
    let alice = node.session(&stage.registry, ALICE, Mood::Acknowledge).await;
    stage.publish(ALICE, 3..4).await;
    eventually("forwarded", async || node.records(alice).len() == 1).await;
    assert_eq!(node.records(alice)[0].parked_upto, stage.parked_end(ALICE).await);
    director.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_spills_is_poked_and_others_do_not_wait() {
    let stage = Stage::open().await;
    let node = Node::start(&stage.registry).await;
    let alice = node.session(&stage.registry, ALICE, Mood::Spill).await;
    let bob = node.session(&stage.registry, BOB, Mood::Acknowledge).await;
    let director = stage.direct();
    stage.publish(ALICE, 0..5).await;
    stage.publish(BOB, 0..5).await;
    eventually("alice's stored", async || stage.stored(ALICE).await.len() == 5).await;
    let parked_upto = stage.parked_end(ALICE).await;
    eventually("alice poked", async || node.poked_upto(alice) == Some(parked_upto)).await;
    eventually("bob's delivered", async || node.records(bob).len() == 5).await;
    director.stop().await;
    assert!(stage.stored(BOB).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_to_a_session_that_is_gone_is_removed_and_its_records_are_parked() {
    let stage = Stage::open().await;
    let node = Node::start(&stage.registry).await;
    node.session(&stage.registry, ALICE, Mood::Gone).await;
    let director = stage.direct();
    stage.publish(ALICE, 0..2).await;
    eventually("stored", async || stage.stored(ALICE).await.len() == 2).await;
    eventually("route removed", async || stage.routes(ALICE).await.is_empty()).await;
    director.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_on_a_lost_stream_is_sent_again_from_the_head() {
    let stage = Stage::open().await;
    let node = Node::start(&stage.registry).await;
    let alice = node.session(&stage.registry, ALICE, Mood::Silent).await;
    let director = stage.direct();
    let offsets = stage.publish(ALICE, 0..10).await;
    eventually("all sent", async || node.records(alice).len() == 10).await;
    node.script(alice, Mood::Acknowledge);
    node.cut_streams();
    eventually("all sent again", async || node.records(alice).len() == 20).await;
    let again: Vec<u64> = node.records(alice)[10..].iter().map(|record| record.offset).collect();
    assert_eq!(again, offsets);
    director.stop().await;
    assert_eq!(stage.committed(ALICE).await, offsets[9] + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_died_costs_nothing_but_the_way_through_the_store() {
    let stage = Stage::open().await;
    let node = Node::start(&stage.registry).await;
    let alice = node.session(&stage.registry, ALICE, Mood::Silent).await;
    let director = stage.direct();
    let offsets = stage.publish(ALICE, 0..10).await;
    eventually("all sent", async || node.records(alice).len() == 10).await;
    node.die().await;
    eventually("all stored", async || stage.stored(ALICE).await == offsets).await;
    director.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_with_a_secret_takes_records_only_from_a_director_that_shows_it() {
    let mut stage = Stage::open().await;
    let secret = Secret::new("own".into());
    let node = Node::start_asking(&stage.registry, secret.clone()).await;
    let alice = node.session(&stage.registry, ALICE, Mood::Acknowledge).await;
    let stranger = stage.direct();
    let stored = stage.publish(ALICE, 0..2).await;
    eventually("stored", async || stage.stored(ALICE).await == stored).await;
    stranger.stop().await;
    assert!(node.records(alice).is_empty());
    stage.config.link_secret = secret;
    let director = stage.direct();
    stage.publish(ALICE, 2..4).await;
    eventually("delivered", async || node.records(alice).len() == 2).await;
    director.stop().await;
    assert_eq!(stage.stored(ALICE).await, stored);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_parse_becomes_a_dead_letter_and_the_partition_moves_on() {
    let stage = Stage::open().await;
    let director = stage.direct();
    let broken = Entry { key: ALICE.as_bytes().to_vec().into(), payload: "x".into(), ..Entry::default() };
    let placed = stage.append(broken).await;
    let offsets = stage.publish(ALICE, 0..1).await;
    eventually("the next one stored", async || stage.stored(ALICE).await == offsets).await;
    eventually("the dead letter stored", async || {
        let letters = stage.dead_letters().await;
        letters.len() == 1
            && letters[0].position.offset == placed
            && letters[0].code == "malformed"
            && letters[0].key == ALICE
            && letters[0].size_bytes == 1
            && !letters[0].requeueable
    })
    .await;
    director.stop().await;
    assert_eq!(stage.committed(ALICE).await, offsets[0] + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_client_refuses_becomes_a_dead_letter() {
    let stage = Stage::open().await;
    let node = Node::start(&stage.registry).await;
    node.session(&stage.registry, ALICE, Mood::Refuse).await;
    let director = stage.direct();
    stage.publish(ALICE, 0..2).await;
    eventually("dead letters stored", async || {
        let letters = stage.dead_letters().await;
        letters.len() == 2 && letters.iter().all(|letter| letter.code == "refused" && letter.requeueable)
    })
    .await;
    director.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_lost_its_content_is_marked_again_before_it_proves_anything() {
    let mut stage = Stage::open().await;
    stage.config.archiver.verify_ms = Duration::from_millis(100);
    let director = stage.direct();
    stage.publish(ALICE, 0..5).await;
    eventually("stored", async || stage.stored(ALICE).await.len() == 5).await;
    let parked_upto = stage.parked_end(ALICE).await;
    eventually("flagged", async || stage.flag(ALICE).await.flagged_upto == Some(parked_upto)).await;
    stage.registry.forget();
    assert_eq!(stage.flag(ALICE).await.flag, Flag::Unknown);
    let marked_upto = async |upto| {
        let reading = stage.flag(ALICE).await;
        reading.flag == Flag::Backlog && reading.flagged_upto == Some(upto)
    };
    eventually("alice marked again, with nothing new to mark", async || marked_upto(parked_upto).await).await;
    stage.registry.forget();
    let sibling = stage.sibling_of(ALICE);
    stage.publish(&sibling, 0..1).await;
    eventually("alice marked again, with something new to mark", async || marked_upto(parked_upto + 1).await)
        .await;
    director.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_director_takes_over_what_the_first_did_not_finish() {
    let stage = Stage::open().await;
    let node = Node::start(&stage.registry).await;
    let alice = node.session(&stage.registry, ALICE, Mood::Silent).await;
    let first = stage.direct();
    let offsets = stage.publish(ALICE, 0..5).await;
    eventually("sent", async || node.records(alice).len() == 5).await;
    first.stop().await;
    node.script(alice, Mood::Acknowledge);
    let second = stage.direct();
    eventually("sent again", async || node.records(alice).len() == 10).await;
    second.stop().await;
    assert_eq!(stage.committed(ALICE).await, offsets[4] + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_may_be_in_flight_is_not_fetched_and_none_of_it_is_lost() {
    const LIMIT: usize = 8;
    let mut stage = Stage::open().await;
    stage.config.in_flight_records = LIMIT;
    let node = Node::start(&stage.registry).await;
    let alice = node.session(&stage.registry, ALICE, Mood::Silent).await;
    let director = stage.direct();
    let offsets = stage.publish(ALICE, 0..100).await;
    // Each acknowledgement makes room for one more: one record too many at any moment would be seen.
    for acknowledged in 0..=offsets.len() - LIMIT {
        eventually("as many as may be", async || node.records(alice).len() == acknowledged + LIMIT).await;
        node.acknowledge_oldest(alice);
    }
    node.release(alice);
    eventually("all acknowledged", async || node.most_open(alice) == (0, LIMIT)).await;
    director.stop().await;
    assert_eq!(stage.committed(ALICE).await, offsets[99] + 1);
    assert_eq!(node.records(SessionId(1)).len(), 0);
    assert_eq!(stage.registry.flagged_upto(stage.partition(ALICE)).await.unwrap(), Some(0));
}
