//! `[executor]`: what a task may take, and how many may run. Read by `service.rs`.

mod sandbox;

use serde::{Deserialize, Serialize};
use shared::config::{Mistakes, Section};

pub use self::sandbox::{EgressSettings, KeyValueSettings, ModuleSettings, SandboxSettings, TurnSettings};

/// Settings of the executor.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Limits of tasks.
    pub sandbox: SandboxSettings,
}

impl Section for Config {
    const NAME: &'static str = "executor";

    fn check(&self, mistakes: &mut Mistakes) {
        self.sandbox.check(mistakes);
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
        let mut mistakes = Mistakes::default();
        config.check(&mut mistakes);
        let told = mistakes.into_result().unwrap_err().to_string();
        for key in ["sandbox.hostcall_bytes", "sandbox.tick_ms", "sandbox.turns.per_module"] {
            assert!(told.contains(key), "{told}");
        }
    }
}
