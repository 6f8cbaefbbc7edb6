//! `[executor.tasks]`, `[executor.reaper]`, `[executor.enrichment]` and `[executor.catalogue]`: what may be under way, how
//! long it is held and how often it is tried.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use shared::config::{BackoffSettings, Mistakes, millis};
use shared::group::intake::Limits;

const MIB: usize = 1024 * 1024;

/// Running tasks.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TaskSettings {
    /// Most records of one partition that wait or are acted on; at this many, fetching pauses until half are left.
    pub in_flight_records: usize,
    /// Most bytes of them.
    pub in_flight_bytes: usize,
    /// Most tasks under way in this process. Below `sandbox.turns.running`, so that enrichments always find a turn.
    pub running: usize,
    /// Most tasks of one module of a tenant under way in this process.
    pub per_module: usize,
    /// How long an instance may be silent before its tasks are another's. It prolongs its leases three times as often.
    /// Clocks of instances must agree to within a third of it.
    #[serde(with = "millis")]
    pub lease_ms: Duration,
    /// Most attempts at one task; a module may lower it.
    pub attempts: u32,
    /// Between attempts.
    pub backoff: BackoffSettings,
    /// How long a task may hold what is behind it in its lane: for its next attempt, or for another instance's lease. What is
    /// due later is left to the store, and what is behind it goes on.
    #[serde(with = "millis")]
    pub hold_ms: Duration,
    /// How long an attempt waits for the executor itself, for a turn or for the module, before it counts as one.
    #[serde(with = "millis")]
    pub unavailable_ms: Duration,
    /// Most tasks in one call of the store.
    pub batch_records: usize,
    /// Most bytes of them, unless a single one is larger.
    pub batch_bytes: usize,
    /// Most bytes of contents in a task's result; outputs beyond are told without.
    pub result_bytes: usize,
}

impl Default for TaskSettings {
    fn default() -> Self {
        Self {
            in_flight_records: 1000,
            in_flight_bytes: 32 * MIB,
            running: 24,
            per_module: 12,
            lease_ms: Duration::from_secs(15),
            attempts: 5,
            backoff: BackoffSettings { base_ms: Duration::from_secs(1), cap_ms: Duration::from_secs(300) },
            hold_ms: Duration::from_secs(30),
            unavailable_ms: Duration::from_secs(60),
            batch_records: 256,
            batch_bytes: 8 * MIB,
            result_bytes: 16 * 1024,
        }
    }
}

impl TaskSettings {
    pub(super) fn check(&self, turns: u32, mistakes: &mut Mistakes) {
        mistakes.within("tasks.in_flight_records", self.in_flight_records, 1..=1_000_000);
        mistakes.within("tasks.in_flight_bytes", self.in_flight_bytes, MIB..=4096 * MIB);
        mistakes.within("tasks.running", self.running, 1..=10_000);
        mistakes.within("tasks.per_module", self.per_module, 1..=self.running.max(1));
        mistakes.within("tasks.lease_ms", self.lease_ms.as_millis(), 100..=3_600_000);
        mistakes.within("tasks.attempts", self.attempts, 1..=100);
        mistakes.within("tasks.batch_records", self.batch_records, 1..=10_000);
        mistakes.within("tasks.batch_bytes", self.batch_bytes, 1024..=256 * MIB);
        mistakes.within("tasks.result_bytes", self.result_bytes, 0..=MIB);
        if self.running >= turns as usize {
            mistakes.report("tasks.running", "must be below sandbox.turns.running");
        }
    }

    /// What a partition may have in flight.
    pub(crate) fn in_flight(&self) -> Limits {
        Limits { records: self.in_flight_records, bytes: self.in_flight_bytes, room_percent: 50 }
    }
}

/// Looking for tasks that nobody is at, and forgetting those that are over.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReaperSettings {
    /// How often tasks that are due are looked for.
    #[serde(with = "millis")]
    pub poll_ms: Duration,
    /// Most tasks found that way under way in this process.
    pub running: usize,
    /// How long a task may be pending before somebody runs it without having met its record.
    #[serde(with = "millis")]
    pub patience_ms: Duration,
    /// How long a task is kept after its end.
    #[serde(with = "millis")]
    pub retention_ms: Duration,
    /// How often those that are over are looked for.
    #[serde(with = "millis")]
    pub purge_ms: Duration,
    /// Most forgotten at a time.
    pub purge_rows: u32,
    /// How often tasks are counted.
    #[serde(with = "millis")]
    pub count_ms: Duration,
}

impl Default for ReaperSettings {
    fn default() -> Self {
        Self {
            poll_ms: Duration::from_secs(1),
            running: 64,
            patience_ms: Duration::from_secs(300),
            retention_ms: Duration::from_secs(7 * 24 * 3600),
            purge_ms: Duration::from_secs(5),
            purge_rows: 1000,
            count_ms: Duration::from_secs(5),
        }
    }
}

impl ReaperSettings {
    pub(super) fn check(&self, mistakes: &mut Mistakes) {
        mistakes.within("reaper.running", self.running, 1..=10_000);
        mistakes.within("reaper.purge_rows", self.purge_rows, 1..=100_000);
        for (key, value) in [
            ("reaper.poll_ms", self.poll_ms),
            ("reaper.purge_ms", self.purge_ms),
            ("reaper.retention_ms", self.retention_ms),
            ("reaper.count_ms", self.count_ms),
        ] {
            if value.is_zero() {
                mistakes.report(key, "must be above zero");
            }
        }
    }
}

/// Enriching notifications.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EnrichmentSettings {
    /// Most records of one partition that wait or are acted on; at this many, fetching pauses until half are left.
    pub in_flight_records: usize,
    /// Most bytes of them.
    pub in_flight_bytes: usize,
    /// Most attempts at one notification.
    pub attempts: u32,
    /// Between attempts.
    pub backoff: BackoffSettings,
}

impl Default for EnrichmentSettings {
    fn default() -> Self {
        Self {
            in_flight_records: 1000,
            in_flight_bytes: 32 * MIB,
            attempts: 5,
            backoff: BackoffSettings { base_ms: Duration::from_millis(100), cap_ms: Duration::from_secs(5) },
        }
    }
}

impl EnrichmentSettings {
    pub(super) fn check(&self, mistakes: &mut Mistakes) {
        mistakes.within("enrichment.in_flight_records", self.in_flight_records, 1..=1_000_000);
        mistakes.within("enrichment.in_flight_bytes", self.in_flight_bytes, MIB..=4096 * MIB);
        mistakes.within("enrichment.attempts", self.attempts, 1..=100);
    }

    /// What a partition may have in flight.
    pub(crate) fn in_flight(&self) -> Limits {
        Limits { records: self.in_flight_records, bytes: self.in_flight_bytes, room_percent: 50 }
    }
}

/// What is remembered of modules.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CatalogueSettings {
    /// How long what the store said of a module is used without asking again: a new version, or an alias that was moved,
    /// counts after that.
    #[serde(with = "millis")]
    pub refresh_ms: Duration,
    /// How long an answer of the store is waited for.
    #[serde(with = "millis")]
    pub lookup_ms: Duration,
    /// Most modules remembered.
    pub modules: u64,
}

impl Default for CatalogueSettings {
    fn default() -> Self {
        Self { refresh_ms: Duration::from_secs(2), lookup_ms: Duration::from_secs(1), modules: 10_000 }
    }
}

impl CatalogueSettings {
    pub(super) fn check(&self, mistakes: &mut Mistakes) {
        mistakes.within("catalogue.modules", self.modules, 1..=1_000_000);
        if self.lookup_ms.is_zero() {
            mistakes.report("catalogue.lookup_ms", "must be above zero");
        }
    }
}
