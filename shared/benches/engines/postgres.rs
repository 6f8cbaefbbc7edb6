//! The store: rows archived in large batches and in small ones, pages read, rows deleted, through our adapter.

use std::sync::Arc;
use std::time::Duration;

use shared::config::{PostgresSettings, Secret, StoreSettings};
use shared::position::Cursor;
use shared::store::postgres::Store;
use shared::store::{Inbox as _, Migrate as _, PageRequest, StoredRow};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use super::server::Server;
use super::{port, sample, say, setting};

const ROWS: u64 = 100_000;
const LARGE: u64 = 2000;
/// In as many batches as there are recipients' rows for in the small ones.
const SMALL: u64 = 10;
const FEW: u64 = 10_000;
/// Sessions of a query.
const SESSIONS: usize = 64;

fn rows(first: u64, count: u64) -> Vec<StoredRow> {
    let row = |number| StoredRow {
        position: sample::position(number),
        notification: sample::notification(sample::recipient(number), number),
    };
    (first..first + count).map(row).collect()
}

async fn archive(store: &Store, first: u64, count: u64, batch: u64) {
    for from in (first..first + count).step_by(batch as usize) {
        let rows = rows(from, batch);
        let now = rows[0].notification.time;
        store.archive(sample::PARTITION, from, from + batch, &rows, now).await.unwrap();
    }
}

async fn database(url: &str) -> (String, PgConnection) {
    let name = format!("bench_{:016x}", rand::random::<u64>());
    let mut connection = PgConnection::connect(url).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&mut connection).await.unwrap();
    (name, connection)
}

/// How large the database is.
async fn bytes(connection: &mut PgConnection, name: &str) -> f64 {
    let size = sqlx::query_scalar::<_, i64>("SELECT pg_database_size($1)").bind(name);
    size.fetch_one(connection).await.unwrap() as f64
}

fn connect(url: &str, name: &str) -> Arc<Store> {
    let (server, query) = url.split_once('?').map_or((url, ""), |(server, query)| (server, query));
    let (server, _database) = server.rsplit_once('/').unwrap();
    let url = Secret::new(format!("{server}/{name}?{query}"));
    let settings = PostgresSettings { url, connections: 4, timeout_ms: Duration::from_secs(120) };
    Store::connect(&settings, &StoreSettings::default()).unwrap()
}

pub(super) async fn run() {
    let url = setting("POSTRIDER_TEST_POSTGRES_URL");
    let server = Server::at(port(&url));
    let (name, mut connection) = database(&url).await;
    let store = connect(&url, &name);
    store.migrate().await.unwrap();
    let per = |what: &str, from: f64, count: u64| -> f64 {
        let used = (server.cpu() - from) * 1e6 / count as f64;
        say(&format!("Postgres: {what}"), used, "us");
        used
    };
    let empty = bytes(&mut connection, &name).await;
    let from = server.cpu();
    archive(&store, 0, ROWS, LARGE).await;
    let stored = (bytes(&mut connection, &name).await - empty) / ROWS as f64;
    say("Postgres: disk for a row of 256 bytes, indexes included", stored, "B");
    let row = per("a row is stored, 2,000 to a transaction", from, ROWS);
    let from = server.cpu();
    archive(&store, ROWS, FEW, SMALL).await;
    let small = per("a row is stored, 10 to a transaction", from, FEW);
    say("Postgres: a transaction, whatever it stores", (small - row) * SMALL as f64, "us");
    drained(&store, &per).await;
    let deletes =
        (0..ROWS).map(|number| (sample::recipient(number), Cursor::after(sample::position(number))));
    let from = server.cpu();
    for batch in deletes.collect::<Vec<_>>().chunks(SESSIONS) {
        store.delete(batch).await.unwrap();
    }
    per("a row is deleted, 64 clients to a statement", from, ROWS);
    drop(store);
    let drop = AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)"));
    sqlx::raw_sql(drop).execute(&mut connection).await.unwrap();
}

async fn drained(store: &Store, per: &impl Fn(&str, f64, u64) -> f64) {
    let request = |number| PageRequest {
        recipient: sample::recipient(number),
        partition: sample::PARTITION,
        from: Cursor::start(shared::position::Epoch(1), sample::PARTITION),
        limit: 128,
    };
    let requests: Vec<PageRequest> = (0..ROWS).map(request).collect();
    let server = Server::at(port(&setting("POSTRIDER_TEST_POSTGRES_URL")));
    let from = server.cpu();
    let mut found = 0;
    for batch in requests.chunks(SESSIONS) {
        found += store.pages(batch).await.unwrap().iter().map(|page| page.rows.len() as u64).sum::<u64>();
    }
    assert_eq!(found, ROWS);
    per("a client's page of one row is read, 64 clients to a query", from, ROWS);
}
