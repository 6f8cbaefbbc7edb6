//! The store in one SQLite file, for one process. One connection writes, a few read beside it (write-ahead log); a
//! write is on disk when it is answered. The files below it match those of `postgres`.

mod bindings;
mod dead;
mod inbox;
mod key_values;
mod keys;
mod modules;
mod schedules;
mod tasks;
mod write;

use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::Sqlite;
use sqlx::migrate::Migrator;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};

use super::columns::{signed, wide};
use super::failure::{Failure, Held, SchemaMissing, within};
use super::{Error, Migrate, metrics};
use crate::config::StoreSettings;
use crate::position::PartitionId;

const ENGINE: &str = "sqlite";

static MIGRATOR: Migrator = sqlx::migrate!("./migrations/sqlite");

/// The store in one SQLite file. Opens it when first used.
pub struct Store {
    writer: SqlitePool,
    readers: SqlitePool,
    timeout: Duration,
    settings: StoreSettings,
}

impl Store {
    /// A store in the file at `path`, which is made when it is not there; its directory must be. Needs a tokio runtime
    /// around it.
    ///
    /// # Errors
    /// None today; a file that cannot be opened is found by the first call.
    pub fn open(path: impl AsRef<Path>, settings: &StoreSettings) -> Result<Arc<Self>, Error> {
        let timeout = settings.embedded_timeout_ms;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(timeout);
        let pool = |connections| {
            SqlitePoolOptions::new()
                .max_connections(connections)
                .acquire_timeout(timeout)
                .test_before_acquire(false)
                .idle_timeout(None)
                .max_lifetime(None)
                .connect_lazy_with(options.clone())
        };
        let (writer, readers) = (pool(1), pool(settings.embedded_readers));
        Ok(Arc::new(Self { writer, readers, timeout, settings: settings.clone() }))
    }

    /// Closes the file once the calls under way have ended; later ones are [`Error::Unavailable`].
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    fn within<T>(
        &self,
        operation: &'static str,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> impl Future<Output = Result<T, Error>> {
        self.within_limit(operation, self.timeout, work)
    }

    fn within_limit<T>(
        &self,
        operation: &'static str,
        limit: Duration,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> impl Future<Output = Result<T, Error>> {
        // In a box: the driver's futures are large, and each layer around one would hold a copy.
        metrics::timed(ENGINE, operation, within(limit, classify, Box::pin(work)))
    }

    async fn reader(&self) -> Result<Held<Sqlite>, Failure> {
        Held::take(&self.readers).await
    }

    async fn writer(&self) -> Result<Held<Sqlite>, Failure> {
        Held::take(&self.writer).await
    }
}

#[async_trait]
impl Migrate for Store {
    async fn migrate(&self) -> Result<u64, Error> {
        let work = async {
            MIGRATOR.run(&self.writer).await?;
            Ok(MIGRATOR.iter().count() as u64)
        };
        self.within_limit("migrate", self.settings.migrate_timeout_ms, work).await
    }

    async fn is_current(&self) -> Result<bool, Error> {
        let work = async {
            let mut held = self.reader().await?;
            let applied: Vec<(i64, Vec<u8>)> =
                sqlx::query_as("SELECT version, checksum FROM _sqlx_migrations WHERE success")
                    .fetch_all(&mut *held)
                    .await
                    .or_else(|error| if is_missing(&error) { Ok(Vec::new()) } else { Err(error) })?;
            held.release();
            Ok(MIGRATOR.iter().all(|needed| {
                applied.iter().any(|(version, sum)| *version == needed.version && **sum == *needed.checksum)
            }))
        };
        self.within("is_current", work).await
    }
}

/// How far `topic` of `partition` has been archived.
async fn progress(
    connection: &mut SqliteConnection,
    topic: &'static str,
    partition: PartitionId,
) -> Result<u64, Failure> {
    let upto: Option<i64> =
        sqlx::query_scalar("SELECT upto FROM progress WHERE topic = ?1 AND partition = ?2")
            .bind(topic)
            .bind(i64::from(partition.0))
            .fetch_optional(connection)
            .await?;
    upto.map_or(Ok(0), |upto| wide("upto", upto))
}

/// Moves the progress of `topic` if it still is at `from`, and answers whether it was.
async fn advance(
    connection: &mut SqliteConnection,
    topic: &'static str,
    partition: PartitionId,
    from: u64,
    to: u64,
) -> Result<bool, Failure> {
    if progress(connection, topic, partition).await? != from {
        return Ok(false);
    }
    sqlx::query("INSERT OR REPLACE INTO progress (topic, partition, upto) VALUES (?1, ?2, ?3)")
        .bind(topic)
        .bind(i64::from(partition.0))
        .bind(signed("upto", to)?)
        .execute(connection)
        .await?;
    Ok(true)
}

fn is_missing(error: &sqlx::Error) -> bool {
    let message = error.as_database_error().map_or("", |error| error.message());
    message.starts_with("no such table") || message.starts_with("no such column")
}

/// What a caller can do about `error`, by its primary result code (SQLite, "Result and Error Codes").
fn classify(error: sqlx::Error) -> Error {
    /// `SQLITE_BUSY`, `_LOCKED`, `_INTERRUPT`, `_IOERR`, `_FULL`, `_CANTOPEN`, `_PROTOCOL`.
    const PASSING: [i32; 7] = [5, 6, 9, 10, 13, 14, 15];
    if is_missing(&error) {
        return Error::Rejected(Box::new(SchemaMissing(error)));
    }
    let passing = match &error {
        sqlx::Error::Io(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::BeginFailed => true,
        _ => {
            let code = error.as_database_error().and_then(|error| error.code());
            code.and_then(|code| code.parse::<i32>().ok())
                .is_some_and(|code| PASSING.contains(&(code & 0xff)))
        }
    };
    if passing { Error::Unavailable(Some(Box::new(error))) } else { Error::Rejected(Box::new(error)) }
}
