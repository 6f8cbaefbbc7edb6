//! The reconciler beside real directors on embedded engines: it says nothing while they tell the truth, whatever dies, and
//! counts what is lost when a port lies to them. The tests take turns, for the gauges are the process's.

#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "reconciler/gauges.rs"]
mod gauges;
#[path = "reconciler/liars.rs"]
mod liars;
#[expect(dead_code, reason = "the director's other tests use the rest")]
#[path = "service/node.rs"]
mod node;
#[expect(dead_code, reason = "the director's other tests use the rest")]
#[path = "service/stage.rs"]
mod stage;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gauges::Gauges;
use liars::{Deaf, Hasty};
use node::{Mood, Node};
use shared::log::Entry;
use shared::record;
use shared::topic::Topic;
use stage::{Stage, eventually};
use tokio::sync::Mutex;

static TURN: Mutex<()> = Mutex::const_new(());

async fn stage() -> Stage {
    let mut stage = Stage::open().await;
    stage.config.reconciler.look_ms = Duration::from_millis(50);
    stage.config.reconciler.save_ms = Duration::from_millis(100);
    stage
}

/// A record that parses and whose key does not agree with its headers.
fn misplaced(stage: &Stage, number: u64) -> Entry {
    let entry = record::encode(&stage.notification("acme/alice", number));
    Entry { key: format!("acme/bob-{number}").into(), ..entry }
}

/// Waits until every partition was compared up to its end, as it is now.
async fn compared(stage: &Stage, gauges: &Gauges) {
    for recipient in stage.one_of_each("anybody") {
        let (end, partition) = (stage.end(&recipient).await as f64, stage.partition(&recipient).to_string());
        eventually("everything compared", async || {
            gauges.of("postrider_reconciler_position", &partition).is_some_and(|upto| upto >= end)
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn directors_that_tell_the_truth_are_never_doubted_whoever_dies() {
    let _turn = TURN.lock().await;
    let gauges = gauges::fresh();
    let stage = stage().await;
    let node = Node::start(&stage.registry).await;
    let online = node.session(&stage.registry, "acme/online", Mood::Acknowledge).await;
    node.session(&stage.registry, "acme/slow", Mood::Spill).await;
    node.session(&stage.registry, "acme/prude", Mood::Refuse).await;
    let mut director = stage.direct();
    let mut beside = None;
    for round in 0..6_u64 {
        for recipient in ["acme/online", "acme/slow", "acme/prude", "acme/offline"] {
            stage.publish(recipient, round * 20..round * 20 + 20).await;
        }
        // No key, another partition's key, no headers: all of them become dead letters.
        stage.append(Entry { payload: Bytes::from_static(b"?"), ..Entry::default() }).await;
        stage.append(Entry { key: "acme/online".into(), ..Entry::default() }).await;
        stage.append(misplaced(&stage, round)).await;
        match round {
            0 | 3 => {
                director.die().await;
                director = stage.direct();
            }
            1 => beside = Some(stage.direct()),
            2 => {
                if let Some(beside) = beside.take() {
                    beside.die().await;
                }
            }
            _ => {
                director.stop().await;
                director = stage.direct();
            }
        }
    }
    eventually("delivered", async || node.records(online).len() >= 120).await;
    compared(&stage, &gauges).await;
    eventually("not behind", async || gauges.now("postrider_reconciler_behind_seconds") < 3.0).await;
    assert_eq!(gauges.most("postrider_unaccounted"), 0.0, "at any time");
    director.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_log_only_says_it_took_is_unaccounted_also_for_who_starts_again() {
    let _turn = TURN.lock().await;
    for topic in [Topic::Parked, Topic::Dead, Topic::Outcomes] {
        let gauges = gauges::fresh();
        let stage = stage().await;
        let node = Node::start(&stage.registry).await;
        let mood = if topic == Topic::Dead { Mood::Refuse } else { Mood::Acknowledge };
        if topic != Topic::Parked {
            node.session(&stage.registry, "acme/alice", mood).await;
        }
        let director = stage.direct();
        stage.publish("acme/alice", 0..10).await;
        compared(&stage, &gauges).await;
        assert_eq!(gauges.most("postrider_unaccounted"), 0.0, "{topic:?}: not before");
        director.stop().await;

        let lying =
            stage.direct_on(|ports| ports.appender = Arc::new(Deaf::to(topic, ports.appender.clone())));
        stage.publish("acme/alice", 10..17).await;
        eventually("the loss is counted", async || gauges.now("postrider_unaccounted") == 7.0).await;
        lying.stop().await;

        let gauges = gauges::fresh();
        let honest = stage.direct();
        stage.publish("acme/alice", 17..20).await;
        eventually("counted again", async || gauges.now("postrider_unaccounted") == 7.0).await;
        compared(&stage, &gauges).await;
        assert_eq!(gauges.most("postrider_unaccounted"), 7.0, "{topic:?}: nothing but what is lost");
        honest.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_ahead_of_its_records_is_unaccounted_until_they_end() {
    let _turn = TURN.lock().await;
    let gauges = gauges::fresh();
    let stage = stage().await;
    let node = Node::start(&stage.registry).await;
    let sibling = stage.sibling_of("acme/alice");
    node.session(&stage.registry, &sibling, Mood::Acknowledge).await;
    let alice = node.session(&stage.registry, "acme/alice", Mood::Silent).await;
    let director = stage.direct_on(|ports| {
        ports.subscriber = Arc::new(Hasty { log: ports.subscriber.clone(), group: "director", by: 3 });
    });
    stage.publish(&sibling, 0..1).await;
    stage.publish("acme/alice", 0..3).await;
    eventually("the hasty commit is counted", async || gauges.now("postrider_unaccounted") == 3.0).await;
    node.release(alice);
    eventually("explained", async || gauges.now("postrider_unaccounted") == 0.0).await;
    director.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reconciler_that_cannot_look_says_how_far_it_is_behind() {
    let _turn = TURN.lock().await;
    let gauges = gauges::fresh();
    let stage = stage().await;
    let director = stage.direct_on(|ports| ports.reader = Arc::new(liars::Blind));
    stage.publish("acme/alice", 0..3).await;
    eventually("it falls behind", async || gauges.now("postrider_reconciler_behind_seconds") > 1.0).await;
    eventually("nobody waits for it", async || stage.stored("acme/alice").await.len() == 3).await;
    director.stop().await;
}
