//! A database that lives for one measurement.

use std::sync::Arc;
use std::time::Duration;

use shared::config::{PostgresSettings, Secret, StoreSettings};
use shared::store::Migrate as _;
use shared::store::postgres::Store;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

pub(crate) struct Database {
    server: String,
    name: String,
    pub(crate) backend: u32,
    pub(crate) connection: PgConnection,
    pub(crate) store: Arc<Store>,
}

impl Database {
    /// One with our schema.
    pub(crate) async fn create(url: &str) -> Self {
        let name = format!("bench_{:016x}", rand::random::<u64>());
        let mut server = PgConnection::connect(url).await.unwrap();
        run(&mut server, &format!("CREATE DATABASE {name}")).await;
        let (base, _database) = url.rsplit_once('/').unwrap();
        let own = format!("{base}/{name}");
        let settings = PostgresSettings {
            url: Secret::new(own.clone()),
            connections: 4,
            timeout_ms: Duration::from_secs(30),
        };
        let store = Store::connect(&settings, &StoreSettings::default()).unwrap();
        store.migrate().await.unwrap();
        let mut connection = PgConnection::connect(&own).await.unwrap();
        let backend: i32 =
            sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut connection).await.unwrap();
        let backend = u32::try_from(backend).unwrap();
        Self { server: url.to_owned(), name, backend, connection, store }
    }

    /// Writes out what was written before, so that it is not paid for by what comes.
    pub(crate) async fn settle(&mut self) {
        run(&mut self.connection, "CHECKPOINT").await;
    }

    pub(crate) async fn execute(&mut self, statement: &str) {
        run(&mut self.connection, statement).await;
    }

    pub(crate) async fn count(&mut self, table: &str) -> i64 {
        let count = AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
        sqlx::query_scalar(count).fetch_one(&mut self.connection).await.unwrap()
    }

    pub(crate) async fn drop_now(self) {
        drop((self.connection, self.store));
        let mut server = PgConnection::connect(&self.server).await.unwrap();
        run(&mut server, &format!("DROP DATABASE {} WITH (FORCE)", self.name)).await;
    }
}

async fn run(connection: &mut PgConnection, statement: &str) {
    sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(connection).await.unwrap();
}
