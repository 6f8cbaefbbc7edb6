//! Stored notifications in Postgres.

use async_trait::async_trait;
use sqlx::Connection as _;

use super::archive::Span;
use super::batch::Batch;
use super::snapshot::{self, Asked};
use super::weeks::lacks_week;
use super::{Store, progress};
use crate::clock::Timestamp;
use crate::position::{Cursor, PartitionId};
use crate::recipient::Recipient;
use crate::store::columns;
use crate::store::failure::Failure;
use crate::store::{Error, GapCause, Inbox, Page, PageRequest, StoredRow};

pub(super) const TOPIC: &str = "parked";

/// One snapshot for all statements. Their plans do not depend on what is asked for, and making them anew for each call costs
/// more than a page.
const BEGIN_READING: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
    SET LOCAL plan_cache_mode = force_generic_plan";

#[async_trait]
impl Inbox for Store {
    async fn archived_upto(&self, partition: PartitionId) -> Result<u64, Error> {
        let work = async {
            let mut held = self.hold().await?;
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
            let batch = Batch::new(rows, now);
            self.ensure_weeks(&batch.weeks).await?;
            let span = Span { partition, from, to };
            match self.archive_batch(span, &batch).await {
                Err(Failure::Sql(error)) if lacks_week(&error) => {
                    // Known here, dropped by another process: nothing was done, so it can be made and tried again.
                    self.weeks.forget();
                    self.ensure_weeks(&batch.weeks).await?;
                    self.archive_batch(span, &batch).await
                }
                answer => answer,
            }
        };
        self.within("archive", work).await
    }

    async fn pages(&self, requests: &[PageRequest]) -> Result<Vec<Page>, Error> {
        if requests.is_empty() {
            return Ok(Vec::new());
        }
        let work = async {
            let mut held = self.hold().await?;
            let mut transaction = held.begin_with(BEGIN_READING).await?;
            let pages = snapshot::read(&mut transaction, requests).await?;
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
            let asked = Asked::new(acknowledged.iter().map(|(recipient, cursor)| (recipient, *cursor)));
            let mut held = self.hold().await?;
            sqlx::query(include_str!("delete.sql"))
                .bind(&asked.tenants)
                .bind(&asked.recipients)
                .bind(&asked.epochs)
                .bind(&asked.nexts)
                .execute(&mut *held)
                .await?;
            held.release();
            Ok(())
        };
        self.within("delete", work).await
    }

    async fn expire(&self, now: Timestamp, limit: u32) -> Result<u64, Error> {
        self.within_limit("expire", self.settings.expire_timeout_ms, self.expire_weeks(now, limit)).await
    }

    async fn recipients(
        &self,
        partition: PartitionId,
        after: Option<&Recipient>,
        limit: u32,
    ) -> Result<Vec<Recipient>, Error> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        let work = async {
            let mut held = self.hold().await?;
            let found: Vec<(String, String)> = sqlx::query_as(include_str!("recipients.sql"))
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
