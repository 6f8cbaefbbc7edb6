//! `[director.outcomes]`: how ends are told on the `outcomes` topic.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use shared::config::{Mistakes, millis};

/// Batches of outcomes. An offset is committed only after its outcome is on the log, so `age_ms` delays commits by as
/// much, and no delivery.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OutcomeSettings {
    /// Most outcomes in a batch, which is one record.
    pub batch_outcomes: usize,
    /// Most bytes in a batch.
    pub batch_bytes: usize,
    /// How long a batch waits to fill.
    #[serde(with = "millis")]
    pub age_ms: Duration,
    /// Most outcomes of one partition that are not on the log yet; at this many, the partition takes no more records until
    /// some are. They do not count as in flight: of a record that has ended only its id is kept.
    pub waiting: usize,
}

impl Default for OutcomeSettings {
    fn default() -> Self {
        Self {
            batch_outcomes: 2000,
            batch_bytes: 64 * 1024,
            age_ms: Duration::from_millis(50),
            waiting: 50_000,
        }
    }
}

impl OutcomeSettings {
    pub(super) fn check(&self, mistakes: &mut Mistakes) {
        mistakes.within("outcomes.batch_outcomes", self.batch_outcomes, 1..=100_000);
        mistakes.within("outcomes.batch_bytes", self.batch_bytes, 1024..=1024 * 1024);
        mistakes.within("outcomes.waiting", self.waiting, 1..=10_000_000);
        if self.waiting < self.batch_outcomes {
            mistakes.report("outcomes.waiting", "must not be below outcomes.batch_outcomes");
        }
    }
}
