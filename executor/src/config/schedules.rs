//! `[executor.schedules]`: who of all executors fires schedules, how often it looks, and what it calls late.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use shared::config::{Mistakes, millis};

/// Firing schedules. One executor of all does it at a time.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ScheduleSettings {
    /// How often the store is asked for what is due; a schedule fires as much later than its time.
    #[serde(with = "millis")]
    pub tick_ms: Duration,
    /// How long the lease holds that says who fires: when its holder is lost, nothing fires for as long.
    #[serde(with = "millis")]
    pub lease_ms: Duration,
    /// Most schedules that are read at once, the most overdue first.
    pub batch: u32,
    /// Most records that are appended at once, of one schedule.
    pub append_records: usize,
    /// A time that lies back further than this was missed, and the schedule's own `misfire` says what becomes of it.
    #[serde(with = "millis")]
    pub grace_ms: Duration,
}

impl Default for ScheduleSettings {
    fn default() -> Self {
        Self {
            tick_ms: Duration::from_millis(500),
            lease_ms: Duration::from_secs(10),
            batch: 100,
            append_records: 64,
            grace_ms: Duration::from_secs(60),
        }
    }
}

impl ScheduleSettings {
    /// Refuses values, and relations between values, that cannot work.
    pub(super) fn check(&self, mistakes: &mut Mistakes) {
        mistakes.within("schedules.tick_ms", self.tick_ms.as_millis(), 1..=60_000);
        mistakes.within("schedules.lease_ms", self.lease_ms.as_millis(), 1000..=3_600_000);
        // It is prolonged with each tick: one that comes late must not lose it.
        if self.lease_ms < 4 * self.tick_ms {
            mistakes.report("schedules.lease_ms", "must be at least four times schedules.tick_ms");
        }
        mistakes.within("schedules.batch", self.batch, 1..=10_000);
        mistakes.within("schedules.append_records", self.append_records, 1..=10_000);
        // Times within it are walked one by one, and may be a second apart.
        mistakes.within("schedules.grace_ms", self.grace_ms.as_millis(), 1000..=600_000);
    }
}
