//! The director's process: Kafka to work through, Redis for routes and flags, Postgres for the archiver.

use std::process::ExitCode;
use std::sync::Arc;

use postrider_director::{Config, Ports, Service};
use shared::config::{KafkaSettings, LogSettings, PostgresSettings, RedisSettings, Section, StoreSettings};
use shared::{clock::SystemClock, log::kafka, process, registry::redis, store::postgres};

shared::allocator!();

fn main() -> ExitCode {
    process::run("postrider-director", async |mut start| {
        let config: Config = start.section();
        let (log, brokers): (LogSettings, KafkaSettings) = (start.section(), start.section());
        let (store, database): (StoreSettings, PostgresSettings) = (start.section(), start.section());
        let redis: RedisSettings = start.section();
        config.check_drain("kafka.drain_timeout_ms", brokers.drain_timeout_ms, start.mistakes(Config::NAME));
        let process = start.begin().await?;
        let log = process.connect("kafka", async || kafka::Log::connect(&log, &brokers).await).await?;
        let store = postgres::Store::connect(&database, &store)?;
        let (registry, clock) = (redis::Registry::new(&redis)?, Arc::new(SystemClock));
        let service = Service::bind(config, Ports::of(&log, &registry, &store, clock)).await?;
        process.announce(&[])?;
        process.serve(service.readiness(), async |shutdown| service.run(shutdown).await).await
    })
}
