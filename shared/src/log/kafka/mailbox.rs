//! Between a member and the thread that polls for it: turns one way, controls the other.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::super::{Error, Fetched, Progress, Turn};
use crate::position::PartitionId;

/// Batches that wait to be taken; the thread polls no more while they do.
const MOST_BATCHES: usize = 16;

#[derive(Default)]
pub(super) struct Mailbox {
    state: Mutex<State>,
    /// The member: there is a turn, or the end.
    filled: Notify,
    /// The thread: there is something to do.
    roused: Condvar,
}

#[derive(Default)]
struct State {
    turns: VecDeque<Turn>,
    assigned: BTreeSet<PartitionId>,
    controls: Controls,
    roused: bool,
    closing: bool,
    ended: Option<Error>,
}

/// What the member wants, the last word for each partition.
#[derive(Default)]
pub(super) struct Controls {
    pub(super) paused: BTreeMap<PartitionId, bool>,
    pub(super) seeks: BTreeMap<PartitionId, u64>,
    pub(super) finished: BTreeMap<PartitionId, u64>,
}

impl Mailbox {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the thread.
    pub(super) fn rouse(&self) {
        self.lock().roused = true;
        self.roused.notify_one();
    }

    /// Waits until roused, at most `tick`.
    pub(super) fn wait(&self, tick: Duration) {
        let state = self.lock();
        let waited = self.roused.wait_timeout_while(state, tick, |state| !state.roused && !state.closing);
        waited.unwrap_or_else(PoisonError::into_inner).0.roused = false;
    }

    pub(super) async fn next(&self) -> Result<Turn, Error> {
        loop {
            let filled = self.filled.notified();
            {
                let mut state = self.lock();
                if let Some(turn) = state.turns.pop_front() {
                    let has_room_again = state.turns.len() + 1 == MOST_BATCHES;
                    drop(state);
                    if has_room_again {
                        self.rouse();
                    }
                    return Ok(turn);
                }
                if let Some(error) = state.ended.take() {
                    state.ended = Some(Error::Closed);
                    return Err(error);
                }
            }
            filled.await;
        }
    }

    pub(super) fn close(&self) {
        self.lock().closing = true;
        self.roused.notify_one();
    }

    pub(super) fn is_closing(&self) -> bool {
        self.lock().closing
    }

    /// The last thing the member hears.
    pub(super) fn end(&self, error: Error) {
        self.lock().ended.get_or_insert(error);
        self.filled.notify_one();
    }

    pub(super) fn has_room(&self) -> bool {
        self.lock().turns.len() < MOST_BATCHES
    }

    fn say(&self, change: impl FnOnce(&mut State) -> Turn) {
        let mut state = self.lock();
        let turn = change(&mut state);
        state.turns.push_back(turn);
        drop(state);
        self.filled.notify_one();
    }

    pub(super) fn assign(&self, starts: Vec<(PartitionId, u64)>) {
        self.say(|state| {
            state.assigned.extend(starts.iter().map(|(partition, _)| *partition));
            Turn::Assigned(starts)
        });
    }

    /// Those that the member knows as its own.
    pub(super) fn known(&self, mut partitions: Vec<PartitionId>) -> Vec<PartitionId> {
        let state = self.lock();
        partitions.retain(|partition| state.assigned.contains(partition));
        partitions
    }

    /// Tells of the loss; until [`Mailbox::forget`] what is finished is still taken.
    pub(super) fn tell(&self, turn: Turn) {
        self.say(|_| turn);
    }

    /// From now on the partitions are not this member's.
    pub(super) fn forget(&self, partitions: &[PartitionId]) {
        let mut state = self.lock();
        for partition in partitions {
            state.assigned.remove(partition);
            state.controls.paused.remove(partition);
            state.controls.seeks.remove(partition);
            state.controls.finished.remove(partition);
        }
    }

    /// Hands on a batch, unless the partition is no longer this member's.
    pub(super) fn fetched(&self, partition: PartitionId, records: Vec<Fetched>) {
        let mut state = self.lock();
        if state.assigned.contains(&partition) {
            state.turns.push_back(Turn::Fetched(partition, records));
            drop(state);
            self.filled.notify_one();
        }
    }

    pub(super) fn take_controls(&self) -> Controls {
        std::mem::take(&mut self.lock().controls)
    }

    pub(super) fn take_finished(&self) -> BTreeMap<PartitionId, u64> {
        std::mem::take(&mut self.lock().controls.finished)
    }

    /// A seek that could not be made yet, unless there is a later one.
    pub(super) fn seek_later(&self, partition: PartitionId, offset: u64) {
        let mut state = self.lock();
        if state.assigned.contains(&partition) {
            state.controls.seeks.entry(partition).or_insert(offset);
        }
    }

    fn control(&self, partition: PartitionId, change: impl FnOnce(&mut Controls)) {
        let mut state = self.lock();
        if state.assigned.contains(&partition) {
            change(&mut state.controls);
            state.roused = true;
            drop(state);
            self.roused.notify_one();
        }
    }
}

impl Progress for Mailbox {
    /// Does not wake the thread: it stores what is finished at its next tick, long before the next commit.
    fn finish(&self, partition: PartitionId, next: u64) {
        let mut state = self.lock();
        if state.assigned.contains(&partition) {
            let finished = state.controls.finished.entry(partition).or_insert(next);
            *finished = next.max(*finished);
        }
    }

    fn pause(&self, partition: PartitionId) {
        self.control(partition, |controls| {
            controls.paused.insert(partition, true);
        });
    }

    fn resume(&self, partition: PartitionId) {
        self.control(partition, |controls| {
            controls.paused.insert(partition, false);
        });
    }

    fn seek(&self, partition: PartitionId, offset: u64) {
        self.control(partition, |controls| {
            controls.seeks.insert(partition, offset);
        });
    }
}
