//! The sections that more than one service reads.

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Mistakes, Secret, Section, millis};
use crate::topic::Topic;

/// `[log]`: what holds for the log whatever engine it is.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogSettings {
    /// Put before every topic's name.
    pub prefix: String,
    /// Partitions of each topic when `topics` makes them; afterwards what the broker says counts.
    pub partitions: u32,
    /// Copies of each partition when `topics` makes them (Kafka).
    pub replication: u16,
    /// Generation of the topics: part of every position.
    pub epoch: u32,
    /// Largest record that may be published, key, headers and body, in bytes. Copies of it on the other topics may be
    /// [`COPY_BYTES`](crate::topic::COPY_BYTES) larger.
    pub max_record_bytes: usize,
    /// Most records in one batch handed to a consumer.
    pub batch_records: usize,
    /// Most payload in one batch handed to a consumer, in KiB; a single record may be larger.
    pub batch_kbytes: usize,
    /// What holds for the embedded log.
    pub sqlite: SqliteLogSettings,
}

/// `[log.sqlite]`: the embedded log.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SqliteLogSettings {
    /// Most memory for records not yet on disk, in KiB; past it an append is refused at once.
    pub queue_kbytes: u32,
    /// How long an append may take before it is answered as unavailable.
    #[serde(with = "millis")]
    pub delivery_timeout_ms: Duration,
    /// At latest so long after it was reported, a finished offset is on disk.
    #[serde(with = "millis")]
    pub commit_interval_ms: Duration,
    /// How long a revoked partition may drain.
    #[serde(with = "millis")]
    pub drain_timeout_ms: Duration,
    /// How long a record that every group has finished is kept.
    #[serde(with = "millis")]
    pub retention_ms: Duration,
    /// Connections that read.
    pub readers: u32,
}

impl Default for SqliteLogSettings {
    fn default() -> Self {
        Self {
            queue_kbytes: 64 * 1024,
            delivery_timeout_ms: Duration::from_secs(5),
            commit_interval_ms: Duration::from_millis(200),
            drain_timeout_ms: Duration::from_secs(10),
            retention_ms: Duration::from_secs(600),
            readers: 4,
        }
    }
}

impl Default for LogSettings {
    fn default() -> Self {
        Self {
            prefix: String::new(),
            partitions: 12,
            replication: 1,
            epoch: 1,
            max_record_bytes: 1024 * 1024,
            batch_records: 500,
            batch_kbytes: 1024,
            sqlite: SqliteLogSettings::default(),
        }
    }
}

impl Section for LogSettings {
    const NAME: &'static str = "log";
    fn check(&self, mistakes: &mut Mistakes) {
        mistakes.within("partitions", self.partitions, 1..=10_000);
        mistakes.within("replication", self.replication, 1..=9);
        mistakes.within("epoch", self.epoch, 1..=u32::MAX);
        mistakes.within("max_record_bytes", self.max_record_bytes, 1024..=16 * 1024 * 1024);
        mistakes.within("batch_records", self.batch_records, 1..=100_000);
        mistakes.within("batch_kbytes", self.batch_kbytes, 1..=64 * 1024);
        mistakes.within("sqlite.queue_kbytes", self.sqlite.queue_kbytes, 1024..=2_097_151);
        mistakes.within("sqlite.readers", self.sqlite.readers, 1..=64);
        if self.sqlite.delivery_timeout_ms.is_zero() {
            mistakes.report("sqlite.delivery_timeout_ms", "must be above zero");
        }
        // A record weighs a little more than its bytes there.
        let largest = Topic::Parked.most_bytes(self.max_record_bytes) + 1024;
        if (self.sqlite.queue_kbytes as usize * 1024) < largest {
            mistakes.report(
                "sqlite.queue_kbytes",
                "must hold at least one record of log.max_record_bytes, parked",
            );
        }
    }
}

/// `[kafka]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KafkaSettings {
    /// `host:port`, comma-separated.
    pub brokers: String,
    /// How long an append is tried before it is given up and answered as unavailable. Longer than the cluster takes to
    /// replace a leader or to give up a silent copy: after giving up one, the driver may append others a second time.
    #[serde(with = "millis")]
    pub delivery_timeout_ms: Duration,
    /// How long a broker may leave one request unanswered. An append is then sent again over another connection, under
    /// its old number, so that it stands on the log once; anything else is answered as unavailable.
    #[serde(with = "millis")]
    pub request_timeout_ms: Duration,
    /// How long the producer waits for a batch to fill.
    #[serde(with = "millis")]
    pub linger_ms: Duration,
    /// Most memory for records not yet acknowledged, in KiB.
    pub queue_kbytes: u32,
    /// How long a group member may be silent.
    #[serde(with = "millis")]
    pub session_timeout_ms: Duration,
    /// How long a revoked partition may drain; below the session time-out.
    #[serde(with = "millis")]
    pub drain_timeout_ms: Duration,
    /// How often finished offsets are committed.
    #[serde(with = "millis")]
    pub commit_interval_ms: Duration,
    /// How often the brokers are asked who leads which partition: a partition whose leader died silently is found again
    /// at latest so long after the cluster gave it another.
    #[serde(with = "millis")]
    pub metadata_refresh_ms: Duration,
    /// Most reads outside of groups at a time, each by a consumer of its own; further ones wait.
    pub readers: usize,
}

impl Default for KafkaSettings {
    fn default() -> Self {
        Self {
            brokers: "127.0.0.1:9092".into(),
            delivery_timeout_ms: Duration::from_secs(30),
            request_timeout_ms: Duration::from_secs(10),
            linger_ms: Duration::from_millis(2),
            queue_kbytes: 64 * 1024,
            session_timeout_ms: Duration::from_secs(30),
            drain_timeout_ms: Duration::from_secs(10),
            commit_interval_ms: Duration::from_millis(500),
            metadata_refresh_ms: Duration::from_secs(5),
            readers: 4,
        }
    }
}

impl Section for KafkaSettings {
    const NAME: &'static str = "kafka";
    fn check(&self, mistakes: &mut Mistakes) {
        if self.brokers.trim().is_empty() {
            mistakes.report("brokers", "is empty");
        }
        mistakes.within("queue_kbytes", self.queue_kbytes, 1024..=2_097_151);
        mistakes.within("readers", self.readers, 1..=256);
        // The driver takes from ten milliseconds to five minutes.
        mistakes.within("request_timeout_ms", self.request_timeout_ms.as_millis(), 10..=300_000);
        if self.request_timeout_ms >= self.delivery_timeout_ms {
            mistakes.report("request_timeout_ms", "must be below kafka.delivery_timeout_ms");
        }
        if self.linger_ms >= self.request_timeout_ms {
            mistakes.report("linger_ms", "must be below kafka.request_timeout_ms");
        }
        if self.drain_timeout_ms >= self.session_timeout_ms {
            mistakes.report("drain_timeout_ms", "must be below kafka.session_timeout_ms");
        }
        // The driver takes up to an hour.
        mistakes.within("metadata_refresh_ms", self.metadata_refresh_ms.as_millis(), 100..=3_600_000);
    }
}

/// `[redis]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RedisSettings {
    /// `redis://[user:password@]host:port[/database]`.
    pub url: Secret,
    /// Put before every key.
    pub prefix: String,
    /// How long an operation may take.
    #[serde(with = "millis")]
    pub timeout_ms: Duration,
    /// Number of hashes that recipients are packed into; never change it on a filled registry.
    pub buckets: u32,
}

impl Default for RedisSettings {
    fn default() -> Self {
        Self {
            url: Secret::new("redis://127.0.0.1:6379".into()),
            prefix: "postrider:".into(),
            timeout_ms: Duration::from_secs(1),
            buckets: 1 << 16,
        }
    }
}

impl Section for RedisSettings {
    const NAME: &'static str = "redis";
    fn check(&self, mistakes: &mut Mistakes) {
        mistakes.within("buckets", self.buckets, 1..=1 << 24);
        if self.timeout_ms.is_zero() {
            mistakes.report("timeout_ms", "must be above zero");
        }
    }
}

/// `[postgres]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PostgresSettings {
    /// `postgres://user:password@host:port/database`.
    pub url: Secret,
    /// Most connections of one process.
    pub connections: u32,
    /// How long a query may take; also the server's `statement_timeout`.
    #[serde(with = "millis")]
    pub timeout_ms: Duration,
}

impl Default for PostgresSettings {
    fn default() -> Self {
        Self {
            url: Secret::new("postgres://postrider@127.0.0.1:5432/postrider".into()),
            connections: 8,
            timeout_ms: Duration::from_secs(5),
        }
    }
}

impl Section for PostgresSettings {
    const NAME: &'static str = "postgres";
    fn check(&self, mistakes: &mut Mistakes) {
        mistakes.within("connections", self.connections, 1..=1000);
        if self.timeout_ms.is_zero() {
            mistakes.report("timeout_ms", "must be above zero");
        }
    }
}

/// `[store]`: what holds for the store whatever engine it is.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StoreSettings {
    /// Most notifications stored for one recipient; the newest beyond it become a gap.
    pub recipient_quota: u64,
    /// How long turning expired rows into gaps may take: a whole week may be folded at once.
    #[serde(with = "millis")]
    pub expire_timeout_ms: Duration,
    /// How long bringing the schema up to date may take.
    #[serde(with = "millis")]
    pub migrate_timeout_ms: Duration,
    /// How long a call of the embedded store may take; for Postgres see `postgres.timeout_ms`.
    #[serde(with = "millis")]
    pub embedded_timeout_ms: Duration,
    /// Connections that read the embedded store beside its single writer.
    pub embedded_readers: u32,
}

impl Default for StoreSettings {
    fn default() -> Self {
        Self {
            recipient_quota: 10_000,
            expire_timeout_ms: Duration::from_secs(60),
            migrate_timeout_ms: Duration::from_secs(300),
            embedded_timeout_ms: Duration::from_secs(10),
            embedded_readers: 4,
        }
    }
}

impl Section for StoreSettings {
    const NAME: &'static str = "store";
    fn check(&self, mistakes: &mut Mistakes) {
        mistakes.within("recipient_quota", self.recipient_quota, 1..=10_000_000);
        mistakes.within("embedded_readers", self.embedded_readers, 1..=64);
        for (key, timeout) in [
            ("expire_timeout_ms", self.expire_timeout_ms),
            ("migrate_timeout_ms", self.migrate_timeout_ms),
            ("embedded_timeout_ms", self.embedded_timeout_ms),
        ] {
            if timeout.is_zero() {
                mistakes.report(key, "must be above zero");
            }
        }
    }
}

/// `[admin]`: the port for operators and probes.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdminSettings {
    /// Where `/livez`, `/readyz` and `/metrics` are served; port 0 takes a free one.
    pub listen: SocketAddr,
}

impl Default for AdminSettings {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 0)) }
    }
}

impl Section for AdminSettings {
    const NAME: &'static str = "admin";
    fn check(&self, _mistakes: &mut Mistakes) {}
}

/// `[telemetry]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TelemetrySettings {
    /// A `tracing` filter, for example `info` or `info,director=debug`.
    pub filter: String,
    /// Whether log lines are JSON objects; else text.
    pub json: bool,
    /// How long stopping may wait for a trace collector to take what was not sent yet; the rest is dropped. Whether
    /// there are traces, and where they go, is said by the standard `OTEL_*` variables.
    #[serde(with = "millis")]
    pub traces_flush_ms: Duration,
}

impl Default for TelemetrySettings {
    fn default() -> Self {
        Self { filter: "info".into(), json: true, traces_flush_ms: Duration::from_secs(2) }
    }
}

impl Section for TelemetrySettings {
    const NAME: &'static str = "telemetry";
    fn check(&self, mistakes: &mut Mistakes) {
        if let Err(error) = self.filter.parse::<tracing_subscriber::EnvFilter>() {
            mistakes.report("filter", error);
        }
        mistakes.within("traces_flush_ms", self.traces_flush_ms.as_millis(), 0..=60_000);
    }
}
