//! Schedules, as the store keeps them, leases by name, which say who of many instances leads, and the small store of tasks.

use async_trait::async_trait;
use bytes::Bytes;

use super::Error;
use super::modules::EntryName;
use crate::clock::Timestamp;
use crate::log::Entry;
use crate::recipient::TenantId;

/// A schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduleRow {
    /// Whose.
    pub tenant: TenantId,
    /// Its name.
    pub name: EntryName,
    /// When it fires and what happens to times that were missed: a JSON object as text, see `docs/TASKS.md`.
    pub settings: String,
    /// The record that it appends, but for its id and times.
    pub record: Entry,
    /// Whether it fires.
    pub enabled: bool,
    /// The next time that it fires; none: never again.
    pub next: Option<Timestamp>,
    /// The last time that it was to fire and did.
    pub fired: Option<Timestamp>,
    /// How often it fired.
    pub count: u64,
    /// Grows with each change, also of those above.
    pub revision: u64,
    /// When somebody changed it last.
    pub changed: Timestamp,
}

/// Schedules of tenants.
#[async_trait]
pub trait Schedules: Send + Sync + 'static {
    /// Enters a schedule or, when `expected` is the revision of the one that is there, another one in its place; `None`
    /// expects nothing and takes the place of whatever is there. Answers the new revision; that of `schedule` is ignored.
    ///
    /// # Errors
    /// [`Error::Conflict`] when another revision is there, or the tenant has `most` others.
    async fn put_schedule(
        &self,
        schedule: &ScheduleRow,
        expected: Option<u64>,
        most: u32,
    ) -> Result<u64, Error>;

    /// The one of this name.
    async fn get_schedule(&self, tenant: &TenantId, name: &EntryName) -> Result<Option<ScheduleRow>, Error>;

    /// Those of `tenant` behind `after`, by name; at most `limit`.
    async fn list_schedules(
        &self,
        tenant: &TenantId,
        after: Option<&EntryName>,
        limit: u32,
    ) -> Result<Vec<ScheduleRow>, Error>;

    /// Removes one; answers whether there was one.
    async fn delete_schedule(&self, tenant: &TenantId, name: &EntryName) -> Result<bool, Error>;

    /// Those that are enabled and whose next time is at or before `now`, the most overdue first; at most `limit`.
    async fn due_schedules(&self, now: Timestamp, limit: u32) -> Result<Vec<ScheduleRow>, Error>;

    /// Notes that the times up to `fired` were dealt with, `times` of them by a task, and that the next is `next`.
    ///
    /// # Errors
    /// [`Error::Conflict`] when the schedule is not at `revision` any more.
    async fn advance_schedule(
        &self,
        schedule: &ScheduleRow,
        fired: Option<Timestamp>,
        times: u64,
        next: Option<Timestamp>,
    ) -> Result<(), Error>;
}

/// Who of many instances leads.
#[async_trait]
pub trait Leases: Send + Sync + 'static {
    /// Takes or prolongs the lease `name` for `holder`, until `until`; answers whether `holder` has it now: not while
    /// another's has not run out at `now`.
    async fn take_lease(
        &self,
        name: &str,
        holder: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<bool, Error>;

    /// Gives it up, if `holder` has it.
    async fn release_lease(&self, name: &str, holder: &str) -> Result<(), Error>;
}

/// What a write expects to find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Whatever there is.
    Anything,
    /// No entry.
    Nothing,
    /// The entry of this version.
    Version(u64),
}

/// What became of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// It is done; the entry has this version. For a removal: what it had, or 0.
    Done(u64),
    /// The entry is not what was expected.
    Conflict,
    /// The space has as many entries as it may.
    Full,
}

/// The small store of tasks: entries of a tenant under a granted name.
#[async_trait]
pub trait KeyValues: Send + Sync + 'static {
    /// The value and its version.
    async fn get_value(
        &self,
        tenant: &TenantId,
        space: &str,
        key: &str,
    ) -> Result<Option<(Bytes, u64)>, Error>;

    /// Writes a value if what is there is as `expected` and the space has no more than `most` entries with it. No version is
    /// given twice for a key while its entry is there, nor after it was removed.
    async fn set_value(
        &self,
        tenant: &TenantId,
        space: &str,
        key: &str,
        value: &Bytes,
        expected: Expected,
        most: u32,
    ) -> Result<Written, Error>;

    /// Removes an entry if it is as `expected`; one that is not there is no error.
    async fn delete_value(
        &self,
        tenant: &TenantId,
        space: &str,
        key: &str,
        expected: Expected,
    ) -> Result<Written, Error>;
}
