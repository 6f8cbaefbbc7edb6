//! The archiver's limits.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use shared::config::millis;

/// `[director.archiver]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ArchiverSettings {
    /// Most records in a batch; a few runs more when the last ones are.
    pub rows: usize,
    /// Most bytes in a batch, unless a single record is larger.
    pub bytes: usize,
    /// How long a batch waits to fill.
    #[serde(with = "millis")]
    pub age_ms: Duration,
    /// Most records a second that a stage moves in one partition, so that catching up after an outage leaves the engine
    /// room for those who wait for their backlog. Slower than what is parked, and it never catches up.
    pub rate: u32,
    /// Most records of one partition and stage that wait, a run counting as one; at this many, fetching pauses until half
    /// are left. With an engine away, this is all that is held in memory; the rest waits on the log.
    pub waiting_records: usize,
    /// Most bytes of them: three stages may each hold as much for every partition.
    pub waiting_bytes: usize,
    /// How long after moving a reader back a record from elsewhere is taken to be on its way still.
    #[serde(with = "millis")]
    pub seek_settle_ms: Duration,
    /// How often a stage that has nothing to do looks whether its engine still stands where it left it.
    #[serde(with = "millis")]
    pub verify_ms: Duration,
    /// How often the recipients that have stored rows are marked again.
    #[serde(with = "millis")]
    pub sweep_ms: Duration,
    /// Most recipients read and marked at a time.
    pub sweep_page: u32,
    /// Most recipients marked again each second, by partition.
    pub sweep_rate: u32,
    /// How often expired rows are looked for.
    #[serde(with = "millis")]
    pub expire_ms: Duration,
    /// Most rows expired at a time.
    pub expire_rows: u32,
}

impl Default for ArchiverSettings {
    fn default() -> Self {
        Self {
            rows: 2000,
            bytes: 8 * 1024 * 1024,
            age_ms: Duration::from_millis(20),
            rate: 20_000,
            waiting_records: 8000,
            waiting_bytes: 16 * 1024 * 1024,
            seek_settle_ms: Duration::from_secs(1),
            verify_ms: Duration::from_secs(5),
            sweep_ms: Duration::from_secs(600),
            sweep_page: 500,
            sweep_rate: 200,
            expire_ms: Duration::from_secs(60),
            expire_rows: 1000,
        }
    }
}
