//! The receiver's process: Kafka to append to, Postgres for the producers' keys.

use std::process::ExitCode;
use std::sync::Arc;

use postrider_receiver::{Config, Ports, Service};
use shared::clock::SystemClock;
use shared::config::{KafkaSettings, LogSettings, PostgresSettings, Section, StoreSettings};
use shared::descriptors::Descriptors;
use shared::log::kafka::Log;
use shared::process;
use shared::store::postgres::Store;

shared::allocator!();

fn main() -> ExitCode {
    process::run("postrider-receiver", async |mut start| {
        let mut config: Config = start.section();
        let (log, kafka): (LogSettings, KafkaSettings) = (start.section(), start.section());
        config.check_record(&log, start.mistakes(Config::NAME));
        let (store, postgres): (StoreSettings, PostgresSettings) = (start.section(), start.section());
        let process = start.begin().await?;
        config.http.connections = Descriptors::provide_or_warn(config.http.connections);
        let log = process.connect("kafka", async || Log::connect(&log, &kafka).await).await?;
        let store = Store::connect(&postgres, &store)?;
        let service = Service::bind(config, Ports::of(&log, &store, Arc::new(SystemClock))).await?;
        process.announce(&[("receiver", service.address())])?;
        process.serve(service.readiness(), async |shutdown| service.run(shutdown).await).await
    })
}
