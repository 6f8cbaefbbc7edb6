//! The store contract, on a real Postgres: `POSTRIDER_TEST_POSTGRES_URL`, as `scripts/test` sets it. Every test works in
//! a database of its own.

use std::sync::Arc;
use std::time::Duration;

use shared::config::{PostgresSettings, Secret, StoreSettings};
use shared::position::PartitionId;
use shared::store::contract::{self, quota};
use shared::store::postgres::Store;
use shared::store::{Error, Inbox as _, Migrate as _};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

#[expect(clippy::disallowed_methods, reason = "the one setting of this test")]
fn url() -> String {
    std::env::var("POSTRIDER_TEST_POSTGRES_URL").expect(
        "POSTRIDER_TEST_POSTGRES_URL names the Postgres to test on; scripts/test starts one and sets it",
    )
}

/// A database of a test's own. Dropped by [`Database::drop_now`]; a failed test leaves it to be looked at.
struct Database {
    name: String,
}

impl Database {
    async fn create() -> Self {
        let name = format!("test_{:016x}", rand::random::<u64>());
        let mut connection = PgConnection::connect(&url()).await.expect("the test Postgres");
        let create = AssertSqlSafe(format!("CREATE DATABASE {name}"));
        sqlx::raw_sql(create).execute(&mut connection).await.expect("a database");
        Self { name }
    }

    fn settings(&self) -> PostgresSettings {
        let url = url();
        let (server, query) =
            url.split_once('?').map_or((url.as_str(), ""), |(server, query)| (server, query));
        let (server, _database) = server.rsplit_once('/').expect("a database in the URL");
        let url = Secret::new(format!("{server}/{}?{query}", self.name));
        PostgresSettings { url, connections: 4, timeout_ms: Duration::from_secs(10) }
    }

    fn store(&self) -> Arc<Store> {
        let settings = StoreSettings { recipient_quota: quota::QUOTA, ..StoreSettings::default() };
        Store::connect(&self.settings(), &settings).expect("a store")
    }

    async fn drop_now(self) {
        let mut connection = PgConnection::connect(&url()).await.expect("the test Postgres");
        let drop = AssertSqlSafe(format!("DROP DATABASE {} WITH (FORCE)", self.name));
        sqlx::raw_sql(drop).execute(&mut connection).await.expect("the database dropped");
    }
}

async fn store() -> (Arc<Store>, Database) {
    let database = Database::create().await;
    let store = database.store();
    store.migrate().await.expect("the schema");
    (store, database)
}

#[tokio::test]
async fn the_inbox_keeps_the_contract() {
    let (store, database) = store().await;
    contract::inbox::all(&*store).await;
    database.drop_now().await;
}

#[tokio::test]
async fn the_quota_keeps_the_contract() {
    let (store, database) = store().await;
    quota::all(&*store).await;
    database.drop_now().await;
}

#[tokio::test]
async fn archivers_by_turns_keep_one_quota() {
    let (store, database) = store().await;
    quota::archivers_by_turns_keep_one_quota(&*store, &*database.store()).await;
    database.drop_now().await;
}

#[tokio::test]
async fn expiry_keeps_the_contract() {
    let (store, database) = store().await;
    contract::expiry::all(&*store).await;
    database.drop_now().await;
}

#[tokio::test]
async fn dead_letters_keep_the_contract() {
    let (store, database) = store().await;
    contract::dead::all(&*store).await;
    database.drop_now().await;
}

#[tokio::test]
async fn keys_keep_the_contract() {
    let (store, database) = store().await;
    contract::keys::all(&*store).await;
    database.drop_now().await;
}

#[tokio::test]
async fn modules_keep_the_contract() {
    let (store, database) = store().await;
    contract::modules::all(&*store).await;
    database.drop_now().await;
}

#[tokio::test]
async fn schedules_keep_the_contract() {
    let (store, database) = store().await;
    contract::schedules::all(&*store).await;
    database.drop_now().await;
}

#[tokio::test]
async fn the_small_store_of_tasks_keeps_the_contract() {
    let (store, database) = store().await;
    contract::key_values::all(&*store).await;
    database.drop_now().await;
}

#[tokio::test]
async fn tasks_keep_the_contract() {
    let (store, database) = store().await;
    contract::tasks::all(&*store).await;
    database.drop_now().await;
}

#[tokio::test]
async fn a_store_without_its_schema_says_what_to_run() {
    let database = Database::create().await;
    let (store, other) = (database.store(), database.store());
    assert!(!store.is_current().await.unwrap());
    let Err(Error::Rejected(why)) = store.archived_upto(PartitionId(0)).await else {
        panic!("answered without a schema");
    };
    assert!(why.to_string().contains("postrider migrate"), "{why}");
    let (one, two) = tokio::join!(store.migrate(), other.migrate());
    assert_eq!((one.unwrap(), two.unwrap()), (4, 4));
    assert!(store.is_current().await.unwrap());
    database.drop_now().await;
}

/// Several processes store into a week that none has stored into.
#[tokio::test]
async fn a_week_is_made_once_however_many_begin_it() {
    let (store, database) = store().await;
    let others = [database.store(), database.store(), database.store()];
    let archive = |store: Arc<Store>, number| async move { contract::race::archive(&*store, number).await };
    let [one, two, three] = others;
    tokio::join!(archive(one, 1), archive(two, 2), archive(three, 3), archive(store, 4));
    database.drop_now().await;
}

/// One process knows of a week that another, whose clock is ahead, has dropped.
#[tokio::test]
async fn a_week_that_another_process_dropped_is_made_again() {
    let (store, database) = store().await;
    let ahead = database.store();
    contract::race::archive(&*store, 1).await;
    let later = contract::NOW.after(Duration::from_secs(90 * 24 * 3600));
    assert_eq!(ahead.expire(later, 1).await.unwrap(), 5, "a week that is over goes at once");
    assert_eq!(ahead.expire(later, 1).await.unwrap(), 0);
    contract::race::archive(&*store, 2).await;
    database.drop_now().await;
}

/// The server ends every session: calls that follow are answered, after at most a few that are unavailable.
#[tokio::test]
async fn a_store_whose_connections_were_cut_goes_on() {
    let (store, database) = store().await;
    assert_eq!(store.archived_upto(PartitionId(0)).await.unwrap(), 0);
    let mut connection = PgConnection::connect(&url()).await.unwrap();
    sqlx::query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1")
        .bind(&database.name)
        .execute(&mut connection)
        .await
        .unwrap();
    tokio::time::timeout(Duration::from_secs(10), async {
        loop {
            match store.archived_upto(PartitionId(0)).await {
                Ok(upto) => break assert_eq!(upto, 0),
                Err(Error::Unavailable(_)) => tokio::time::sleep(Duration::from_millis(20)).await,
                Err(error) => panic!("{error:?}"),
            }
        }
    })
    .await
    .expect("answered again within ten seconds");
    database.drop_now().await;
}

#[tokio::test]
async fn a_silent_postgres_is_unavailable_within_the_deadline() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Secret::new(format!("postgres://nobody@{}/nothing", silent.local_addr().unwrap()));
    let settings = PostgresSettings { url, timeout_ms: Duration::from_millis(300), connections: 2 };
    let store = Store::connect(&settings, &StoreSettings::default()).unwrap();
    let asked = tokio::time::Instant::now();
    assert!(matches!(store.archived_upto(PartitionId(0)).await, Err(Error::Unavailable(_))));
    assert!(asked.elapsed() < Duration::from_secs(3));
}
