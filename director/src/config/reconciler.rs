//! `[director.reconciler]`: comparing the log with what directors have committed.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use shared::config::{Mistakes, millis};

/// The reconciler.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReconcilerSettings {
    /// Whether it looks. Where it does not, `postrider_unaccounted` is not there, and it begins anew, with what is accepted
    /// from then on, once it looks again.
    pub enabled: bool,
    /// How often each partition is looked at.
    #[serde(with = "millis")]
    pub look_ms: Duration,
    /// How often it is noted how far a partition is accounted for; what lies between is read again after a restart.
    #[serde(with = "millis")]
    pub save_ms: Duration,
    /// Most positions of one partition looked at together, an eighth of a byte each; further ones wait, and what tells of
    /// them is read twice.
    pub window: u64,
    /// Most unaccounted positions of one partition that are remembered; at this many, the partition is looked at no further
    /// until some are explained or past the horizon, and falls behind.
    pub unaccounted: usize,
    /// How long an unaccounted position is counted. While one is, what it takes to find it again stays to be read.
    #[serde(with = "millis")]
    pub horizon_ms: Duration,
    /// Most unaccounted positions named in log lines for one look at one partition; the rest is told as a number.
    pub log_lines: usize,
}

impl Default for ReconcilerSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            look_ms: Duration::from_secs(1),
            save_ms: Duration::from_secs(5),
            window: 4_000_000,
            unaccounted: 10_000,
            horizon_ms: Duration::from_secs(24 * 3600),
            log_lines: 20,
        }
    }
}

impl ReconcilerSettings {
    pub(super) fn check(&self, mistakes: &mut Mistakes) {
        mistakes.within("reconciler.window", self.window, 1000..=1_000_000_000);
        mistakes.within("reconciler.unaccounted", self.unaccounted, 1..=10_000_000);
        mistakes.within("reconciler.log_lines", self.log_lines, 1..=10_000);
        for (key, value) in [
            ("reconciler.look_ms", self.look_ms),
            ("reconciler.save_ms", self.save_ms),
            ("reconciler.horizon_ms", self.horizon_ms),
        ] {
            if value.is_zero() {
                mistakes.report(key, "must be above zero");
            }
        }
    }
}
