//! Looks in the store for what nobody is at: tasks of an instance that was lost, attempts that are due, tasks that somebody
//! asked for again or that never reached a worker. Runs what it finds. Also forgets tasks past their retention.

use std::sync::Arc;

use shared::clock::Clock;
use shared::shutdown::Shutdown;
use shared::store::{DueTask, TaskRuns};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::runner::{Runner, Task, Waits, key};
use crate::config::ReaperSettings;
use crate::metrics;
use crate::routing;

/// Most that a state is counted.
const MOST_COUNTED: u32 = 100_000;

/// See the module.
pub(crate) struct Reaper {
    pub(crate) settings: ReaperSettings,
    pub(crate) runs: Arc<dyn TaskRuns>,
    pub(crate) runner: Arc<Runner>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Reaper {
    /// Works until `shutdown`, then waits for what it runs, for as long as a partition that is given up may.
    pub(crate) async fn run(&self, shutdown: &Shutdown, limit: std::time::Duration) {
        let drain = CancellationToken::new();
        let mut running = JoinSet::new();
        let work = async {
            tokio::join!(self.look(&mut running, &drain), self.purge(), self.count());
        };
        tokio::select! {
            () = shutdown.begun() => {}
            () = work => {}
        }
        drain.cancel();
        let drained = async { while running.join_next().await.is_some() {} };
        if tokio::time::timeout(limit, drained).await.is_err() {
            tracing::warn!(
                tasks = running.len(),
                "stopped while tasks were under way; others will find them"
            );
        }
    }

    async fn look(&self, running: &mut JoinSet<()>, drain: &CancellationToken) {
        loop {
            // Instances that were started together do not look together.
            tokio::time::sleep(self.settings.poll_ms.mul_f64(rand::random_range(0.5..1.0))).await;
            while running.try_join_next().is_some() {}
            let free = self.settings.running.saturating_sub(running.len());
            let Ok(limit @ 1..) = u32::try_from(free) else { continue };
            let due = self.runs.due(self.clock.now(), self.settings.patience_ms, limit).await;
            let due = match due {
                Ok(due) => due,
                Err(error) => {
                    metrics::engine_failure("store");
                    tracing::debug!(error = &error as &dyn std::error::Error, "what is due is not known");
                    continue;
                }
            };
            metrics::found(due.len());
            for due in due {
                self.take(due, running, drain);
            }
        }
    }

    fn take(&self, due: DueTask, running: &mut JoinSet<()>, drain: &CancellationToken) {
        let DueTask { key: found, record, position } = due;
        let task: Task = match routing::read(record, position) {
            Ok(task) => task,
            Err(error) => {
                // It was read before it was entered: another version wrote it.
                return tracing::error!(key = ?found, %error, "a task in the store cannot be read");
            }
        };
        let Some(claim) = self.runner.places.try_claim(&key(&task)) else { return };
        let (runner, drain) = (Arc::clone(&self.runner), drain.clone());
        running.spawn(async move {
            runner.run(&task, claim, Waits::Nobody, &drain).await;
        });
    }

    async fn purge(&self) {
        let most = self.settings.purge_rows;
        let mut purged = 0;
        loop {
            // As many as may be at a time: there are more.
            if purged < u64::from(most) {
                tokio::time::sleep(self.settings.purge_ms).await;
            }
            purged = 0;
            let before = self.clock.now().before(self.settings.retention_ms);
            match self.runs.purge_tasks(before, most).await {
                Ok(forgotten) => {
                    purged = forgotten;
                    metrics::purged(forgotten);
                }
                Err(error) => {
                    metrics::engine_failure("store");
                    tracing::debug!(error = &error as &dyn std::error::Error, "no task was forgotten");
                }
            }
        }
    }

    async fn count(&self) {
        loop {
            match self.runs.backlog(MOST_COUNTED).await {
                Ok(counts) => metrics::backlog(counts),
                Err(_uncounted) => metrics::engine_failure("store"),
            }
            metrics::running(self.runner.places.running(), self.runner.attempts.sandbox.waiting());
            tokio::time::sleep(self.settings.count_ms).await;
        }
    }
}
