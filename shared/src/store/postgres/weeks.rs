//! The partitions of `stored`, one per week of expiry: made by whoever stores into one first, folded into gaps and
//! dropped when over. `inbox` calls.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use super::{Store, code, is_missing};
use crate::clock::Timestamp;
use crate::store::columns::{millis, wide};
use crate::store::failure::Failure;

const WEEK_MS: i64 = 7 * 24 * 3600 * 1000;

/// How long after its end a week is dropped. Processes whose clocks agree within this never store into one that goes.
const SKEW_MS: i64 = 3600 * 1000;

/// `pg_advisory_xact_lock` of whoever makes or drops a week: "postride" in ASCII.
const LOCK: i64 = 0x706f_7374_7269_6465;

/// A week of expiry, counted from the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Week(i64);

impl Week {
    pub(super) const fn of(expires_ms: i64) -> Self {
        Self(expires_ms.div_euclid(WEEK_MS))
    }

    fn table(self) -> String {
        format!("stored_w{}", self.0)
    }

    const fn start_ms(self) -> i64 {
        self.0.saturating_mul(WEEK_MS)
    }

    const fn end_ms(self) -> i64 {
        self.start_ms().saturating_add(WEEK_MS)
    }
}

/// The weeks that this process knows to be there. Another may have dropped one since: storing into it fails then.
#[derive(Default)]
pub(super) struct Weeks(Mutex<BTreeSet<Week>>);

impl Weeks {
    fn known(&self) -> MutexGuard<'_, BTreeSet<Week>> {
        // Single inserts and removals: a poisoned set is still a true one.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn forget(&self) {
        self.known().clear();
    }
}

/// Whether storing failed for want of a week: `check_violation`, "no partition of relation found for row".
pub(super) fn lacks_week(error: &sqlx::Error) -> bool {
    code(error).as_deref() == Some("23514")
}

impl Store {
    /// Makes those of `weeks` that are not there. Costs nothing for weeks that are known.
    pub(super) async fn ensure_weeks(&self, weeks: &BTreeSet<Week>) -> Result<(), Failure> {
        let unknown: Vec<Week> = weeks.difference(&self.weeks.known()).copied().collect();
        if unknown.is_empty() {
            return Ok(());
        }
        let mut held = self.hold().await?;
        let there = existing(&mut held).await?;
        let missing: Vec<Week> = unknown.iter().copied().filter(|week| !there.contains(week)).collect();
        if !missing.is_empty() {
            let mut transaction = held.begin().await?;
            lock(&mut transaction).await?;
            let create = |week: &Week| {
                format!(
                    "CREATE TABLE IF NOT EXISTS {} PARTITION OF stored FOR VALUES FROM ({}) TO ({});",
                    week.table(),
                    week.start_ms(),
                    week.end_ms()
                )
            };
            let statements: String = missing.iter().map(create).collect();
            sqlx::raw_sql(AssertSqlSafe(statements)).execute(&mut *transaction).await?;
            transaction.commit().await?;
        }
        held.release();
        self.weeks.known().extend(unknown);
        Ok(())
    }

    /// See [`crate::store::Inbox::expire`].
    pub(super) async fn expire_weeks(&self, now: Timestamp, limit: u32) -> Result<u64, Failure> {
        let now_ms = millis(now);
        let mut held = self.hold().await?;
        let begun: Vec<Week> =
            existing(&mut held).await?.into_iter().filter(|week| week.start_ms() <= now_ms).collect();
        for week in begun {
            let expired = if week.end_ms().saturating_add(SKEW_MS) <= now_ms {
                self.fold(&mut held, week).await
            } else {
                chip(&mut held, week, now_ms, limit).await
            };
            match expired {
                Ok(0) => {}
                Ok(count) => {
                    held.release();
                    return Ok(count);
                }
                // Another process dropped it meanwhile.
                Err(Failure::Sql(error)) if is_missing(&error) => {}
                Err(failure) => return Err(failure),
            }
        }
        held.release();
        Ok(0)
    }

    /// Turns the whole of a week that is over into gaps, and drops it.
    async fn fold(&self, connection: &mut PgConnection, week: Week) -> Result<u64, Failure> {
        let table = week.table();
        let mut transaction = connection.begin().await?;
        prepare_to_read_all(&mut transaction, self.settings.expire_timeout_ms).await?;
        lock(&mut transaction).await?;
        let fold = format!(
            "WITH lost AS (
                SELECT tenant, recipient, epoch, partition, 'expired' AS cause,
                    count(*) AS count, min(record_offset) AS first_offset, max(record_offset) AS last_offset
                FROM {table} GROUP BY tenant, recipient, epoch, partition
            ), told AS ({}) SELECT COALESCE(sum(count), 0)::bigint FROM lost",
            include_str!("tell.sql")
        );
        let count: i64 = sqlx::query_scalar(AssertSqlSafe(fold)).fetch_one(&mut *transaction).await?;
        sqlx::raw_sql(AssertSqlSafe(format!("DROP TABLE {table}"))).execute(&mut *transaction).await?;
        transaction.commit().await?;
        self.weeks.known().remove(&week);
        wide("count", count)
    }
}

/// Turns at most `limit` expired rows of a week into gaps.
async fn chip(connection: &mut PgConnection, week: Week, now_ms: i64, limit: u32) -> Result<u64, Failure> {
    let table = week.table();
    let chip = format!(
        "WITH gone AS (
            DELETE FROM {table} WHERE ctid = ANY (ARRAY(
                SELECT ctid FROM {table} WHERE expires_ms <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED
            )) RETURNING tenant, recipient, epoch, partition, record_offset
        ), lost AS (
            SELECT tenant, recipient, epoch, partition, 'expired' AS cause,
                count(*) AS count, min(record_offset) AS first_offset, max(record_offset) AS last_offset
            FROM gone GROUP BY tenant, recipient, epoch, partition
        ), told AS ({}) SELECT COALESCE(sum(count), 0)::bigint FROM lost",
        include_str!("tell.sql")
    );
    let count: i64 = sqlx::query_scalar(AssertSqlSafe(chip))
        .bind(now_ms)
        .bind(i64::from(limit))
        .fetch_one(connection)
        .await?;
    wide("count", count)
}

/// The weeks that are there, oldest first.
async fn existing(connection: &mut PgConnection) -> Result<BTreeSet<Week>, Failure> {
    let names: Vec<String> = sqlx::query_scalar(
        "SELECT child.relname::text FROM pg_inherits JOIN pg_class child ON child.oid = inhrelid
         WHERE inhparent = 'stored'::regclass",
    )
    .fetch_all(connection)
    .await?;
    let week = |name: &String| name.strip_prefix("stored_w").and_then(|number| number.parse().ok()).map(Week);
    Ok(names.iter().filter_map(week).collect())
}

async fn lock(connection: &mut PgConnection) -> Result<(), Failure> {
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(LOCK).execute(connection).await?;
    Ok(())
}

/// For this transaction: statements may take `limit`, and may scan a table.
async fn prepare_to_read_all(connection: &mut PgConnection, limit: Duration) -> Result<(), Failure> {
    sqlx::query("SELECT set_config('statement_timeout', $1, true), set_config('enable_seqscan', 'on', true)")
        .bind(limit.as_millis().to_string())
        .execute(connection)
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_week_holds_exactly_its_own_expiries() {
        for expires_ms in [0, 1, WEEK_MS - 1, WEEK_MS, 1_795_000_000_000] {
            let week = Week::of(expires_ms);
            assert!(week.start_ms() <= expires_ms && expires_ms < week.end_ms());
        }
    }
}
