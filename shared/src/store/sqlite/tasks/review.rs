//! Looking at tasks in SQLite, and deciding about them.

use async_trait::async_trait;
use sqlx::{Connection as _, SqliteConnection};

use super::super::Store;
use super::rows::{enter, keep, read};
use crate::clock::Timestamp;
use crate::store::columns::{millis, text};
use crate::store::failure::Failure;
use crate::store::task_columns::{GET, LIST, STEPS, StepColumns, SummaryColumns, bind_filter};
use crate::store::task_rules::Illegal;
use crate::store::{Error, NewTask, TaskChange, TaskFilter, TaskKey, TaskReview, TaskStep, TaskSummary};

#[async_trait]
impl TaskReview for Store {
    async fn enter_tasks(&self, tasks: &[NewTask]) -> Result<(), Error> {
        let work = async {
            let mut held = self.writer().await?;
            let mut transaction = held.begin_with("BEGIN IMMEDIATE").await?;
            for task in tasks {
                enter(&mut transaction, task).await?;
            }
            transaction.commit().await?;
            held.release();
            Ok(())
        };
        self.within("enter_tasks", work).await
    }

    async fn list_tasks(
        &self,
        filter: &TaskFilter,
        after: Option<(Timestamp, TaskKey)>,
        limit: u32,
    ) -> Result<Vec<TaskSummary>, Error> {
        let work = async {
            let mut held = self.reader().await?;
            let found: Vec<SummaryColumns> = bind_filter!(sqlx::query_as(LIST), filter)
                .bind(after.as_ref().map_or(i64::MAX, |(time, _)| millis(*time)))
                .bind(after.as_ref().map_or("", |(_, key)| key.id.as_str()))
                .bind(after.as_ref().map_or("", |(_, key)| key.tenant.as_str()))
                .bind(i64::from(limit))
                .fetch_all(&mut *held)
                .await?;
            held.release();
            found.into_iter().map(TaskSummary::try_from).collect()
        };
        self.within("list_tasks", work).await
    }

    async fn get_task(&self, key: &TaskKey) -> Result<Option<TaskSummary>, Error> {
        let work = async {
            let mut held = self.reader().await?;
            let found = get(&mut held, key).await?;
            held.release();
            Ok(found)
        };
        self.within("get_task", work).await
    }

    async fn task_steps(
        &self,
        key: &TaskKey,
        after: u32,
        limit: u32,
    ) -> Result<Option<Vec<TaskStep>>, Error> {
        let work = async {
            let mut held = self.reader().await?;
            // In one snapshot, or a task that is forgotten meanwhile would be there without a history.
            let mut transaction = held.begin().await?;
            let is_there = read(&mut transaction, key).await?.is_some();
            let found: Vec<StepColumns> = sqlx::query_as(STEPS)
                .bind(key.tenant.as_str())
                .bind(key.id.as_str())
                .bind(i64::from(after))
                .bind(i64::from(limit))
                .fetch_all(&mut *transaction)
                .await?;
            transaction.commit().await?;
            held.release();
            let steps: Result<Vec<_>, Failure> = found.into_iter().map(TaskStep::try_from).collect();
            Ok(if is_there { Some(steps?) } else { None })
        };
        self.within("task_steps", work).await
    }

    async fn change_task(
        &self,
        key: &TaskKey,
        change: TaskChange,
        by: &str,
        now: Timestamp,
    ) -> Result<Option<TaskSummary>, Error> {
        let work = async {
            let mut held = self.writer().await?;
            let mut transaction = held.begin_with("BEGIN IMMEDIATE").await?;
            let Some(mut life) = read(&mut transaction, key).await? else {
                transaction.rollback().await?;
                held.release();
                return Ok(None);
            };
            let step = life.change(change, by, now);
            if let Ok(step) = &step {
                keep(&mut transaction, key, &life, None, step.as_ref()).await?;
            }
            let summary = get(&mut transaction, key).await?;
            transaction.commit().await?;
            held.release();
            step.map(|_| summary).map_err(|Illegal| Failure::Conflict)
        };
        self.within("change_task", work).await
    }
}

async fn get(connection: &mut SqliteConnection, key: &TaskKey) -> Result<Option<TaskSummary>, Failure> {
    let found: Option<SummaryColumns> = sqlx::query_as(GET)
        .bind(key.tenant.as_str())
        .bind(key.id.as_str())
        .fetch_optional(connection)
        .await?;
    found.map(TaskSummary::try_from).transpose()
}
