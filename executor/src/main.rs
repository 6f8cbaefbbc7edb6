//! The executor's process: Kafka to work through, Postgres for modules and for what is known of tasks.

use std::process::ExitCode;
use std::sync::Arc;

use postrider_executor::{Config, Ports, Service};
use shared::config::{KafkaSettings, LogSettings, PostgresSettings, Section, StoreSettings};
use shared::{clock::SystemClock, log::kafka, process, store::postgres};

shared::allocator!();

fn main() -> ExitCode {
    process::run("postrider-executor", async |mut start| {
        let config: Config = start.section();
        let (log, brokers): (LogSettings, KafkaSettings) = (start.section(), start.section());
        let (store, database): (StoreSettings, PostgresSettings) = (start.section(), start.section());
        config.check_drain("kafka.drain_timeout_ms", brokers.drain_timeout_ms, start.mistakes(Config::NAME));
        let process = start.begin().await?;
        let log = process.connect("kafka", async || kafka::Log::connect(&log, &brokers).await).await?;
        let store = postgres::Store::connect(&database, &store)?;
        let service = Service::bind(config, Ports::of(&log, &store, Arc::new(SystemClock))).await?;
        process.announce(&[])?;
        process.serve(service.readiness(), async |shutdown| service.run(shutdown).await).await
    })
}
