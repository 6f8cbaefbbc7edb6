//! A director's process: the partitions it has and its streams to the nodes, as `consumer.rs` and `forward.rs` hold them.

use std::collections::BTreeMap;

use rand::Rng as _;

use super::schedule::{At, Pid};
use super::world::World;

/// How long a revoked partition may drain, in milliseconds.
const DRAIN_MS: u64 = 5_000;

/// How a partition changes hands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Handover {
    /// The one before finishes what it has in flight, for a while.
    Drained,
    /// The one before learns of it only later, and goes on as if it still had it.
    Fenced,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Director {
    pub(crate) pid: Pid,
    /// The worker of a partition that hears verdicts: the latest.
    pub(crate) attached: BTreeMap<usize, usize>,
    /// The stream to each node, as far as this director knows.
    pub(crate) links: BTreeMap<usize, usize>,
}

impl World {
    pub(crate) fn start_director(&mut self) -> usize {
        let pid = self.schedule.spawn();
        self.directors.push(Director { pid, attached: BTreeMap::new(), links: BTreeMap::new() });
        self.say(|| format!("director {} starts", self.directors.len() - 1));
        self.directors.len() - 1
    }

    pub(crate) fn live_directors(&self) -> Vec<usize> {
        let alive = |index: &usize| self.schedule.is_alive(self.directors[*index].pid);
        (0..self.directors.len()).filter(alive).collect()
    }

    /// Gives a partition to a director.
    pub(crate) fn hand_over(&mut self, partition: usize, to: usize, how: Handover) {
        let before = self.log.partitions[partition].owner;
        let Some(before) = before.filter(|_| how == Handover::Drained) else {
            let notice = self.random.random_range(0..15_000);
            if let Some(before) = before {
                let pid = self.directors[self.workers[before].director].pid;
                // Sooner or later the one before hears of it, if it lives.
                self.after(notice, At::Socket(pid), move |world| world.drop_worker(before));
            }
            return self.assign(partition, to);
        };
        let worker = &mut self.workers[before];
        if worker.draining || worker.over {
            return;
        }
        worker.draining = true;
        let pid = self.directors[worker.director].pid;
        self.say(|| format!("worker {before} drains"));
        self.release_when_idle(before, partition, to, self.schedule.now + DRAIN_MS);
        // A director that does not answer is left behind.
        self.after(DRAIN_MS + 1_000, At::Outside, move |world| {
            if world.log.partitions[partition].owner == Some(before) {
                world.after(100, At::Socket(pid), move |world| world.drop_worker(before));
                world.assign(partition, to);
            }
        });
    }

    fn release_when_idle(&mut self, worker: usize, partition: usize, to: usize, deadline: u64) {
        let pid = self.directors[self.workers[worker].director].pid;
        let pause = self.random.random_range(20..400);
        self.after(pause, At::Timer(pid), move |world| {
            if world.workers[worker].over {
                return;
            }
            if !world.workers[worker].is_idle() && world.schedule.now < deadline {
                return world.release_when_idle(worker, partition, to, deadline);
            }
            world.commit_now(worker);
            world.drop_worker(worker);
            if world.log.partitions[partition].owner == Some(worker) {
                world.assign(partition, to);
            }
        });
    }

    /// Assigns a partition that nobody holds any more, or from whom it is taken.
    pub(crate) fn assign(&mut self, partition: usize, to: usize) {
        let to = if self.schedule.is_alive(self.directors[to].pid) {
            to
        } else {
            *self.live_directors().first().expect("some director lives")
        };
        let worker = self.start_worker(to, partition);
        self.log.partitions[partition].owner = Some(worker);
    }

    /// The end of a director: its streams break, its partitions go to others after a while.
    pub(crate) fn crash_director(&mut self, index: usize) {
        self.say(|| format!("director {index} dies"));
        self.schedule.crash(self.directors[index].pid);
        let streams: Vec<usize> = self.directors[index].links.values().copied().collect();
        for stream in streams {
            self.lose_stream(stream);
        }
        let successor = self.start_director();
        for partition in 0..self.log.partitions.len() {
            let owner = self.log.partitions[partition].owner;
            if owner.is_some_and(|owner| self.workers[owner].director == index) {
                let timeout = self.random.random_range(100..8_000);
                self.after(timeout, At::Outside, move |world| {
                    if world.log.partitions[partition].owner == owner {
                        world.assign(partition, successor);
                    }
                });
            }
        }
    }

    /// A director stops for a while: beyond the keepalive its nodes give its streams up, beyond the session time-out
    /// its partitions go to others.
    pub(crate) fn freeze_director(&mut self, index: usize, length: u64) {
        self.say(|| format!("director {index} freezes for {length}"));
        let (now, pid) = (self.schedule.now, self.directors[index].pid);
        let lag = self.random.random_range(0..50);
        self.schedule.freeze(pid, now + length, lag);
        if length > 15_000 {
            let streams: Vec<usize> = self.directors[index].links.values().copied().collect();
            self.after(15_000, At::Outside, move |world| {
                for stream in streams {
                    world.lose_stream(stream);
                }
            });
        }
        if length > 8_000 {
            self.after(8_000, At::Outside, move |world| world.take_from(index));
        }
    }

    /// Everything that a director has goes to another.
    fn take_from(&mut self, index: usize) {
        let others: Vec<usize> = self.live_directors().into_iter().filter(|other| *other != index).collect();
        let to = match others.first() {
            Some(other) => *other,
            None => self.start_director(),
        };
        for partition in 0..self.log.partitions.len() {
            let owner = self.log.partitions[partition].owner;
            if owner.is_some_and(|owner| self.workers[owner].director == index) {
                self.hand_over(partition, to, Handover::Fenced);
            }
        }
    }
}
