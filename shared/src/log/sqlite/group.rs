//! Consumer groups inside the process: who owns which partition, where each is read, what is finished. Called by
//! members ([`super::member`]), woken by the writer. No I/O; what is finished is put on disk by the writer.

mod state;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Notify;

use super::super::{Fetched, metrics};
use crate::position::PartitionId;
use crate::topic::Topic;

use state::{Drain, State};
pub(super) use state::{MemberId, Step};

/// Takes a lock; a panic elsewhere does not make the state unusable, every change to it is made whole.
pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// All groups of a log.
pub(super) struct Groups {
    all: Mutex<HashMap<(Topic, String), Arc<Group>>>,
    /// Told when something is finished that is not on disk.
    pub(super) unsaved: Arc<Notify>,
    /// Held while offsets of several topics are put, so that they are saved together.
    putting: Mutex<()>,
    drain_timeout: Duration,
    runtime: Handle,
}

/// A finished offset on its way to the disk.
#[derive(Clone, Debug)]
pub(super) struct Finished {
    pub(super) topic: Topic,
    pub(super) group: Arc<str>,
    pub(super) partition: PartitionId,
    pub(super) next: u64,
}

impl Groups {
    pub(super) fn new(drain_timeout: Duration, runtime: Handle) -> Self {
        let (all, unsaved, putting) = (Mutex::default(), Arc::new(Notify::new()), Mutex::default());
        Self { all, unsaved, putting, drain_timeout, runtime }
    }

    /// Puts in a group as the file has it.
    pub(super) fn restore(&self, topic: Topic, name: &str, committed: Vec<u64>) -> Arc<Group> {
        let group = Arc::new(Group {
            topic,
            name: name.into(),
            state: Mutex::new(State::new(committed)),
            unsaved: Arc::clone(&self.unsaved),
            drain_timeout: self.drain_timeout,
            runtime: self.runtime.clone(),
        });
        Arc::clone(locked(&self.all).entry((topic, name.to_owned())).or_insert(group))
    }

    /// The group called `name`; made, and marked as unsaved, with the offsets of `start` when there is none.
    pub(super) fn obtain(&self, topic: Topic, name: &str, start: impl FnOnce() -> Vec<u64>) -> Arc<Group> {
        if let Some(group) = locked(&self.all).get(&(topic, name.to_owned())) {
            return Arc::clone(group);
        }
        let group = self.restore(topic, name, start());
        locked(&group.state).mark_all_unsaved();
        group
    }

    fn of(&self, topic: Topic) -> Vec<Arc<Group>> {
        locked(&self.all).values().filter(|group| group.topic == topic).cloned().collect()
    }

    /// Wakes whoever reads the partitions that records were appended to.
    pub(super) fn appended(&self, topic: Topic, partitions: &[PartitionId]) {
        for group in self.of(topic) {
            locked(&group.state).wake_owners(partitions);
        }
    }

    /// Puts how far a group without members has come in `partition` of several topics. An offset never goes back.
    pub(super) fn put(
        &self,
        name: &str,
        partition: PartitionId,
        offsets: &[(Topic, u64)],
        earliest: impl Fn(Topic) -> Vec<u64>,
    ) {
        let _together = locked(&self.putting);
        for (topic, next) in offsets {
            let group = self.restore(*topic, name, earliest(*topic));
            locked(&group.state).put(partition, *next);
        }
        self.unsaved.notify_one();
    }

    /// Takes everything that is finished and not on disk.
    pub(super) fn take_unsaved(&self) -> Vec<Finished> {
        let _together = locked(&self.putting);
        let groups: Vec<Arc<Group>> = locked(&self.all).values().cloned().collect();
        let mut unsaved = Vec::new();
        for group in groups {
            unsaved.extend(locked(&group.state).take_unsaved().into_iter().map(|(partition, next)| {
                Finished { topic: group.topic, group: Arc::clone(&group.name), partition, next }
            }));
        }
        unsaved
    }

    /// Puts back what could not be saved.
    pub(super) fn put_back(&self, unsaved: &[Finished]) {
        let groups = locked(&self.all);
        for finished in unsaved {
            if let Some(group) = groups.get(&(finished.topic, finished.group.to_string())) {
                locked(&group.state).mark_unsaved(finished.partition);
            }
        }
    }

    /// Below this offset no group needs anything of the partition; nothing when the topic has no group.
    pub(super) fn needless_below(&self, topic: Topic, partition: PartitionId) -> Option<u64> {
        self.of(topic).iter().map(|group| locked(&group.state).committed(partition)).min()
    }
}

/// A group on a topic.
pub(super) struct Group {
    pub(super) topic: Topic,
    name: Arc<str>,
    state: Mutex<State>,
    unsaved: Arc<Notify>,
    drain_timeout: Duration,
    runtime: Handle,
}

impl Group {
    /// Takes in a member and rebalances.
    pub(super) fn join(self: &Arc<Self>) -> (MemberId, Arc<Notify>) {
        let mut state = locked(&self.state);
        let joined = state.join();
        let drains = state.rebalance();
        drop(state);
        self.watch(drains);
        joined
    }

    /// Lets a member go; its partitions go to the others at once.
    pub(super) fn leave(self: &Arc<Self>, member: MemberId) {
        let mut state = locked(&self.state);
        state.leave(member);
        let drains = state.rebalance();
        drop(state);
        self.watch(drains);
    }

    /// Rebalances on once each drain is released, or after the deadline.
    fn watch(self: &Arc<Self>, drains: Vec<Drain>) {
        for Drain { partitions, number, released } in drains {
            metrics::rebalanced("sqlite", "revoked");
            let group = Arc::clone(self);
            // The release is a blocking channel, by the port's contract; the thread is borrowed until the deadline.
            self.runtime.spawn_blocking(move || {
                if released.recv_timeout(group.drain_timeout)
                    == Err(std::sync::mpsc::RecvTimeoutError::Timeout)
                {
                    tracing::warn!(group = %group.name, "a revoked partition did not drain in time");
                }
                let mut state = locked(&group.state);
                state.drained(&partitions, number);
                let drains = state.rebalance();
                drop(state);
                group.watch(drains);
            });
        }
    }

    /// What the member does next. `end` tells where a partition ends.
    pub(super) fn step(&self, member: MemberId, end: impl Fn(PartitionId) -> u64) -> Step {
        locked(&self.state).step(member, end)
    }

    /// Accepts what was read, unless the partition was taken away, paused or sought meanwhile.
    pub(super) fn accept(&self, member: MemberId, read: &Read) -> bool {
        let next = read.records.last().map_or(read.to, |last| last.offset + 1);
        locked(&self.state).accept(member, read.partition, read.from, next)
    }

    pub(super) fn finish(&self, member: MemberId, partition: PartitionId, next: u64) {
        if locked(&self.state).finish(member, partition, next) {
            self.unsaved.notify_one();
        }
    }

    pub(super) fn set_paused(&self, member: MemberId, partition: PartitionId, paused: Paused) {
        locked(&self.state).set_paused(member, partition, paused);
    }

    pub(super) fn seek(&self, member: MemberId, partition: PartitionId, offset: u64) {
        locked(&self.state).seek(member, partition, offset);
    }
}

/// Whether a partition is fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Paused {
    Yes,
    No,
}

/// What was read of a partition: everything from `from`, and when that is nothing, nothing is there up to `to`.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) partition: PartitionId,
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) records: Vec<Fetched>,
}
