//! What a stack is made of, and what can be done to each part of it.

use std::fmt;

/// A part of a stack. On the embedded column every service is the one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    Receiver(usize),
    Director(usize),
    Distributor(usize),
    Executor(usize),
    /// Every broker.
    Kafka,
    /// One broker, by its place in the list.
    Broker(usize),
    Redis,
    Postgres,
}

impl fmt::Display for Part {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Receiver(index) => write!(to, "receiver.{index}"),
            Self::Director(index) => write!(to, "director.{index}"),
            Self::Distributor(index) => write!(to, "distributor.{index}"),
            Self::Executor(index) => write!(to, "executor.{index}"),
            Self::Kafka => write!(to, "kafka"),
            Self::Broker(index) => write!(to, "kafka.{index}"),
            Self::Redis => write!(to, "redis"),
            Self::Postgres => write!(to, "postgres"),
        }
    }
}

/// What befalls a part. [`Stack::heal`](super::Stack::heal) undoes each.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    /// SIGKILL: no warning, no goodbye. Healed by starting it again: an engine on its old port with its old disk, a
    /// service on whatever port it gets.
    Killed,
    /// SIGSTOP: connections stay open and nobody answers. Healed by SIGCONT.
    Frozen,
    /// SIGTERM, and its exit is waited for; it must be 0. Healed by starting it again.
    Terminated,
}
