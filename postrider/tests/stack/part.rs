//! What a stack is made of, and what can be done to each part of it.

use std::fmt;

use super::proxy::Line;

/// A part of a stack. On the embedded column every service is the one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    Receiver(usize),
    Director(usize),
    Distributor(usize),
    /// What lies between every director and that distributor, where the plan has proxied links.
    Link(usize),
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
            Self::Link(index) => write!(to, "link.{index}"),
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
    /// What is behind a proxy is accepted for and then neither read nor answered; what is behind a fence loses every
    /// packet.
    BlackHoled,
    /// Behind a proxy: what clients say arrives and takes effect; no answer comes back before it is healed.
    Muted,
    /// Behind a proxy: every connection is reset, the open ones and new ones.
    Reset,
    /// Behind a proxy: a slow line.
    Slow(Line),
    /// On a small disk: not a byte is free. An engine that died of it is started again by healing.
    DiskFull,
    /// Redis loses everything and goes on (`FLUSHALL`). Nothing to heal.
    Wiped,
    /// Redis refuses every write for want of memory, and evicts nothing.
    OutOfMemory,
    /// Redis is replaced by an empty one at the same address at once, as by a failover that lost the writes. Nothing to
    /// heal.
    FailedOver,
}
