//! `[director]`: every limit the director, its archiver and its reconciler keep.

mod archiver;
mod dead_letters;
mod fairness;
mod lookups;
mod outcomes;
mod reconciler;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use shared::config::{BackoffSettings, Mistakes, Secret, Section, millis};
use shared::group::intake::Limits;
use shared::retry::Backoff;

pub use self::archiver::ArchiverSettings;
pub use self::dead_letters::DeadLetterSettings;
pub use self::fairness::FairnessSettings;
pub use self::lookups::LookupSettings;
pub use self::outcomes::OutcomeSettings;
pub use self::reconciler::ReconcilerSettings;
use crate::lane::{self, Fairness, Patience, RetryPolicy, RunLimits};

/// Settings of the director.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Most records of one partition that wait or are in flight; at this many, fetching pauses until half are left, or
    /// until none waits and there is room.
    pub in_flight_records: usize,
    /// Most bytes of them.
    pub in_flight_bytes: usize,
    /// How long a partition that is given up, or the whole director when it stops, may wait for what is in flight.
    /// Below the log's own drain limit.
    #[serde(with = "millis")]
    pub drain_ms: Duration,
    /// How long a verdict may take before the record is parked instead.
    #[serde(with = "millis")]
    pub verdict_deadline_ms: Duration,
    /// For how many recipients of a partition the last parked offset is kept after their lane is empty.
    pub parked_memory: usize,
    /// Most recipients in one question to the registry, and most records in one append.
    pub batch_records: usize,
    /// Most records of one recipient that are parked as one.
    pub run_records: usize,
    /// Most bytes of them, unless a single record is larger. Below `log.max_record_bytes`: what the log does not take
    /// whole is parked record by record, and more slowly.
    pub run_bytes: usize,
    /// How the log, the registry and the store are tried again when nothing else can be done.
    pub backoff: BackoffSettings,
    /// How often and how long delivery is tried.
    pub retry: RetrySettings,
    /// How what may be in flight is shared.
    pub fairness: FairnessSettings,
    /// What nodes ask directors to show (`distributor.link.secret`); empty: none is shown.
    pub link_secret: Secret,
    /// Asking where recipients are.
    pub lookups: LookupSettings,
    /// Streams to nodes.
    pub link: LinkSettings,
    /// How ends are told.
    pub outcomes: OutcomeSettings,
    /// The archiver.
    pub archiver: ArchiverSettings,
    /// Requeues and retention of dead letters.
    pub dead_letters: DeadLetterSettings,
    /// The reconciler.
    pub reconciler: ReconcilerSettings,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            in_flight_records: 10_000,
            in_flight_bytes: 64 * 1024 * 1024,
            drain_ms: Duration::from_secs(8),
            verdict_deadline_ms: Duration::from_secs(30),
            parked_memory: 100_000,
            batch_records: 1000,
            run_records: 250,
            run_bytes: 256 * 1024,
            backoff: BackoffSettings::default(),
            retry: RetrySettings::default(),
            fairness: FairnessSettings::default(),
            link_secret: Secret::default(),
            lookups: LookupSettings::default(),
            link: LinkSettings::default(),
            outcomes: OutcomeSettings::default(),
            archiver: ArchiverSettings::default(),
            dead_letters: DeadLetterSettings::default(),
            reconciler: ReconcilerSettings::default(),
        }
    }
}

/// `[director.retry]`: how hard delivery is tried before a record is parked.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetrySettings {
    /// Retries that a partition earns by a hundred records sent to a node; each node has a budget of its own, and so has
    /// the registry.
    pub budget_percent: u32,
    /// Most retries that a partition saves up for each.
    pub budget_reserve: u32,
    /// For urgency high.
    pub high: PatienceSettings,
    /// For urgency normal.
    pub normal: PatienceSettings,
    /// For urgencies low and very low.
    pub low: PatienceSettings,
}

impl Default for RetrySettings {
    fn default() -> Self {
        let patience = |attempts, deadline, base, cap| PatienceSettings {
            attempts,
            deadline_ms: Duration::from_millis(deadline),
            base_ms: Duration::from_millis(base),
            cap_ms: Duration::from_millis(cap),
        };
        Self {
            budget_percent: 20,
            budget_reserve: 1000,
            high: patience(10, 10_000, 25, 1000),
            normal: patience(6, 5_000, 100, 2000),
            low: patience(3, 3_000, 250, 2000),
        }
    }
}

/// Patience with the records of one urgency.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PatienceSettings {
    /// Most retries in a row.
    pub attempts: u32,
    /// Longest time from the first failure on.
    #[serde(with = "millis")]
    pub deadline_ms: Duration,
    /// Ceiling of the first delay.
    #[serde(with = "millis")]
    pub base_ms: Duration,
    /// Ceiling of every delay.
    #[serde(with = "millis")]
    pub cap_ms: Duration,
}

impl From<PatienceSettings> for Patience {
    fn from(settings: PatienceSettings) -> Self {
        let backoff = Backoff { base: settings.base_ms, cap: settings.cap_ms };
        Self { attempts: settings.attempts, deadline: settings.deadline_ms, backoff }
    }
}

/// `[director.link]`: streams to nodes.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LinkSettings {
    /// How long a connection may take to be made.
    #[serde(with = "millis")]
    pub connect_ms: Duration,
    /// How often a quiet connection is pinged (HTTP/2).
    #[serde(with = "millis")]
    pub keepalive_ms: Duration,
    /// How long the answer to a ping may take.
    #[serde(with = "millis")]
    pub keepalive_timeout_ms: Duration,
    /// Most frames in a batch.
    pub batch_frames: usize,
    /// Most bytes in a batch, unless a single record is larger. Below `distributor.link.batch_bytes`.
    pub batch_bytes: usize,
    /// Most batches that wait for one stream; past them, frames wait with the partition and count as in flight.
    pub batches: usize,
    /// Most batches of verdicts that wait for one partition.
    pub verdict_batches: usize,
    /// Failures in a row after which a node is left alone for a while.
    pub breaker_failures: u32,
    /// How long it is left alone.
    pub breaker: BackoffSettings,
    /// How often the registry is asked which nodes there are.
    #[serde(with = "millis")]
    pub refresh_ms: Duration,
}

impl Default for LinkSettings {
    fn default() -> Self {
        Self {
            connect_ms: Duration::from_secs(2),
            keepalive_ms: Duration::from_secs(5),
            keepalive_timeout_ms: Duration::from_secs(5),
            batch_frames: 512,
            batch_bytes: 1024 * 1024,
            batches: 16,
            verdict_batches: 256,
            breaker_failures: 3,
            breaker: BackoffSettings { base_ms: Duration::from_millis(500), cap_ms: Duration::from_secs(5) },
            refresh_ms: Duration::from_secs(1),
        }
    }
}

impl Config {
    /// Refuses a drain that the log cuts short: `limit` is how long it lets a revoked partition drain, set by `key`.
    pub fn check_drain(&self, key: &str, limit: Duration, mistakes: &mut Mistakes) {
        if self.drain_ms >= limit {
            mistakes.report("drain_ms", format_args!("must be below {key}"));
        }
    }

    /// What a partition may have in flight.
    pub(crate) fn in_flight(&self) -> Limits {
        // Half way between what urgency high may keep there and all of it.
        let room_percent = (self.fairness.high_percent.min(100) + 100) / 2;
        let (records, bytes) = (self.in_flight_records, self.in_flight_bytes);
        Limits { records, bytes, room_percent: room_percent.min(99) }
    }

    /// What the lanes of a partition keep to.
    #[must_use]
    pub fn lanes(&self) -> lane::Settings {
        let RetrySettings { budget_percent, budget_reserve, high, normal, low } = self.retry;
        lane::Settings {
            verdict_deadline: self.verdict_deadline_ms,
            parked_memory: self.parked_memory,
            known: self.lookups.known(),
            retry: RetryPolicy {
                high: high.into(),
                normal: normal.into(),
                low: low.into(),
                budget_percent,
                budget_reserve,
            },
            run: RunLimits { records: self.run_records, bytes: self.run_bytes },
            fairness: Fairness {
                records: self.in_flight_records,
                bytes: self.in_flight_bytes,
                pressure_percent: self.fairness.pressure_percent,
                high_percent: self.fairness.high_percent,
                recipient_percent: self.fairness.recipient_percent,
                floor_records: self.fairness.floor_records,
                verdict_deadline: self.fairness.verdict_deadline_ms.min(self.verdict_deadline_ms),
                memory: self.fairness.memory_ms,
                remembered: self.fairness.remembered,
            },
        }
    }
}

impl Section for Config {
    const NAME: &'static str = "director";

    fn check(&self, mistakes: &mut Mistakes) {
        mistakes.within("in_flight_records", self.in_flight_records, 2..=1_000_000);
        mistakes.within("in_flight_bytes", self.in_flight_bytes, 64 * 1024..=4 * 1024 * 1024 * 1024);
        mistakes.within("batch_records", self.batch_records, 1..=100_000);
        mistakes.within("run_records", self.run_records, 1..=self.batch_records.max(1));
        mistakes.within("run_bytes", self.run_bytes, 1024..=16 * 1024 * 1024);
        mistakes.within("parked_memory", self.parked_memory, 1..=10_000_000);
        mistakes.within("retry.budget_percent", self.retry.budget_percent, 0..=1000);
        self.fairness.check(mistakes);
        if !self.link_secret.expose().bytes().all(|byte| byte.is_ascii_graphic()) {
            mistakes.report("link_secret", "must be visible ASCII");
        }
        self.lookups.check(mistakes);
        let link = &self.link;
        mistakes.within("link.batch_frames", link.batch_frames, 1..=100_000);
        mistakes.within("link.batch_bytes", link.batch_bytes, 1024..=64 * 1024 * 1024);
        mistakes.within("link.batches", link.batches, 1..=10_000);
        mistakes.within("link.verdict_batches", link.verdict_batches, 1..=100_000);
        mistakes.within("link.breaker_failures", link.breaker_failures, 1..=1000);
        self.dead_letters.check(mistakes);
        self.outcomes.check(mistakes);
        self.reconciler.check(mistakes);
        let archiver = &self.archiver;
        mistakes.within("archiver.rows", archiver.rows, 1..=100_000);
        mistakes.within("archiver.bytes", archiver.bytes, 1024..=1024 * 1024 * 1024);
        mistakes.within("archiver.rate", archiver.rate, 1..=100_000_000);
        mistakes.within("archiver.waiting_records", archiver.waiting_records, 2..=10_000_000);
        mistakes.within("archiver.sweep_page", archiver.sweep_page, 1..=100_000);
        mistakes.within("archiver.sweep_rate", archiver.sweep_rate, 1..=1_000_000);
        mistakes.within("archiver.expire_rows", archiver.expire_rows, 1..=1_000_000);
        for (key, value) in [
            ("drain_ms", self.drain_ms),
            ("verdict_deadline_ms", self.verdict_deadline_ms),
            ("backoff.base_ms", self.backoff.base_ms),
            ("retry.high.base_ms", self.retry.high.base_ms),
            ("retry.normal.base_ms", self.retry.normal.base_ms),
            ("retry.low.base_ms", self.retry.low.base_ms),
            ("fairness.verdict_deadline_ms", self.fairness.verdict_deadline_ms),
            ("lookups.breaker.base_ms", self.lookups.breaker.base_ms),
            ("link.connect_ms", link.connect_ms),
            ("link.keepalive_ms", link.keepalive_ms),
            ("link.keepalive_timeout_ms", link.keepalive_timeout_ms),
            ("link.breaker.base_ms", link.breaker.base_ms),
            ("link.refresh_ms", link.refresh_ms),
            ("archiver.seek_settle_ms", archiver.seek_settle_ms),
            ("archiver.verify_ms", archiver.verify_ms),
            ("archiver.sweep_ms", archiver.sweep_ms),
            ("archiver.expire_ms", archiver.expire_ms),
        ] {
            if value.is_zero() {
                mistakes.report(key, "must be above zero");
            }
        }
        if archiver.waiting_records < archiver.rows {
            mistakes.report("archiver.waiting_records", "must not be below archiver.rows");
        }
        if archiver.waiting_bytes < archiver.bytes {
            mistakes.report("archiver.waiting_bytes", "must not be below archiver.bytes");
        }
        // Else a batch would never get old enough.
        if archiver.verify_ms <= archiver.age_ms {
            mistakes.report("archiver.verify_ms", "must be above archiver.age_ms");
        }
    }
}
