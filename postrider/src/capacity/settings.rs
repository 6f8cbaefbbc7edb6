//! What the services' own defaults say about how fast things go: read from them, so that a changed default changes the
//! plan.

use std::time::Duration;

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Connections that a distributor lets in, a second.
    pub(crate) accepts: f64,
    /// Sessions that a distributor announces again, a second.
    pub(crate) announces: f64,
    /// How often it reads the flags of its sessions, in seconds, and how many a second at most.
    pub(crate) sweep_s: f64,
    pub(crate) sweeps: f64,
    /// Directors that a distributor talks to at most.
    pub(crate) streams: f64,
    /// The longest time that a client waits before it connects again, in seconds.
    pub(crate) reconnect_s: f64,
    /// Sent and unacknowledged notifications of a session at most.
    pub(crate) window: f64,
    /// What a director may hold of one partition, in bytes, three stages of the archiver included.
    pub(crate) partition_bytes: f64,
    /// What a receiver may hold, in bytes.
    pub(crate) receiver_bytes: f64,
    /// Records that the archiver moves in one partition, a second, and how long its batches fill, in seconds.
    pub(crate) archiver_rate: f64,
    pub(crate) archiver_age_s: f64,
    /// How long a member of a group may be silent, in seconds.
    pub(crate) session_timeout_s: f64,
    /// How long the producer waits for a batch to fill, in seconds.
    pub(crate) linger_s: f64,
    /// Connections to Postgres of each process.
    pub(crate) postgres_connections: f64,
    /// Hashes that recipients are packed into.
    pub(crate) redis_buckets: f64,
    /// How long a director remembers a recipient's routes, in seconds; of how many of each partition.
    pub(crate) remembered_s: f64,
    pub(crate) remembered: f64,
    /// How often it reads the registry's news, in seconds; with more batches of registrations in it than so many, a reading
    /// says no more than that there were many.
    pub(crate) news_s: f64,
    pub(crate) news_most: f64,
    /// Partitions of a topic at most.
    pub(crate) partitions: f64,
}

impl Settings {
    /// As the services have them when nobody sets anything.
    pub(crate) fn defaults() -> Self {
        let distributor = postrider_distributor::Config::default();
        let director = postrider_director::Config::default();
        let receiver = postrider_receiver::Config::default();
        let kafka = shared::config::KafkaSettings::default();
        let (redis, postgres) =
            (shared::config::RedisSettings::default(), shared::config::PostgresSettings::default());
        let unsent = f64::from(kafka.queue_kbytes) * 1024.0;
        Self {
            accepts: f64::from(distributor.http.accepts_per_second),
            announces: f64::from(distributor.lease.announce_per_second),
            sweep_s: distributor.sweep.period_ms.as_secs_f64(),
            sweeps: f64::from(distributor.sweep.per_second),
            streams: distributor.link.streams as f64,
            reconnect_s: distributor.edge.retry_max_ms.as_secs_f64(),
            window: f64::from(distributor.session.window),
            partition_bytes: (director.in_flight_bytes + 3 * director.archiver.waiting_bytes) as f64,
            receiver_bytes: receiver.in_flight_bytes as f64 + unsent,
            archiver_rate: f64::from(director.archiver.rate),
            archiver_age_s: director.archiver.age_ms.as_secs_f64(),
            session_timeout_s: kafka.session_timeout_ms.as_secs_f64(),
            linger_s: kafka.linger_ms.max(Duration::from_micros(1)).as_secs_f64(),
            postgres_connections: f64::from(postgres.connections),
            redis_buckets: f64::from(redis.buckets),
            remembered_s: director.lookups.keep_ms.as_secs_f64(),
            remembered: director.lookups.remembered as f64,
            news_s: director.lookups.news_ms.as_secs_f64(),
            news_most: 1000.0,
            partitions: 10_000.0,
        }
    }
}
