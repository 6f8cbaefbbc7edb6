//! Dead letters in SQLite: `review` for whoever looks at them, `requeues` for the worker that appends them again.

mod requeues;
mod review;

use async_trait::async_trait;
use sqlx::{Connection as _, SqliteConnection};

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

    async fn purge_dead(&self, before: Timestamp, limit: u32) -> Result<u64, Error> {
        let work = async {
            let mut held = self.writer().await?;
            let gone =
                sqlx::query(PURGE).bind(millis(before)).bind(i64::from(limit)).execute(&mut *held).await?;
            held.release();
            Ok(gone.rows_affected())
        };
        self.within("purge_dead", work).await
    }
}

async fn insert(connection: &mut SqliteConnection, row: &DeadRow) -> Result<(), Failure> {
    sqlx::query(
        "INSERT OR IGNORE INTO dead_letters
             (epoch, partition, record_offset, tenant, key, code, detail, headers, payload, time_ms,
              recipient, notification, cut, requeueable, changed_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?10)",
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
    .bind(row.recipient.as_ref().map(RecipientId::as_str))
    .bind(row.notification.as_ref().map(NotificationId::as_str))
    .bind(row.cut)
    .bind(row.requeueable)
    .execute(connection)
    .await?;
    Ok(())
}
