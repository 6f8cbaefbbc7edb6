//! Deletes, in small steps, records that every group of their topic has finished and that are old enough. A topic that
//! no group ever read keeps everything. Freed pages are used again, so the file stops growing.

use std::time::Duration;

use sqlx::{Connection, SqliteConnection};
use tokio::time::Instant;

use super::super::{Error, metrics};
use super::core::Core;
use super::file::failed;
use super::row::offset_of;
use crate::position::PartitionId;
use crate::topic::Topic;

/// Most records of a partition deleted at once: the writer is kept for a few milliseconds, not for seconds.
const MOST_AT_ONCE: u64 = 256;
/// The next step when there is more to delete.
const SOON: Duration = Duration::from_millis(20);

pub(super) struct Retention {
    keep: Duration,
    due: Instant,
}

impl Retention {
    pub(super) fn new(keep: Duration) -> Self {
        let mut retention = Self { keep, due: Instant::now() };
        retention.due += retention.interval();
        retention
    }

    /// A tenth of what is kept, within sense.
    fn interval(&self) -> Duration {
        (self.keep / 10).clamp(Duration::from_millis(50), Duration::from_secs(30))
    }

    /// When the next step is due.
    pub(super) fn due(&self) -> Instant {
        self.due
    }

    /// One step over all partitions, when it is due.
    pub(super) async fn sweep(
        &mut self,
        connection: &mut SqliteConnection,
        core: &Core,
    ) -> Result<(), Error> {
        if Instant::now() < self.due {
            return Ok(());
        }
        self.due = Instant::now() + self.interval();
        for topic in Topic::ALL {
            for partition in (0..core.partitions).map(PartitionId) {
                let first = core.first(topic, partition);
                let needless = core.groups.needless_below(topic, partition).unwrap_or(first);
                let upto = needless.min(core.end(topic, partition)).min(first + MOST_AT_ONCE);
                if upto > first
                    && self.delete(connection, core, topic, partition, upto).await? == MOST_AT_ONCE
                {
                    self.due = Instant::now() + SOON;
                }
            }
        }
        Ok(())
    }

    /// Deletes what is old enough below `upto`; answers how many offsets that was.
    async fn delete(
        &self,
        connection: &mut SqliteConnection,
        core: &Core,
        topic: Topic,
        partition: PartitionId,
        upto: u64,
    ) -> Result<u64, Error> {
        let (slot, first) = (core.slot(topic), core.first(topic, partition));
        let keep_ms = u64::try_from(self.keep.as_millis()).unwrap_or(u64::MAX);
        let old_before = core.clock.now().as_millis().saturating_sub(keep_ms);
        let young: Option<i64> = sqlx::query_scalar(
            "select min(place) from records where place >= ? and place < ? and appended_ms >= ?",
        )
        .bind(slot.place(partition, first))
        .bind(slot.place(partition, upto))
        .bind(old_before.cast_signed())
        .fetch_one(&mut *connection)
        .await
        .map_err(failed)?;
        let upto = young.map_or(upto, offset_of);
        if upto == first {
            return Ok(0);
        }
        let mut transaction = connection.begin_with("begin immediate").await.map_err(failed)?;
        sqlx::query("delete from records where place >= ? and place < ?")
            .bind(slot.place(partition, first))
            .bind(slot.place(partition, upto))
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
        sqlx::query(
            "insert into partitions (slot, partition, first) values (?, ?, ?)
             on conflict do update set first = excluded.first",
        )
        .bind(i64::from(slot.0))
        .bind(i64::from(partition.0))
        .bind(upto.cast_signed())
        .execute(&mut *transaction)
        .await
        .map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
        core.set_first(topic, partition, upto);
        metrics::pruned(upto - first);
        Ok(upto - first)
    }
}
