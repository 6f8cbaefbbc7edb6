//! The store port: what could not be delivered yet, what never can, who may produce, and what tasks need. Postgres
//! in production, SQLite in one process.
//!
//! Narrow traits: [`Inbox`], [`DeadLetters`], [`DeadReview`], [`Requeues`], [`ApiKeys`], [`TaskRuns`], [`TaskReview`],
//! [`Modules`], [`Bindings`], [`Schedules`], [`Leases`], [`KeyValues`], [`Migrate`]. [`contract`] is the
//! suite that every adapter passes. Every call returns within the adapter's deadline.

mod columns;
pub mod contract;
mod dead;
mod dead_columns;
mod failure;
mod metrics;
mod module_columns;
mod modules;
pub mod postgres;
mod schedule_columns;
mod schedules;
pub mod sqlite;
mod task_columns;
mod task_rules;
mod tasks;

use async_trait::async_trait;

pub use dead::{
    DeadChange, DeadFilter, DeadLetter, DeadLetters, DeadReview, DeadRow, DeadState, DeadSummary, Requested,
    Requeues, Settled,
};
pub use modules::{AliasRow, BindingRow, Bindings, EntryName, ModuleRow, Modules};
pub use schedules::{Expected, KeyValues, Leases, ScheduleRow, Schedules, Written};
pub use tasks::{
    Begun, DueTask, Effort, Finish, Hold, Lease, NewTask, Renewed, TaskChange, TaskFilter, TaskKey,
    TaskReview, TaskRuns, TaskStep, TaskSummary,
};

use crate::clock::Timestamp;
use crate::notification::Notification;
use crate::position::{Cursor, PartitionId, Position};
use crate::recipient::{Recipient, TenantId};

/// What went wrong, cut by what the caller can do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store is away or too slow. Nothing of the call was done, or all of it; every operation may be repeated.
    #[error("the store is unavailable")]
    Unavailable(#[source] Option<Box<dyn std::error::Error + Send + Sync>>),
    /// What stands there is not what was expected; read again.
    #[error("the store holds another value than expected")]
    Conflict,
    /// The store refuses for good: schema missing or of another version, a value it cannot hold.
    #[error("the store refuses")]
    Rejected(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A stored notification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRow {
    /// Its original position.
    pub position: Position,
    /// The notification.
    pub notification: Notification,
}

/// Why stored positions will never come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GapCause {
    /// Past their expiry.
    Expired,
    /// Beyond what is stored for one recipient.
    OverQuota,
}

impl GapCause {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Expired, Self::OverQuota];

    /// The word on the wire and at rest.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::OverQuota => "over_quota",
        }
    }
}

/// Positions of one recipient that will never come, to be told by a `gap` frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GapRow {
    /// Why.
    pub cause: GapCause,
    /// How many.
    pub count: u64,
    /// The lowest of them.
    pub first: Position,
    /// The highest of them.
    pub last: Position,
}

/// What one session asks of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageRequest {
    /// Whose.
    pub recipient: Recipient,
    /// The partition the recipient lives in.
    pub partition: PartitionId,
    /// Only rows not behind this cursor.
    pub from: Cursor,
    /// At most this many rows; at least 1.
    pub limit: u32,
}

/// One consistent snapshot of what is stored for one recipient.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The lowest rows not behind the cursor asked for, ascending; expired ones included.
    pub rows: Vec<StoredRow>,
    /// Whether there are more above the last of `rows`.
    pub more: bool,
    /// Every gap of the recipient, whatever its cursor: at most one per cause.
    pub gaps: Vec<GapRow>,
    /// How far `parked` of the partition was archived in the same snapshot.
    pub archived_upto: u64,
}

/// Stored notifications by recipient and position, and how far `parked` has been moved into them.
#[async_trait]
pub trait Inbox: Send + Sync + 'static {
    /// How far `parked` of `partition` has been archived.
    async fn archived_upto(&self, partition: PartitionId) -> Result<u64, Error>;

    /// In one transaction: stores `rows` (a position that is stored already is left alone), counts those past their
    /// expiry at `now` or beyond the recipient's quota (the newest give way) as gaps instead, and moves
    /// `archived_upto` of `partition` from `from` to `to`. Answers how many became a gap for each cause.
    ///
    /// # Errors
    /// [`Error::Conflict`] when `archived_upto` is not at `from`: another archiver was here; nothing was done.
    async fn archive(
        &self,
        partition: PartitionId,
        from: u64,
        to: u64,
        rows: &[StoredRow],
        now: Timestamp,
    ) -> Result<Vec<(GapCause, u64)>, Error>;

    /// Reads for many sessions at once, each answer a snapshot of its own, in the order asked.
    async fn pages(&self, requests: &[PageRequest]) -> Result<Vec<Page>, Error>;

    /// Deletes rows and gaps that a client acknowledged: everything of the recipient behind the cursor beside it.
    async fn delete(&self, acknowledged: &[(Recipient, Cursor)]) -> Result<(), Error>;

    /// Turns rows past their expiry at `now` into gaps and answers how many: at most `limit`, or all those of one whole
    /// week that is over, where the engine can fold and drop it at once. Zero means that there was nothing left to do.
    async fn expire(&self, now: Timestamp, limit: u32) -> Result<u64, Error>;

    /// Recipients of `partition` that have rows, ascending, those after `after` only; at most `limit`.
    async fn recipients(
        &self,
        partition: PartitionId,
        after: Option<&Recipient>,
        limit: u32,
    ) -> Result<Vec<Recipient>, Error>;
}

/// A producer's key, without the secret: only its SHA-256 is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// Public name of the key, for lists and revocation.
    pub id: String,
    /// SHA-256 of the secret.
    pub hash: [u8; 32],
    /// Whose producers it admits.
    pub tenant: TenantId,
    /// What a person called it.
    pub label: String,
    /// When it was made.
    pub created: Timestamp,
    /// When it stops being good, if ever.
    pub expires: Option<Timestamp>,
    /// When it was revoked, if it was.
    pub revoked: Option<Timestamp>,
}

/// Producers' keys.
#[async_trait]
pub trait ApiKeys: Send + Sync + 'static {
    /// Enters a key.
    ///
    /// # Errors
    /// [`Error::Conflict`] when its id or hash is taken.
    async fn create_key(&self, key: &ApiKey) -> Result<(), Error>;

    /// The key of this hash, revoked and expired ones included.
    async fn find_key(&self, hash: &[u8; 32]) -> Result<Option<ApiKey>, Error>;

    /// Keys of `tenant` (all, for `None`), oldest first; at most `limit`.
    async fn list_keys(&self, tenant: Option<&TenantId>, limit: u32) -> Result<Vec<ApiKey>, Error>;

    /// Revokes the key of this id; answers whether there was one.
    async fn revoke_key(&self, id: &str, now: Timestamp) -> Result<bool, Error>;
}

/// Brings the schema up to date.
#[async_trait]
pub trait Migrate: Send + Sync + 'static {
    /// Applies the migrations that are missing, once, also when several processes try; answers how many there are now.
    async fn migrate(&self) -> Result<u64, Error>;

    /// Whether the schema is the one this version needs.
    async fn is_current(&self) -> Result<bool, Error>;
}
