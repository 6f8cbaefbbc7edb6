//! Open files: how many the process may have at once, against how many its clients' connections ask for. Whoever starts
//! a process with an HTTP edge asks for them here.

use std::fmt;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What a process opens beside its clients' connections: links, engines, the operators' port, files.
const OTHERS: u64 = 256;

/// What was asked for, and what there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptors {
    connections: u64,
    allowed: u64,
}

impl Descriptors {
    /// Asks for descriptors for so many connections: raises the soft limit as far as needed and as the hard one allows.
    #[must_use]
    pub fn provide(connections: usize) -> Self {
        let connections = u64::try_from(connections).unwrap_or(u64::MAX);
        let wanted = connections.saturating_add(OTHERS);
        let limit = getrlimit(Resource::Nofile);
        let Some(soft) = limit.current else { return Self { connections, allowed: u64::MAX } };
        let within_hard = limit.maximum.map_or(wanted, |hard| hard.min(wanted));
        let raised = Rlimit { current: Some(within_hard), maximum: limit.maximum };
        let allowed = if within_hard > soft && setrlimit(Resource::Nofile, raised).is_ok() {
            within_hard
        } else {
            soft
        };
        Self { connections, allowed }
    }

    /// As [`Descriptors::provide`], with a warning in the log when there are too few. Answers how many connections
    /// there may be: clients must not take the descriptors that the engines' connections need.
    #[must_use]
    pub fn provide_or_warn(connections: usize) -> usize {
        let provided = Self::provide(connections);
        if !provided.suffice() {
            tracing::warn!("{provided}");
        }
        provided.connections()
    }

    /// How many connections have a descriptor beside what the process opens itself, at most as many as were asked for;
    /// where there are hardly any descriptors at all, half of them.
    #[must_use]
    pub fn connections(&self) -> usize {
        let beside = self.allowed.saturating_sub(OTHERS).max(self.allowed / 2).max(1);
        usize::try_from(self.connections.min(beside)).unwrap_or(usize::MAX)
    }

    /// Whether every connection can have its own.
    #[must_use]
    pub fn suffice(&self) -> bool {
        self.allowed >= self.wanted()
    }

    fn wanted(&self) -> u64 {
        self.connections.saturating_add(OTHERS)
    }
}

impl fmt::Display for Descriptors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (allowed, connections, wanted) = (self.allowed, self.connections, self.wanted());
        write!(f, "{allowed} files may be open, http.connections {connections} ask for {wanted}")?;
        if self.suffice() {
            return Ok(());
        }
        f.write_str(": raise the hard limit (ulimit -Hn, LimitNOFILE) or lower http.connections")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_connections_suffice_and_more_than_any_limit_do_not() {
        let few = Descriptors::provide(1);
        assert!(few.suffice(), "{few}");
        let many = Descriptors { connections: 20_000, allowed: 20_000 };
        assert!(!many.suffice());
        assert!(
            many.to_string().starts_with("20000 files may be open, http.connections 20000 ask for 20256:")
        );
        assert!(Descriptors { allowed: 20_256, ..many }.suffice());
    }

    #[test]
    fn connections_leave_descriptors_for_the_engines() {
        let connections = |allowed| Descriptors { connections: 20_000, allowed }.connections();
        assert_eq!(connections(u64::MAX), 20_000);
        assert_eq!(connections(20_256), 20_000);
        assert_eq!(connections(1024), 1024 - 256);
        assert_eq!(connections(64), 32);
    }
}
