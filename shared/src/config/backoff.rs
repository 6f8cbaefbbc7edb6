//! How often something is tried again, as settings.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::millis;
use crate::retry::Backoff;

/// Exponential, with full jitter.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BackoffSettings {
    /// Ceiling of the first delay.
    #[serde(with = "millis")]
    pub base_ms: Duration,
    /// Ceiling of every delay.
    #[serde(with = "millis")]
    pub cap_ms: Duration,
}

impl Default for BackoffSettings {
    fn default() -> Self {
        Self { base_ms: Duration::from_millis(100), cap_ms: Duration::from_secs(5) }
    }
}

impl From<BackoffSettings> for Backoff {
    fn from(settings: BackoffSettings) -> Self {
        Self { base: settings.base_ms, cap: settings.cap_ms }
    }
}
