//! Offsets of groups, asked for and committed by clients that never join them: one client for each group, made when it is
//! first asked for.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::super::Error;
use super::client::{base, failed};
use crate::config::{KafkaSettings, LogSettings};
use crate::position::PartitionId;

pub(super) struct Groups {
    config: ClientConfig,
    prefix: String,
    clients: Mutex<BTreeMap<String, Arc<BaseConsumer>>>,
    patience: Duration,
}

impl Groups {
    pub(super) fn new(log: &LogSettings, kafka: &KafkaSettings) -> Self {
        let mut config = base(kafka);
        config
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("allow.auto.create.topics", "false");
        let clients = Mutex::default();
        Self { config, prefix: log.prefix.clone(), clients, patience: kafka.request_timeout_ms }
    }

    fn client(&self, group: &str) -> Result<Arc<BaseConsumer>, Error> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(group) {
            return Ok(Arc::clone(client));
        }
        let mut config = self.config.clone();
        config.set("group.id", format!("{}{group}", self.prefix));
        let client: Arc<BaseConsumer> = Arc::new(config.create().map_err(failed)?);
        clients.insert(group.to_owned(), Arc::clone(&client));
        Ok(client)
    }

    pub(super) async fn committed(
        &self,
        group: &str,
        topic: String,
        partition: PartitionId,
    ) -> Result<Option<u64>, Error> {
        let (client, patience) = (self.client(group)?, self.patience);
        let asked = tokio::task::spawn_blocking(move || {
            let mut list = TopicPartitionList::new();
            list.add_partition(&topic, partition.0.cast_signed());
            let list = client.committed_offsets(list, patience).map_err(failed)?;
            committed_in(&list, &topic, partition)
        });
        asked.await.map_err(|error| Error::Unavailable(Some(error.into())))?
    }

    /// How far `group` has committed each of the first `partitions` of `topic`, asked in one request.
    pub(super) async fn all_committed(
        &self,
        group: &str,
        topic: String,
        partitions: u32,
    ) -> Result<Vec<Option<u64>>, Error> {
        let (client, patience) = (self.client(group)?, self.patience);
        let asked = tokio::task::spawn_blocking(move || {
            let mut list = TopicPartitionList::new();
            list.add_partition_range(&topic, 0, (partitions - 1).cast_signed());
            let list = client.committed_offsets(list, patience).map_err(failed)?;
            (0..partitions).map(|partition| committed_in(&list, &topic, PartitionId(partition))).collect()
        });
        asked.await.map_err(|error| Error::Unavailable(Some(error.into())))?
    }

    /// All in one request, which the coordinator writes as one batch.
    pub(super) async fn commit(
        &self,
        group: &str,
        partition: PartitionId,
        offsets: Vec<(String, u64)>,
    ) -> Result<(), Error> {
        let (client, patience) = (self.client(group)?, self.patience);
        let committing = tokio::task::spawn_blocking(move || {
            let mut list = TopicPartitionList::new();
            for (topic, next) in offsets {
                let raw = Offset::Offset(i64::try_from(next).unwrap_or(i64::MAX));
                list.add_partition_offset(&topic, partition.0.cast_signed(), raw).map_err(failed)?;
            }
            client.commit(&list, CommitMode::Sync).map_err(failed)
        });
        // librdkafka's own wait for a coordinator is longer than ours.
        match tokio::time::timeout(patience, committing).await {
            Ok(committed) => committed.map_err(|error| Error::Unavailable(Some(error.into())))?,
            Err(elapsed) => Err(Error::Unavailable(Some(Box::new(elapsed)))),
        }
    }
}

/// What the broker answered for one partition.
fn committed_in(
    list: &TopicPartitionList,
    topic: &str,
    partition: PartitionId,
) -> Result<Option<u64>, Error> {
    let element = list.find_partition(topic, partition.0.cast_signed());
    let element = element.ok_or_else(|| Error::Unavailable(None))?;
    element.error().map_err(failed)?;
    match element.offset() {
        Offset::Offset(next) => {
            u64::try_from(next).map(Some).map_err(|error| Error::Unavailable(Some(error.into())))
        }
        Offset::Invalid => Ok(None),
        other => Err(Error::Unavailable(Some(format!("the broker answered {other:?}").into()))),
    }
}
