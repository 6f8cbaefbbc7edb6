//! `[receiver]`: where it listens and every limit it keeps.

mod tasks;

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use shared::config::{LogSettings, Mistakes, Section, millis};
use shared::notification::{DEFAULT_TTL, MAX_TTL};
use shared::serve::HttpLimits;

pub use self::tasks::{LookupSettings, ModuleSettings, ScheduleSettings, TaskSettings};

/// Settings of the receiver.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where producers reach it; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Limits against slow and numerous peers.
    pub http: HttpLimits,
    /// How long a request may take, body and append included. Past it: 408 while the body is coming, else 503.
    #[serde(with = "millis")]
    pub deadline_ms: Duration,
    /// Memory for requests under way, from the first byte of a body until the log has answered. Past it: 503.
    pub in_flight_bytes: usize,
    /// Largest request body of one notification.
    pub body_bytes: usize,
    /// Largest request body of a batch.
    pub batch_body_bytes: usize,
    /// Most notifications in a batch.
    pub batch_items: usize,
    /// Largest content of a notification.
    pub content_bytes: usize,
    /// Largest `metadata` of a notification, as JSON text.
    pub metadata_bytes: usize,
    /// Most recipients of one notification.
    pub recipients: usize,
    /// Most records that one request may become.
    pub records: usize,
    /// Most bytes of records that one request may become, a copy counted for each recipient.
    pub fan_out_bytes: usize,
    /// Deepest nesting of JSON.
    pub json_depth: usize,
    /// How long a notification lives when its producer does not say.
    pub default_ttl_s: u64,
    /// How long a notification with a TTL of zero, "now or not at all", may be on its way.
    #[serde(with = "millis")]
    pub zero_ttl_ms: Duration,
    /// How often the log is asked how far those who read it are behind.
    #[serde(with = "millis")]
    pub lag_poll_ms: Duration,
    /// The CloudEvents `source` is this and the tenant.
    pub source_prefix: String,
    /// How producers' keys are looked up.
    pub keys: KeySettings,
    /// Looking at dead letters, and deciding about them.
    pub dead_letters: DeadLetterSettings,
    /// Asking for tasks, and looking at them.
    pub tasks: TaskSettings,
    /// Modules, and what is bound to them.
    pub modules: ModuleSettings,
    /// Tasks at their times.
    pub schedules: ScheduleSettings,
}

/// `[receiver.dead_letters]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DeadLetterSettings {
    /// How many a list has that does not say.
    pub page: u32,
    /// Most that a list may ask for.
    pub page_most: u32,
    /// Most that one request requeues or discards; the answer says that there may be more.
    pub changed: u32,
    /// How far a dry run counts.
    pub counted: u32,
    /// Memory that showing a whole one reserves of `in_flight_bytes`. Past that: 503.
    pub answer_bytes: usize,
}

/// `[receiver.keys]`: the cache in front of the store's keys.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KeySettings {
    /// How long a key is used without asking the store again: the longest a revocation takes to be heeded.
    #[serde(with = "millis")]
    pub fresh_ms: Duration,
    /// How long a key is used while the store is away. Longer than the outage that must be survived.
    #[serde(with = "millis")]
    pub stale_ms: Duration,
    /// How long an unknown key is refused without asking the store again.
    #[serde(with = "millis")]
    pub unknown_ms: Duration,
    /// How long a look-up may take.
    #[serde(with = "millis")]
    pub lookup_ms: Duration,
    /// How long a store that was away is left in peace about a key that is cached. For twice as long a cached key is used
    /// without waiting for the store, which is asked beside the request.
    #[serde(with = "millis")]
    pub retry_ms: Duration,
    /// Most keys in each of the two caches, known and unknown.
    pub cached: u64,
    /// Most look-ups at a time; one more waits.
    pub lookups: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            http: HttpLimits::default(),
            deadline_ms: Duration::from_secs(10),
            in_flight_bytes: 64 * 1024 * 1024,
            body_bytes: 1024 * 1024,
            batch_body_bytes: 8 * 1024 * 1024,
            batch_items: 1000,
            content_bytes: 256 * 1024,
            metadata_bytes: 4 * 1024,
            recipients: 1000,
            records: 10_000,
            fan_out_bytes: 32 * 1024 * 1024,
            json_depth: 64,
            default_ttl_s: DEFAULT_TTL.as_secs(),
            zero_ttl_ms: Duration::from_secs(10),
            lag_poll_ms: Duration::from_secs(10),
            source_prefix: "/v1/".into(),
            keys: KeySettings::default(),
            dead_letters: DeadLetterSettings::default(),
            tasks: TaskSettings::default(),
            modules: ModuleSettings::default(),
            schedules: ScheduleSettings::default(),
        }
    }
}

impl Default for DeadLetterSettings {
    fn default() -> Self {
        Self { page: 50, page_most: 500, changed: 1000, counted: 10_000, answer_bytes: 4 * 1024 * 1024 }
    }
}

impl Default for KeySettings {
    fn default() -> Self {
        Self {
            fresh_ms: Duration::from_secs(30),
            stale_ms: Duration::from_secs(3600),
            unknown_ms: Duration::from_secs(2),
            lookup_ms: Duration::from_secs(2),
            retry_ms: Duration::from_secs(5),
            cached: 10_000,
            lookups: 64,
        }
    }
}

const MIB: usize = 1024 * 1024;
/// Most bytes of a record beside content and metadata: the key, and headers whose longest is `baggage` with 8 KiB.
const HEADERS_BYTES: usize = 12 * 1024;

impl Config {
    /// Refuses contents that the log would refuse as a record.
    pub fn check_record(&self, log: &LogSettings, mistakes: &mut Mistakes) {
        if self.content_bytes + self.metadata_bytes + HEADERS_BYTES > log.max_record_bytes {
            let what = format_args!(
                "with metadata_bytes and {HEADERS_BYTES} for headers must not be above log.max_record_bytes"
            );
            mistakes.report("content_bytes", what);
        }
    }
}

impl Section for Config {
    const NAME: &'static str = "receiver";

    fn check(&self, mistakes: &mut Mistakes) {
        self.http.check(mistakes);
        self.keys.check(mistakes);
        self.dead_letters.check(self.in_flight_bytes, mistakes);
        self.tasks.check(self.in_flight_bytes, mistakes);
        self.modules.check(self.in_flight_bytes, mistakes);
        self.schedules.check(self.in_flight_bytes, mistakes);
        mistakes.within("lag_poll_ms", self.lag_poll_ms.as_millis(), 100..=600_000);
        if self.deadline_ms.is_zero() {
            mistakes.report("deadline_ms", "must be above zero");
        }
        mistakes.within("body_bytes", self.body_bytes, 1024..=64 * MIB);
        mistakes.within("batch_body_bytes", self.batch_body_bytes, 1024..=256 * MIB);
        mistakes.within("batch_items", self.batch_items, 1..=100_000);
        mistakes.within("content_bytes", self.content_bytes, 1..=self.body_bytes);
        mistakes.within("metadata_bytes", self.metadata_bytes, 2..=64 * 1024);
        mistakes.within("recipients", self.recipients, 1..=100_000);
        mistakes.within("records", self.records, self.recipients.max(self.batch_items)..=1_000_000);
        mistakes.within("fan_out_bytes", self.fan_out_bytes, self.content_bytes..=1024 * MIB);
        // The largest request and what it becomes must fit, or it would never be taken.
        let least = self.body_bytes.max(self.batch_body_bytes) + self.fan_out_bytes;
        mistakes.within("in_flight_bytes", self.in_flight_bytes, least..=2048 * MIB);
        // The JSON parser itself stops at 128.
        mistakes.within("json_depth", self.json_depth, 4..=120);
        mistakes.within("default_ttl_s", self.default_ttl_s, 1..=MAX_TTL.as_secs());
        let sound = |byte: u8| byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte);
        if self.source_prefix.len() > 256 || !self.source_prefix.bytes().all(sound) {
            mistakes.report("source_prefix", "must be at most 256 bytes of a URI reference");
        }
    }
}

impl DeadLetterSettings {
    fn check(&self, in_flight_bytes: usize, mistakes: &mut Mistakes) {
        mistakes.within("dead_letters.page_most", self.page_most, 1..=10_000);
        mistakes.within("dead_letters.page", self.page, 1..=self.page_most);
        mistakes.within("dead_letters.changed", self.changed, 1..=100_000);
        mistakes.within("dead_letters.counted", self.counted, 1..=1_000_000);
        mistakes.within("dead_letters.answer_bytes", self.answer_bytes, 1024..=in_flight_bytes);
    }
}

impl KeySettings {
    fn check(&self, mistakes: &mut Mistakes) {
        if self.lookup_ms.is_zero() {
            mistakes.report("keys.lookup_ms", "must be above zero");
        }
        if self.stale_ms < self.fresh_ms {
            mistakes.report("keys.stale_ms", "must not be below receiver.keys.fresh_ms");
        }
        mistakes.within("keys.cached", self.cached, 1..=10_000_000);
        mistakes.within("keys.lookups", self.lookups, 1..=10_000);
    }
}

#[cfg(test)]
mod tests {
    use shared::config::{Error, Sources};

    use super::*;

    #[test]
    fn the_defaults_are_sound() {
        let mut sources = Sources::load(None, &[]).unwrap();
        let _config: Config = sources.section();
        sources.finish().unwrap();
    }

    #[test]
    fn memory_that_cannot_hold_one_batch_is_refused() {
        let overrides = ["receiver.in_flight_bytes=4096".into(), "receiver.keys.cached=0".into()];
        let mut sources = Sources::load(None, &overrides).unwrap();
        let _config: Config = sources.section();
        let Err(Error::Mistakes(found)) = sources.finish() else { panic!("accepted") };
        assert_eq!(found.len(), 6, "{found:?}");
    }
}
