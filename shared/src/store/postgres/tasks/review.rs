//! Looking at tasks in Postgres, and deciding about them.

use std::iter;

use async_trait::async_trait;
use sqlx::PgConnection;

use super::super::Store;
use super::rows::{Kept, enter, keep, read};
use crate::clock::Timestamp;
use crate::store::columns::{millis, text};
use crate::store::failure::Failure;
use crate::store::task_columns::{GET, LIST, STEPS, StepColumns, SummaryColumns, bind_filter};
use crate::store::task_rules::{Illegal, Life};
use crate::store::{Error, NewTask, TaskChange, TaskFilter, TaskKey, TaskReview, TaskStep, TaskSummary};

#[async_trait]
impl TaskReview for Store {
    async fn enter_tasks(&self, tasks: &[NewTask]) -> Result<(), Error> {
        let work = async {
            let (mut entered, mut steps) = (Vec::new(), Vec::new());
            for task in tasks {
                let (life, step) = Life::entered(task.created);
                entered.push((task, life));
                steps.push((&task.key, step));
            }
            let mut held = self.hold().await?;
            enter(&mut held, &entered, &steps).await?;
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
            let mut held = self.hold().await?;
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
            let mut held = self.hold().await?;
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
            let mut held = self.hold().await?;
            let found: Vec<StepColumns> = sqlx::query_as(STEPS)
                .bind(key.tenant.as_str())
                .bind(key.id.as_str())
                .bind(i64::from(after))
                .bind(i64::from(limit))
                .fetch_all(&mut *held)
                .await?;
            let is_there = !found.is_empty() || get(&mut held, key).await?.is_some();
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
            let mut held = self.hold().await?;
            loop {
                let Some(seen) = read(&mut held, iter::once(key)).await?.remove(key) else {
                    held.release();
                    return Ok(None);
                };
                let mut life = seen.life.clone();
                let step = match life.change(change, by, now) {
                    Ok(step) => step.map(|step| (key, step)),
                    Err(Illegal) => {
                        held.release();
                        return Err(Failure::Conflict);
                    }
                };
                // If not, somebody else has been at the task meanwhile; the deadline ends it.
                let steps = step.as_slice();
                if keep(&mut held, &[Kept::new(key, seen.life, life)], steps).await? {
                    let summary = get(&mut held, key).await?;
                    held.release();
                    return Ok(summary);
                }
            }
        };
        self.within("change_task", work).await
    }
}

async fn get(connection: &mut PgConnection, key: &TaskKey) -> Result<Option<TaskSummary>, Failure> {
    let found: Option<SummaryColumns> = sqlx::query_as(GET)
        .bind(key.tenant.as_str())
        .bind(key.id.as_str())
        .fetch_optional(connection)
        .await?;
    found.map(TaskSummary::try_from).transpose()
}
