//! What the writer, the members and the log itself share: where partitions end, the groups, the connections that read.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::TryStreamExt;
use sqlx::{Row, SqlitePool};

use super::super::{Error, Fetched};
use super::file::{File, Layout, failed};
use super::group::{Groups, Read};
use super::row::{Slot, decode, offset_of};
use crate::clock::{Clock, Timestamp};
use crate::config::LogSettings;
use crate::position::{Epoch, PartitionId};
use crate::topic::Topic;

pub(super) struct Core {
    pub(super) epoch: Epoch,
    pub(super) partitions: u32,
    pub(super) max_record_bytes: usize,
    pub(super) delivery_timeout: Duration,
    pub(super) groups: Groups,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) readers: SqlitePool,
    batch_records: usize,
    batch_bytes: usize,
    topics: [TopicPlace; Topic::ALL.len()],
}

/// A topic, its slot, and where each of its partitions begins and ends. Written by the writer alone, once what it
/// tells is on disk.
struct TopicPlace {
    slot: Slot,
    name: String,
    bounds: Vec<Bounds>,
}

struct Bounds {
    first: AtomicU64,
    end: AtomicU64,
}

impl Core {
    pub(super) fn new(
        file: &File,
        layouts: Vec<Layout>,
        settings: &LogSettings,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Error> {
        let groups = Groups::new(settings.sqlite.drain_timeout_ms, tokio::runtime::Handle::current());
        for (topic, layout) in Topic::ALL.into_iter().zip(&layouts) {
            for (name, committed) in &layout.groups {
                groups.restore(topic, name, committed.clone());
            }
        }
        let topics: Vec<TopicPlace> = layouts.into_iter().map(TopicPlace::from).collect();
        let topics: [TopicPlace; Topic::ALL.len()] =
            topics.try_into().map_err(|_other_count| Error::Rejected("a topic is missing".into()))?;
        Ok(Self {
            epoch: Epoch(settings.epoch),
            partitions: topics[0].bounds.len() as u32,
            max_record_bytes: settings.max_record_bytes,
            delivery_timeout: settings.sqlite.delivery_timeout_ms,
            groups,
            clock,
            readers: file.readers(settings.sqlite.readers, settings.sqlite.delivery_timeout_ms),
            batch_records: settings.batch_records,
            batch_bytes: settings.batch_kbytes * 1024,
            topics,
        })
    }

    pub(super) fn slot(&self, topic: Topic) -> Slot {
        self.topics[topic as usize].slot
    }

    pub(super) fn name(&self, topic: Topic) -> &str {
        &self.topics[topic as usize].name
    }

    fn bounds(&self, topic: Topic, partition: PartitionId) -> Option<&Bounds> {
        self.topics[topic as usize].bounds.get(partition.0 as usize)
    }

    /// Where the partition ends on disk; zero when there is no such partition.
    pub(super) fn end(&self, topic: Topic, partition: PartitionId) -> u64 {
        self.bounds(topic, partition).map_or(0, |bounds| bounds.end.load(Ordering::SeqCst))
    }

    /// Where the partition begins.
    pub(super) fn first(&self, topic: Topic, partition: PartitionId) -> u64 {
        self.bounds(topic, partition).map_or(0, |bounds| bounds.first.load(Ordering::SeqCst))
    }

    pub(super) fn set_end(&self, topic: Topic, partition: PartitionId, end: u64) {
        if let Some(bounds) = self.bounds(topic, partition) {
            bounds.end.store(end, Ordering::SeqCst);
        }
    }

    pub(super) fn set_first(&self, topic: Topic, partition: PartitionId, first: u64) {
        if let Some(bounds) = self.bounds(topic, partition) {
            bounds.first.store(first, Ordering::SeqCst);
        }
    }

    /// Reads one batch: from `from` up to `to`, within the batch limits.
    pub(super) async fn read(
        &self,
        topic: Topic,
        partition: PartitionId,
        from: u64,
        to: u64,
    ) -> Result<Read, Error> {
        let slot = self.slot(topic);
        let mut rows = sqlx::query(
            "select place, appended_ms, body from records where place >= ? and place < ? order by place limit ?",
        )
        .bind(slot.place(partition, from))
        .bind(slot.place(partition, to))
        .bind(self.batch_records as i64)
        .fetch(&self.readers);
        let (mut records, mut bytes) = (Vec::new(), 0);
        while bytes < self.batch_bytes {
            let Some(row) = rows.try_next().await.map_err(failed)? else { break };
            let (place, appended_ms): (i64, i64) =
                (row.try_get(0).map_err(failed)?, row.try_get(1).map_err(failed)?);
            let body: Vec<u8> = row.try_get(2).map_err(failed)?;
            bytes += body.len();
            let offset = offset_of(place);
            let entry = decode(body)
                .ok_or_else(|| Error::Rejected(format!("record {partition}/{offset} is damaged").into()))?;
            let timestamp = Timestamp::from_millis(appended_ms.cast_unsigned());
            records.push(Fetched { partition, offset, timestamp, entry });
        }
        Ok(Read { partition, from, to, records })
    }
}

impl From<Layout> for TopicPlace {
    fn from(layout: Layout) -> Self {
        let bounds = layout
            .extents
            .iter()
            .map(|extent| Bounds { first: AtomicU64::new(extent.first), end: AtomicU64::new(extent.end) })
            .collect();
        Self { slot: layout.slot, name: layout.name, bounds }
    }
}
