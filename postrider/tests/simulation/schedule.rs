//! Simulated time: what is due when, in whose process. A process that crashed does nothing any more; one that is frozen
//! does everything late, and hears its timers before its sockets, as a process that was stopped does.

use std::collections::BTreeMap;

use super::world::World;

/// Something that happens.
pub(crate) type Act = Box<dyn FnOnce(&mut World)>;

/// A director, a node or an archiver, from its start to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Pid(pub(crate) usize);

/// In whose process something happens, and what brings it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum At {
    /// In an engine, in the network, or at a client: nothing stops it.
    Outside,
    /// A timer of the process.
    Timer(Pid),
    /// Something that came to the process from outside.
    Socket(Pid),
}

#[derive(Debug)]
struct Process {
    alive: bool,
    frozen_until: u64,
    /// How long after it goes on the process reads its sockets.
    lag: u64,
}

struct Due {
    at: At,
    act: Act,
}

/// See the module. Times are in milliseconds.
#[derive(Default)]
pub(crate) struct Schedule {
    pub(crate) now: u64,
    serial: u64,
    due: BTreeMap<(u64, u64), Due>,
    processes: Vec<Process>,
}

impl Schedule {
    pub(crate) fn starting_at(now: u64) -> Self {
        Self { now, ..Self::default() }
    }

    /// Has `act` happen at `time`; of what happens at the same time, what was entered first comes first.
    pub(crate) fn enter(&mut self, time: u64, at: At, act: Act) {
        self.serial += 1;
        self.due.insert((time.max(self.now), self.serial), Due { at, act });
    }

    /// Moves to the next thing that happens not after `until`, and takes it.
    pub(crate) fn next(&mut self, until: u64) -> Option<Act> {
        loop {
            let entry = self.due.first_entry().filter(|entry| entry.key().0 <= until)?;
            let ((time, serial), due) = entry.remove_entry();
            self.now = time;
            let from = match due.at {
                At::Outside => 0,
                At::Timer(pid) | At::Socket(pid) if !self.is_alive(pid) => continue,
                At::Timer(pid) => self.processes[pid.0].frozen_until,
                At::Socket(pid) => self.processes[pid.0].frozen_until + self.processes[pid.0].lag,
            };
            if from > time {
                self.due.insert((from, serial), due);
                continue;
            }
            return Some(due.act);
        }
    }

    /// Starts a process.
    pub(crate) fn spawn(&mut self) -> Pid {
        self.processes.push(Process { alive: true, frozen_until: 0, lag: 0 });
        Pid(self.processes.len() - 1)
    }

    /// Ends a process; what is due in it never happens.
    pub(crate) fn crash(&mut self, pid: Pid) {
        self.processes[pid.0].alive = false;
    }

    /// Stops a process for a while.
    pub(crate) fn freeze(&mut self, pid: Pid, until: u64, lag: u64) {
        let process = &mut self.processes[pid.0];
        // Neither shrinks, so that what waits for a socket keeps its order.
        (process.frozen_until, process.lag) = (until.max(process.frozen_until), lag.max(process.lag));
    }

    /// When every process that lives goes on.
    pub(crate) fn thawed_at(&self) -> u64 {
        let alive = self.processes.iter().filter(|process| process.alive);
        alive.map(|process| process.frozen_until + process.lag).max().unwrap_or(0)
    }

    pub(crate) fn is_alive(&self, pid: Pid) -> bool {
        self.processes[pid.0].alive
    }

    pub(crate) fn is_running(&self, pid: Pid) -> bool {
        self.is_alive(pid) && self.processes[pid.0].frozen_until <= self.now
    }
}
