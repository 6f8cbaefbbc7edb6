//! The input edge of who works on the log: one member of a consumer group, and one worker for each partition it is assigned.
//! The director runs it on `notifications`, its archiver three more times on `parked` and `dead`, the executor twice.
//!
//! It only hands over: fetched records go to the [`intake`] of their worker, and nothing here waits for a worker but the
//! drain of what is given up, which runs beside it. What a worker may commit its [tracker](offsets) says.

pub mod intake;
pub mod offsets;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, join_all};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use self::intake::{Intake, Limits};
use crate::log::{Consumer, Error as LogError, Interest, Progress, Release, Subscriber, Turn};
use crate::position::PartitionId;
use crate::retry::Backoff;
use crate::shutdown::Shutdown;
use crate::topic::Topic;

/// What stops a member.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The log refuses the group for good.
    #[error("group {group} cannot read {topic:?}")]
    Refused {
        /// The group.
        group: &'static str,
        /// What it reads.
        topic: Topic,
        /// Why not.
        #[source]
        source: LogError,
    },
    /// The worker of a partition ended although nobody asked it to.
    #[error("a worker of group {group} ended unexpectedly")]
    Worker {
        /// Its group.
        group: &'static str,
    },
}

/// Where a service counts what happens to its groups.
#[derive(Clone, Copy, Debug)]
pub struct Counts {
    /// Fetching of a partition paused because too much was in flight, in this group.
    pub paused: fn(&'static str),
    /// The log was away when a group was to be joined.
    pub away: fn(),
}

/// What a worker is given.
pub struct Assignment {
    /// Its partition.
    pub partition: PartitionId,
    /// The first offset that it will be given.
    pub from: u64,
    /// Where its records come from.
    pub intake: Arc<Intake>,
    /// Where it says what has ended.
    pub progress: Arc<dyn Progress>,
    /// Once cancelled: take nothing more, finish what is in flight, return.
    pub drain: CancellationToken,
}

/// Makes workers.
pub trait Crew: Send + Sync {
    /// The work on one partition; it returns only after it was asked to drain.
    fn work(&self, assignment: Assignment) -> BoxFuture<'static, ()>;
}

/// A consumer group and its limits.
#[derive(Clone, Copy, Debug)]
pub struct Group {
    /// Its name.
    pub name: &'static str,
    /// What it reads.
    pub topic: Topic,
    /// What of it.
    pub interest: Interest,
    /// Of each partition.
    pub limits: Limits,
    /// How long a worker may drain.
    pub drain: Duration,
    /// How joining is tried again.
    pub backoff: Backoff,
    /// Where it is counted.
    pub counts: Counts,
}

struct Worker {
    intake: Arc<Intake>,
    drain: CancellationToken,
    task: JoinHandle<()>,
}

impl Worker {
    /// Lets it finish what is in flight, for so long.
    async fn stop(mut self, limit: Duration) {
        self.drain.cancel();
        if tokio::time::timeout(limit, &mut self.task).await.is_err() {
            self.task.abort();
            // Aborted or finished by now; waited for so that it is gone before the partition is released.
            if let Err(error) = (&mut self.task).await
                && !error.is_cancelled()
            {
                tracing::error!(%error, "a worker failed while it drained");
            }
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Runs a member of `group` until `shutdown`; then drains every partition, commits and leaves. `joined` is called once
/// the group is joined.
///
/// # Errors
/// When the log refuses the group for good, or a worker ends by itself.
pub async fn run(
    group: Group,
    subscriber: &dyn Subscriber,
    crew: &dyn Crew,
    joined: impl Fn(),
    shutdown: &Shutdown,
) -> Result<(), Error> {
    let refused = |source| Error::Refused { group: group.name, topic: group.topic, source };
    let Some(mut consumer) = join(&group, subscriber, shutdown).await.map_err(refused)? else {
        return Ok(());
    };
    joined();
    let mut member = Member { group, progress: consumer.progress(), workers: HashMap::new() };
    let mut watch = tokio::time::interval(Duration::from_secs(1));
    let ended = loop {
        tokio::select! {
            () = shutdown.begun() => break Ok(()),
            turn = consumer.next() => match turn {
                Ok(turn) => member.turn(turn, crew),
                Err(_closing) if shutdown.has_begun() => break Ok(()),
                Err(error) => break Err(refused(error)),
            },
            _ = watch.tick() => {
                if member.workers.values().any(|worker| worker.task.is_finished()) {
                    break Err(Error::Worker { group: group.name });
                }
            }
        }
    };
    let workers = std::mem::take(&mut member.workers);
    join_all(workers.into_values().map(|worker| worker.stop(group.drain))).await;
    consumer.close().await;
    ended
}

/// `None` when `shutdown` came first.
async fn join(
    group: &Group,
    subscriber: &dyn Subscriber,
    shutdown: &Shutdown,
) -> Result<Option<Box<dyn Consumer>>, LogError> {
    let mut attempt = 0;
    loop {
        let joined = tokio::select! {
            () = shutdown.begun() => return Ok(None),
            joined = subscriber.subscribe(group.topic, group.name, group.interest) => joined,
        };
        match joined {
            Ok(consumer) => return Ok(Some(consumer)),
            Err(error @ LogError::Unavailable(_)) => {
                (group.counts.away)();
                tracing::warn!(
                    group = group.name,
                    error = &error as &dyn std::error::Error,
                    "not joined yet"
                );
                let delay = group.backoff.delay(attempt, rand::random());
                attempt = attempt.saturating_add(1);
                tokio::select! {
                    () = shutdown.begun() => return Ok(None),
                    () = tokio::time::sleep(delay) => {}
                }
            }
            Err(error @ (LogError::TooLarge | LogError::Rejected(_) | LogError::Closed)) => {
                return Err(error);
            }
        }
    }
}

struct Member {
    group: Group,
    progress: Arc<dyn Progress>,
    workers: HashMap<PartitionId, Worker>,
}

impl Member {
    fn turn(&mut self, turn: Turn, crew: &dyn Crew) {
        match turn {
            Turn::Assigned(partitions) => {
                let ids: Vec<u32> = partitions.iter().map(|(partition, _)| partition.0).collect();
                tracing::info!(group = self.group.name, partitions = ?ids, "partitions assigned");
                for (partition, from) in partitions {
                    self.start(partition, from, crew);
                }
            }
            Turn::Fetched(partition, records) => {
                // Records of a partition that was given up meanwhile are another member's.
                if let Some(worker) = self.workers.get(&partition) {
                    worker.intake.put(records);
                }
            }
            Turn::Revoked(partitions, release) => self.give_up(&partitions, release),
            Turn::Lost(partitions) => {
                tracing::warn!(group = self.group.name, ?partitions, "partitions lost");
                for partition in partitions {
                    self.workers.remove(&partition);
                }
            }
        }
    }

    fn start(&mut self, partition: PartitionId, from: u64, crew: &dyn Crew) {
        tracing::debug!(group = self.group.name, %partition, from, "reads on");
        let progress = Arc::clone(&self.progress);
        let intake = Arc::new(Intake::new(self.group, partition, Arc::clone(&progress)));
        let drain = CancellationToken::new();
        let assignment =
            Assignment { partition, from, intake: Arc::clone(&intake), progress, drain: drain.clone() };
        let task = tokio::spawn(crew.work(assignment));
        // A worker that was still there belonged to an assignment that is over; inserting drops it.
        self.workers.insert(partition, Worker { intake, drain, task });
    }

    fn give_up(&mut self, partitions: &[PartitionId], release: Release) {
        let ids: Vec<u32> = partitions.iter().map(|partition| partition.0).collect();
        tracing::info!(group = self.group.name, partitions = ?ids, "partitions revoked");
        let limit = self.group.drain;
        let stopping: Vec<_> = partitions
            .iter()
            .filter_map(|partition| self.workers.remove(partition))
            .map(|worker| worker.stop(limit))
            .collect();
        tokio::spawn(async move {
            join_all(stopping).await;
            drop(release);
        });
    }
}
