//! How an SQL adapter fails inside, before it says so in the port's words.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::{Database, Pool, Transaction};

use super::Error;

/// Why a call did not do its work.
#[derive(Debug)]
pub(super) enum Failure {
    /// The driver or the engine.
    Sql(sqlx::Error),
    /// Another value stood there than the caller expected.
    Conflict,
    /// A value that cannot be held, or that no version of ours wrote.
    Value(Box<dyn std::error::Error + Send + Sync>),
    /// Applying migrations.
    Migrate(sqlx::migrate::MigrateError),
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<sqlx::migrate::MigrateError> for Failure {
    fn from(error: sqlx::migrate::MigrateError) -> Self {
        Self::Migrate(error)
    }
}

/// The schema is not there, or is not this version's.
#[derive(Debug, thiserror::Error)]
#[error("the schema is missing or of another version: run `postrider migrate`")]
pub(super) struct SchemaMissing(#[source] pub(super) sqlx::Error);

/// A column holds, or a value is, what the other side cannot hold.
#[derive(Debug, thiserror::Error)]
#[error("{column} {why}")]
pub(super) struct Unfit {
    pub(super) column: &'static str,
    pub(super) why: String,
}

impl Unfit {
    pub(super) fn failure(column: &'static str, why: impl fmt::Display) -> Failure {
        Failure::Value(Box::new(Self { column, why: why.to_string() }))
    }
}

/// The call took longer than it may.
#[derive(Debug, thiserror::Error)]
#[error("no answer within {} ms", .0.as_millis())]
struct TooSlow(Duration);

/// Bounds `work` and says its failure in the port's words; `classify` knows the engine's errors.
pub(super) async fn within<T>(
    limit: Duration,
    classify: impl Fn(sqlx::Error) -> Error,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Error> {
    match tokio::time::timeout(limit, work).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(Failure::Sql(error))) => Err(classify(error)),
        Ok(Err(Failure::Migrate(sqlx::migrate::MigrateError::Execute(error)))) => Err(classify(error)),
        Ok(Err(Failure::Migrate(error))) => Err(Error::Rejected(Box::new(error))),
        Ok(Err(Failure::Conflict)) => Err(Error::Conflict),
        Ok(Err(Failure::Value(error))) => Err(Error::Rejected(error)),
        Err(_elapsed) => Err(Error::Unavailable(Some(Box::new(TooSlow(limit))))),
    }
}

/// Ends `transaction` as `done` says: only a conflict leaves its connection as sound as success does.
pub(super) async fn settle<DB: Database, T>(
    transaction: Transaction<'_, DB>,
    done: Result<T, Failure>,
) -> Result<Result<T, Failure>, Failure> {
    match done {
        Ok(value) => {
            transaction.commit().await?;
            Ok(Ok(value))
        }
        Err(Failure::Conflict) => {
            transaction.rollback().await?;
            Ok(Err(Failure::Conflict))
        }
        Err(failure @ (Failure::Sql(_) | Failure::Value(_) | Failure::Migrate(_))) => Err(failure),
    }
}

/// A connection of the pool that goes back to it only when [`Held::release`] says that it is sound. Whoever fails or is
/// cut off closes it: the pool's own check has no deadline, and a peer that vanished would keep the place for ever.
pub(super) struct Held<DB: Database> {
    connection: PoolConnection<DB>,
    sound: bool,
}

impl<DB: Database> Held<DB> {
    pub(super) async fn take(pool: &Pool<DB>) -> Result<Self, Failure> {
        Ok(Self { connection: pool.acquire().await?, sound: false })
    }

    pub(super) fn release(mut self) {
        self.sound = true;
    }
}

impl<DB: Database> std::ops::Deref for Held<DB> {
    type Target = DB::Connection;
    fn deref(&self) -> &DB::Connection {
        &self.connection
    }
}

impl<DB: Database> std::ops::DerefMut for Held<DB> {
    fn deref_mut(&mut self) -> &mut DB::Connection {
        &mut self.connection
    }
}

impl<DB: Database> Drop for Held<DB> {
    fn drop(&mut self) {
        if !self.sound {
            self.connection.close_on_drop();
        }
    }
}
