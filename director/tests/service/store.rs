//! A director whose store is away: who is online does not notice, what is parked stays on the log, and all of it is stored
//! once the store is back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use async_trait::async_trait;
use shared::clock::Timestamp;
use shared::position::{Cursor, PartitionId};
use shared::recipient::Recipient;
use shared::store::sqlite::Store;
use shared::store::{Error, GapCause, Inbox, Page, PageRequest, StoredRow};
use shared::topic::Topic;

use super::node::{Mood, Node};
use super::stage::{Stage, eventually};
use super::{ALICE, BOB};

/// A store that can be away.
struct Wavering {
    store: Arc<Store>,
    away: AtomicBool,
    refused: AtomicU64,
    /// The largest batch.
    most_rows: AtomicU64,
}

impl Wavering {
    fn reach(&self) -> Result<&Store, Error> {
        if self.away.load(Ordering::SeqCst) {
            self.refused.fetch_add(1, Ordering::SeqCst);
            return Err(Error::Unavailable(None));
        }
        Ok(&self.store)
    }
}

#[async_trait]
impl Inbox for Wavering {
    async fn archived_upto(&self, partition: PartitionId) -> Result<u64, Error> {
        self.reach()?.archived_upto(partition).await
    }
    async fn archive(
        &self,
        partition: PartitionId,
        from: u64,
        to: u64,
        rows: &[StoredRow],
        now: Timestamp,
    ) -> Result<Vec<(GapCause, u64)>, Error> {
        let store = self.reach()?;
        self.most_rows.fetch_max(rows.len() as u64, Ordering::SeqCst);
        store.archive(partition, from, to, rows, now).await
    }
    async fn pages(&self, requests: &[PageRequest]) -> Result<Vec<Page>, Error> {
        self.reach()?.pages(requests).await
    }
    async fn delete(&self, acknowledged: &[(Recipient, Cursor)]) -> Result<(), Error> {
        self.reach()?.delete(acknowledged).await
    }
    async fn expire(&self, now: Timestamp, limit: u32) -> Result<u64, Error> {
        self.reach()?.expire(now, limit).await
    }
    async fn recipients(
        &self,
        partition: PartitionId,
        after: Option<&Recipient>,
        limit: u32,
    ) -> Result<Vec<Recipient>, Error> {
        self.reach()?.recipients(partition, after, limit).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_away_costs_lag_in_one_stage_and_nothing_else() {
    let mut stage = Stage::open().await;
    let store = Arc::new(Wavering {
        store: Arc::clone(&stage.store),
        away: AtomicBool::new(false),
        refused: AtomicU64::new(0),
        most_rows: AtomicU64::new(0),
    });
    stage.inbox = Arc::clone(&store) as _;
    (stage.config.run_records, stage.config.archiver.rows) = (10, 200);
    (stage.config.archiver.waiting_records, stage.config.in_flight_records) = (200, 100);
    let node = Node::start(&stage.registry).await;
    let bob = node.session(&stage.registry, BOB, Mood::Acknowledge).await;
    let director = stage.direct();
    eventually("the archiver begun", async || stage.flag(ALICE).await.flagged_upto == Some(0)).await;
    store.away.store(true, Ordering::SeqCst);
    let mut parked = Vec::new();
    // Far more than the archiver and the lanes may hold.
    for round in 0..30 {
        parked.extend(stage.publish(ALICE, round * 100..round * 100 + 100).await);
        stage.publish(BOB, round..round + 1).await;
        eventually("bob served", async || node.records(bob).len() as u64 == round + 1).await;
    }
    stage.parked(ALICE, parked.len()).await;
    eventually("everything flagged", async || {
        stage.flag(ALICE).await.flagged_upto == Some(stage.parked_end(ALICE).await)
    })
    .await;
    eventually("the store asked in vain", async || store.refused.load(Ordering::SeqCst) > 0).await;
    director.stop().await;
    assert_eq!(stage.committed(ALICE).await, parked[parked.len() - 1] + 1, "parking waits for no store");
    let moved = stage.committed_by(Topic::Parked, "archiver-rows", ALICE).await;
    assert_eq!(moved, 0, "what is not stored is not committed");
    let director = stage.direct();
    store.away.store(false, Ordering::SeqCst);
    eventually("all stored", async || {
        stage.store.archived_upto(stage.partition(ALICE)).await.unwrap() == stage.parked_end(ALICE).await
    })
    .await;
    assert_eq!(stage.stored(ALICE).await, parked[..1000], "in order, a page of them");
    let most_rows = store.most_rows.load(Ordering::SeqCst);
    assert!((100..=200 + 8 * 10).contains(&most_rows), "{most_rows} at a time");
    director.stop().await;
}
