//! How one stage is sized: what it needs of each resource, divided by what one machine has to spare, and what it needs of
//! each limit of a process. The largest quotient is the bottleneck.

use serde::Serialize;

use super::Demand;
use super::traffic::up;

pub(crate) const RECEIVER: &str = "receiver";
pub(crate) const KAFKA: &str = "Kafka";
pub(crate) const DIRECTOR: &str = "director";
pub(crate) const REDIS: &str = "Redis";
pub(crate) const DISTRIBUTOR: &str = "distributor";
pub(crate) const TLS: &str = "TLS balancer";
pub(crate) const POSTGRES: &str = "Postgres";
pub(crate) const EXECUTOR: &str = "executor";

const GIB: f64 = 1024.0 * 1024.0 * 1024.0;
const TIB: f64 = 1024.0 * GIB;
const MIB: f64 = 1024.0 * 1024.0;
const GBIT: f64 = 1e9 / 8.0;

/// Of a machine, what is left at least beside a process that needs more of it than there is.
const LEAST_MEMORY: f64 = 0.1;

/// What a stage needs, all its machines together. Rates are per second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Load {
    pub(crate) cores: f64,
    pub(crate) memory_bytes: f64,
    pub(crate) received_bytes: f64,
    pub(crate) sent_bytes: f64,
    pub(crate) disk_bytes: f64,
    pub(crate) written_bytes: f64,
    pub(crate) syncs: f64,
    pub(crate) descriptors: f64,
    pub(crate) sessions: f64,
}

/// How a stage runs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    /// Cores that one process uses at most.
    pub(super) process_cores: f64,
    /// What a process holds whatever it does.
    pub(super) process_memory: f64,
    /// Fewest processes, each on a machine of its own.
    pub(super) least: f64,
    /// Whether a machine has one process.
    pub(super) alone: bool,
}

/// A resource or limit, and how many machines or processes it asks for.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Candidate {
    pub(crate) of: &'static str,
    /// What is needed, and what one has to spare for it, in the same unit.
    pub(crate) needed: f64,
    pub(crate) each: f64,
}

impl Candidate {
    pub(crate) fn count(&self) -> f64 {
        self.needed / self.each
    }
}

/// A stage of the plan.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Stage {
    pub(crate) name: &'static str,
    pub(crate) load: Load,
    pub(crate) machines: u64,
    pub(crate) processes: u64,
    /// Of one process, at the peak.
    pub(crate) process_cores: f64,
    pub(crate) process_memory_bytes: f64,
    /// Cores that its processes can use on its machines.
    pub(crate) usable_cores: f64,
    /// What asks for machines, and what for processes.
    pub(crate) by_resource: Vec<Candidate>,
    pub(crate) by_limit: Vec<Candidate>,
    /// What it comes from, in words.
    pub(crate) notes: Vec<String>,
}

impl Stage {
    pub(super) fn new(
        name: &'static str,
        demand: &Demand,
        shape: Shape,
        mut load: Load,
        more_limits: &[Candidate],
    ) -> Self {
        let machine = &demand.machine;
        let free = 1.0 - demand.spare;
        let limit = |of, needed, each: f64| Candidate { of, needed, each: each * free };
        // A process that has its machine for itself is bound by the machine's.
        let cores = if shape.alone { 0.0 } else { load.cores };
        let mut by_limit = vec![
            limit("cores of a process", cores, shape.process_cores),
            limit("descriptors", load.descriptors, machine.descriptors),
            limit("sessions", load.sessions, machine.sessions),
        ];
        by_limit.extend(more_limits);
        by_limit.retain(|candidate| candidate.needed > 0.0);
        let processes = most(&by_limit).map_or(1.0, |candidate| up(candidate.count())).max(shape.least);
        // What a process holds is taken off the machine that it has for itself, else counted for each.
        let (held, each) =
            if shape.alone { (shape.process_memory, 0.0) } else { (0.0, shape.process_memory) };
        load.memory_bytes += processes * each;
        let memory = machine.memory_gib * GIB;
        let mut by_resource = vec![
            limit("CPU", load.cores, machine.cores),
            limit("memory", load.memory_bytes, (memory - held / free).max(memory * LEAST_MEMORY)),
            limit("network", load.received_bytes.max(load.sent_bytes), machine.nic_gbit * GBIT),
            limit("disk", load.disk_bytes, machine.disk_tib * TIB),
            limit("writing", load.written_bytes, machine.disk_mib * MIB),
            limit("IOPS", load.syncs, machine.iops),
        ];
        by_resource.retain(|candidate| candidate.needed > 0.0);
        let by_machine = most(&by_resource).map_or(1.0, |candidate| up(candidate.count())).max(shape.least);
        let machines = if shape.alone { by_machine.max(processes) } else { by_machine };
        let processes = processes.max(machines);
        load.memory_bytes += machines * held;
        Self {
            name,
            load,
            machines: machines as u64,
            processes: processes as u64,
            process_cores: load.cores / processes,
            process_memory_bytes: load.memory_bytes / processes,
            usable_cores: (machines * machine.cores).min(processes * shape.process_cores),
            by_resource,
            by_limit,
            notes: Vec::new(),
        }
    }

    /// What bounds the number of machines.
    pub(crate) fn bottleneck(&self) -> &'static str {
        most(&self.by_resource).map_or("–", |candidate| candidate.of)
    }

    /// What bounds the number of processes.
    pub(crate) fn process_bottleneck(&self) -> &'static str {
        most(&self.by_limit).map_or("–", |candidate| candidate.of)
    }

    /// What bounds the number of machines or processes, by name.
    pub(crate) fn candidate(&self, of: &str) -> Option<&Candidate> {
        self.by_resource.iter().chain(&self.by_limit).find(|candidate| candidate.of == of)
    }

    /// Cores that its machines have and it does not need at the peak: what storms are met with.
    pub(super) fn free_cores(&self) -> f64 {
        (self.usable_cores - self.load.cores).max(f64::MIN_POSITIVE)
    }

    pub(super) fn noting(mut self, note: String) -> Self {
        self.notes.push(note);
        self
    }
}

/// The candidate that asks for most.
pub(crate) fn most(candidates: &[Candidate]) -> Option<&Candidate> {
    candidates.iter().max_by(|one, other| one.count().total_cmp(&other.count()))
}

/// The stage of that name, if the plan has it.
pub(crate) fn named<'a>(stages: &'a [Stage], name: &str) -> Option<&'a Stage> {
    stages.iter().find(|stage| stage.name == name)
}
