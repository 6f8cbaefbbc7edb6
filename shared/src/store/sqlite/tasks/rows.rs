//! One task and its history, as the one connection that writes reads and keeps them.

use sqlx::SqliteConnection;

use crate::recipient::RecipientId;
use crate::store::columns::{millis, pack_headers, signed, text};
use crate::store::failure::Failure;
use crate::store::task_columns::{LifeColumns, ended_fence, life, measure, micros, optional_millis};
use crate::store::task_rules::Life;
use crate::store::{Effort, Finish, NewTask, TaskKey, TaskStep};
use crate::task::{ModuleVersion, TaskCode, TaskState};

const LIFE: &str = concat!("SELECT ", life!(), " FROM tasks WHERE tenant = $1 AND id = $2");

const ENTER: &str = "INSERT OR IGNORE INTO tasks
        (tenant, id, recipient, module, version, code, origin, schedule, epoch, partition, record_offset,
         record_key, record_headers, record_payload, created_ms, state, attempt, fence, wake_ms, changed_ms, steps)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, 0, 0, $15, $15, 1)";

const KEEP: &str = "UPDATE tasks SET state = $3, attempt = $4, fence = $5, instance = $6, lease_ms = $7, due_ms = $8,
        wake_ms = $9, cancel_by = $10, failure = $11, reason = $12, changed_ms = $13, steps = $14,
        ended_fence = $15, ended_as = $16, outputs = CASE WHEN $17 THEN COALESCE($18, outputs) END,
        result = COALESCE($19, result), ran_version = COALESCE($20, ran_version), ran_digest = COALESCE($21, ran_digest)
    WHERE tenant = $1 AND id = $2";

const STEP: &str =
    "INSERT INTO task_steps (tenant, id, number, time_ms, state, attempt, done_by, failure, reason,
        ran_version, ran_digest, took_us, fuel, memory_bytes, log)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)";

const PLACE: &str = "UPDATE tasks SET epoch = $3, partition = $4, record_offset = $5
    WHERE tenant = $1 AND id = $2 AND record_offset IS NULL";

/// The life of a task that is there.
pub(super) async fn read(connection: &mut SqliteConnection, key: &TaskKey) -> Result<Option<Life>, Failure> {
    let found: Option<LifeColumns> = sqlx::query_as(LIFE)
        .bind(key.tenant.as_str())
        .bind(key.id.as_str())
        .fetch_optional(connection)
        .await?;
    found.map(Life::try_from).transpose()
}

/// Enters `task` as pending; none when it is there already.
pub(super) async fn enter(
    connection: &mut SqliteConnection,
    task: &NewTask,
) -> Result<Option<Life>, Failure> {
    let (life, step) = Life::entered(task.created);
    let made = sqlx::query(ENTER)
        .bind(task.key.tenant.as_str())
        .bind(task.key.id.as_str())
        .bind(RecipientId::as_str(&task.recipient))
        .bind(task.module.as_str())
        .bind(task.version.as_ref().map(ModuleVersion::as_str))
        .bind(task.code.as_ref().map(TaskCode::as_str))
        .bind(task.origin.as_str())
        .bind(task.schedule.as_deref().map(text))
        .bind(task.position.map(|at| i64::from(at.epoch.0)))
        .bind(task.position.map(|at| i64::from(at.partition.0)))
        .bind(task.position.map(|at| signed("record_offset", at.offset)).transpose()?)
        .bind(&task.record.key[..])
        .bind(pack_headers(&task.record.headers))
        .bind(&task.record.payload[..])
        .bind(millis(task.created))
        .bind(TaskState::Pending.as_str())
        .execute(&mut *connection)
        .await?;
    if made.rows_affected() == 0 {
        return Ok(None);
    }
    tell(connection, &task.key, &step).await?;
    Ok(Some(life))
}

/// Keeps where the record of a task stands, if that was not known.
pub(super) async fn place(connection: &mut SqliteConnection, task: &NewTask) -> Result<(), Failure> {
    let Some(at) = task.position else { return Ok(()) };
    sqlx::query(PLACE)
        .bind(task.key.tenant.as_str())
        .bind(task.key.id.as_str())
        .bind(i64::from(at.epoch.0))
        .bind(i64::from(at.partition.0))
        .bind(signed("record_offset", at.offset)?)
        .execute(connection)
        .await?;
    Ok(())
}

/// Keeps what became of a task, with the end of the attempt that led to it, and the step that tells of it.
pub(super) async fn keep(
    connection: &mut SqliteConnection,
    key: &TaskKey,
    life: &Life,
    end: Option<(&Finish, &Effort)>,
    step: Option<&TaskStep>,
) -> Result<(), Failure> {
    let answer = end.and_then(|(finish, _)| match finish {
        Finish::Completed { outputs, result } => Some((&outputs[..], text(result))),
        Finish::Retrying { .. } | Finish::Failed { .. } | Finish::Cancelled => None,
    });
    let ran = end.and_then(|(_, effort)| effort.ran.as_ref());
    let (outputs, result) = answer.unzip();
    sqlx::query(KEEP)
        .bind(key.tenant.as_str())
        .bind(key.id.as_str())
        .bind(life.state.as_str())
        .bind(i64::from(life.attempt))
        .bind(signed("fence", life.fence)?)
        .bind(life.instance.as_deref().map(text))
        .bind(optional_millis(life.lease))
        .bind(optional_millis(life.due))
        .bind(optional_millis(life.wake()))
        .bind(life.cancel_by.as_deref().map(text))
        .bind(life.failure.as_deref().map(text))
        .bind(life.reason.as_deref().map(text))
        .bind(millis(life.changed))
        .bind(i64::from(life.steps))
        .bind(ended_fence(life)?)
        .bind(life.ended.map(|(_, state)| state.as_str()))
        .bind(life.unpublished)
        .bind(outputs)
        .bind(result)
        .bind(ran.map(|(version, _)| version.as_str()))
        .bind(ran.map(|(_, digest)| &digest[..]))
        .execute(&mut *connection)
        .await?;
    match step {
        Some(step) => tell(connection, key, step).await,
        None => Ok(()),
    }
}

async fn tell(connection: &mut SqliteConnection, key: &TaskKey, step: &TaskStep) -> Result<(), Failure> {
    let Effort { ran, took, fuel, memory_bytes, log } = &step.effort;
    sqlx::query(STEP)
        .bind(key.tenant.as_str())
        .bind(key.id.as_str())
        .bind(i64::from(step.number))
        .bind(millis(step.time))
        .bind(step.state.as_str())
        .bind(i64::from(step.attempt))
        .bind(step.by.as_deref().map(text))
        .bind(step.failure.as_deref().map(text))
        .bind(step.reason.as_deref().map(text))
        .bind(ran.as_ref().map(|(version, _)| version.as_str()))
        .bind(ran.as_ref().map(|(_, digest)| &digest[..]))
        .bind(micros(*took))
        .bind(measure(*fuel))
        .bind(measure(*memory_bytes))
        .bind(text(log))
        .execute(connection)
        .await?;
    Ok(())
}
