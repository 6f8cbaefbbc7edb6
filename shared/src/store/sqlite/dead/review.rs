//! Looking at dead letters in SQLite, and deciding about them.

use async_trait::async_trait;

use super::super::Store;
use crate::clock::Timestamp;
use crate::position::Position;
use crate::recipient::TenantId;
use crate::store::columns::{millis, signed, text, wide};
use crate::store::dead_columns::{LetterColumns, SummaryColumns, bind_filter, filtered, summary};
use crate::store::{DeadChange, DeadFilter, DeadLetter, DeadReview, DeadSummary, Error};

const LIST: &str = concat!(
    "SELECT ",
    summary!(),
    " FROM dead_letters WHERE ",
    filtered!(),
    " AND (time_ms, epoch, partition, record_offset) < ($11, $12, $13, $14)
    ORDER BY time_ms DESC, epoch DESC, partition DESC, record_offset DESC LIMIT $15"
);

const GET: &str = concat!(
    "SELECT ",
    summary!(),
    ", headers, payload FROM dead_letters WHERE epoch = $1 AND partition = $2 AND record_offset = $3
    AND (CAST($4 AS text) IS NULL OR tenant = $4)"
);

const COUNT: &str =
    concat!("SELECT count(*) FROM (SELECT 1 FROM dead_letters WHERE ", filtered!(), " LIMIT $11) AS counted");

macro_rules! change {
    ($set:literal) => {
        concat!(
            "UPDATE dead_letters SET changed_ms = $12, changed_by = $13, ",
            $set,
            " WHERE (epoch, partition, record_offset) IN (
                SELECT epoch, partition, record_offset FROM dead_letters WHERE ",
            filtered!(),
            " ORDER BY epoch, partition, record_offset LIMIT $11
            )"
        )
    };
}

const REQUEUE: &str = change!("state = 'requeue_requested'");
const DISCARD: &str = change!("state = 'discarded', headers = x'', payload = x''");

#[async_trait]
impl DeadReview for Store {
    async fn list_dead(
        &self,
        filter: &DeadFilter,
        after: Option<(Timestamp, Position)>,
        limit: u32,
    ) -> Result<Vec<DeadSummary>, Error> {
        let work = async {
            let most = i64::MAX;
            let place = |place: fn(Position) -> u32| after.map_or(most, |(_, at)| i64::from(place(at)));
            let offset = after.map_or(Ok(most), |(_, at)| signed("record_offset", at.offset))?;
            let mut held = self.reader().await?;
            let found: Vec<SummaryColumns> = bind_filter!(sqlx::query_as(LIST), filter, None)
                .bind(after.map_or(most, |(time, _)| millis(time)))
                .bind(place(|at| at.epoch.0))
                .bind(place(|at| at.partition.0))
                .bind(offset)
                .bind(i64::from(limit))
                .fetch_all(&mut *held)
                .await?;
            held.release();
            found.into_iter().map(DeadSummary::try_from).collect()
        };
        self.within("list_dead", work).await
    }

    async fn get_dead(
        &self,
        tenant: Option<&TenantId>,
        position: Position,
    ) -> Result<Option<DeadLetter>, Error> {
        let work = async {
            // An offset beyond what a column holds is nobody's.
            let Ok(offset) = i64::try_from(position.offset) else { return Ok(None) };
            let mut held = self.reader().await?;
            let found: Option<LetterColumns> = sqlx::query_as(GET)
                .bind(i64::from(position.epoch.0))
                .bind(i64::from(position.partition.0))
                .bind(offset)
                .bind(tenant.map(TenantId::as_str))
                .fetch_optional(&mut *held)
                .await?;
            held.release();
            found.map(DeadLetter::try_from).transpose()
        };
        self.within("get_dead", work).await
    }

    async fn count_dead(&self, filter: &DeadFilter, change: DeadChange, most: u32) -> Result<u64, Error> {
        let work = async {
            let mut held = self.reader().await?;
            let count: i64 = bind_filter!(sqlx::query_scalar(COUNT), filter, Some(change))
                .bind(i64::from(most))
                .fetch_one(&mut *held)
                .await?;
            held.release();
            wide("count", count)
        };
        self.within("count_dead", work).await
    }

    async fn change_dead(
        &self,
        filter: &DeadFilter,
        change: DeadChange,
        by: &str,
        now: Timestamp,
        limit: u32,
    ) -> Result<u64, Error> {
        let work = async {
            let statement = match change {
                DeadChange::Requeue => REQUEUE,
                DeadChange::Discard => DISCARD,
            };
            let mut held = self.writer().await?;
            let changed = bind_filter!(sqlx::query(statement), filter, Some(change))
                .bind(i64::from(limit))
                .bind(millis(now))
                .bind(text(by))
                .execute(&mut *held)
                .await?;
            held.release();
            Ok(changed.rows_affected())
        };
        self.within("change_dead", work).await
    }
}
