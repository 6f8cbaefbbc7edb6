//! Requeues in Postgres.

use async_trait::async_trait;

use super::super::Store;
use crate::clock::Timestamp;
use crate::position::Position;
use crate::recipient::TenantId;
use crate::store::columns::{millis, signed, wide};
use crate::store::dead_columns::{LetterColumns, REQUESTING_TENANTS, RequestedColumns, ended, summary};
use crate::store::failure::Failure;
use crate::store::{DeadLetter, Error, Requested, Requeues, Settled};

const REQUESTED: &str = "SELECT d.epoch, d.partition, d.record_offset, d.tenant, d.key,
        CAST(octet_length(d.payload) AS bigint) AS size_bytes
    FROM UNNEST($1::text[]) WITH ORDINALITY AS t (tenant, number)
    CROSS JOIN LATERAL (
        SELECT * FROM dead_letters o WHERE o.state = 'requeue_requested' AND o.tenant = t.tenant
        ORDER BY o.epoch, o.partition, o.record_offset LIMIT $2
    ) d ORDER BY t.number, d.epoch, d.partition, d.record_offset";

const LETTERS: &str = concat!(
    "SELECT ",
    summary!(),
    ", headers, payload FROM dead_letters WHERE state = 'requeue_requested'
    AND (epoch, partition, record_offset) IN (SELECT * FROM UNNEST($1::bigint[], $2::bigint[], $3::bigint[]))"
);

/// A discard that came between the append and this loses: what stands on the log is requeued.
const SETTLE: &str = "UPDATE dead_letters AS d
    SET state = s.state, changed_ms = $8, requeued_epoch = s.new_epoch, requeued_partition = s.new_partition,
        requeued_offset = s.new_offset, requeueable = d.requeueable AND s.state <> 'dead'
    FROM UNNEST($1::bigint[], $2::bigint[], $3::bigint[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[])
        AS s (epoch, partition, record_offset, state, new_epoch, new_partition, new_offset)
    WHERE (d.epoch, d.partition, d.record_offset) = (s.epoch, s.partition, s.record_offset)
        AND (d.state = 'requeue_requested' OR (d.state = 'discarded' AND s.state = 'requeued'))";

const WAITING: &str = "SELECT count(*) FROM (
        SELECT 1 FROM dead_letters WHERE state = 'requeue_requested' LIMIT $1
    ) AS counted";

#[async_trait]
impl Requeues for Store {
    async fn requested(
        &self,
        after: Option<&TenantId>,
        tenants: u32,
        each: u32,
    ) -> Result<Vec<Requested>, Error> {
        let work = async {
            let mut held = self.hold().await?;
            let asking: Vec<String> = sqlx::query_scalar(REQUESTING_TENANTS)
                .bind(after.map_or("", TenantId::as_str))
                .bind(i64::from(tenants))
                .fetch_all(&mut *held)
                .await?;
            let found: Vec<RequestedColumns> =
                sqlx::query_as(REQUESTED).bind(asking).bind(i64::from(each)).fetch_all(&mut *held).await?;
            held.release();
            found.into_iter().map(Requested::try_from).collect()
        };
        self.within("requested", work).await
    }

    async fn requested_letters(&self, positions: &[Position]) -> Result<Vec<DeadLetter>, Error> {
        let work = async {
            let (epochs, partitions, offsets) = columns(positions.iter().copied())?;
            let mut held = self.hold().await?;
            let found: Vec<LetterColumns> = sqlx::query_as(LETTERS)
                .bind(epochs)
                .bind(partitions)
                .bind(offsets)
                .fetch_all(&mut *held)
                .await?;
            held.release();
            found.into_iter().map(DeadLetter::try_from).collect()
        };
        self.within("requested_letters", work).await
    }

    async fn settle(&self, settled: &[(Position, Settled)], now: Timestamp) -> Result<(), Error> {
        let work = async {
            let (epochs, partitions, offsets) = columns(settled.iter().map(|(position, _)| *position))?;
            let ended: Vec<_> = settled.iter().map(|(_, settled)| ended(*settled)).collect();
            let again = |number: fn(Position) -> u64| {
                let number = |at: &Option<Position>| at.map(number).map(|wide| signed("requeued", wide));
                ended.iter().map(|(_, at)| number(at).transpose()).collect::<Result<Vec<_>, _>>()
            };
            let mut held = self.hold().await?;
            sqlx::query(SETTLE)
                .bind(epochs)
                .bind(partitions)
                .bind(offsets)
                .bind(ended.iter().map(|(state, _)| state.as_str()).collect::<Vec<_>>())
                .bind(again(|at| u64::from(at.epoch.0))?)
                .bind(again(|at| u64::from(at.partition.0))?)
                .bind(again(|at| at.offset)?)
                .bind(millis(now))
                .execute(&mut *held)
                .await?;
            held.release();
            Ok(())
        };
        self.within("settle", work).await
    }

    async fn waiting(&self, most: u32) -> Result<u64, Error> {
        let work = async {
            let mut held = self.hold().await?;
            let count: i64 = sqlx::query_scalar(WAITING).bind(i64::from(most)).fetch_one(&mut *held).await?;
            held.release();
            wide("count", count)
        };
        self.within("waiting", work).await
    }
}

type Columns = (Vec<i64>, Vec<i64>, Vec<i64>);

fn columns(positions: impl Iterator<Item = Position>) -> Result<Columns, Failure> {
    let mut columns = Columns::default();
    for position in positions {
        columns.0.push(i64::from(position.epoch.0));
        columns.1.push(i64::from(position.partition.0));
        columns.2.push(signed("record_offset", position.offset)?);
    }
    Ok(columns)
}
