//! `[executor]`: has no settings while there is nothing to limit. Any key in it is refused.

use serde::{Deserialize, Serialize};
use shared::config::{Mistakes, Section};

/// Settings of the executor.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {}

impl Section for Config {
    const NAME: &'static str = "executor";
    fn check(&self, _mistakes: &mut Mistakes) {}
}
