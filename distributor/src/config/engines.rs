//! How the node deals with the registry, the store and the log.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use shared::config::{Mistakes, millis};

use super::Config;

/// This node's lease in the registry.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LeaseSettings {
    /// How long it lasts; renewed three times as often. Longer than this without the registry, and routes of this node
    /// are no routes.
    #[serde(with = "millis")]
    pub ttl_ms: Duration,
    /// Most sessions announced again per second, after the registry or the lease was lost.
    pub announce_per_second: u32,
}

impl Default for LeaseSettings {
    fn default() -> Self {
        Self { ttl_ms: Duration::from_secs(6), announce_per_second: 2000 }
    }
}

/// Calls of the registry, and of the log for the ends of `parked`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RegistryLimits {
    /// Most sessions in one call.
    pub batch: usize,
    /// Most reads of ends of partitions at a time.
    pub concurrency: usize,
    /// How often the removal of a route is tried; then it is left for directors to find gone.
    pub attempts: u32,
    /// Ceiling of the first pause after a failure.
    #[serde(with = "millis")]
    pub backoff_ms: Duration,
    /// Ceiling of every pause after a failure.
    #[serde(with = "millis")]
    pub backoff_cap_ms: Duration,
}

impl Default for RegistryLimits {
    fn default() -> Self {
        Self {
            batch: 512,
            concurrency: 8,
            attempts: 5,
            backoff_ms: Duration::from_millis(50),
            backoff_cap_ms: Duration::from_secs(2),
        }
    }
}

/// Calls of the store.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StoreLimits {
    /// Most sessions, or deletions, in one call.
    pub batch: usize,
    /// Most rows asked for in one call.
    pub rows: u32,
    /// Most calls for pages at a time.
    pub concurrency: usize,
    /// How long a deletion waits for others to join it.
    #[serde(with = "millis")]
    pub delete_linger_ms: Duration,
    /// Ceiling of the first pause after a failure.
    #[serde(with = "millis")]
    pub backoff_ms: Duration,
    /// Ceiling of every pause after a failure.
    #[serde(with = "millis")]
    pub backoff_cap_ms: Duration,
}

impl Default for StoreLimits {
    fn default() -> Self {
        Self {
            batch: 64,
            rows: 1024,
            concurrency: 4,
            delete_linger_ms: Duration::from_millis(50),
            backoff_ms: Duration::from_millis(50),
            backoff_cap_ms: Duration::from_secs(2),
        }
    }
}

/// The sweep over this node's own sessions. A poke that never came is made good within the longer of `period_ms` and
/// the sessions divided by `per_second`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SweepSettings {
    /// How often a round begins.
    #[serde(with = "millis")]
    pub period_ms: Duration,
    /// How often while the registry is away: what is published meanwhile comes by this way only.
    #[serde(with = "millis")]
    pub outage_period_ms: Duration,
    /// Most sessions looked at per second.
    pub per_second: u32,
    /// Most sessions in one call.
    pub batch: usize,
}

impl Default for SweepSettings {
    fn default() -> Self {
        Self {
            period_ms: Duration::from_secs(30),
            outage_period_ms: Duration::from_secs(2),
            per_second: 5000,
            batch: 256,
        }
    }
}

/// Acknowledgements that arrive here for a session at another node.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RelaySettings {
    /// Most on their way at a time; one more is refused, to be sent again.
    pub concurrency: usize,
    /// How long finding the other node and telling it may take together; then the client is told to send it again.
    #[serde(with = "millis")]
    pub within_ms: Duration,
}

impl Default for RelaySettings {
    fn default() -> Self {
        Self { concurrency: 1024, within_ms: Duration::from_secs(3) }
    }
}

impl Config {
    pub(super) fn check_engines(&self, mistakes: &mut Mistakes) {
        if self.lease.ttl_ms < Duration::from_millis(300) {
            mistakes.report("lease.ttl_ms", "must be at least 300");
        }
        mistakes.within("lease.announce_per_second", self.lease.announce_per_second, 1..=1_000_000);
        mistakes.within("registry.batch", self.registry.batch, 1..=10_000);
        mistakes.within("registry.concurrency", self.registry.concurrency, 1..=1000);
        mistakes.within("registry.attempts", self.registry.attempts, 1..=1000);
        mistakes.within("relay.concurrency", self.relay.concurrency, 1..=1_000_000);
        if self.relay.within_ms.is_zero() {
            mistakes.report("relay.within_ms", "must be above zero");
        }
        mistakes.within("store.batch", self.store.batch, 1..=10_000);
        mistakes.within("store.rows", self.store.rows, self.session.page_rows..=1_000_000);
        mistakes.within("store.concurrency", self.store.concurrency, 1..=1000);
        for (key, base, cap) in [
            ("registry.backoff_ms", self.registry.backoff_ms, self.registry.backoff_cap_ms),
            ("store.backoff_ms", self.store.backoff_ms, self.store.backoff_cap_ms),
        ] {
            if base.is_zero() || base > cap {
                mistakes.report(key, "must be above zero and not above the cap beside it");
            }
        }
        mistakes.within("sweep.per_second", self.sweep.per_second, 1..=1_000_000);
        mistakes.within("sweep.batch", self.sweep.batch, 1..=10_000);
        if self.sweep.outage_period_ms.is_zero() || self.sweep.outage_period_ms > self.sweep.period_ms {
            mistakes.report("sweep.outage_period_ms", "must be above zero and not above sweep.period_ms");
        }
    }
}
