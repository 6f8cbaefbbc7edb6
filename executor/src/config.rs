//! `[executor]`: every limit the executor keeps. Read by `service.rs`.

mod sandbox;
mod schedules;
mod tasks;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use shared::config::{BackoffSettings, Mistakes, Section, millis};

pub use self::sandbox::{EgressSettings, KeyValueSettings, ModuleSettings, SandboxSettings, TurnSettings};
pub use self::schedules::ScheduleSettings;
pub use self::tasks::{CatalogueSettings, EnrichmentSettings, ReaperSettings, TaskSettings};

/// Settings of the executor.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How long a partition that is given up, or the whole executor when it stops, may wait for what is under way.
    /// Below the log's own drain limit.
    #[serde(with = "millis")]
    pub drain_ms: Duration,
    /// How long the log may hold back a few records until there are more, which is what a task or an enrichment waits at
    /// most on a quiet log; at zero it does not, and every record that is appended wakes the executor. Up to five seconds.
    #[serde(with = "millis")]
    pub patience_ms: Duration,
    /// How the log and the store are tried again when nothing else can be done.
    pub backoff: BackoffSettings,
    /// Running tasks.
    pub tasks: TaskSettings,
    /// Tasks that nobody is at, and those that are over.
    pub reaper: ReaperSettings,
    /// Enriching notifications.
    pub enrichment: EnrichmentSettings,
    /// What is remembered of modules.
    pub catalogue: CatalogueSettings,
    /// Limits of one attempt, and of all together.
    pub sandbox: SandboxSettings,
    /// Firing schedules.
    pub schedules: ScheduleSettings,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            drain_ms: Duration::from_secs(8),
            patience_ms: Duration::from_millis(20),
            backoff: BackoffSettings::default(),
            tasks: TaskSettings::default(),
            reaper: ReaperSettings::default(),
            enrichment: EnrichmentSettings::default(),
            catalogue: CatalogueSettings::default(),
            sandbox: SandboxSettings::default(),
            schedules: ScheduleSettings::default(),
        }
    }
}

impl Config {
    /// Reports a drain limit that `limit`, the log's own under `key`, would cut off.
    pub fn check_drain(&self, key: &str, limit: Duration, mistakes: &mut Mistakes) {
        if self.drain_ms >= limit {
            mistakes.report("drain_ms", format_args!("must be below {key}"));
        }
    }
}

impl Section for Config {
    const NAME: &'static str = "executor";

    fn check(&self, mistakes: &mut Mistakes) {
        mistakes.within("patience_ms", self.patience_ms.as_millis(), 0..=5_000);
        self.tasks.check(self.sandbox.turns.running, mistakes);
        self.reaper.check(mistakes);
        self.enrichment.check(mistakes);
        self.catalogue.check(mistakes);
        self.sandbox.check(mistakes);
        self.schedules.check(mistakes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_without_mistakes() {
        let mut mistakes = Mistakes::default();
        Config::default().check(&mut mistakes);
        mistakes.into_result().unwrap();
    }

    #[test]
    fn limits_that_contradict_each_other_are_refused_all_at_once() {
        let mut config = Config::default();
        config.sandbox.hostcall_bytes = config.sandbox.output_bytes - 1;
        config.sandbox.tick_ms = config.sandbox.deadline_ms;
        config.sandbox.turns.per_module = config.sandbox.turns.running + 1;
        config.schedules.lease_ms = config.schedules.tick_ms;
        let mut mistakes = Mistakes::default();
        config.check(&mut mistakes);
        let told = mistakes.into_result().unwrap_err().to_string();
        for key in
            ["sandbox.hostcall_bytes", "sandbox.tick_ms", "sandbox.turns.per_module", "schedules.lease_ms"]
        {
            assert!(told.contains(key), "{told}");
        }
    }
}
