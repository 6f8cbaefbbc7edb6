//! Dead letters in Postgres: `review` for whoever looks at them, `requeues` for the worker that appends them again.

mod requeues;
mod review;

use async_trait::async_trait;
use sqlx::{Connection as _, PgConnection};

use super::{Store, advance, progress};
use crate::clock::Timestamp;
use crate::notification::NotificationId;
use crate::position::PartitionId;
use crate::recipient::{RecipientId, TenantId};
use crate::store::columns::{millis, pack_headers, signed, text};
use crate::store::failure::Failure;
use crate::store::{DeadLetters, DeadRow, Error};

const TOPIC: &str = "dead";

const PURGE: &str = "DELETE FROM dead_letters WHERE (epoch, partition, record_offset) IN (
    SELECT epoch, partition, record_offset FROM dead_letters
    WHERE state <> 'requeue_requested' AND changed_ms < $1 ORDER BY changed_ms LIMIT $2
)";

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

    async fn purge_dead(&self, before: Timestamp, limit: u32) -> Result<u64, Error> {
        let work = async {
            let mut held = self.hold().await?;
            let gone =
                sqlx::query(PURGE).bind(millis(before)).bind(i64::from(limit)).execute(&mut *held).await?;
            held.release();
            Ok(gone.rows_affected())
        };
        self.within("purge_dead", work).await
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
             (epoch, partition, record_offset, tenant, key, code, detail, headers, payload, time_ms,
              recipient, notification, cut, requeueable, changed_ms)
         SELECT * FROM UNNEST($1::bigint[], $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::text[],
             $7::text[], $8::bytea[], $9::bytea[], $10::bigint[],
             $11::text[], $12::text[], $13::boolean[], $14::boolean[], $10::bigint[])
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
    .bind(rows.iter().map(|row| row.recipient.as_ref().map(RecipientId::as_str)).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.notification.as_ref().map(NotificationId::as_str)).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.cut).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.requeueable).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(())
}
