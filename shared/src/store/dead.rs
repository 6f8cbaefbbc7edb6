//! Dead letters, as the store keeps them: what they are, the states they pass through, and the three ports to them, one
//! for each of who needs them: [`DeadLetters`] the archiver, [`DeadReview`] whoever looks and decides (the producers' API,
//! the command line), [`Requeues`] the worker that appends what was asked for.
//!
//! `dead` → `requeue_requested` → `requeued` or `expired`; `dead`, `requeue_requested` and `expired` → `discarded`.
//! Nothing else happens to one but that it is purged when its retention is over.

use async_trait::async_trait;
use bytes::Bytes;

use super::Error;
use crate::clock::Timestamp;
use crate::log::Headers;
use crate::notification::NotificationId;
use crate::position::{PartitionId, Position};
use crate::recipient::{RecipientId, TenantId};

/// A dead letter on its way into the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadRow {
    /// Where the record stood on `notifications`; what it is known by.
    pub position: Position,
    /// The tenant, when the record's key names one.
    pub tenant: Option<TenantId>,
    /// The recipient, when the record's key names one.
    pub recipient: Option<RecipientId>,
    /// The record's key, as text where it is any.
    pub key: String,
    /// Stable code, see [`crate::outcome::DeadReason::code`].
    pub code: String,
    /// For a person.
    pub detail: String,
    /// The record's headers.
    pub headers: Headers,
    /// The record's body.
    pub payload: Bytes,
    /// When it was dead-lettered.
    pub time: Timestamp,
    /// The notification's id, when the headers name one.
    pub notification: Option<NotificationId>,
    /// Whether body or headers are missing, because the log did not take them again.
    pub cut: bool,
    /// Whether it reads as a whole notification, which alone can be requeued.
    pub requeueable: bool,
}

/// Where a dead letter stands in its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum DeadState {
    /// Nothing was decided.
    #[default]
    Dead,
    /// It is to be appended to `notifications` again.
    RequeueRequested,
    /// It was.
    Requeued,
    /// It was to be, and was past its expiry.
    Expired,
    /// It is not wanted; its headers and its body are gone.
    Discarded,
}

impl DeadState {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Dead, Self::RequeueRequested, Self::Requeued, Self::Expired, Self::Discarded];

    /// The word on the wire and at rest.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dead => "dead",
            Self::RequeueRequested => "requeue_requested",
            Self::Requeued => "requeued",
            Self::Expired => "expired",
            Self::Discarded => "discarded",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }
}

/// A dead letter without headers and body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadSummary {
    /// As [`DeadRow::position`].
    pub position: Position,
    /// As [`DeadRow::tenant`].
    pub tenant: Option<TenantId>,
    /// As [`DeadRow::recipient`].
    pub recipient: Option<RecipientId>,
    /// As [`DeadRow::key`].
    pub key: String,
    /// As [`DeadRow::code`].
    pub code: String,
    /// As [`DeadRow::detail`].
    pub detail: String,
    /// As [`DeadRow::time`].
    pub time: Timestamp,
    /// As [`DeadRow::notification`].
    pub notification: Option<NotificationId>,
    /// As [`DeadRow::cut`].
    pub cut: bool,
    /// As [`DeadRow::requeueable`].
    pub requeueable: bool,
    /// The body's size, in bytes.
    pub size_bytes: u64,
    /// Its state.
    pub state: DeadState,
    /// Since when.
    pub changed: Timestamp,
    /// Who asked for the last change, if anybody did.
    pub changed_by: Option<String>,
    /// Where it was appended again.
    pub requeued_at: Option<Position>,
}

/// A dead letter, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// All but headers and body.
    pub summary: DeadSummary,
    /// The record's headers.
    pub headers: Headers,
    /// The record's body.
    pub payload: Bytes,
}

/// Which dead letters; a field that is `None` asks for nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeadFilter {
    /// Of this tenant. `None` is the operator's view: all, also those that name no tenant.
    pub tenant: Option<TenantId>,
    /// This one.
    pub position: Option<Position>,
    /// For this recipient.
    pub recipient: Option<RecipientId>,
    /// Whose code starts with this.
    pub code_prefix: Option<String>,
    /// Dead-lettered then or later.
    pub from: Option<Timestamp>,
    /// Dead-lettered before then.
    pub until: Option<Timestamp>,
    /// In this state.
    pub state: Option<DeadState>,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeadChange {
    /// Append it again: touches what is `dead` and can be requeued.
    Requeue,
    /// Forget it: touches what is `dead`, `requeue_requested` or `expired`.
    Discard,
}

/// A requeue that was asked for and has not happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requested {
    /// Which dead letter.
    pub position: Position,
    /// Whose.
    pub tenant: TenantId,
    /// The record's key.
    pub key: String,
    /// The body's size, in bytes.
    pub size_bytes: u64,
}

/// What became of a requeue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// It stands on `notifications` again, here.
    Requeued(Position),
    /// It was past its expiry.
    Expired,
    /// The log never takes it, or it does not read as a notification: it is `dead`, and not requeueable.
    Unfit,
}

/// Dead letters as the archiver knows them.
#[async_trait]
pub trait DeadLetters: Send + Sync + 'static {
    /// How far `dead` of `partition` has been archived.
    async fn dead_upto(&self, partition: PartitionId) -> Result<u64, Error>;

    /// As [`super::Inbox::archive`], for dead letters. One whose position is there already is left as it is, whatever its
    /// state.
    async fn archive_dead(
        &self,
        partition: PartitionId,
        from: u64,
        to: u64,
        rows: &[DeadRow],
    ) -> Result<(), Error>;

    /// Forgets those whose state is what it is since before `before`, but none whose requeue is asked for; at most `limit`,
    /// the oldest first. Answers how many.
    async fn purge_dead(&self, before: Timestamp, limit: u32) -> Result<u64, Error>;
}

/// Dead letters as whoever looks at them and decides knows them.
#[async_trait]
pub trait DeadReview: Send + Sync + 'static {
    /// Those of `filter`, the newest first, those behind `after` (time and position) only; at most `limit`.
    async fn list_dead(
        &self,
        filter: &DeadFilter,
        after: Option<(Timestamp, Position)>,
        limit: u32,
    ) -> Result<Vec<DeadSummary>, Error>;

    /// The one at `position`, if `tenant` (all, for `None`) has it.
    async fn get_dead(
        &self,
        tenant: Option<&TenantId>,
        position: Position,
    ) -> Result<Option<DeadLetter>, Error>;

    /// How many of `filter` a `change` would touch; counts no further than `most`.
    async fn count_dead(&self, filter: &DeadFilter, change: DeadChange, most: u32) -> Result<u64, Error>;

    /// Asks for `change` of those of `filter` that it touches, in the order of their positions; at most `limit`. Answers
    /// how many it touched. Durable when answered; asking again changes nothing.
    async fn change_dead(
        &self,
        filter: &DeadFilter,
        change: DeadChange,
        by: &str,
        now: Timestamp,
        limit: u32,
    ) -> Result<u64, Error>;
}

/// Requeues that were asked for, as the worker that does them knows them.
#[async_trait]
pub trait Requeues: Send + Sync + 'static {
    /// The first `each` of each of `tenants` tenants that have any, both ascending, the tenants after `after` only.
    async fn requested(
        &self,
        after: Option<&TenantId>,
        tenants: u32,
        each: u32,
    ) -> Result<Vec<Requested>, Error>;

    /// Those at `positions` whose requeue is still asked for, in any order.
    async fn requested_letters(&self, positions: &[Position]) -> Result<Vec<DeadLetter>, Error>;

    /// Writes down what became of requeues. One that was settled before is left as it is; one that was discarded
    /// meanwhile and stands on the log all the same is `requeued`.
    async fn settle(&self, settled: &[(Position, Settled)], now: Timestamp) -> Result<(), Error>;

    /// How many are asked for; counts no further than `most`.
    async fn waiting(&self, most: u32) -> Result<u64, Error>;
}
