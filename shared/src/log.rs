//! The log port: where accepted records stand. Kafka in production ([`kafka`]), SQLite in one process ([`sqlite`]).
//!
//! Narrow traits, each handed only to who uses it: [`Appender`], [`Subscriber`] with its [`Consumer`] and [`Progress`],
//! [`Ends`], [`Reader`], [`Commits`], [`Lag`], [`Provision`]. [`contract`] is the suite that every adapter passes.

pub mod contract;
pub mod groups;
pub mod kafka;
mod metrics;
pub mod outlet;
pub mod sqlite;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use crate::clock::Timestamp;
use crate::position::{Epoch, PartitionId};
use crate::topic::Topic;

/// Headers in order; names may repeat.
pub type Headers = Vec<(Cow<'static, str>, Bytes)>;

/// A record as it is appended. Cloning shares the bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// Decides the partition ([`crate::topic::partition_of`]).
    pub key: Bytes,
    /// Headers.
    pub headers: Headers,
    /// Body.
    pub payload: Bytes,
}

impl Entry {
    /// What it weighs against byte limits: key, headers and body.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        let headers: usize = self.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        self.key.len() + headers + self.payload.len()
    }
}

/// Where an appended record stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Partition.
    pub partition: PartitionId,
    /// Offset in it.
    pub offset: u64,
}

/// A record as it is consumed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// Partition.
    pub partition: PartitionId,
    /// Offset in it.
    pub offset: u64,
    /// When it was appended, by the log's clock.
    pub timestamp: Timestamp,
    /// The record.
    pub entry: Entry,
}

/// What a member of a group wants of a topic. The default is everything, at once.
#[derive(Clone, Copy, Debug, Default)]
pub struct Interest {
    /// Whether a record with this header, name and value, is wanted; none: every record is. Of those that are not wanted,
    /// and come one after the other, at least the last comes, late and bare: with an empty [`Entry`], so that who reads
    /// knows how far it is.
    pub header: Option<fn(&str, &[u8]) -> bool>,
    /// How long the log may wait for more records before it hands on a few. At zero it does not.
    pub patience: Duration,
}

impl Interest {
    /// Whether a record with these headers is wanted.
    pub(crate) fn wants<'a>(self, mut headers: impl Iterator<Item = (&'a str, &'a [u8])>) -> bool {
        self.header.is_none_or(|wanted| headers.any(|(name, value)| wanted(name, value)))
    }
}

/// What went wrong, cut by what the caller can do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The log is away or too slow, or its bounded queue is full. Nothing is known to be durable; try again later.
    #[error("the log is unavailable")]
    Unavailable(#[source] Option<BoxError>),
    /// The record is larger than the log takes. Trying again does not help.
    #[error("the record is larger than the log takes")]
    TooLarge,
    /// The log refuses for good: unknown topic, no permission, broken settings.
    #[error("the log refuses")]
    Rejected(#[source] BoxError),
    /// The port was closed.
    #[error("the log is closed")]
    Closed,
}

/// A driver's error, as a source.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Appends records.
#[async_trait]
pub trait Appender: Send + Sync + 'static {
    /// Appends `entries` in order and answers each, in order, once it is durable: on Kafka acknowledged with
    /// `acks=all` by an idempotent producer, on SQLite synced to disk. Entries of one call and one partition keep
    /// their order among those that succeed. Returns within the adapter's delivery deadline; memory held for records
    /// not yet answered is bounded, and past the bound the answer is [`Error::Unavailable`] at once.
    ///
    /// # Errors
    /// Per entry. After [`Error::Unavailable`] the record may still turn up on the log: the outcome is unknown.
    ///
    /// # Cancel safety
    /// Dropping the future loses the answers, not the records.
    async fn append(&self, topic: Topic, entries: Vec<Entry>) -> Vec<Result<Placed, Error>>;
}

/// Joins consumer groups.
#[async_trait]
pub trait Subscriber: Send + Sync + 'static {
    /// Joins `group` on `topic`, for what is of `interest`. Partitions without a committed offset start at the earliest
    /// record.
    ///
    /// # Errors
    /// [`Error::Rejected`] when the topic does not exist.
    async fn subscribe(
        &self,
        topic: Topic,
        group: &str,
        interest: Interest,
    ) -> Result<Box<dyn Consumer>, Error>;
}

/// One member of a consumer group on one topic.
#[async_trait]
pub trait Consumer: Send {
    /// The next thing to know. While the log is away it waits; it does not fail for that.
    ///
    /// # Errors
    /// [`Error::Rejected`] or [`Error::Closed`]: this member is of no more use.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    async fn next(&mut self) -> Result<Turn, Error>;

    /// The member's controls, to be used from anywhere.
    fn progress(&self) -> Arc<dyn Progress>;

    /// Commits what is finished, leaves the group and stops, within a bounded time.
    async fn close(self: Box<Self>);
}

/// What a [`Consumer`] has to say.
#[derive(Debug)]
pub enum Turn {
    /// These partitions are now this member's, each read from the offset beside it (the group's committed one).
    Assigned(Vec<(PartitionId, u64)>),
    /// These partitions go to another member once the [`Release`] is dropped or the adapter's drain deadline passes.
    /// Until then [`Progress::finish`] still counts.
    Revoked(Vec<PartitionId>, Release),
    /// These partitions are another member's already; what is finished now counts for nothing.
    Lost(Vec<PartitionId>),
    /// Records of one partition, offsets ascending (gaps are possible). Bounded by the adapter's batch limits.
    Fetched(PartitionId, Vec<Fetched>),
}

/// Dropping it lets a rebalance go on.
#[derive(Debug)]
pub struct Release(#[expect(dead_code, reason = "held to be dropped")] std::sync::mpsc::SyncSender<()>);

impl Release {
    /// A release and the receiver whose disconnection tells that it was dropped.
    #[must_use]
    pub fn new() -> (Self, std::sync::mpsc::Receiver<()>) {
        let (sender, receiver) = std::sync::mpsc::sync_channel(1);
        (Self(sender), receiver)
    }
}

/// Controls of one group member. Partitions that are not (or no longer) assigned are ignored.
pub trait Progress: Send + Sync + 'static {
    /// Everything of `partition` below `next` has ended; it is committed soon after, and before the partition is
    /// given up.
    fn finish(&self, partition: PartitionId, next: u64);
    /// Stops fetching `partition`; what is on its way still comes.
    fn pause(&self, partition: PartitionId);
    /// Fetches `partition` again.
    fn resume(&self, partition: PartitionId);
    /// Reads `partition` from `offset` on; what was on its way from elsewhere may still come and is recognised by its
    /// offset.
    fn seek(&self, partition: PartitionId, offset: u64);
}

/// Tells where partitions end.
#[async_trait]
pub trait Ends: Send + Sync + 'static {
    /// The offset that the next record of `partition` will get, read after this call began: every record whose append
    /// was answered before the call lies below it.
    ///
    /// # Errors
    /// [`Error::Unavailable`] past the adapter's deadline; [`Error::Rejected`] for a partition that does not exist.
    async fn end(&self, topic: Topic, partition: PartitionId) -> Result<u64, Error>;

    /// The number of partitions of every topic, as found at start.
    fn partitions(&self) -> u32;

    /// The generation of the topics.
    fn epoch(&self) -> Epoch;

    /// The largest record that may be published, in bytes. One that is larger came from elsewhere, compressed: copies of it
    /// would be refused.
    fn max_record_bytes(&self) -> usize;
}

/// Reads partitions outside of any group, for who checks what stands there.
#[async_trait]
pub trait Reader: Send + Sync + 'static {
    /// Where `partition` begins: what stood below was deleted by retention.
    ///
    /// # Errors
    /// [`Error::Unavailable`] past the adapter's deadline; [`Error::Rejected`] for a partition that does not exist.
    async fn first(&self, topic: Topic, partition: PartitionId) -> Result<u64, Error>;

    /// Records of `partition` at or above `from` and below `to`, offsets ascending from the lowest there is, as many as
    /// the adapter's batch limits allow. Nothing means that none stands there. `to` must not lie above the partition's
    /// end.
    ///
    /// # Errors
    /// As [`Reader::first`].
    async fn read(
        &self,
        topic: Topic,
        partition: PartitionId,
        from: u64,
        to: u64,
    ) -> Result<Vec<Fetched>, Error>;
}

/// Tells how far groups have come, and keeps that of groups that nobody joins.
#[async_trait]
pub trait Commits: Send + Sync + 'static {
    /// How far `group` has committed `partition` of `topic`, as it is durable on the log; `None` when it never has.
    ///
    /// # Errors
    /// [`Error::Unavailable`] past the adapter's deadline; [`Error::Rejected`] for a partition that does not exist.
    async fn committed(
        &self,
        group: &str,
        topic: Topic,
        partition: PartitionId,
    ) -> Result<Option<u64>, Error>;

    /// Commits offsets of `partition` in several topics for a `group` that has no members; durable when answered. Cut
    /// short, those before any that is durable are durable too. Whether an offset may go back is the adapter's.
    ///
    /// # Errors
    /// [`Error::Unavailable`] or [`Error::Rejected`]; what is durable is then unknown.
    async fn commit(
        &self,
        group: &str,
        partition: PartitionId,
        offsets: &[(Topic, u64)],
    ) -> Result<(), Error>;
}

/// Tells how far behind groups are, for who watches them from outside: a group without members has a lag too.
#[async_trait]
pub trait Lag: Send + Sync + 'static {
    /// How many records of `topic` stand on the log and are not committed by `group`, all partitions together. One that it
    /// never committed counts from its first record. Never too few of what was appended before the call.
    ///
    /// # Errors
    /// [`Error::Unavailable`] past the adapter's deadline.
    async fn lag(&self, group: &str, topic: Topic) -> Result<u64, Error>;
}

/// Makes and inspects topics.
#[async_trait]
pub trait Provision: Send + Sync + 'static {
    /// Makes the topics that are missing and answers how each now stands.
    ///
    /// # Errors
    /// [`Error::Unavailable`] or [`Error::Rejected`].
    async fn ensure(&self) -> Result<Vec<TopicState>, Error>;
}

/// How a topic stands on the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicState {
    /// Which.
    pub topic: Topic,
    /// Its name on the broker.
    pub name: String,
    /// Its number of partitions.
    pub partitions: u32,
    /// Whether this call made it.
    pub created: bool,
    /// What is set on it that can cost records, in words; nothing where the log does not let it be seen.
    pub faults: Vec<String>,
}
