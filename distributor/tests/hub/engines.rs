//! A registry, a store and a log in memory that work, and can be away.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use shared::clock::{SystemClock, Timestamp};
use shared::delivery::NodeId;
use shared::log::{self, Appender, Ends, Entry, Placed};
use shared::position::{Cursor, Epoch, PartitionId, Position};
use shared::recipient::Recipient;
use shared::registry::{
    self, Entered, FlagReading, Flags, Mark, Node, Nodes, RegistryEpoch, Route, Routes, memory,
};
use shared::store::{self, GapCause, Inbox, Page, PageRequest, StoredRow};
use shared::topic::Topic;

pub(crate) const PARTITIONS: u32 = 4;

/// The registry of one process.
pub(crate) struct Registry {
    pub(crate) away: AtomicBool,
    /// Routes that were to be entered, again and again if so asked.
    pub(crate) registered: AtomicUsize,
    pub(crate) inner: Arc<memory::Registry>,
}

impl Default for Registry {
    fn default() -> Self {
        let registered = AtomicUsize::new(0);
        Self { away: AtomicBool::new(false), registered, inner: memory::Registry::new(Arc::new(SystemClock)) }
    }
}

impl Registry {
    fn there(&self) -> Result<&memory::Registry, registry::Error> {
        if self.away.load(Ordering::SeqCst) {
            return Err(registry::Error::Unavailable(None));
        }
        Ok(&self.inner)
    }

    /// The routes of a recipient, whether the registry is away for the node or not.
    pub(crate) async fn routes(&self, recipient: &Recipient) -> Vec<Route> {
        self.inner.lookup(std::slice::from_ref(recipient)).await.unwrap().remove(0)
    }
}

#[async_trait]
impl Routes for Registry {
    async fn register(&self, routes: &[(Recipient, Route)]) -> Result<(), registry::Error> {
        self.there()?.register(routes).await?;
        self.registered.fetch_add(routes.len(), Ordering::SeqCst);
        Ok(())
    }

    async fn remove(&self, routes: &[(Recipient, Route)]) -> Result<(), registry::Error> {
        self.there()?.remove(routes).await
    }

    async fn lookup(&self, recipients: &[Recipient]) -> Result<Vec<Vec<Route>>, registry::Error> {
        self.there()?.lookup(recipients).await
    }

    async fn entered(&self, since: &Mark) -> Result<(Entered, Mark), registry::Error> {
        self.there()?.entered(since).await
    }
}

#[async_trait]
impl Nodes for Registry {
    async fn renew(&self, node: &Node, ttl: Duration) -> Result<RegistryEpoch, registry::Error> {
        self.there()?.renew(node, ttl).await
    }

    async fn release(&self, node: NodeId) -> Result<(), registry::Error> {
        self.there()?.release(node).await
    }

    async fn nodes(&self) -> Result<Vec<Node>, registry::Error> {
        self.there()?.nodes().await
    }
}

#[async_trait]
impl Flags for Registry {
    async fn mark(&self, marks: &[(Recipient, u64)]) -> Result<(), registry::Error> {
        self.there()?.mark(marks).await
    }

    async fn advance(
        &self,
        partition: PartitionId,
        from: Option<u64>,
        to: u64,
    ) -> Result<(), registry::Error> {
        self.there()?.advance(partition, from, to).await
    }

    async fn flagged_upto(&self, partition: PartitionId) -> Result<Option<u64>, registry::Error> {
        self.there()?.flagged_upto(partition).await
    }

    async fn read(
        &self,
        recipients: &[(Recipient, PartitionId)],
    ) -> Result<Vec<FlagReading>, registry::Error> {
        self.there()?.read(recipients).await
    }

    async fn clear(&self, recipients: &[(Recipient, u64)]) -> Result<Vec<bool>, registry::Error> {
        self.there()?.clear(recipients).await
    }
}

/// Stored rows.
#[derive(Default)]
pub(crate) struct Store {
    pub(crate) away: AtomicBool,
    /// The most rows asked for in one call, and the most sessions.
    pub(crate) most_rows: AtomicUsize,
    pub(crate) most_sessions: AtomicUsize,
    /// Pages that were asked for, and how often how far the store is archived.
    pub(crate) pages: AtomicUsize,
    pub(crate) looks: AtomicUsize,
    /// Whether deletions alone fail, and how many were tried.
    pub(crate) keeps_rows: AtomicBool,
    pub(crate) deletions: AtomicUsize,
    rows: Mutex<BTreeMap<Recipient, BTreeMap<Position, StoredRow>>>,
    archived: Mutex<BTreeMap<PartitionId, u64>>,
}

impl Store {
    fn rows(&self) -> MutexGuard<'_, BTreeMap<Recipient, BTreeMap<Position, StoredRow>>> {
        self.rows.lock().unwrap()
    }

    fn check(&self) -> Result<(), store::Error> {
        if self.away.load(Ordering::SeqCst) { Err(store::Error::Unavailable(None)) } else { Ok(()) }
    }

    pub(crate) fn put(&self, row: StoredRow) {
        self.rows().entry(row.notification.recipient.clone()).or_default().insert(row.position, row);
    }

    pub(crate) fn archive_upto(&self, upto: u64) {
        let mut archived = self.archived.lock().unwrap();
        for partition in 0..PARTITIONS {
            archived.insert(PartitionId(partition), upto);
        }
    }

    pub(crate) fn stored(&self, recipient: &Recipient) -> usize {
        self.rows().get(recipient).map_or(0, BTreeMap::len)
    }
}

#[async_trait]
impl Inbox for Store {
    async fn archived_upto(&self, partition: PartitionId) -> Result<u64, store::Error> {
        self.check()?;
        self.looks.fetch_add(1, Ordering::SeqCst);
        Ok(self.archived.lock().unwrap().get(&partition).copied().unwrap_or(0))
    }

    async fn archive(
        &self,
        partition: PartitionId,
        from: u64,
        to: u64,
        rows: &[StoredRow],
        _now: Timestamp,
    ) -> Result<Vec<(GapCause, u64)>, store::Error> {
        self.check()?;
        let mut archived = self.archived.lock().unwrap();
        let upto = archived.entry(partition).or_default();
        if *upto != from {
            return Err(store::Error::Conflict);
        }
        *upto = to;
        for row in rows {
            self.put(row.clone());
        }
        Ok(Vec::new())
    }

    async fn pages(&self, requests: &[PageRequest]) -> Result<Vec<Page>, store::Error> {
        self.check()?;
        self.most_sessions.fetch_max(requests.len(), Ordering::SeqCst);
        self.pages.fetch_add(requests.len(), Ordering::SeqCst);
        let asked: u32 = requests.iter().map(|request| request.limit).sum();
        self.most_rows.fetch_max(asked as usize, Ordering::SeqCst);
        let mut pages = Vec::new();
        for request in requests {
            let archived_upto = self.archived.lock().unwrap().get(&request.partition).copied().unwrap_or(0);
            let rows = self.rows();
            let of = rows.get(&request.recipient);
            let mut found: Vec<StoredRow> = of
                .into_iter()
                .flat_map(BTreeMap::values)
                .filter(|row| !request.from.covers(row.position))
                .cloned()
                .collect();
            let more = found.len() > request.limit as usize;
            found.truncate(request.limit as usize);
            pages.push(Page { rows: found, more, gaps: Vec::new(), archived_upto });
        }
        Ok(pages)
    }

    async fn delete(&self, acknowledged: &[(Recipient, Cursor)]) -> Result<(), store::Error> {
        self.check()?;
        self.deletions.fetch_add(1, Ordering::SeqCst);
        if self.keeps_rows.load(Ordering::SeqCst) {
            return Err(store::Error::Unavailable(None));
        }
        for (recipient, cursor) in acknowledged {
            if let Some(rows) = self.rows().get_mut(recipient) {
                rows.retain(|position, _| !cursor.covers(*position));
            }
        }
        Ok(())
    }

    async fn expire(&self, _now: Timestamp, _limit: u32) -> Result<u64, store::Error> {
        self.check()?;
        Ok(0)
    }

    async fn recipients(
        &self,
        _partition: PartitionId,
        _after: Option<&Recipient>,
        limit: u32,
    ) -> Result<Vec<Recipient>, store::Error> {
        self.check()?;
        Ok(self.rows().keys().take(limit as usize).cloned().collect())
    }
}

/// Where `parked` ends, and what was dead-lettered.
#[derive(Default)]
pub(crate) struct Log {
    pub(crate) away: AtomicBool,
    pub(crate) parked_end: AtomicU64,
    /// Whether a record with a body is too large.
    pub(crate) takes_no_body: AtomicBool,
    dead: Mutex<Vec<Entry>>,
}

impl Log {
    pub(crate) fn dead(&self) -> Vec<Entry> {
        self.dead.lock().unwrap().clone()
    }

    fn is_away(&self) -> bool {
        self.away.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Ends for Log {
    async fn end(&self, _topic: Topic, _partition: PartitionId) -> Result<u64, log::Error> {
        if self.is_away() {
            return Err(log::Error::Unavailable(None));
        }
        Ok(self.parked_end.load(Ordering::SeqCst))
    }

    fn partitions(&self) -> u32 {
        PARTITIONS
    }

    fn epoch(&self) -> Epoch {
        Epoch(2)
    }

    fn max_record_bytes(&self) -> usize {
        usize::MAX
    }
}

#[async_trait]
impl Appender for Log {
    async fn append(&self, topic: Topic, entries: Vec<Entry>) -> Vec<Result<Placed, log::Error>> {
        assert_eq!(topic, Topic::Dead);
        let mut dead = self.dead.lock().unwrap();
        let place = |entry: Entry| {
            if self.is_away() {
                return Err(log::Error::Unavailable(None));
            }
            if self.takes_no_body.load(Ordering::SeqCst) && !entry.payload.is_empty() {
                return Err(log::Error::TooLarge);
            }
            dead.push(entry);
            Ok(Placed { partition: PartitionId(0), offset: dead.len() as u64 - 1 })
        };
        entries.into_iter().map(place).collect()
    }
}
