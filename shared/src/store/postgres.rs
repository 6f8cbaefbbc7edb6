//! The store in Postgres. `inbox` stores (`archive`), reads (`snapshot`) and deletes notifications; `weeks` makes and drops
//! the partitions they lie in; `dead` keeps dead letters; `keys` producers' keys; `tasks` tasks, and the others what those
//! need. No call makes more round trips for more rows.

mod archive;
mod batch;
mod bindings;
mod copy;
mod dead;
mod inbox;
mod key_values;
mod keys;
mod modules;
mod room;
mod schedules;
mod snapshot;
mod tasks;
mod weeks;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::Postgres;
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};

use self::room::Room;
use self::weeks::Weeks;
use super::columns::{signed, wide};
use super::failure::{Failure, Held, SchemaMissing, within};
use super::{Error, Migrate, metrics};
use crate::config::{PostgresSettings, StoreSettings};
use crate::position::PartitionId;

const ENGINE: &str = "postgres";

static MIGRATOR: Migrator = sqlx::migrate!("./migrations/postgres");

/// The store in Postgres. Connects when first used, and again whenever a connection is lost.
pub struct Store {
    pool: PgPool,
    options: PgConnectOptions,
    timeout: Duration,
    settings: StoreSettings,
    weeks: Weeks,
    room: Room,
}

impl Store {
    /// A store that connects when it is first used. Needs a tokio runtime around it.
    ///
    /// # Errors
    /// [`Error::Rejected`] when the URL is none.
    pub fn connect(postgres: &PostgresSettings, settings: &StoreSettings) -> Result<Arc<Self>, Error> {
        let options: PgConnectOptions = postgres.url.expose().parse().map_err(classify)?;
        let options = options.application_name("postrider");
        let limit_ms = postgres.timeout_ms.as_millis();
        let limited = options.clone().options([
            ("statement_timeout", limit_ms.to_string()),
            ("lock_timeout", limit_ms.to_string()),
            // Every statement of ours probes indexes. A week that has just begun has no statistics, and a plan made for
            // it while it was empty must not scan it when it is full; compiling such plans would cost more than them.
            ("enable_seqscan", "off".to_owned()),
            ("jit", "off".to_owned()),
            // A plan for a batch of ten, kept for one of a thousand, joins the batch with itself row by row.
            ("plan_cache_mode", "force_custom_plan".to_owned()),
            // A process that vanished in a transaction must not hold its locks for longer than it may work.
            ("idle_in_transaction_session_timeout", (2 * limit_ms).to_string()),
        ]);
        let pool = PgPoolOptions::new()
            .max_connections(postgres.connections)
            .acquire_timeout(postgres.timeout_ms)
            .connect_lazy_with(limited);
        let settings = settings.clone();
        let (weeks, room) = (Weeks::default(), Room::default());
        Ok(Arc::new(Self { pool, options, timeout: postgres.timeout_ms, settings, weeks, room }))
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

    async fn hold(&self) -> Result<Held<Postgres>, Failure> {
        Held::take(&self.pool).await
    }
}

#[async_trait]
impl Migrate for Store {
    async fn migrate(&self) -> Result<u64, Error> {
        // On a connection of its own: a migration may take longer than a query, and its lock lives as long as it does.
        let work = async {
            let pool = PgPoolOptions::new()
                .max_connections(1)
                .acquire_timeout(self.timeout)
                .connect_lazy_with(self.options.clone());
            MIGRATOR.run(&pool).await?;
            pool.close().await;
            Ok(MIGRATOR.iter().count() as u64)
        };
        self.within_limit("migrate", self.settings.migrate_timeout_ms, work).await
    }

    async fn is_current(&self) -> Result<bool, Error> {
        let work = async {
            let mut held = self.hold().await?;
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
    connection: &mut PgConnection,
    topic: &'static str,
    partition: PartitionId,
) -> Result<u64, Failure> {
    let upto: Option<i64> =
        sqlx::query_scalar("SELECT upto FROM progress WHERE topic = $1 AND partition = $2")
            .bind(topic)
            .bind(i64::from(partition.0))
            .fetch_optional(connection)
            .await?;
    upto.map_or(Ok(0), |upto| wide("upto", upto))
}

/// Moves the progress of `topic` if it still is at `from`, and answers whether it was. Whoever else tries waits until
/// the transaction ends.
async fn advance(
    connection: &mut PgConnection,
    topic: &'static str,
    partition: PartitionId,
    from: u64,
    to: u64,
) -> Result<bool, Failure> {
    let statement = if from == 0 {
        "INSERT INTO progress (topic, partition, upto) VALUES ($1, $2, $4)
         ON CONFLICT (topic, partition) DO UPDATE SET upto = $4 WHERE progress.upto = $3"
    } else {
        "UPDATE progress SET upto = $4 WHERE topic = $1 AND partition = $2 AND upto = $3"
    };
    let moved = sqlx::query(statement)
        .bind(topic)
        .bind(i64::from(partition.0))
        .bind(signed("upto", from)?)
        .bind(signed("upto", to)?)
        .execute(connection)
        .await?;
    Ok(moved.rows_affected() == 1)
}

/// Whoever else asks for `what` waits until the transaction ends.
async fn one_at_a_time(connection: &mut PgConnection, what: &str) -> Result<(), Failure> {
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))")
        .bind(what)
        .execute(connection)
        .await?;
    Ok(())
}

fn code(error: &sqlx::Error) -> Option<String> {
    error.as_database_error().and_then(|error| error.code()).map(|code| code.into_owned())
}

/// `undefined_table` or `undefined_column`.
fn is_missing(error: &sqlx::Error) -> bool {
    matches!(code(error).as_deref(), Some("42P01" | "42703"))
}

/// What a caller can do about `error`, by its SQLSTATE (PostgreSQL manual, appendix A).
fn classify(error: sqlx::Error) -> Error {
    if is_missing(&error) {
        return Error::Rejected(Box::new(SchemaMissing(error)));
    }
    let passing = match &error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::BeginFailed => true,
        _ => code(&error).is_some_and(|code| {
            // Connection, transaction rollback, resources, operator, system; lock not available, read-only (a replica).
            ["08", "40", "53", "57", "58"].iter().any(|class| code.starts_with(class))
                || code == "55P03"
                || code == "25006"
        }),
    };
    if passing { Error::Unavailable(Some(Box::new(error))) } else { Error::Rejected(Box::new(error)) }
}
