//! Many tasks in one statement: read, entered, and kept as they were decided to be.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row as _};

use super::told::bind_steps;
use crate::clock::Timestamp;
use crate::position::Position;
use crate::store::columns::{millis, name, pack_headers, signed, text};
use crate::store::failure::Failure;
use crate::store::task_columns::{LifeColumns, ended_fence, life, optional_millis};
use crate::store::task_rules::Life;
use crate::store::{Effort, Finish, NewTask, TaskKey, TaskStep};
use crate::task::{ModuleVersion, TaskCode};

const READ: &str = concat!(
    "SELECT tenant, id, record_offset IS NULL AS is_unplaced, outputs, ",
    life!(),
    " FROM UNNEST($1::text[], $2::text[]) AS k (tenant, id) JOIN tasks USING (tenant, id)"
);

/// What is read of a task.
pub(super) struct Seen {
    pub(super) life: Life,
    /// Whether it is unknown where its record stands.
    pub(super) is_unplaced: bool,
    /// What is to be published.
    pub(super) outputs: Bytes,
}

#[derive(sqlx::FromRow)]
struct SeenColumns {
    tenant: String,
    id: String,
    is_unplaced: bool,
    outputs: Option<Vec<u8>>,
    #[sqlx(flatten)]
    life: LifeColumns,
}

/// What becomes of a task, and of what.
pub(super) struct Kept<'a> {
    pub(super) key: &'a TaskKey,
    pub(super) seen: Life,
    pub(super) life: Life,
    /// The end of the attempt that led to it.
    pub(super) end: Option<(&'a Finish, &'a Effort)>,
    /// Where its record stands, if that was not known.
    pub(super) position: Option<Position>,
}

impl<'a> Kept<'a> {
    /// One about which nothing else becomes known.
    pub(super) const fn new(key: &'a TaskKey, seen: Life, life: Life) -> Self {
        Self { key, seen, life, end: None, position: None }
    }

    fn answer(&self) -> Option<(&'a [u8], &'a str)> {
        match self.end?.0 {
            Finish::Completed { outputs, result } => Some((outputs, result)),
            Finish::Retrying { .. } | Finish::Failed { .. } | Finish::Cancelled => None,
        }
    }

    fn ran(&self) -> Option<&'a (ModuleVersion, [u8; 32])> {
        self.end?.1.ran.as_ref()
    }
}

/// Those of `keys` that are there.
pub(super) async fn read<'a>(
    connection: &mut PgConnection,
    keys: impl Iterator<Item = &'a TaskKey>,
) -> Result<HashMap<TaskKey, Seen>, Failure> {
    let (tenants, ids): (Vec<_>, Vec<_>) = keys.map(|key| (key.tenant.as_str(), key.id.as_str())).unzip();
    let found: Vec<SeenColumns> = sqlx::query_as(READ).bind(tenants).bind(ids).fetch_all(connection).await?;
    let seen = |row: SeenColumns| {
        let key = TaskKey { tenant: name("tenant", &row.tenant)?, id: name("id", &row.id)? };
        let outputs = row.outputs.unwrap_or_default().into();
        Ok((key, Seen { life: row.life.try_into()?, is_unplaced: row.is_unplaced, outputs }))
    };
    found.into_iter().map(seen).collect()
}

/// Enters tasks with a life that has begun, and answers which were not there.
pub(super) async fn enter(
    connection: &mut PgConnection,
    entered: &[(&NewTask, Life)],
    steps: &[(&TaskKey, TaskStep)],
) -> Result<HashSet<TaskKey>, Failure> {
    if entered.is_empty() {
        return Ok(HashSet::new());
    }
    let (tasks, lives): (Vec<&NewTask>, Vec<&Life>) =
        entered.iter().map(|(task, life)| (*task, life)).unzip();
    let place = |number: fn(Position) -> u64| {
        let number = |at| signed("record_offset", number(at));
        tasks.iter().map(|task| task.position.map(number).transpose()).collect::<Result<Vec<_>, _>>()
    };
    let query = bind_steps(sqlx::query(include_str!("enter.sql")), steps)
        .bind(tasks.iter().map(|task| task.key.tenant.as_str()).collect::<Vec<_>>())
        .bind(tasks.iter().map(|task| task.key.id.as_str()).collect::<Vec<_>>())
        .bind(tasks.iter().map(|task| task.recipient.as_str()).collect::<Vec<_>>())
        .bind(tasks.iter().map(|task| task.module.as_str()).collect::<Vec<_>>())
        .bind(tasks.iter().map(|task| task.version.as_ref().map(ModuleVersion::as_str)).collect::<Vec<_>>())
        .bind(tasks.iter().map(|task| task.code.as_ref().map(TaskCode::as_str)).collect::<Vec<_>>())
        .bind(tasks.iter().map(|task| task.origin.as_str()).collect::<Vec<_>>())
        .bind(tasks.iter().map(|task| task.schedule.as_deref().map(text)).collect::<Vec<_>>())
        .bind(place(|at| at.epoch.0.into())?)
        .bind(place(|at| at.partition.0.into())?)
        .bind(place(|at| at.offset)?)
        .bind(tasks.iter().map(|task| &task.record.key[..]).collect::<Vec<_>>())
        .bind(tasks.iter().map(|task| pack_headers(&task.record.headers)).collect::<Vec<_>>())
        .bind(tasks.iter().map(|task| &task.record.payload[..]).collect::<Vec<_>>())
        .bind(tasks.iter().map(|task| millis(task.created)).collect::<Vec<_>>())
        .bind(words(&lives, |life| Some(life.state.as_str())))
        .bind(numbers(&lives, |life| life.attempt.into())?)
        .bind(numbers(&lives, |life| life.fence)?)
        .bind(words(&lives, |life| life.instance.as_deref()))
        .bind(times(&lives, |life| life.lease))
        .bind(times(&lives, Life::wake))
        .bind(times(&lives, |life| Some(life.changed)))
        .bind(numbers(&lives, |life| life.steps.into())?);
    query.fetch_all(connection).await?.iter().map(key).collect()
}

/// The key in the first two columns of `row`.
pub(super) fn key(row: &PgRow) -> Result<TaskKey, Failure> {
    Ok(TaskKey { tenant: name("tenant", row.try_get(0)?)?, id: name("id", row.try_get(1)?)? })
}

/// Keeps what became of tasks, all or none; answers whether all of them still were what they were read as.
pub(super) async fn keep(
    connection: &mut PgConnection,
    kept: &[Kept<'_>],
    steps: &[(&TaskKey, TaskStep)],
) -> Result<bool, Failure> {
    if kept.is_empty() {
        return Ok(true);
    }
    let seen: Vec<&Life> = kept.iter().map(|one| &one.seen).collect();
    let next: Vec<&Life> = kept.iter().map(|one| &one.life).collect();
    let query = bind_steps(sqlx::query(include_str!("keep.sql")), steps)
        .bind(kept.iter().map(|one| one.key.tenant.as_str()).collect::<Vec<_>>())
        .bind(kept.iter().map(|one| one.key.id.as_str()).collect::<Vec<_>>())
        .bind(numbers(&seen, |life| life.steps.into())?)
        .bind(numbers(&seen, |life| life.fence)?)
        .bind(times(&seen, |life| life.lease))
        .bind(seen.iter().map(|life| life.cancel_by.is_some()).collect::<Vec<_>>())
        .bind(words(&next, |life| Some(life.state.as_str())))
        .bind(numbers(&next, |life| life.attempt.into())?)
        .bind(numbers(&next, |life| life.fence)?)
        .bind(words(&next, |life| life.instance.as_deref()))
        .bind(times(&next, |life| life.lease))
        .bind(times(&next, |life| life.due))
        .bind(times(&next, Life::wake))
        .bind(words(&next, |life| life.cancel_by.as_deref()))
        .bind(words(&next, |life| life.failure.as_deref()))
        .bind(words(&next, |life| life.reason.as_deref()))
        .bind(times(&next, |life| Some(life.changed)))
        .bind(numbers(&next, |life| life.steps.into())?)
        .bind(next.iter().map(|life| ended_fence(life)).collect::<Result<Vec<_>, _>>()?)
        .bind(words(&next, |life| life.ended.map(|(_, state)| state.as_str())))
        .bind(next.iter().map(|life| life.unpublished).collect::<Vec<_>>())
        .bind(kept.iter().map(|one| one.answer().map(|(outputs, _)| outputs)).collect::<Vec<_>>())
        .bind(kept.iter().map(|one| one.answer().map(|(_, result)| text(result))).collect::<Vec<_>>())
        .bind(kept.iter().map(|one| one.ran().map(|(version, _)| version.as_str())).collect::<Vec<_>>())
        .bind(kept.iter().map(|one| one.ran().map(|(_, digest)| &digest[..])).collect::<Vec<_>>())
        .bind(places(kept, |at| at.epoch.0.into())?)
        .bind(places(kept, |at| at.partition.0.into())?)
        .bind(places(kept, |at| at.offset)?);
    Ok(query.fetch_one(connection).await?.try_get(0)?)
}

fn numbers(lives: &[&Life], number: fn(&Life) -> u64) -> Result<Vec<i64>, Failure> {
    lives.iter().map(|life| signed("number", number(life))).collect()
}

fn words<'a>(lives: &[&'a Life], word: fn(&'a Life) -> Option<&'a str>) -> Vec<Option<Cow<'a, str>>> {
    lives.iter().map(|life| word(life).map(text)).collect()
}

fn times(lives: &[&Life], time: fn(&Life) -> Option<Timestamp>) -> Vec<Option<i64>> {
    lives.iter().map(|life| optional_millis(time(life))).collect()
}

fn places(kept: &[Kept<'_>], number: fn(Position) -> u64) -> Result<Vec<Option<i64>>, Failure> {
    let number = |at| signed("record_offset", number(at));
    kept.iter().map(|one| one.position.map(number).transpose()).collect()
}
