//! Tasks as executors know them, in SQLite.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use sqlx::{Connection as _, SqliteConnection};

use super::super::Store;
use super::rows::{enter, keep, place, read};
use crate::clock::Timestamp;
use crate::store::columns::{millis, wide};
use crate::store::failure::Failure;
use crate::store::task_columns::{BACKLOG, DUE, DueColumns};
use crate::store::task_rules::Given;
use crate::store::{Begun, DueTask, Effort, Error, Finish, Hold, Lease, NewTask, Renewed, TaskKey, TaskRuns};

const OUTPUTS: &str = "SELECT outputs FROM tasks WHERE tenant = $1 AND id = $2";

macro_rules! ended_before {
    () => {
        "(tenant, id) IN (SELECT tenant, id FROM tasks WHERE wake_ms IS NULL AND changed_ms < $1
            ORDER BY changed_ms, tenant, id LIMIT $2)"
    };
}

const PURGE_STEPS: &str = concat!("DELETE FROM task_steps WHERE ", ended_before!());
const PURGE: &str = concat!("DELETE FROM tasks WHERE ", ended_before!());

#[async_trait]
impl TaskRuns for Store {
    async fn begin(&self, tasks: &[NewTask], lease: &Lease, now: Timestamp) -> Result<Vec<Begun>, Error> {
        let work = async {
            let mut held = self.writer().await?;
            let mut transaction = held.begin_with("BEGIN IMMEDIATE").await?;
            let mut begun = Vec::with_capacity(tasks.len());
            for task in tasks {
                begun.push(begin(&mut transaction, task, lease, now).await?);
            }
            transaction.commit().await?;
            held.release();
            Ok(begun)
        };
        self.within("begin", work).await
    }

    async fn renew(&self, holds: &[Hold], until: Timestamp) -> Result<Vec<Renewed>, Error> {
        let work = async {
            let mut held = self.writer().await?;
            let mut transaction = held.begin_with("BEGIN IMMEDIATE").await?;
            let mut renewed = Vec::with_capacity(holds.len());
            for hold in holds {
                let found = read(&mut transaction, &hold.key).await?;
                let mut answer = Renewed::Lost;
                if let Some(mut life) = found {
                    answer = life.renew(hold.fence, until);
                    if answer != Renewed::Lost {
                        keep(&mut transaction, &hold.key, &life, None, None).await?;
                    }
                }
                renewed.push(answer);
            }
            transaction.commit().await?;
            held.release();
            Ok(renewed)
        };
        self.within("renew", work).await
    }

    async fn finish(&self, ends: &[(Hold, Finish, Effort)], now: Timestamp) -> Result<Vec<bool>, Error> {
        let work = async {
            let mut held = self.writer().await?;
            let mut transaction = held.begin_with("BEGIN IMMEDIATE").await?;
            let mut counted = Vec::with_capacity(ends.len());
            for (hold, finish, effort) in ends {
                let Some(mut life) = read(&mut transaction, &hold.key).await? else {
                    counted.push(false);
                    continue;
                };
                let step = life.finish(hold.fence, finish, effort, now);
                if let Some(Some(step)) = &step {
                    keep(&mut transaction, &hold.key, &life, Some((finish, effort)), Some(step)).await?;
                }
                counted.push(step.is_some());
            }
            transaction.commit().await?;
            held.release();
            Ok(counted)
        };
        self.within("finish", work).await
    }

    async fn published(&self, holds: &[Hold]) -> Result<(), Error> {
        let work = async {
            let mut held = self.writer().await?;
            let mut transaction = held.begin_with("BEGIN IMMEDIATE").await?;
            for hold in holds {
                if let Some(mut life) = read(&mut transaction, &hold.key).await? {
                    life.published(hold.fence);
                    keep(&mut transaction, &hold.key, &life, None, None).await?;
                }
            }
            transaction.commit().await?;
            held.release();
            Ok(())
        };
        self.within("published", work).await
    }

    async fn due(&self, now: Timestamp, patience: Duration, limit: u32) -> Result<Vec<DueTask>, Error> {
        let work = async {
            let mut held = self.reader().await?;
            let found: Vec<DueColumns> = sqlx::query_as(DUE)
                .bind(millis(now))
                .bind(millis(now.before(patience)))
                .bind(i64::from(limit))
                .fetch_all(&mut *held)
                .await?;
            held.release();
            found.into_iter().map(DueTask::try_from).collect()
        };
        self.within("due", work).await
    }

    async fn backlog(&self, most: u32) -> Result<[u64; 3], Error> {
        let work = async {
            let mut held = self.reader().await?;
            let (pending, running, retrying): (i64, i64, i64) =
                sqlx::query_as(BACKLOG).bind(i64::from(most)).fetch_one(&mut *held).await?;
            held.release();
            Ok([wide("count", pending)?, wide("count", running)?, wide("count", retrying)?])
        };
        self.within("backlog", work).await
    }

    async fn purge_tasks(&self, before: Timestamp, limit: u32) -> Result<u64, Error> {
        let work = async {
            let mut held = self.writer().await?;
            let mut transaction = held.begin_with("BEGIN IMMEDIATE").await?;
            let mut gone = 0;
            for statement in [PURGE_STEPS, PURGE] {
                let purge = sqlx::query(statement).bind(millis(before)).bind(i64::from(limit));
                gone = purge.execute(&mut *transaction).await?.rows_affected();
            }
            transaction.commit().await?;
            held.release();
            Ok(gone)
        };
        self.within("purge_tasks", work).await
    }
}

async fn begin(
    connection: &mut SqliteConnection,
    task: &NewTask,
    lease: &Lease,
    now: Timestamp,
) -> Result<Begun, Failure> {
    let mut life = match read(connection, &task.key).await? {
        Some(life) => {
            place(connection, task).await?;
            life
        }
        None => enter(connection, task).await?.ok_or(Failure::Conflict)?,
    };
    let (given, step) = life.begin(lease, now);
    let hold = Hold { key: task.key.clone(), fence: life.fence };
    let begun = match given {
        Given::NotBefore(time) => return Ok(Begun::NotBefore(time)),
        Given::Ended => Begun::Ended(life.state),
        Given::Run => Begun::Run { hold, attempt: life.attempt },
        Given::Publish => Begun::Publish { hold, outputs: outputs(connection, &task.key).await? },
    };
    keep(connection, &task.key, &life, None, step.as_ref()).await?;
    Ok(begun)
}

async fn outputs(connection: &mut SqliteConnection, key: &TaskKey) -> Result<Bytes, Failure> {
    let outputs: Option<Vec<u8>> = sqlx::query_scalar(OUTPUTS)
        .bind(key.tenant.as_str())
        .bind(key.id.as_str())
        .fetch_one(connection)
        .await?;
    Ok(outputs.unwrap_or_default().into())
}
