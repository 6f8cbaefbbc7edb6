//! Settings of what is asked of the registry.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use shared::config::{Mistakes, millis};

use super::BackoffSettings;
use crate::lane::KnownLimits;

/// `[director.lookups]`: how often the registry is asked, and when it is not asked any more. Recipients that it is not
/// asked for are parked (metric `postrider_director_lookups_spared`).
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LookupSettings {
    /// Of how many recipients of a partition the routes are remembered, so that the registry need not be asked for every
    /// record; 0: it is.
    pub remembered: usize,
    /// How long they are remembered at most. A new device is heard of at once, by the registry's news; this bounds only
    /// what a registry costs that lost news, as a failover can.
    #[serde(with = "millis")]
    pub keep_ms: Duration,
    /// The shortest pause between two questions for news. A record that was sent by what is remembered ends up to so much
    /// later.
    #[serde(with = "millis")]
    pub news_ms: Duration,
    /// Failures in a row, of the whole director, after which the registry is left alone for a while.
    pub breaker_failures: u32,
    /// How long it is left alone; then one question tries it.
    pub breaker: BackoffSettings,
}

impl Default for LookupSettings {
    fn default() -> Self {
        let breaker = BackoffSettings { base_ms: Duration::from_millis(250), cap_ms: Duration::from_secs(2) };
        Self {
            remembered: 20_000,
            keep_ms: Duration::from_secs(30),
            news_ms: Duration::from_millis(20),
            breaker_failures: 3,
            breaker,
        }
    }
}

impl LookupSettings {
    pub(super) fn check(&self, mistakes: &mut Mistakes) {
        mistakes.within("lookups.remembered", self.remembered, 0..=10_000_000);
        mistakes.within("lookups.breaker_failures", self.breaker_failures, 1..=1000);
        for (key, value) in [("lookups.keep_ms", self.keep_ms), ("lookups.news_ms", self.news_ms)] {
            if value.is_zero() || value > Duration::from_secs(3600) {
                mistakes.report(key, "must be above zero, and at most an hour");
            }
        }
    }

    pub(super) fn known(&self) -> KnownLimits {
        KnownLimits { recipients: self.remembered, keep: self.keep_ms }
    }
}
