//! The director's process: Kafka to work through, Redis for routes and flags, Postgres for the archiver.

use std::process::ExitCode;
use std::sync::Arc;

use postrider_director::{Config, Ports, Service};
use shared::config::{KafkaSettings, LogSettings, PostgresSettings, RedisSettings, Section, StoreSettings};
use shared::{clock::SystemClock, log::kafka, process, registry::redis, store::postgres};

fn main() -> ExitCode {
    process::run("postrider-director", async |mut start| {
        let config: Config = start.section();
        let (log, brokers): (LogSettings, KafkaSettings) = (start.section(), start.section());
        let (store, database): (StoreSettings, PostgresSettings) = (start.section(), start.section());
        let redis: RedisSettings = start.section();
        config.check_drain("kafka.drain_timeout_ms", brokers.drain_timeout_ms, start.mistakes(Config::NAME));
        let process = start.begin().await?;
        let log = process.connect("kafka", async || kafka::Log::connect(&log, &brokers).await).await?;
        let inbox = postgres::Store::connect(&database, &store)?;
        let (routes, clock) = (redis::Registry::new(&redis)?, Arc::new(SystemClock));
        let (nodes, flags) = (routes.clone(), routes.clone());
        let (dead_letters, requeues) = (inbox.clone(), inbox.clone());
        let (subscriber, ends, appender) = (log.clone(), log.clone(), log);
        let ports =
            Ports { subscriber, appender, ends, routes, nodes, flags, inbox, dead_letters, requeues, clock };
        let service = Service::bind(config, ports).await?;
        process.announce(&[])?;
        process.serve(service.readiness(), async |shutdown| service.run(shutdown).await).await
    })
}
