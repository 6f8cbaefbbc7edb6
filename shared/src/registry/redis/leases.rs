//! What a process remembers of node leases, so that a lookup costs one round trip and not the whole list of nodes.
//! Pure but for the time it is handed.

use std::collections::HashSet;
use std::time::Duration;

use tokio::time::Instant;

use crate::delivery::NodeId;

/// How long a lease that was seen is believed; the port allows a second.
const LIVE_FOR: Duration = Duration::from_millis(500);

/// How long a lease that was missed is taken for missing. Routes of dead nodes stay for a while, and each lookup of one
/// would fetch the list again.
const MISSING_FOR: Duration = Duration::from_millis(100);

/// The leases as last fetched, and the nodes that a fetch was made for in vain.
#[derive(Debug, Default)]
pub(super) struct Leases {
    live: HashSet<NodeId>,
    missing: HashSet<NodeId>,
    fetched: Option<Instant>,
}

impl Leases {
    /// Whether it is time to fetch the list, whoever is asked about.
    pub(super) fn is_stale(&self, now: Instant) -> bool {
        self.fetched.is_none_or(|at| now.duration_since(at) >= LIVE_FOR)
    }

    /// Whether nothing is known of one of `nodes`: it may have come since the last fetch.
    pub(super) fn lacks(&self, mut nodes: impl Iterator<Item = NodeId>, now: Instant) -> bool {
        let missing_counts = self.fetched.is_some_and(|at| now.duration_since(at) < MISSING_FOR);
        let known = |node| self.live.contains(&node) || (missing_counts && self.missing.contains(&node));
        nodes.any(|node| !known(node))
    }

    /// Takes over a list that was asked for at `asked`, after `sought` were seen in routes.
    pub(super) fn replace(
        &mut self,
        live: HashSet<NodeId>,
        sought: impl Iterator<Item = NodeId>,
        asked: Instant,
    ) {
        self.missing = sought.filter(|node| !live.contains(node)).collect();
        self.live = live;
        self.fetched = Some(asked);
    }

    /// Whether `node` has a lease, as far as is known.
    pub(super) fn holds(&self, node: NodeId) -> bool {
        self.live.contains(&node)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_never_sought_is_fetched_and_a_missed_one_is_not_at_once() {
        let (now, alive, dead, new) = (Instant::now(), NodeId(1), NodeId(2), NodeId(3));
        let mut leases = Leases::default();
        assert!(leases.is_stale(now));
        leases.replace(HashSet::from([alive]), [alive, dead].into_iter(), now);
        assert!(!leases.is_stale(now) && leases.holds(alive) && !leases.holds(dead));
        assert!(!leases.lacks([alive, dead].into_iter(), now));
        assert!(leases.lacks([new].into_iter(), now));
        assert!(leases.lacks([dead].into_iter(), now + MISSING_FOR));
        assert!(!leases.lacks([alive].into_iter(), now + MISSING_FOR));
        assert!(leases.is_stale(now + LIVE_FOR));
    }
}
