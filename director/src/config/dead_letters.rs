//! `[director.dead_letters]`: how fast dead letters are requeued, and how long they are kept.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use shared::config::{Mistakes, millis};

/// Settings of the requeues and of the retention. One director works on each at a time, so they hold for all together.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DeadLetterSettings {
    /// Most dead letters requeued each second. Tenants take turns.
    pub requeue_rate: u32,
    /// Most in one append, at most one of each recipient.
    pub requeue_batch: usize,
    /// Most bytes of bodies in one append, unless a single one is larger.
    pub requeue_bytes: u64,
    /// Most tenants that take their turns in one append; the next ones follow in the next.
    pub requeue_tenants: u32,
    /// How often requeues are looked for while none is asked for.
    #[serde(with = "millis")]
    pub requeue_poll_ms: Duration,
    /// How long a dead letter is kept since its state changed last; not one whose requeue is asked for.
    #[serde(with = "millis")]
    pub retention_ms: Duration,
    /// How often those that are over are looked for, and those that wait are counted.
    #[serde(with = "millis")]
    pub purge_ms: Duration,
    /// Most purged at a time.
    pub purge_rows: u32,
}

impl Default for DeadLetterSettings {
    fn default() -> Self {
        Self {
            requeue_rate: 100,
            requeue_batch: 100,
            requeue_bytes: 8 * 1024 * 1024,
            requeue_tenants: 16,
            requeue_poll_ms: Duration::from_secs(1),
            retention_ms: Duration::from_secs(30 * 24 * 3600),
            purge_ms: Duration::from_secs(5),
            purge_rows: 1000,
        }
    }
}

impl DeadLetterSettings {
    pub(super) fn check(&self, mistakes: &mut Mistakes) {
        mistakes.within("dead_letters.requeue_rate", self.requeue_rate, 1..=100_000);
        mistakes.within("dead_letters.requeue_batch", self.requeue_batch, 1..=10_000);
        mistakes.within("dead_letters.requeue_bytes", self.requeue_bytes, 1024..=1024 * 1024 * 1024);
        mistakes.within("dead_letters.requeue_tenants", self.requeue_tenants, 1..=1000);
        mistakes.within("dead_letters.purge_rows", self.purge_rows, 1..=100_000);
        for (key, value) in [
            ("dead_letters.requeue_poll_ms", self.requeue_poll_ms),
            ("dead_letters.retention_ms", self.retention_ms),
            ("dead_letters.purge_ms", self.purge_ms),
        ] {
            if value.is_zero() {
                mistakes.report(key, "must be above zero");
            }
        }
    }
}
