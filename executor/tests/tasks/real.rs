//! Topics and a database of the test's own, on the engines that the environment names.

use std::sync::Arc;
use std::time::Duration;

use shared::config::{KafkaSettings, LogSettings, PostgresSettings, Secret, StoreSettings};
use shared::log::Provision as _;
use shared::log::kafka::{self, Admin};
use shared::store::Migrate as _;
use shared::store::postgres::Store;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

pub(crate) type Log = kafka::Log;
pub(crate) type Kept = ();
pub(crate) type Tasks = Store;

#[expect(clippy::disallowed_methods, reason = "tests find their engines in the environment")]
fn named(variable: &str) -> String {
    std::env::var(variable).expect("names an engine to test on; scripts/test starts one and sets it")
}

/// A log and a store of the test's own. They are left to be looked at.
pub(crate) async fn open(partitions: u32) -> (Arc<Log>, Arc<Store>, Kept) {
    let name = format!("tasks_{:016x}", rand::random::<u64>());
    let log = LogSettings { prefix: format!("{name}-"), partitions, ..LogSettings::default() };
    let kafka = KafkaSettings {
        brokers: named("POSTRIDER_TEST_KAFKA_BROKERS"),
        session_timeout_ms: Duration::from_secs(6),
        drain_timeout_ms: Duration::from_secs(5),
        request_timeout_ms: Duration::from_secs(15),
        ..KafkaSettings::default()
    };
    Admin::new(&log, &kafka).unwrap().ensure().await.unwrap();
    let log = Log::connect(&log, &kafka).await.unwrap();
    let url = named("POSTRIDER_TEST_POSTGRES_URL");
    let mut connection = PgConnection::connect(&url).await.unwrap();
    let create = AssertSqlSafe(format!("CREATE DATABASE {name}"));
    sqlx::raw_sql(create).execute(&mut connection).await.unwrap();
    let (server, query) = url.split_once('?').unwrap_or((url.as_str(), ""));
    let (server, _database) = server.rsplit_once('/').unwrap();
    let url = Secret::new(format!("{server}/{name}?{query}"));
    let database = PostgresSettings { url, connections: 4, timeout_ms: Duration::from_secs(10) };
    let store = Store::connect(&database, &StoreSettings::default()).unwrap();
    store.migrate().await.unwrap();
    (log, store, ())
}
