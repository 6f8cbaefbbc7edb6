//! Tasks, as the store keeps them, and the two ports to them: [`TaskRuns`] for the executors that run them, [`TaskReview`]
//! for whoever looks and decides. What may follow what: [`TaskState`].
//!
//! The store is where it is decided that a task ends once: whoever runs one holds a lease with a fence, a number that is
//! never given twice for the task, and an end is taken only from the holder of the newest.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use super::Error;
use crate::clock::Timestamp;
use crate::log::Entry;
use crate::notification::NotificationId;
use crate::position::Position;
use crate::recipient::{RecipientId, TenantId};
use crate::task::{ModuleName, ModuleVersion, Origin, TaskCode, TaskState};

/// Which task: ids are unique inside a tenant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskKey {
    /// Whose.
    pub tenant: TenantId,
    /// The id of the record that asked for it.
    pub id: NotificationId,
}

/// A task on its way into the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTask {
    /// Which.
    pub key: TaskKey,
    /// Whom its input is for.
    pub recipient: RecipientId,
    /// The module.
    pub module: ModuleName,
    /// The version as it was asked for; none: whichever is live when it is run.
    pub version: Option<ModuleVersion>,
    /// The producer's own word for it.
    pub code: Option<TaskCode>,
    /// Who asked.
    pub origin: Origin,
    /// The schedule that asked, if one did.
    pub schedule: Option<String>,
    /// The record that asked, so that it can be run without the log.
    pub record: Entry,
    /// Where the record stands on `notifications`, once it is known.
    pub position: Option<Position>,
    /// When it was accepted.
    pub created: Timestamp,
}

/// Who runs a task, and until when that holds unless it is renewed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The instance of the executor: another one after each start of a process, for whoever comes back under the same
    /// name is given what that name holds.
    pub instance: String,
    /// The end of the lease: from then on another instance may begin.
    pub until: Timestamp,
}

/// The right to say how an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Of which task.
    pub key: TaskKey,
    /// The newest one given for it.
    pub fence: u64,
}

/// What is there for who wants to run a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Begun {
    /// It is running, and the caller's.
    Run {
        /// The right to end it.
        hold: Hold,
        /// Which attempt this is, 1 for the first. A new round, which somebody asked for, counts from 1.
        attempt: u32,
    },
    /// It is completed, and nobody has said that its outputs are published: the caller is to publish them.
    Publish {
        /// The right to say so.
        hold: Hold,
        /// As [`Finish::Completed::outputs`].
        outputs: Bytes,
    },
    /// It is at an end, and nothing is left to do.
    Ended(TaskState),
    /// Another instance holds it, or its next attempt is not due. Come again then.
    NotBefore(Timestamp),
}

/// How an attempt, or a task, ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finish {
    /// The task is completed. With outputs it is kept until [`TaskRuns::published`].
    Completed {
        /// What it answered, as the executor writes it down for itself; empty: nothing is to be published.
        outputs: Bytes,
        /// What it answered, as JSON, for whoever asks.
        result: String,
    },
    /// There will be another attempt, or, if somebody asked to cancel the task meanwhile, it is cancelled.
    Retrying {
        /// Stable code of what happened.
        failure: String,
        /// For a person.
        reason: String,
        /// Not before then.
        due: Timestamp,
        /// Whether whoever holds the lease keeps it and will run it; otherwise anybody may once it is due.
        keep: bool,
    },
    /// The task has failed.
    Failed {
        /// Stable code of what happened.
        failure: String,
        /// For a person.
        reason: String,
    },
    /// Somebody cancelled it, and the attempt was stopped.
    Cancelled,
}

/// What an attempt took and said, whatever its end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effort {
    /// The version of the module that ran, and its digest, when it came to that.
    pub ran: Option<(ModuleVersion, [u8; 32])>,
    /// How long it took, to the microsecond.
    pub took: Duration,
    /// Fuel burnt.
    pub fuel: u64,
    /// The most memory it had, in bytes.
    pub memory_bytes: u64,
    /// Its log, as text, at most what the executor keeps.
    pub log: String,
}

/// A task that somebody should run: its lease ran out, its next attempt is due, or nobody ever began it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueTask {
    /// Which.
    pub key: TaskKey,
    /// The record that asked for it.
    pub record: Entry,
    /// Where it stands, when that is known.
    pub position: Option<Position>,
}

/// What a renewal found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewed {
    /// The lease holds.
    Held,
    /// The lease holds, and somebody wants the task cancelled.
    CancelAsked,
    /// Another instance has it, or it is at an end: its attempt counts for nothing.
    Lost,
}

/// Tasks as executors know them. Answers come in the order asked. A key stands in one call at most once. What becomes of a
/// task and the step that tells of it are one transaction. Whoever repeats a call after [`Error::Unavailable`] is answered
/// as if it were the first time.
#[async_trait]
pub trait TaskRuns: Send + Sync + 'static {
    /// Begins attempts: enters a task that is not there yet as `pending`, then gives it to `lease` if it may be run at
    /// `now`. A position that was not known is kept. An attempt that its own instance holds is given to it again, the
    /// same one with a newer fence: an answer that was lost costs no attempt. One that was lost with its instance is in
    /// the history as another step to `running` with the failure `lost`; if somebody had asked to cancel the task, it is
    /// cancelled instead.
    async fn begin(&self, tasks: &[NewTask], lease: &Lease, now: Timestamp) -> Result<Vec<Begun>, Error>;

    /// Prolongs leases until `until`: of attempts, of retries that are kept, and of what is to be published. One that ran
    /// out holds again if nobody else has begun.
    async fn renew(&self, holds: &[Hold], until: Timestamp) -> Result<Vec<Renewed>, Error>;

    /// Ends attempts; answers which counted: not one whose hold is no longer the newest. Whoever repeats it after
    /// [`Error::Unavailable`] with the same hold and end is told that it counted. Completed with outputs, the lease is
    /// kept. `Completed` and `Failed` are ends even if somebody asked to cancel meanwhile.
    async fn finish(&self, ends: &[(Hold, Finish, Effort)], now: Timestamp) -> Result<Vec<bool>, Error>;

    /// Notes that the outputs of completed tasks stand on the log. One whose hold is not the newest is left alone.
    async fn published(&self, holds: &[Hold]) -> Result<(), Error>;

    /// Tasks that somebody should run at `now`, those that wait longest first, at most `limit`: `running` or completed and
    /// unpublished with a lease that is over; `retrying` that is due and that nobody keeps, or with a lease that is over;
    /// `pending` that was asked for again; `pending` that nobody ever began and that was accepted `patience` before `now`
    /// or longer. They are given to nobody: [`TaskRuns::begin`] does that.
    async fn due(&self, now: Timestamp, patience: Duration, limit: u32) -> Result<Vec<DueTask>, Error>;

    /// How many are `pending`, `running` and `retrying`, in this order; each counted no further than `most`.
    async fn backlog(&self, most: u32) -> Result<[u64; 3], Error>;

    /// Forgets tasks that are at an end since before `before`, with their history, but for those with outputs that are
    /// not published; at most `limit`, the oldest first. Answers how many. A record that comes again after that is a task
    /// that was never there.
    async fn purge_tasks(&self, before: Timestamp, limit: u32) -> Result<u64, Error>;
}

/// A task without input and outputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskSummary {
    /// Which.
    pub key: TaskKey,
    /// As [`NewTask::recipient`].
    pub recipient: RecipientId,
    /// As [`NewTask::module`].
    pub module: ModuleName,
    /// The version that ran last, or that was asked for.
    pub version: Option<ModuleVersion>,
    /// The digest of the module that ran last.
    pub digest: Option<[u8; 32]>,
    /// As [`NewTask::code`].
    pub code: Option<TaskCode>,
    /// As [`NewTask::origin`].
    pub origin: Origin,
    /// As [`NewTask::schedule`].
    pub schedule: Option<String>,
    /// Its state.
    pub state: TaskState,
    /// The attempt that runs, or ran last; 0 before the first.
    pub attempt: u32,
    /// The instance that runs it, or ran it last.
    pub instance: Option<String>,
    /// Stable code of what happened to an attempt last, unless it succeeded or was asked for again.
    pub failure: Option<String>,
    /// The same for a person.
    pub reason: Option<String>,
    /// Whether somebody asked to cancel it and the attempt has not stopped yet.
    pub cancel_asked: bool,
    /// When it was accepted.
    pub created: Timestamp,
    /// When its state changed last.
    pub changed: Timestamp,
    /// When the next attempt is due, while it is `retrying`.
    pub due: Option<Timestamp>,
    /// What it answered, as JSON, when it is completed.
    pub result: Option<String>,
}

/// One line of a task's history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskStep {
    /// Counts from 1 inside a task.
    pub number: u32,
    /// When.
    pub time: Timestamp,
    /// The state that it went to.
    pub state: TaskState,
    /// Which attempt, 0 before the first.
    pub attempt: u32,
    /// The instance that did it, or whoever asked for it.
    pub by: Option<String>,
    /// Stable code of what happened, unless it succeeded.
    pub failure: Option<String>,
    /// The same for a person.
    pub reason: Option<String>,
    /// What the attempt took; all zero where none ended.
    pub effort: Effort,
}

/// Which tasks; a field that is `None` asks for nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskFilter {
    /// Of this tenant. `None` is the operator's view.
    pub tenant: Option<TenantId>,
    /// Whose code starts with this.
    pub code_prefix: Option<String>,
    /// Of this module.
    pub module: Option<ModuleName>,
    /// In this state.
    pub state: Option<TaskState>,
    /// Of this origin.
    pub origin: Option<Origin>,
    /// Of this schedule.
    pub schedule: Option<String>,
    /// Whose failure starts with this.
    pub failure_prefix: Option<String>,
    /// Accepted then or later.
    pub from: Option<Timestamp>,
    /// Accepted before then.
    pub until: Option<Timestamp>,
}

/// What somebody who looks at tasks may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskChange {
    /// No more: `pending` and `retrying` are `cancelled` at once, `running` when its attempt has stopped.
    Cancel,
    /// Once more: `failed` and `cancelled` are `pending` again, and due at once; attempts count from 1.
    Retry,
}

/// Tasks as whoever looks at them and decides knows them.
#[async_trait]
pub trait TaskReview: Send + Sync + 'static {
    /// Enters tasks as `pending`; one that is there already is left as it is.
    async fn enter_tasks(&self, tasks: &[NewTask]) -> Result<(), Error>;

    /// Those of `filter`, the newest first, those behind `after` (accepted then, and which) only; at most `limit`.
    async fn list_tasks(
        &self,
        filter: &TaskFilter,
        after: Option<(Timestamp, TaskKey)>,
        limit: u32,
    ) -> Result<Vec<TaskSummary>, Error>;

    /// The task of this key.
    async fn get_task(&self, key: &TaskKey) -> Result<Option<TaskSummary>, Error>;

    /// Its history above `after`, ascending; at most `limit`. None: there is no such task.
    async fn task_steps(&self, key: &TaskKey, after: u32, limit: u32)
    -> Result<Option<Vec<TaskStep>>, Error>;

    /// Asks for `change`; answers the task as it is after that. None: there is no such task. Asking for what is so already, or
    /// is asked for, changes nothing and is no error.
    ///
    /// # Errors
    /// [`Error::Conflict`] when its state does not allow it.
    async fn change_task(
        &self,
        key: &TaskKey,
        change: TaskChange,
        by: &str,
        now: Timestamp,
    ) -> Result<Option<TaskSummary>, Error>;
}
