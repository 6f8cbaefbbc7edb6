//! A batch of `parked` becomes rows: in one transaction, together with how far it reaches. What has a place goes in by COPY;
//! what is past its expiry, may be beyond the quota or may be stored under another expiry is looked at row by row
//! (`archive.sql`). A row that is stored already, which was parked for the second time, undoes the COPY, and all of the batch
//! is looked at row by row.

use std::collections::HashMap;

use sqlx::{Connection as _, PgConnection};

use super::batch::Batch;
use super::copy::{copy, was_stored};
use super::inbox::TOPIC;
use super::room::Taken;
use super::{Store, advance};
use crate::position::PartitionId;
use crate::recipient::Recipient;
use crate::store::GapCause;
use crate::store::columns::{signed, wide};
use crate::store::failure::{Failure, settle};

/// What is archived of `parked` with a batch.
#[derive(Clone, Copy)]
pub(super) struct Span {
    pub(super) partition: PartitionId,
    pub(super) from: u64,
    pub(super) to: u64,
}

type Lost = Vec<(GapCause, u64)>;

impl Store {
    /// See [`crate::store::Inbox::archive`]. The weeks of `batch` are there.
    pub(super) async fn archive_batch(&self, span: Span, batch: &Batch<'_>) -> Result<Lost, Failure> {
        let mut room = self.room.take(span.partition, span.from);
        match self.archive_once(span, batch, Some(&mut room)).await {
            Ok(lost) => {
                room.put_back(span.to);
                Ok(lost)
            }
            Err(Failure::Sql(error)) if was_stored(&error) => self.archive_once(span, batch, None).await,
            Err(failure) => Err(failure),
        }
    }

    /// Without `room`, every row is looked at.
    async fn archive_once(
        &self,
        Span { partition, from, to }: Span,
        batch: &Batch<'_>,
        room: Option<&mut Taken<'_>>,
    ) -> Result<Lost, Failure> {
        let mut held = self.hold().await?;
        let mut transaction = held.begin().await?;
        let done = async {
            if !advance(&mut transaction, TOPIC, partition, from, to).await? {
                return Err(Failure::Conflict);
            }
            let quota = self.settings.recipient_quota;
            match room {
                Some(room) => store(&mut transaction, batch, room, quota).await,
                None => batch.store(batch.rows(), &mut transaction, quota).await,
            }
        };
        let done = done.await;
        let done = settle(transaction, done).await?;
        held.release();
        done
    }
}

async fn store(
    connection: &mut PgConnection,
    batch: &Batch<'_>,
    room: &mut Taken<'_>,
    quota: u64,
) -> Result<Lost, Failure> {
    let unknown = batch.unknown(room);
    for (recipient, held) in count(connection, &unknown, quota).await? {
        room.set(recipient, Some(held));
    }
    let (placed, others) = batch.part(room, quota);
    if !placed.is_empty() {
        copy(connection, placed.into_iter()).await?;
    }
    batch.store(&others, connection, quota).await
}

/// What each of `recipients` holds, counted as far as `quota`.
async fn count<'a>(
    connection: &mut PgConnection,
    recipients: &[&'a Recipient],
    quota: u64,
) -> Result<HashMap<&'a Recipient, u64>, Failure> {
    if recipients.is_empty() {
        return Ok(HashMap::new());
    }
    let found: Vec<(i64, i64)> = sqlx::query_as(include_str!("held.sql"))
        .bind(recipients.iter().map(|recipient| recipient.tenant.as_str()).collect::<Vec<_>>())
        .bind(recipients.iter().map(|recipient| recipient.id.as_str()).collect::<Vec<_>>())
        .bind(signed("quota", quota)?)
        .fetch_all(connection)
        .await?;
    let held = |(number, held): (i64, i64)| {
        let index = usize::try_from(number).ok().and_then(|number| number.checked_sub(1));
        Some((*recipients.get(index?)?, held))
    };
    found.into_iter().filter_map(held).map(|(who, held)| Ok((who, wide("held", held)?))).collect()
}
