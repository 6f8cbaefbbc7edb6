//! Dead letters in Postgres.

use async_trait::async_trait;
use sqlx::{Connection as _, PgConnection};

use super::{Store, advance, progress};
use crate::position::{PartitionId, Position};
use crate::recipient::TenantId;
use crate::store::columns::{DeadColumns, millis, pack_headers, signed, text};
use crate::store::failure::Failure;
use crate::store::{DeadLetters, DeadRow, Error};

const TOPIC: &str = "dead";

#[async_trait]
impl DeadLetters for Store {
    async fn dead_upto(&self, partition: PartitionId) -> Result<u64, Error> {
        let work = async {
            let mut held = self.hold().await?;
            let upto = progress(&mut held, TOPIC, partition).await?;
            held.release();
            Ok(upto)
        };
        self.within("dead_upto", work).await
    }

    async fn archive_dead(
        &self,
        partition: PartitionId,
        from: u64,
        to: u64,
        rows: &[DeadRow],
    ) -> Result<(), Error> {
        let work = async {
            let mut held = self.hold().await?;
            let mut transaction = held.begin().await?;
            if !advance(&mut transaction, TOPIC, partition, from, to).await? {
                transaction.rollback().await?;
                held.release();
                return Err(Failure::Conflict);
            }
            insert(&mut transaction, rows).await?;
            transaction.commit().await?;
            held.release();
            Ok(())
        };
        self.within("archive_dead", work).await
    }

    async fn list_dead(
        &self,
        tenant: Option<&TenantId>,
        after: Option<Position>,
        limit: u32,
    ) -> Result<Vec<DeadRow>, Error> {
        let statement = if tenant.is_some() {
            "SELECT * FROM dead_letters WHERE tenant = $1 AND (epoch, partition, record_offset) > ($2, $3, $4)
             ORDER BY epoch, partition, record_offset LIMIT $5"
        } else {
            "SELECT * FROM dead_letters WHERE $1::text IS NULL AND (epoch, partition, record_offset) > ($2, $3, $4)
             ORDER BY epoch, partition, record_offset LIMIT $5"
        };
        let work = async {
            let offset = after.map_or(Ok(-1), |after| signed("record_offset", after.offset))?;
            let mut held = self.hold().await?;
            let found: Vec<DeadColumns> = sqlx::query_as(statement)
                .bind(tenant.map(TenantId::as_str))
                .bind(after.map_or(-1, |after| i64::from(after.epoch.0)))
                .bind(after.map_or(-1, |after| i64::from(after.partition.0)))
                .bind(offset)
                .bind(i64::from(limit))
                .fetch_all(&mut *held)
                .await?;
            held.release();
            found.into_iter().map(DeadRow::try_from).collect()
        };
        self.within("list_dead", work).await
    }
}

async fn insert(connection: &mut PgConnection, rows: &[DeadRow]) -> Result<(), Failure> {
    if rows.is_empty() {
        return Ok(());
    }
    let offsets: Result<Vec<i64>, Failure> =
        rows.iter().map(|row| signed("record_offset", row.position.offset)).collect();
    sqlx::query(
        "INSERT INTO dead_letters
             (epoch, partition, record_offset, tenant, key, code, detail, headers, payload, time_ms)
         SELECT * FROM UNNEST($1::bigint[], $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::text[],
             $7::text[], $8::bytea[], $9::bytea[], $10::bigint[])
         ON CONFLICT DO NOTHING",
    )
    .bind(rows.iter().map(|row| i64::from(row.position.epoch.0)).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| i64::from(row.position.partition.0)).collect::<Vec<_>>())
    .bind(offsets?)
    .bind(rows.iter().map(|row| row.tenant.as_ref().map(TenantId::as_str)).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| text(&row.key)).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| text(&row.code)).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| text(&row.detail)).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| pack_headers(&row.headers)).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| &row.payload[..]).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| millis(row.time)).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(())
}
