//! The distributor's process: Redis for the connection map, Postgres for the stored, Kafka for where `parked` ends.

use std::process::ExitCode;
use std::sync::Arc;

use postrider_distributor::{Config, Ports, Service};
use shared::config::{KafkaSettings, LogSettings, PostgresSettings, RedisSettings, StoreSettings};
use shared::descriptors::Descriptors;
use shared::{clock::SystemClock, log::kafka, process, registry::redis, store::postgres};

shared::allocator!();

fn main() -> ExitCode {
    process::run("postrider-distributor", async |mut start| {
        let mut config = Config { auth: start.section(), ..start.section() };
        let (log, brokers): (LogSettings, KafkaSettings) = (start.section(), start.section());
        let (store, database): (StoreSettings, PostgresSettings) = (start.section(), start.section());
        let redis: RedisSettings = start.section();
        let process = start.begin().await?;
        config.fit(Descriptors::provide_or_warn(config.http.connections));
        let log = process.connect("kafka", async || kafka::Log::connect(&log, &brokers).await).await?;
        let inbox = postgres::Store::connect(&database, &store)?;
        let (routes, clock) = (redis::Registry::new(&redis)?, Arc::new(SystemClock));
        let (nodes, flags, ends) = (routes.clone(), routes.clone(), log.clone());
        let ports = Ports { inbox, routes, nodes, flags, ends, appender: log, clock };
        let service = Service::bind(config, ports).await?;
        process.announce(&[("distributor", service.address())])?;
        process.serve(service.readiness(), async |shutdown| service.run(shutdown).await).await
    })
}
