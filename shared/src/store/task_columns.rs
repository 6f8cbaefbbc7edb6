//! How tasks and their histories lie in columns, and the parts of statements about them that are the same in both
//! engines.

use std::time::Duration;

use super::columns::{millis, name, position, signed, timestamp, unpack_headers, wide};
use super::failure::{Failure, Unfit};
use super::task_rules::Life;
use super::{DueTask, Effort, TaskKey, TaskStep, TaskSummary};
use crate::clock::Timestamp;
use crate::log::Entry;
use crate::task::{ModuleVersion, Origin, TaskState};

/// The columns of a [`Life`].
macro_rules! life {
    () => {
        "state, attempt, fence, instance, lease_ms, due_ms, cancel_by, failure, reason, changed_ms, steps, \
         ended_fence, ended_as, outputs IS NOT NULL AS unpublished"
    };
}
pub(super) use life;

/// The columns of a summary.
macro_rules! summary {
    () => {
        "tenant, id, recipient, module, COALESCE(ran_version, version) AS version, ran_digest, code, origin, schedule, \
         state, attempt, instance, failure, reason, cancel_by IS NOT NULL AS cancel_asked, created_ms, changed_ms, \
         due_ms, result"
    };
}

/// What [`super::TaskFilter`] says, as the first eleven parameters; bound by [`bind_filter`].
macro_rules! filtered {
    () => {
        "(CAST($1 AS text) IS NULL OR tenant = $1) \
         AND (CAST($2 AS text) IS NULL OR (code >= $2 AND code < $3)) \
         AND (CAST($4 AS text) IS NULL OR module = $4) \
         AND (CAST($5 AS text) IS NULL OR state = $5) \
         AND (CAST($6 AS text) IS NULL OR origin = $6) \
         AND (CAST($7 AS text) IS NULL OR schedule = $7) \
         AND (CAST($8 AS text) IS NULL OR (failure >= $8 AND failure < $9)) \
         AND created_ms >= $10 AND created_ms < $11"
    };
}

/// Binds a filter to [`filtered`]'s parameters.
macro_rules! bind_filter {
    ($query:expr, $filter:expr) => {{
        let filter: &crate::store::TaskFilter = $filter;
        let (code, failure) = (filter.code_prefix.as_deref(), filter.failure_prefix.as_deref());
        $query
            .bind(filter.tenant.as_ref().map(|tenant| tenant.as_str()))
            .bind(code.map(text))
            .bind(code.map(crate::store::task_columns::above))
            .bind(filter.module.as_ref().map(|module| module.as_str()))
            .bind(filter.state.map(|state| state.as_str()))
            .bind(filter.origin.map(|origin| origin.as_str()))
            .bind(filter.schedule.as_deref().map(text))
            .bind(failure.map(text))
            .bind(failure.map(crate::store::task_columns::above))
            .bind(filter.from.map_or(0, millis))
            .bind(filter.until.map_or(i64::MAX, millis))
    }};
}
pub(super) use bind_filter;

/// What lies above all that starts with `prefix`, in the order of bytes: codes hold nothing like its last character.
pub(super) fn above(prefix: &str) -> String {
    format!("{}{}", super::columns::text(prefix), char::MAX)
}

/// Tasks to run: `$1` is now, `$2` the patience earlier, `$3` how many at most.
pub(super) const DUE: &str = "SELECT * FROM (
        SELECT tenant, id, epoch, partition, record_offset, record_key, record_headers, record_payload, wake_ms
        FROM tasks WHERE fence > 0 AND wake_ms IS NOT NULL AND wake_ms <= $1 ORDER BY wake_ms LIMIT $3
    ) AS woken UNION ALL SELECT * FROM (
        SELECT tenant, id, epoch, partition, record_offset, record_key, record_headers, record_payload, wake_ms
        FROM tasks WHERE fence = 0 AND wake_ms IS NOT NULL AND wake_ms <= $2 ORDER BY wake_ms LIMIT $3
    ) AS never_begun ORDER BY wake_ms LIMIT $3";

/// How many are in each state that is no end, counted no further than `$1`.
pub(super) const BACKLOG: &str = "SELECT
    (SELECT count(*) FROM (SELECT 1 FROM tasks WHERE state = 'pending' LIMIT $1) AS p),
    (SELECT count(*) FROM (SELECT 1 FROM tasks WHERE state = 'running' LIMIT $1) AS r),
    (SELECT count(*) FROM (SELECT 1 FROM tasks WHERE state = 'retrying' LIMIT $1) AS y)";

/// One page of summaries behind a place, `$12` to `$14`; `$15` at most.
pub(super) const LIST: &str = concat!(
    "SELECT ",
    summary!(),
    " FROM tasks WHERE ",
    filtered!(),
    " AND (created_ms, id, tenant) < ($12, $13, $14) ORDER BY created_ms DESC, id DESC, tenant DESC LIMIT $15"
);

/// One summary.
pub(super) const GET: &str = concat!("SELECT ", summary!(), " FROM tasks WHERE tenant = $1 AND id = $2");

/// The history of a task above `$3`, at most `$4`.
pub(super) const STEPS: &str =
    "SELECT number, time_ms, state, attempt, done_by, failure, reason, ran_version, ran_digest,
        took_us, fuel, memory_bytes, log
    FROM task_steps WHERE tenant = $1 AND id = $2 AND number > $3 ORDER BY number LIMIT $4";

/// A [`Life`], as read.
#[derive(sqlx::FromRow)]
pub(super) struct LifeColumns {
    state: String,
    attempt: i64,
    fence: i64,
    instance: Option<String>,
    lease_ms: Option<i64>,
    due_ms: Option<i64>,
    cancel_by: Option<String>,
    failure: Option<String>,
    reason: Option<String>,
    changed_ms: i64,
    steps: i64,
    ended_fence: Option<i64>,
    ended_as: Option<String>,
    unpublished: bool,
}

impl TryFrom<LifeColumns> for Life {
    type Error = Failure;

    fn try_from(row: LifeColumns) -> Result<Self, Failure> {
        let ended = row.ended_fence.zip(row.ended_as);
        Ok(Self {
            state: state(&row.state)?,
            attempt: narrow("attempt", row.attempt)?,
            fence: wide("fence", row.fence)?,
            instance: row.instance,
            lease: optional("lease_ms", row.lease_ms)?,
            due: optional("due_ms", row.due_ms)?,
            cancel_by: row.cancel_by,
            failure: row.failure,
            reason: row.reason,
            changed: timestamp("changed_ms", row.changed_ms)?,
            steps: narrow("steps", row.steps)?,
            ended: ended
                .map(|(fence, word)| Ok::<_, Failure>((wide("ended_fence", fence)?, state(&word)?)))
                .transpose()?,
            unpublished: row.unpublished,
        })
    }
}

/// A summary, as read.
#[derive(sqlx::FromRow)]
pub(super) struct SummaryColumns {
    tenant: String,
    id: String,
    recipient: String,
    module: String,
    version: Option<String>,
    ran_digest: Option<Vec<u8>>,
    code: Option<String>,
    origin: String,
    schedule: Option<String>,
    state: String,
    attempt: i64,
    instance: Option<String>,
    failure: Option<String>,
    reason: Option<String>,
    cancel_asked: bool,
    created_ms: i64,
    changed_ms: i64,
    due_ms: Option<i64>,
    result: Option<String>,
}

impl TryFrom<SummaryColumns> for TaskSummary {
    type Error = Failure;

    fn try_from(row: SummaryColumns) -> Result<Self, Failure> {
        Ok(Self {
            key: key(&row.tenant, &row.id)?,
            recipient: name("recipient", &row.recipient)?,
            module: name("module", &row.module)?,
            version: row.version.map(|version| name("version", &version)).transpose()?,
            digest: row.ran_digest.map(digest).transpose()?,
            code: row.code.map(|code| name("code", &code)).transpose()?,
            origin: Origin::parse(&row.origin)
                .ok_or_else(|| Unfit::failure("origin", format_args!("is {:?}", row.origin)))?,
            schedule: row.schedule,
            state: state(&row.state)?,
            attempt: narrow("attempt", row.attempt)?,
            instance: row.instance,
            failure: row.failure,
            reason: row.reason,
            cancel_asked: row.cancel_asked,
            created: timestamp("created_ms", row.created_ms)?,
            changed: timestamp("changed_ms", row.changed_ms)?,
            due: optional("due_ms", row.due_ms)?,
            result: row.result,
        })
    }
}

/// A line of a history, as read.
#[derive(sqlx::FromRow)]
pub(super) struct StepColumns {
    number: i64,
    time_ms: i64,
    state: String,
    attempt: i64,
    done_by: Option<String>,
    failure: Option<String>,
    reason: Option<String>,
    ran_version: Option<String>,
    ran_digest: Option<Vec<u8>>,
    took_us: i64,
    fuel: i64,
    memory_bytes: i64,
    log: String,
}

impl TryFrom<StepColumns> for TaskStep {
    type Error = Failure;

    fn try_from(row: StepColumns) -> Result<Self, Failure> {
        let ran = row.ran_version.zip(row.ran_digest);
        Ok(Self {
            number: narrow("number", row.number)?,
            time: timestamp("time_ms", row.time_ms)?,
            state: state(&row.state)?,
            attempt: narrow("attempt", row.attempt)?,
            by: row.done_by,
            failure: row.failure,
            reason: row.reason,
            effort: Effort {
                ran: ran
                    .map(|(version, bytes)| {
                        Ok::<_, Failure>((name::<ModuleVersion>("ran_version", &version)?, digest(bytes)?))
                    })
                    .transpose()?,
                took: Duration::from_micros(wide("took_us", row.took_us)?),
                fuel: wide("fuel", row.fuel)?,
                memory_bytes: wide("memory_bytes", row.memory_bytes)?,
                log: row.log,
            },
        })
    }
}

/// A task to run, as read.
#[derive(sqlx::FromRow)]
pub(super) struct DueColumns {
    tenant: String,
    id: String,
    epoch: Option<i64>,
    partition: Option<i64>,
    record_offset: Option<i64>,
    record_key: Vec<u8>,
    record_headers: Vec<u8>,
    record_payload: Vec<u8>,
}

impl TryFrom<DueColumns> for DueTask {
    type Error = Failure;

    fn try_from(row: DueColumns) -> Result<Self, Failure> {
        let place = row.epoch.zip(row.partition).zip(row.record_offset);
        Ok(Self {
            key: key(&row.tenant, &row.id)?,
            record: Entry {
                key: row.record_key.into(),
                headers: unpack_headers(row.record_headers.into())
                    .ok_or_else(|| Unfit::failure("record_headers", "are cut off or not text"))?,
                payload: row.record_payload.into(),
            },
            position: place
                .map(|((epoch, partition), offset)| position(epoch, partition, offset))
                .transpose()?,
        })
    }
}

/// A time that may be missing, in a column.
pub(super) fn optional_millis(time: Option<Timestamp>) -> Option<i64> {
    time.map(millis)
}

/// The fence of the last end in a column.
pub(super) fn ended_fence(life: &Life) -> Result<Option<i64>, Failure> {
    life.ended.map(|(fence, _)| signed("ended_fence", fence)).transpose()
}

/// How long an attempt took, in a column.
pub(super) fn micros(took: Duration) -> i64 {
    i64::try_from(took.as_micros()).unwrap_or(i64::MAX)
}

/// A measure that no limit of ours lets grow beyond its column.
pub(super) fn measure(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn key(tenant: &str, id: &str) -> Result<TaskKey, Failure> {
    Ok(TaskKey { tenant: name("tenant", tenant)?, id: name("id", id)? })
}

fn state(word: &str) -> Result<TaskState, Failure> {
    TaskState::parse(word).ok_or_else(|| Unfit::failure("state", format_args!("is {word:?}")))
}

fn optional(column: &'static str, ms: Option<i64>) -> Result<Option<Timestamp>, Failure> {
    ms.map(|ms| timestamp(column, ms)).transpose()
}

fn narrow(column: &'static str, number: i64) -> Result<u32, Failure> {
    u32::try_from(number).map_err(|error| Unfit::failure(column, error))
}

fn digest(bytes: Vec<u8>) -> Result<[u8; 32], Failure> {
    <[u8; 32]>::try_from(bytes)
        .map_err(|bytes| Unfit::failure("ran_digest", format_args!("has {} bytes", bytes.len())))
}
