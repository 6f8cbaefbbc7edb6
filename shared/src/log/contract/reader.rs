//! A group member under test: hears every turn, checks what must hold of each, and remembers.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::time::{Instant, timeout_at};

use super::{Fixture, PATIENCE};
use crate::log::{Consumer, Fetched, Interest, Progress, Release, Turn};
use crate::position::PartitionId;
use crate::topic::Topic;

pub(super) struct Reader {
    consumer: Box<dyn Consumer>,
    pub(super) progress: Arc<dyn Progress>,
    /// What is this member's now, and the offset each was assigned with.
    pub(super) owned: BTreeMap<PartitionId, u64>,
    /// What came, in order.
    pub(super) seen: Vec<Fetched>,
    /// Partitions being revoked, while the release is held.
    pub(super) draining: Vec<(Vec<PartitionId>, Release)>,
    pub(super) releases: Releases,
}

/// What a reader does with a release.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Releases {
    AtOnce,
    Held,
}

impl Reader {
    pub(super) async fn join(fixture: &Fixture, topic: Topic, group: &str) -> Self {
        Self::join_for(fixture, topic, group, Interest::default()).await
    }

    pub(super) async fn join_for(fixture: &Fixture, topic: Topic, group: &str, interest: Interest) -> Self {
        let joined = fixture.subscriber.subscribe(topic, group, interest).await;
        let consumer = joined.expect("the topic is there");
        let progress = consumer.progress();
        Self {
            consumer,
            progress,
            owned: BTreeMap::new(),
            seen: Vec::new(),
            draining: Vec::new(),
            releases: Releases::AtOnce,
        }
    }

    /// Joins and waits until every partition is this member's.
    pub(super) async fn join_alone(fixture: &Fixture, topic: Topic, group: &str) -> Self {
        Self::join(fixture, topic, group).await.alone(fixture).await
    }

    /// Waits until every partition is this member's.
    pub(super) async fn alone(self, fixture: &Fixture) -> Self {
        let mut reader = self;
        let all = fixture.partitions().count();
        reader.until("every partition to be assigned", |reader| reader.owned.len() == all).await;
        reader
    }

    /// One turn. Cancel safe, as [`Consumer::next`] is.
    pub(super) async fn turn(&mut self) {
        let turn = self.consumer.next().await.expect("a member on a healthy log goes on");
        match turn {
            Turn::Assigned(partitions) => {
                for (partition, offset) in partitions {
                    assert!(self.owned.insert(partition, offset).is_none(), "{partition} assigned twice");
                }
            }
            Turn::Revoked(partitions, release) => {
                for partition in &partitions {
                    assert!(self.owned.remove(partition).is_some(), "{partition} revoked, never assigned");
                }
                if self.releases == Releases::Held {
                    self.draining.push((partitions, release));
                }
            }
            Turn::Lost(partitions) => {
                for partition in &partitions {
                    assert!(self.owned.remove(partition).is_some(), "{partition} lost, never assigned");
                }
            }
            Turn::Fetched(partition, records) => {
                assert!(self.owned.contains_key(&partition), "records of {partition}, which is not assigned");
                assert!(!records.is_empty(), "a batch has records");
                assert!(records.iter().all(|record| record.partition == partition));
                assert!(records.is_sorted_by(|a, b| a.offset < b.offset), "offsets ascend");
                self.seen.extend(records);
            }
        }
    }

    pub(super) async fn until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !done(self) {
            let turned = timeout_at(deadline, self.turn()).await;
            assert!(turned.is_ok(), "waited in vain for {what}; has {:?}", self.owned);
        }
    }

    /// Payloads in the order they came.
    pub(super) fn payloads(&self) -> Vec<&str> {
        self.seen.iter().map(|record| std::str::from_utf8(&record.entry.payload).expect("text")).collect()
    }

    pub(super) fn has(&self, payload: &str) -> bool {
        self.payloads().contains(&payload)
    }

    pub(super) async fn close(self) {
        let closed = tokio::time::timeout(PATIENCE, self.consumer.close()).await;
        assert!(closed.is_ok(), "close takes a bounded time");
    }
}

/// Lets two members turn until both are as wanted.
pub(super) async fn both_until(
    a: &mut Reader,
    b: &mut Reader,
    what: &str,
    done: impl Fn(&Reader, &Reader) -> bool,
) {
    let deadline = Instant::now() + PATIENCE;
    while !done(a, b) {
        let turned = timeout_at(deadline, async {
            tokio::select! {
                () = a.turn() => {}
                () = b.turn() => {}
            }
        });
        assert!(turned.await.is_ok(), "waited in vain for {what}; have {:?} and {:?}", a.owned, b.owned);
    }
}
