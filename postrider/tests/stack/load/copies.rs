//! Which tries stand on Kafka more than once, read off the log itself: a driver that gave one record up may have appended
//! others twice, and only that excuses a redelivery from another place.

use std::collections::HashMap;
use std::sync::Arc;

use shared::config::{KafkaSettings, LogSettings};
use shared::log::kafka::Log;
use shared::log::{Ends as _, Error, Fetched, Reader as _};
use shared::position::{Cursor, PartitionId, Position};
use shared::topic::Topic;
use uuid::Uuid;

use super::at_rest::mark;
use crate::stack::ledger::stream::{Place, place};
use crate::stack::{Column, Stack};

/// The notifications that a stack's log has taken, as far as it was read.
pub struct Copies {
    /// None on the embedded column, where one process has the log to itself and appends nothing twice.
    settings: Option<(LogSettings, KafkaSettings)>,
    log: Option<Arc<Log>>,
    /// The next offset of each partition.
    next: Vec<u64>,
    places: HashMap<(u64, Uuid), Vec<Place>>,
}

impl Copies {
    pub fn of(stack: &Stack) -> Self {
        let settings = (stack.column == Column::Distributed).then(|| stack.log_settings());
        Self { settings, log: None, next: Vec::new(), places: HashMap::new() }
    }

    /// Reads what was appended since; answers the tries that stand there more than once with one id, and where.
    pub async fn read(&mut self) -> Result<HashMap<u64, Vec<Place>>, Error> {
        if let Some(log) = self.connected().await? {
            for partition in (0..log.partitions()).map(PartitionId) {
                let end = log.end(Topic::Notifications, partition).await?;
                self.read_partition(&log, partition, end).await?;
            }
        }
        let twice = self.places.iter().filter(|(_, places)| places.len() > 1);
        Ok(twice.map(|((attempt, _id), places)| (*attempt, places.clone())).collect())
    }

    async fn connected(&mut self) -> Result<Option<Arc<Log>>, Error> {
        if let (None, Some((log, kafka))) = (&self.log, &self.settings) {
            let connected = Log::connect(log, kafka).await?;
            self.next.resize(connected.partitions() as usize, 0);
            self.log = Some(connected);
        }
        Ok(self.log.clone())
    }

    async fn read_partition(&mut self, log: &Log, partition: PartitionId, end: u64) -> Result<(), Error> {
        loop {
            let next = self.next[partition.0 as usize];
            if next >= end {
                return Ok(());
            }
            let records = log.read(Topic::Notifications, partition, next, end).await?;
            let Some(last) = records.last() else { return Ok(()) };
            self.next[partition.0 as usize] = last.offset + 1;
            for Fetched { offset, entry, .. } in &records {
                let id = entry.headers.iter().find(|(name, _)| name == "ce_id");
                let id = id.and_then(|(_, id)| std::str::from_utf8(id).ok()?.parse().ok());
                let position = Position { epoch: log.epoch(), partition, offset: *offset };
                // A scenario may send some of its own beside the load's.
                if let (Some(attempt), Some(id)) = (mark(&entry.payload), id) {
                    self.places.entry((attempt, id)).or_default().push(place(Cursor::after(position)));
                }
            }
        }
    }
}
