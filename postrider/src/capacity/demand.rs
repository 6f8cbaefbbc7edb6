//! What is asked for: how much, of which size, on which machines. The fields are the command's flags.

use clap::Args;
use serde::Serialize;

/// See the module.
#[derive(Args, Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Demand {
    /// Notifications a second, on average
    #[arg(long, value_name = "PER_SECOND", default_value_t = 1_000_000.0)]
    pub(crate) rate: f64,
    /// Clients that are connected at the same time
    #[arg(long, value_name = "NUMBER", default_value_t = 100_000_000.0)]
    pub(crate) clients: f64,
    /// How many times the average the busiest minutes are, for notifications and for connecting
    #[arg(long, value_name = "TIMES", default_value_t = 2.0)]
    pub(crate) peak: f64,
    /// Content of a notification, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 256.0)]
    pub(crate) payload: f64,
    /// Share of notifications that producers send in batches, 0 to 1
    #[arg(long, value_name = "SHARE", default_value_t = 0.5)]
    pub(crate) batch_share: f64,
    /// Notifications in such a batch
    #[arg(long, value_name = "NUMBER", default_value_t = 100.0)]
    pub(crate) batch: f64,
    /// Share of notifications whose recipient is not connected, 0 to 1
    #[arg(long, value_name = "SHARE", default_value_t = 0.2)]
    pub(crate) offline: f64,
    /// How long such a recipient stays away, on average
    #[arg(long, value_name = "HOURS", default_value_t = 8.0)]
    pub(crate) away_hours: f64,
    /// How long a connection lives, on average
    #[arg(long, value_name = "SECONDS", default_value_t = 3600.0)]
    pub(crate) lifetime: f64,
    /// Notifications that a client acknowledges at once, on average
    #[arg(long, value_name = "NUMBER", default_value_t = 1.0)]
    pub(crate) ack_batch: f64,
    /// How long Kafka keeps records; `postrider topics` sets 696
    #[arg(long, value_name = "HOURS", default_value_t = 696.0)]
    pub(crate) retention_hours: f64,
    /// Copies of each partition in Kafka
    #[arg(long, value_name = "NUMBER", default_value_t = 3.0)]
    pub(crate) replication: f64,
    /// Tasks a second for the executors; 0: there are none
    #[arg(long, value_name = "PER_SECOND", default_value_t = 0.0)]
    pub(crate) tasks: f64,
    /// Clients come by TLS, which ends on machines of its own before the distributors
    #[arg(long)]
    pub(crate) tls: bool,
    /// Share of each machine that stays free at the peak, 0 to 0.9
    #[arg(long, value_name = "SHARE", default_value_t = 0.3)]
    pub(crate) spare: f64,
    #[command(flatten)]
    pub(crate) machine: Machine,
}

/// What there is to run on.
#[derive(Args, Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Machine {
    /// Cores of a machine
    #[arg(long, value_name = "NUMBER", default_value_t = 16.0)]
    pub(crate) cores: f64,
    /// Memory of a machine
    #[arg(long, value_name = "GIB", default_value_t = 64.0)]
    pub(crate) memory_gib: f64,
    /// Network of a machine, each way
    #[arg(long, value_name = "GBIT", default_value_t = 25.0)]
    pub(crate) nic_gbit: f64,
    /// Disk of a machine that has one
    #[arg(long, value_name = "TIB", default_value_t = 30.0)]
    pub(crate) disk_tib: f64,
    /// What its disk writes a second
    #[arg(long, value_name = "MIB", default_value_t = 1000.0)]
    pub(crate) disk_mib: f64,
    /// Synchronised writes of its disk a second
    #[arg(long, value_name = "NUMBER", default_value_t = 20_000.0)]
    pub(crate) iops: f64,
    /// Descriptors of a process
    #[arg(long, value_name = "NUMBER", default_value_t = 1_000_000.0)]
    pub(crate) descriptors: f64,
    /// Cores of one process of ours: the most that was measured
    #[arg(long, value_name = "NUMBER", default_value_t = 2.0)]
    pub(crate) process_cores: f64,
    /// Sessions of one distributor (`distributor.caps.sessions`)
    #[arg(long, value_name = "NUMBER", default_value_t = 100_000.0)]
    pub(crate) sessions: f64,
}

impl Demand {
    /// Every mistake, in words that name the flag and its limits; empty when there is none.
    pub(crate) fn mistakes(&self) -> Vec<String> {
        let machine = &self.machine;
        let limits = [
            ("rate", self.rate, 1.0, 1e9),
            ("clients", self.clients, 1.0, 1e11),
            ("peak", self.peak, 1.0, 100.0),
            ("payload", self.payload, 1.0, 16.0 * 1024.0 * 1024.0),
            ("batch-share", self.batch_share, 0.0, 1.0),
            ("batch", self.batch, 1.0, 100_000.0),
            ("offline", self.offline, 0.0, 0.99),
            ("away-hours", self.away_hours, 0.0, 28.0 * 24.0),
            ("lifetime", self.lifetime, 1.0, 1e8),
            ("ack-batch", self.ack_batch, 1.0, 65_536.0),
            ("retention-hours", self.retention_hours, 1.0, 100_000.0),
            ("replication", self.replication, 1.0, 9.0),
            ("tasks", self.tasks, 0.0, 1e9),
            ("spare", self.spare, 0.0, 0.9),
            ("cores", machine.cores, 1.0, 1024.0),
            ("memory-gib", machine.memory_gib, 1.0, 65_536.0),
            ("nic-gbit", machine.nic_gbit, 0.1, 1600.0),
            ("disk-tib", machine.disk_tib, 0.01, 10_000.0),
            ("disk-mib", machine.disk_mib, 1.0, 1e6),
            ("iops", machine.iops, 1.0, 1e8),
            ("descriptors", machine.descriptors, 1024.0, 1e9),
            ("process-cores", machine.process_cores, 0.1, machine.cores),
            ("sessions", machine.sessions, 1.0, 1e8),
        ];
        let outside = |(_, value, least, most): &(&str, f64, f64, f64)| !(*least..=*most).contains(value);
        let mut mistakes: Vec<String> = (limits.iter().filter(|limit| outside(limit)))
            .map(|(flag, value, least, most)| format!("--{flag} must be from {least} to {most}, not {value}"))
            .collect();
        if self.replication.fract() != 0.0 {
            mistakes.push(format!("--replication must be a whole number, not {}", self.replication));
        }
        mistakes
    }
}

#[cfg(test)]
impl Default for Demand {
    /// As the flags.
    fn default() -> Self {
        #[derive(clap::Parser)]
        struct Flags {
            #[command(flatten)]
            demand: Demand,
        }
        <Flags as clap::Parser>::parse_from(["capacity"]).demand
    }
}
