//! What the director tells on `outcomes`, and that an offset is committed only once its outcome stands there.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use shared::log::{Appender, Entry, Error, Placed, Turn};
use shared::outcome::End;
use shared::record::outcomes;
use shared::topic::Topic;

use super::node::{Mood, Node};
use super::stage::{Stage, eventually};
use super::{ALICE, BOB};

/// How each offset of one partition ended, as the log has it, once there are so many.
async fn told(stage: &Stage, recipient: &str, count: usize) -> BTreeMap<u64, (String, End)> {
    let home = stage.partition(recipient);
    let mut member = stage.join(Topic::Outcomes, "tests").await;
    let mut told = BTreeMap::new();
    while told.len() < count {
        let turn = tokio::time::timeout(Duration::from_secs(20), member.next()).await.unwrap().unwrap();
        let Turn::Fetched(partition, records) = turn else { continue };
        for record in records {
            let batch = outcomes::decode(&record.entry.payload).unwrap();
            assert_eq!(batch.partition, partition, "in the partition of the same number");
            let own = batch.outcomes.into_iter().filter(|_| partition == home);
            told.extend(own.map(|outcome| (outcome.offset, (outcome.id.as_str().to_owned(), outcome.end))));
        }
    }
    member.close().await;
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn every_acknowledged_record_is_told_with_its_offset_and_id() {
    let stage = Stage::open().await;
    let node = Node::start(&stage.registry).await;
    let alice = node.session(&stage.registry, ALICE, Mood::Acknowledge).await;
    let director = stage.direct();
    let offsets = stage.publish(ALICE, 0..50).await;
    eventually("all acknowledged", async || node.records(alice).len() == 50).await;
    director.stop().await;
    assert_eq!(stage.committed(ALICE).await, offsets[49] + 1);
    let told = told(&stage, ALICE, 50).await;
    for (number, offset) in offsets.iter().enumerate() {
        assert_eq!(told[offset], (format!("n-{number}"), End::Acknowledged));
    }
}

/// A log whose `outcomes` can be away alone.
struct Away {
    log: Arc<dyn Appender>,
    away: Arc<AtomicBool>,
}

#[async_trait]
impl Appender for Away {
    async fn append(&self, topic: Topic, entries: Vec<Entry>) -> Vec<Result<Placed, Error>> {
        if topic == Topic::Outcomes && self.away.load(Ordering::SeqCst) {
            return entries.iter().map(|_| Err(Error::Unavailable(None))).collect();
        }
        self.log.append(topic, entries).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_outcomes_nothing_acknowledged_is_committed_and_delivery_goes_on() {
    let stage = Stage::open().await;
    let node = Node::start(&stage.registry).await;
    let alice = node.session(&stage.registry, ALICE, Mood::Acknowledge).await;
    let away = Arc::new(AtomicBool::new(true));
    let lie = Arc::clone(&away);
    let director =
        stage.direct_on(|ports| ports.appender = Arc::new(Away { log: ports.appender.clone(), away: lie }));
    let offsets = stage.publish(ALICE, 0..20).await;
    stage.publish(BOB, 0..5).await;
    eventually("delivered all the same", async || node.records(alice).len() == 20).await;
    eventually("parked all the same", async || stage.stored(BOB).await.len() == 5).await;
    director.stop().await;
    assert_eq!(stage.committed(ALICE).await, offsets[0], "nothing with an end that is not told");
    away.store(false, Ordering::SeqCst);
    let director = stage.direct();
    assert_eq!(told(&stage, ALICE, 20).await.len(), 20, "delivered again, told, and committed");
    director.stop().await;
    assert_eq!(stage.committed(ALICE).await, offsets[19] + 1);
}
