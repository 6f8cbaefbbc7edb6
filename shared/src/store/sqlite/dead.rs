//! Dead letters in SQLite.

use async_trait::async_trait;
use sqlx::{Connection as _, SqliteConnection};

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
            let mut held = self.reader().await?;
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
            let mut held = self.writer().await?;
            let mut transaction = held.begin_with("BEGIN IMMEDIATE").await?;
            if !advance(&mut transaction, TOPIC, partition, from, to).await? {
                transaction.rollback().await?;
                held.release();
                return Err(Failure::Conflict);
            }
            for row in rows {
                insert(&mut transaction, row).await?;
            }
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
            "SELECT * FROM dead_letters WHERE tenant = ?1 AND (epoch, partition, record_offset) > (?2, ?3, ?4)
             ORDER BY epoch, partition, record_offset LIMIT ?5"
        } else {
            "SELECT * FROM dead_letters WHERE ?1 IS NULL AND (epoch, partition, record_offset) > (?2, ?3, ?4)
             ORDER BY epoch, partition, record_offset LIMIT ?5"
        };
        let work = async {
            let offset = after.map_or(Ok(-1), |after| signed("record_offset", after.offset))?;
            let mut held = self.reader().await?;
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

async fn insert(connection: &mut SqliteConnection, row: &DeadRow) -> Result<(), Failure> {
    sqlx::query(
        "INSERT OR IGNORE INTO dead_letters
             (epoch, partition, record_offset, tenant, key, code, detail, headers, payload, time_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )
    .bind(i64::from(row.position.epoch.0))
    .bind(i64::from(row.position.partition.0))
    .bind(signed("record_offset", row.position.offset)?)
    .bind(row.tenant.as_ref().map(TenantId::as_str))
    .bind(text(&row.key))
    .bind(text(&row.code))
    .bind(text(&row.detail))
    .bind(pack_headers(&row.headers))
    .bind(&row.payload[..])
    .bind(millis(row.time))
    .execute(connection)
    .await?;
    Ok(())
}
