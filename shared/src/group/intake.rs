//! What stands between a group's consumer and the worker of one partition: fetched records that wait, bounded together
//! with those in flight. At the bound fetching pauses; it goes on when half is left, or when nothing waits and there is room.
//! What was on its way when it paused still comes and waits; what is in flight never exceeds the bound, but for a single
//! record that is larger than all of its bytes.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::log::{Fetched, Progress};
use crate::position::PartitionId;
use tokio::sync::Notify;

use super::Group;

/// The bound.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Records.
    pub records: usize,
    /// Bytes of them.
    pub bytes: usize,
    /// In hundredths of the bound: with no more than this in flight and nothing waiting, fetching goes on. Above what may
    /// stay in flight for as long as it likes, or who waits on the log would wait for it.
    pub room_percent: usize,
}

impl Limits {
    fn percent(self, percent: usize) -> (usize, usize) {
        (self.records * percent / 100, self.bytes * percent / 100)
    }
}

/// See the module.
pub struct Intake {
    group: Group,
    partition: PartitionId,
    progress: Arc<dyn Progress>,
    held: Mutex<Held>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct Held {
    waiting: VecDeque<Fetched>,
    /// Waiting and in flight.
    records: usize,
    bytes: usize,
    /// Of them, those that wait.
    waiting_bytes: usize,
    paused: bool,
}

impl Held {
    /// Whether one more may be in flight. One always may alone.
    fn has_room(&self, limits: Limits) -> bool {
        let (records, bytes) = (self.records - self.waiting.len(), self.bytes - self.waiting_bytes);
        let next = self.waiting.front().map_or(0, |next| next.entry.size_bytes());
        records == 0 || (records < limits.records && bytes + next <= limits.bytes)
    }
}

impl Intake {
    /// Nothing waits; the limits are those of `group`.
    #[must_use]
    pub fn new(group: Group, partition: PartitionId, progress: Arc<dyn Progress>) -> Self {
        Self { group, partition, progress, held: Mutex::default(), arrived: Notify::new() }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        // Nothing panics while it is held.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what was fetched.
    pub fn put(&self, fetched: Vec<Fetched>) {
        let mut held = self.held();
        let bytes = fetched.iter().map(|record| record.entry.size_bytes()).sum::<usize>();
        held.records += fetched.len();
        held.bytes += bytes;
        held.waiting_bytes += bytes;
        held.waiting.extend(fetched);
        if !held.paused
            && (held.records >= self.group.limits.records || held.bytes >= self.group.limits.bytes)
        {
            held.paused = true;
            self.progress.pause(self.partition);
            (self.group.counts.paused)(self.group.name);
        }
        drop(held);
        self.arrived.notify_one();
    }

    /// Up to `limit` records that wait, as far as there is room; they are in flight from now on.
    pub fn take(&self, limit: usize) -> Vec<Fetched> {
        let mut held = self.held();
        let mut taken = Vec::new();
        while taken.len() < limit && held.has_room(self.group.limits) {
            let Some(next) = held.waiting.pop_front() else { break };
            held.waiting_bytes -= next.entry.size_bytes();
            taken.push(next);
        }
        taken
    }

    /// Drops what waits. It counts as before: who takes nothing is sent nothing more.
    pub fn drop_waiting(&self) {
        let mut held = self.held();
        held.waiting = VecDeque::new();
        held.waiting_bytes = 0;
    }

    /// A record is no longer in flight.
    pub fn ended(&self, records: usize, bytes: usize) {
        let mut held = self.held();
        held.records = held.records.saturating_sub(records);
        held.bytes = held.bytes.saturating_sub(bytes);
        let (records, bytes) = self.group.limits.percent(if held.waiting.is_empty() {
            self.group.limits.room_percent
        } else {
            50
        });
        if held.paused && held.records <= records && held.bytes <= bytes {
            held.paused = false;
            self.progress.resume(self.partition);
        }
    }

    /// Records and bytes that wait or are in flight.
    pub fn weight(&self) -> (usize, usize) {
        let held = self.held();
        (held.records, held.bytes)
    }

    fn can_take(&self) -> bool {
        let held = self.held();
        !held.waiting.is_empty() && held.has_room(self.group.limits)
    }

    /// Waits until something waits that there is room for. Who makes the room asks again.
    ///
    /// # Cancel safety
    /// Cancel safe, for one waiter.
    pub async fn arrival(&self) {
        while !self.can_take() {
            self.arrived.notified().await;
        }
    }
}
