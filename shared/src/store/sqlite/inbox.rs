//! Stored notifications in SQLite.

use async_trait::async_trait;
use sqlx::{Connection as _, SqliteConnection};

use super::{Store, advance, progress, write};
use crate::clock::Timestamp;
use crate::position::{Cursor, PartitionId};
use crate::recipient::Recipient;
use crate::store::columns::{self, GapColumns, StoredColumns, merge_gap, millis};
use crate::store::failure::Failure;
use crate::store::{Error, GapCause, Inbox, Page, PageRequest, StoredRow};

const TOPIC: &str = "parked";

#[async_trait]
impl Inbox for Store {
    async fn archived_upto(&self, partition: PartitionId) -> Result<u64, Error> {
        let work = async {
            let mut held = self.reader().await?;
            let upto = progress(&mut held, TOPIC, partition).await?;
            held.release();
            Ok(upto)
        };
        self.within("archived_upto", work).await
    }

    async fn archive(
        &self,
        partition: PartitionId,
        from: u64,
        to: u64,
        rows: &[StoredRow],
        now: Timestamp,
    ) -> Result<Vec<(GapCause, u64)>, Error> {
        let work = async {
            let mut held = self.writer().await?;
            let mut transaction = held.begin_with("BEGIN IMMEDIATE").await?;
            if !advance(&mut transaction, TOPIC, partition, from, to).await? {
                transaction.rollback().await?;
                held.release();
                return Err(Failure::Conflict);
            }
            let lost = write::store(&mut transaction, rows, now, self.settings.recipient_quota).await?;
            transaction.commit().await?;
            held.release();
            Ok(lost)
        };
        self.within("archive", work).await
    }

    async fn pages(&self, requests: &[PageRequest]) -> Result<Vec<Page>, Error> {
        if requests.is_empty() {
            return Ok(Vec::new());
        }
        let work = async {
            let mut held = self.reader().await?;
            // The first read fixes the snapshot for all that follow.
            let mut transaction = held.begin().await?;
            let mut pages = Vec::with_capacity(requests.len());
            for request in requests {
                pages.push(page(&mut transaction, request).await?);
            }
            transaction.commit().await?;
            held.release();
            Ok(pages)
        };
        self.within("pages", work).await
    }

    async fn delete(&self, acknowledged: &[(Recipient, Cursor)]) -> Result<(), Error> {
        if acknowledged.is_empty() {
            return Ok(());
        }
        let work = async {
            let mut held = self.writer().await?;
            let mut transaction = held.begin_with("BEGIN IMMEDIATE").await?;
            for (recipient, cursor) in acknowledged {
                delete_behind(&mut transaction, recipient, *cursor).await?;
            }
            transaction.commit().await?;
            held.release();
            Ok(())
        };
        self.within("delete", work).await
    }

    async fn expire(&self, now: Timestamp, limit: u32) -> Result<u64, Error> {
        let work = async {
            let mut held = self.writer().await?;
            let mut transaction = held.begin_with("BEGIN IMMEDIATE").await?;
            let count = expire(&mut transaction, now, limit).await?;
            transaction.commit().await?;
            held.release();
            Ok(count)
        };
        self.within_limit("expire", self.settings.expire_timeout_ms, work).await
    }

    async fn recipients(
        &self,
        partition: PartitionId,
        after: Option<&Recipient>,
        limit: u32,
    ) -> Result<Vec<Recipient>, Error> {
        let work = async {
            let mut held = self.reader().await?;
            let found: Vec<(String, String)> = sqlx::query_as(
                "SELECT DISTINCT tenant, recipient FROM stored
                 WHERE partition = ?1 AND (tenant, recipient) > (?2, ?3)
                 ORDER BY tenant, recipient LIMIT ?4",
            )
            .bind(i64::from(partition.0))
            .bind(after.map_or("", |after| after.tenant.as_str()))
            .bind(after.map_or("", |after| after.id.as_str()))
            .bind(i64::from(limit))
            .fetch_all(&mut *held)
            .await?;
            held.release();
            found.iter().map(|(tenant, id)| columns::recipient(tenant, id)).collect()
        };
        self.within("recipients", work).await
    }
}

async fn page(connection: &mut SqliteConnection, request: &PageRequest) -> Result<Page, Failure> {
    let (tenant, recipient) = (request.recipient.tenant.as_str(), request.recipient.id.as_str());
    let found: Vec<StoredColumns> = sqlx::query_as(
        "SELECT * FROM stored
         WHERE tenant = ?1 AND recipient = ?2 AND (epoch, record_offset) >= (?3, ?4)
         ORDER BY epoch, record_offset LIMIT ?5",
    )
    .bind(tenant)
    .bind(recipient)
    .bind(i64::from(request.from.epoch.0))
    .bind(next(request.from))
    .bind(i64::from(request.limit) + 1)
    .fetch_all(&mut *connection)
    .await?;
    let limit = usize::try_from(request.limit).unwrap_or(usize::MAX);
    let more = found.len() > limit;
    let rows: Result<Vec<StoredRow>, Failure> =
        found.into_iter().take(limit).map(StoredRow::try_from).collect();
    let told: Vec<GapColumns> =
        sqlx::query_as("SELECT * FROM gaps WHERE tenant = ?1 AND recipient = ?2 ORDER BY cause, epoch")
            .bind(tenant)
            .bind(recipient)
            .fetch_all(&mut *connection)
            .await?;
    let mut gaps = Vec::new();
    for gap in told {
        merge_gap(&mut gaps, gap.try_into()?);
    }
    let archived_upto = progress(connection, TOPIC, request.partition).await?;
    Ok(Page { rows: rows?, more, gaps, archived_upto })
}

/// Clients carry cursors: one beyond every offset must not fail the others' reads.
fn next(cursor: Cursor) -> i64 {
    i64::try_from(cursor.next).unwrap_or(i64::MAX)
}

async fn delete_behind(
    connection: &mut SqliteConnection,
    recipient: &Recipient,
    cursor: Cursor,
) -> Result<(), Failure> {
    for statement in [
        "DELETE FROM stored WHERE tenant = ?1 AND recipient = ?2 AND (epoch, record_offset) < (?3, ?4)",
        "DELETE FROM gaps WHERE tenant = ?1 AND recipient = ?2 AND (epoch, last_offset) < (?3, ?4)",
    ] {
        sqlx::query(statement)
            .bind(recipient.tenant.as_str())
            .bind(recipient.id.as_str())
            .bind(i64::from(cursor.epoch.0))
            .bind(next(cursor))
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

async fn expire(connection: &mut SqliteConnection, now: Timestamp, limit: u32) -> Result<u64, Failure> {
    let gone: Vec<StoredColumns> = sqlx::query_as(
        "DELETE FROM stored WHERE rowid IN (SELECT rowid FROM stored WHERE expires_ms <= ?1 LIMIT ?2)
         RETURNING *",
    )
    .bind(millis(now))
    .bind(i64::from(limit))
    .fetch_all(&mut *connection)
    .await?;
    let count = gone.len() as u64;
    for row in gone {
        let row = StoredRow::try_from(row)?;
        write::tell(connection, &row.notification.recipient, row.position, GapCause::Expired).await?;
    }
    Ok(count)
}
