//! The state of one group and its changes. Pure: no lock, no clock, no I/O.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use tokio::sync::Notify;

use super::super::balance::balance;
use super::Paused;
use crate::log::{Release, Turn};
use crate::position::PartitionId;

/// A member's number in its group; never used twice.
pub(in super::super) type MemberId = u64;

/// What a member does next.
#[derive(Debug)]
pub(in super::super) enum Step {
    /// Says this.
    Say(Turn),
    /// Reads `partition` from `from` up to `to`.
    Read { partition: PartitionId, from: u64, to: u64 },
    /// Waits to be woken.
    Wait,
    /// It has left.
    Gone,
}

/// Partitions that go to somebody else when `released` disconnects.
#[derive(Debug)]
pub(super) struct Drain {
    pub(super) partitions: Vec<PartitionId>,
    pub(super) number: u64,
    pub(super) released: Receiver<()>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    Nobody,
    Member(MemberId),
    Draining { from: MemberId, number: u64 },
}

#[derive(Debug)]
struct Reading {
    next: u64,
    paused: Paused,
}

#[derive(Debug)]
struct Member {
    wake: Arc<Notify>,
    /// At most a few per partition: a partition is not revoked again before its release.
    turns: VecDeque<Turn>,
    reading: BTreeMap<PartitionId, Reading>,
    /// The partition read last, so that each has its turn.
    last_read: PartitionId,
}

#[derive(Debug)]
pub(super) struct State {
    members: BTreeMap<MemberId, Member>,
    owners: Vec<Owner>,
    committed: Vec<u64>,
    unsaved: BTreeSet<PartitionId>,
    numbers: u64,
}

fn index(partition: PartitionId) -> usize {
    partition.0 as usize
}

impl State {
    pub(super) fn new(committed: Vec<u64>) -> Self {
        let owners = vec![Owner::Nobody; committed.len()];
        Self { members: BTreeMap::new(), owners, committed, unsaved: BTreeSet::new(), numbers: 0 }
    }

    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    pub(super) fn join(&mut self) -> (MemberId, Arc<Notify>) {
        let (id, wake) = (self.number(), Arc::new(Notify::new()));
        self.members.insert(
            id,
            Member {
                wake: Arc::clone(&wake),
                turns: VecDeque::new(),
                reading: BTreeMap::new(),
                last_read: PartitionId(0),
            },
        );
        (id, wake)
    }

    pub(super) fn leave(&mut self, id: MemberId) {
        let Some(member) = self.members.remove(&id) else { return };
        member.wake.notify_one();
        for owner in &mut self.owners {
            match *owner {
                Owner::Member(of) | Owner::Draining { from: of, .. } if of == id => *owner = Owner::Nobody,
                Owner::Nobody | Owner::Member(_) | Owner::Draining { .. } => {}
            }
        }
    }

    /// Hands out what is free, and takes back what is to move: each of those is answered as a drain.
    pub(super) fn rebalance(&mut self) -> Vec<Drain> {
        let members: Vec<MemberId> = self.members.keys().copied().collect();
        let owned: Vec<Option<MemberId>> = self
            .owners
            .iter()
            .map(|owner| match owner {
                Owner::Member(id) => Some(*id),
                Owner::Nobody | Owner::Draining { .. } => None,
            })
            .collect();
        let mut given: BTreeMap<MemberId, Vec<PartitionId>> = BTreeMap::new();
        let mut taken: BTreeMap<MemberId, Vec<PartitionId>> = BTreeMap::new();
        for ((partition, target), owner) in
            (0..).map(PartitionId).zip(balance(&owned, &members)).zip(&self.owners)
        {
            match (owner, target) {
                (Owner::Nobody, Some(to)) => given.entry(to).or_default().push(partition),
                (Owner::Member(from), Some(to)) if *from != to => {
                    taken.entry(*from).or_default().push(partition);
                }
                (Owner::Nobody | Owner::Member(_) | Owner::Draining { .. }, _) => {}
            }
        }
        for (to, partitions) in given {
            self.assign(to, &partitions);
        }
        taken.into_iter().filter_map(|(from, partitions)| self.revoke(from, partitions)).collect()
    }

    fn assign(&mut self, to: MemberId, partitions: &[PartitionId]) {
        let Some(member) = self.members.get_mut(&to) else { return };
        let mut assigned = Vec::with_capacity(partitions.len());
        for partition in partitions {
            let next = self.committed[index(*partition)];
            self.owners[index(*partition)] = Owner::Member(to);
            member.reading.insert(*partition, Reading { next, paused: Paused::No });
            assigned.push((*partition, next));
        }
        member.turns.push_back(Turn::Assigned(assigned));
        member.wake.notify_one();
    }

    fn revoke(&mut self, from: MemberId, partitions: Vec<PartitionId>) -> Option<Drain> {
        let number = self.number();
        let member = self.members.get_mut(&from)?;
        for partition in &partitions {
            self.owners[index(*partition)] = Owner::Draining { from, number };
            member.reading.remove(partition);
        }
        let (release, released) = Release::new();
        member.turns.push_back(Turn::Revoked(partitions.clone(), release));
        member.wake.notify_one();
        Some(Drain { partitions, number, released })
    }

    pub(super) fn drained(&mut self, partitions: &[PartitionId], number: u64) {
        for partition in partitions {
            let owner = &mut self.owners[index(*partition)];
            if matches!(owner, Owner::Draining { number: of, .. } if *of == number) {
                *owner = Owner::Nobody;
            }
        }
    }

    pub(super) fn step(&mut self, id: MemberId, end: impl Fn(PartitionId) -> u64) -> Step {
        let Some(member) = self.members.get_mut(&id) else { return Step::Gone };
        if let Some(turn) = member.turns.pop_front() {
            return Step::Say(turn);
        }
        let after =
            member.reading.range((std::ops::Bound::Excluded(member.last_read), std::ops::Bound::Unbounded));
        let ready = after
            .chain(member.reading.range(..=member.last_read))
            .filter(|(_, reading)| reading.paused == Paused::No)
            .map(|(partition, reading)| (*partition, reading.next, end(*partition)))
            .find(|(_, next, end)| next < end);
        match ready {
            Some((partition, from, to)) => {
                member.last_read = partition;
                Step::Read { partition, from, to }
            }
            None => Step::Wait,
        }
    }

    /// Whether a read from `from` still stands; then the partition is read from `next` on.
    pub(super) fn accept(&mut self, id: MemberId, partition: PartitionId, from: u64, next: u64) -> bool {
        match self.reading(id, partition) {
            Some(reading) if reading.next == from && reading.paused == Paused::No => {
                reading.next = next;
                true
            }
            Some(_) | None => false,
        }
    }

    fn reading(&mut self, id: MemberId, partition: PartitionId) -> Option<&mut Reading> {
        self.members.get_mut(&id)?.reading.get_mut(&partition)
    }

    /// Whether that was news for the disk.
    pub(super) fn finish(&mut self, id: MemberId, partition: PartitionId, next: u64) -> bool {
        let owns = match self.owners.get(index(partition)) {
            Some(Owner::Member(of) | Owner::Draining { from: of, .. }) => *of == id,
            Some(Owner::Nobody) | None => false,
        };
        if !owns || self.committed[index(partition)] >= next {
            return false;
        }
        self.committed[index(partition)] = next;
        self.unsaved.insert(partition)
    }

    /// For a group without members.
    pub(super) fn put(&mut self, partition: PartitionId, next: u64) {
        if let Some(committed) = self.committed.get_mut(index(partition)).filter(|before| **before <= next) {
            *committed = next;
            self.unsaved.insert(partition);
        }
    }

    pub(super) fn set_paused(&mut self, id: MemberId, partition: PartitionId, paused: Paused) {
        if let Some(reading) = self.reading(id, partition) {
            reading.paused = paused;
            self.wake(id);
        }
    }

    pub(super) fn seek(&mut self, id: MemberId, partition: PartitionId, offset: u64) {
        if let Some(reading) = self.reading(id, partition) {
            reading.next = offset;
            self.wake(id);
        }
    }

    fn wake(&self, id: MemberId) {
        if let Some(member) = self.members.get(&id) {
            member.wake.notify_one();
        }
    }

    pub(super) fn wake_owners(&self, partitions: &[PartitionId]) {
        for partition in partitions {
            if let Some(Owner::Member(id)) = self.owners.get(index(*partition)) {
                self.wake(*id);
            }
        }
    }

    pub(super) fn committed(&self, partition: PartitionId) -> u64 {
        self.committed[index(partition)]
    }

    pub(super) fn mark_all_unsaved(&mut self) {
        self.unsaved = (0..).map(PartitionId).take(self.committed.len()).collect();
    }

    pub(super) fn mark_unsaved(&mut self, partition: PartitionId) {
        self.unsaved.insert(partition);
    }

    pub(super) fn take_unsaved(&mut self) -> Vec<(PartitionId, u64)> {
        std::mem::take(&mut self.unsaved)
            .into_iter()
            .map(|partition| (partition, self.committed[index(partition)]))
            .collect()
    }
}
