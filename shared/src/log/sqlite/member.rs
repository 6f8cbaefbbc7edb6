//! One member of a group: reads the file when it is asked for more, so nothing is buffered.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::Instant;

use super::super::{Consumer, Entry, Error, Fetched, Interest, Progress, Turn, metrics};
use super::core::Core;
use super::group::{Group, MemberId, Paused, Step};
use super::writer::Request;
use crate::position::PartitionId;

/// How long a member waits after a failed read.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(200);

pub(super) struct Member {
    core: Arc<Core>,
    requests: mpsc::Sender<Request>,
    seat: Arc<Seat>,
    wake: Arc<Notify>,
    interest: Interest,
    /// When there may be another read.
    next_read: Instant,
}

impl Member {
    pub(super) fn join(
        core: Arc<Core>,
        requests: mpsc::Sender<Request>,
        group: Arc<Group>,
        interest: Interest,
    ) -> Self {
        let (id, wake) = group.join();
        let seat = Arc::new(Seat { group, id });
        Self { core, requests, seat, wake, interest, next_read: Instant::now() }
    }
}

/// Leaves what is wanted, and the last, bare if it is not.
fn thin(records: &mut Vec<Fetched>, interest: Interest) {
    let last = records.last().map(|last| last.offset);
    records.retain_mut(|record| {
        let headers = &record.entry.headers;
        let wanted = interest.wants(headers.iter().map(|(name, value)| (&**name, &**value)));
        if !wanted {
            record.entry = Entry::default();
        }
        wanted || Some(record.offset) == last
    });
}

impl Drop for Member {
    fn drop(&mut self) {
        self.seat.group.leave(self.seat.id);
    }
}

#[async_trait]
impl Consumer for Member {
    async fn next(&mut self) -> Result<Turn, Error> {
        let Seat { group, id } = &*self.seat;
        loop {
            let step = group.step(*id, |partition| self.core.end(group.topic, partition));
            match step {
                Step::Say(turn) => return Ok(turn),
                Step::Gone => return Err(Error::Closed),
                Step::Wait => {
                    self.next_read = Instant::now() + self.interest.patience;
                    self.wake.notified().await;
                }
                // What the step answers is what is there now: it is asked again.
                Step::Read { .. } if Instant::now() < self.next_read => {
                    tokio::time::sleep_until(self.next_read).await;
                }
                Step::Read { partition, from, to } => {
                    match self.core.read(group.topic, partition, from, to).await {
                        Ok(mut read) if group.accept(*id, &read) && !read.records.is_empty() => {
                            metrics::fetched("sqlite", read.records.len());
                            thin(&mut read.records, self.interest);
                            return Ok(Turn::Fetched(partition, read.records));
                        }
                        Ok(_nothing_there_or_no_longer_wanted) => {}
                        Err(error @ (Error::Rejected(_) | Error::Closed)) => return Err(error),
                        Err(error @ (Error::Unavailable(_) | Error::TooLarge)) => {
                            metrics::trouble("sqlite", "read");
                            tracing::warn!(%partition, error = ?error, "the log cannot be read; trying again");
                            tokio::time::sleep(PAUSE_AFTER_FAILURE).await;
                        }
                    }
                }
            }
        }
    }

    fn progress(&self) -> Arc<dyn Progress> {
        Arc::clone(&self.seat) as Arc<dyn Progress>
    }

    async fn close(self: Box<Self>) {
        self.seat.group.leave(self.seat.id);
        let (answer, saved) = oneshot::channel();
        if self.requests.send(Request::Save(answer)).await.is_err() {
            return;
        }
        match tokio::time::timeout(self.core.delivery_timeout, saved).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => {
                tracing::warn!(error = ?error, "finished offsets are not saved yet; their records come again");
            }
            Ok(Err(_stopped)) => tracing::warn!("the log stopped before finished offsets were saved"),
            Err(_elapsed) => tracing::warn!("finished offsets are not saved in time"),
        }
    }
}

/// A member's place in its group, for whoever reports progress.
struct Seat {
    group: Arc<Group>,
    id: MemberId,
}

impl Progress for Seat {
    fn finish(&self, partition: PartitionId, next: u64) {
        self.group.finish(self.id, partition, next);
    }

    fn pause(&self, partition: PartitionId) {
        self.group.set_paused(self.id, partition, Paused::Yes);
    }

    fn resume(&self, partition: PartitionId) {
        self.group.set_paused(self.id, partition, Paused::No);
    }

    fn seek(&self, partition: PartitionId, offset: u64) {
        self.group.seek(self.id, partition, offset);
    }
}
