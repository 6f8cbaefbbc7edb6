//! What stands between a group's consumer and the worker of one partition: fetched records that wait, bounded together
//! with those in flight. At the bound fetching pauses; it goes on when half is left. What was on its way when it paused
//! still comes, so the bound is overshot by at most that.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use shared::log::{Fetched, Progress};
use shared::position::PartitionId;
use tokio::sync::Notify;

use crate::metrics;

/// The bound.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) records: usize,
    pub(crate) bytes: usize,
}

/// See the module.
pub(crate) struct Intake {
    group: &'static str,
    partition: PartitionId,
    progress: Arc<dyn Progress>,
    limits: Limits,
    held: Mutex<Held>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct Held {
    waiting: VecDeque<Fetched>,
    /// Waiting and in flight.
    records: usize,
    bytes: usize,
    paused: bool,
}

impl Intake {
    pub(crate) fn new(
        group: &'static str,
        partition: PartitionId,
        progress: Arc<dyn Progress>,
        limits: Limits,
    ) -> Self {
        let (held, arrived) = (Mutex::default(), Notify::new());
        Self { group, partition, progress, limits, held, arrived }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        // Nothing panics while it is held.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what was fetched.
    pub(crate) fn put(&self, fetched: Vec<Fetched>) {
        let mut held = self.held();
        held.records += fetched.len();
        held.bytes += fetched.iter().map(|record| record.entry.size_bytes()).sum::<usize>();
        held.waiting.extend(fetched);
        if !held.paused && (held.records >= self.limits.records || held.bytes >= self.limits.bytes) {
            held.paused = true;
            self.progress.pause(self.partition);
            metrics::paused(self.group);
        }
        drop(held);
        self.arrived.notify_one();
    }

    /// Up to `limit` records that wait; they are in flight from now on.
    pub(crate) fn take(&self, limit: usize) -> Vec<Fetched> {
        let mut held = self.held();
        let count = held.waiting.len().min(limit);
        held.waiting.drain(..count).collect()
    }

    /// A record is no longer in flight.
    pub(crate) fn ended(&self, records: usize, bytes: usize) {
        let mut held = self.held();
        held.records = held.records.saturating_sub(records);
        held.bytes = held.bytes.saturating_sub(bytes);
        if held.paused && held.records <= self.limits.records / 2 && held.bytes <= self.limits.bytes / 2 {
            held.paused = false;
            self.progress.resume(self.partition);
        }
    }

    /// Records and bytes that wait or are in flight.
    pub(crate) fn weight(&self) -> (usize, usize) {
        let held = self.held();
        (held.records, held.bytes)
    }

    /// Whether anything waits.
    pub(crate) fn has_waiting(&self) -> bool {
        !self.held().waiting.is_empty()
    }

    /// Waits until something may wait.
    ///
    /// # Cancel safety
    /// Cancel safe, for one waiter.
    pub(crate) async fn arrival(&self) {
        if !self.has_waiting() {
            self.arrived.notified().await;
        }
    }
}
