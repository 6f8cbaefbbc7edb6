//! Requeues in SQLite.

use async_trait::async_trait;
use sqlx::Connection as _;

use super::super::Store;
use crate::clock::Timestamp;
use crate::position::Position;
use crate::recipient::TenantId;
use crate::store::columns::{millis, signed, wide};
use crate::store::dead_columns::{LetterColumns, REQUESTING_TENANTS, RequestedColumns, ended, summary};
use crate::store::{DeadLetter, Error, Requested, Requeues, Settled};

const REQUESTED: &str = "SELECT epoch, partition, record_offset, tenant, key,
        CAST(octet_length(payload) AS bigint) AS size_bytes
    FROM dead_letters WHERE state = 'requeue_requested' AND tenant = $1
    ORDER BY epoch, partition, record_offset LIMIT $2";

const LETTER: &str = concat!(
    "SELECT ",
    summary!(),
    ", headers, payload FROM dead_letters WHERE state = 'requeue_requested'
    AND epoch = $1 AND partition = $2 AND record_offset = $3"
);

/// A discard that came between the append and this loses: what stands on the log is requeued.
const SETTLE: &str = "UPDATE dead_letters
    SET state = $4, changed_ms = $8, requeued_epoch = $5, requeued_partition = $6, requeued_offset = $7,
        requeueable = requeueable AND $4 <> 'dead'
    WHERE epoch = $1 AND partition = $2 AND record_offset = $3
        AND (state = 'requeue_requested' OR (state = 'discarded' AND $4 = 'requeued'))";

const WAITING: &str = "SELECT count(*) FROM (
        SELECT 1 FROM dead_letters WHERE state = 'requeue_requested' LIMIT $1
    )";

#[async_trait]
impl Requeues for Store {
    async fn requested(
        &self,
        after: Option<&TenantId>,
        tenants: u32,
        each: u32,
    ) -> Result<Vec<Requested>, Error> {
        let work = async {
            let mut held = self.reader().await?;
            let asking: Vec<String> = sqlx::query_scalar(REQUESTING_TENANTS)
                .bind(after.map_or("", TenantId::as_str))
                .bind(i64::from(tenants))
                .fetch_all(&mut *held)
                .await?;
            let mut found: Vec<RequestedColumns> = Vec::new();
            for tenant in asking {
                let own = sqlx::query_as(REQUESTED).bind(tenant).bind(i64::from(each));
                found.extend(own.fetch_all(&mut *held).await?);
            }
            held.release();
            found.into_iter().map(Requested::try_from).collect()
        };
        self.within("requested", work).await
    }

    async fn requested_letters(&self, positions: &[Position]) -> Result<Vec<DeadLetter>, Error> {
        let work = async {
            let mut held = self.reader().await?;
            let mut found: Vec<LetterColumns> = Vec::new();
            for position in positions {
                let one = sqlx::query_as(LETTER)
                    .bind(i64::from(position.epoch.0))
                    .bind(i64::from(position.partition.0))
                    .bind(signed("record_offset", position.offset)?);
                found.extend(one.fetch_optional(&mut *held).await?);
            }
            held.release();
            found.into_iter().map(DeadLetter::try_from).collect()
        };
        self.within("requested_letters", work).await
    }

    async fn settle(&self, settled: &[(Position, Settled)], now: Timestamp) -> Result<(), Error> {
        let work = async {
            let mut held = self.writer().await?;
            let mut transaction = held.begin_with("BEGIN IMMEDIATE").await?;
            for (position, settled) in settled {
                let (state, again) = ended(*settled);
                sqlx::query(SETTLE)
                    .bind(i64::from(position.epoch.0))
                    .bind(i64::from(position.partition.0))
                    .bind(signed("record_offset", position.offset)?)
                    .bind(state.as_str())
                    .bind(again.map(|at| i64::from(at.epoch.0)))
                    .bind(again.map(|at| i64::from(at.partition.0)))
                    .bind(again.map(|at| signed("requeued_offset", at.offset)).transpose()?)
                    .bind(millis(now))
                    .execute(&mut *transaction)
                    .await?;
            }
            transaction.commit().await?;
            held.release();
            Ok(())
        };
        self.within("settle", work).await
    }

    async fn waiting(&self, most: u32) -> Result<u64, Error> {
        let work = async {
            let mut held = self.reader().await?;
            let count: i64 = sqlx::query_scalar(WAITING).bind(i64::from(most)).fetch_one(&mut *held).await?;
            held.release();
            wide("count", count)
        };
        self.within("waiting", work).await
    }
}
