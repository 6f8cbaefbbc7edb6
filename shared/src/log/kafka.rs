//! The log on Apache Kafka, through librdkafka.
//!
//! [`Log::connect`] finds the topics. Appends go through one idempotent producer; every group member is a consumer
//! polled on a thread of its own; ends are asked for many at a time; reads outside of groups share a few consumers.
//! [`Admin`] makes the topics.

mod admin;
mod client;
mod commits;
mod ends;
mod mailbox;
mod member;
mod poll;
mod producer;
mod reader;
mod rebalance;

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::try_join_all;

pub use self::admin::Admin;
use self::client::Names;
use self::commits::Groups;
use self::ends::Asker;
use self::member::Member;
use self::producer::Producer;
use self::reader::Readers;
use super::{
    Appender, Commits, Consumer, Ends, Entry, Error, Fetched, Interest, Lag, Placed, Reader, Subscriber,
};
use crate::config::{KafkaSettings, LogSettings};
use crate::position::{Epoch, PartitionId};
use crate::topic::Topic;

/// The log on Kafka.
pub struct Log {
    names: Names,
    partitions: u32,
    producer: Producer,
    asker: Arc<Asker>,
    readers: Arc<Readers>,
    groups: Groups,
    log: LogSettings,
    kafka: KafkaSettings,
}

impl Log {
    /// Finds the topics on the brokers.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when no broker answers: try again; [`Error::Rejected`] when topics are missing, differ in
    /// their number of partitions, or the settings cannot work.
    pub async fn connect(log: &LogSettings, kafka: &KafkaSettings) -> Result<Arc<Self>, Error> {
        let names = Names::of(log);
        let asker = Arc::new(Asker::new(kafka, names.clone())?);
        let partitions = asker.find(&Topic::ALL).await?;
        let producer = Producer::new(log, kafka)?;
        let (readers, groups) = (Arc::new(Readers::new(log, kafka)), Groups::new(log, kafka));
        let (log, kafka) = (log.clone(), kafka.clone());
        Ok(Arc::new(Self { names, partitions, producer, asker, readers, groups, log, kafka }))
    }

    fn check(&self, partition: PartitionId) -> Result<(), Error> {
        if partition.0 < self.partitions {
            return Ok(());
        }
        Err(Error::Rejected(format!("there is no partition {partition}").into()))
    }
}

#[async_trait]
impl Appender for Log {
    async fn append(&self, topic: Topic, entries: Vec<Entry>) -> Vec<Result<Placed, Error>> {
        self.producer.append(topic, self.names.get(topic), entries).await
    }
}

#[async_trait]
impl Subscriber for Log {
    async fn subscribe(
        &self,
        topic: Topic,
        group: &str,
        interest: Interest,
    ) -> Result<Box<dyn Consumer>, Error> {
        self.asker.find(&[topic]).await?;
        let member = Member::join(&self.log, &self.kafka, self.names.get(topic), group, interest)?;
        Ok(Box::new(member))
    }
}

#[async_trait]
impl Ends for Log {
    async fn end(&self, topic: Topic, partition: PartitionId) -> Result<u64, Error> {
        self.check(partition)?;
        Arc::clone(&self.asker).end(topic, partition).await
    }

    fn partitions(&self) -> u32 {
        self.partitions
    }

    fn epoch(&self) -> Epoch {
        Epoch(self.log.epoch)
    }

    fn max_record_bytes(&self) -> usize {
        self.log.max_record_bytes
    }
}

#[async_trait]
impl Reader for Log {
    async fn first(&self, topic: Topic, partition: PartitionId) -> Result<u64, Error> {
        self.check(partition)?;
        self.asker.first(topic, partition).await
    }

    async fn read(
        &self,
        topic: Topic,
        partition: PartitionId,
        from: u64,
        to: u64,
    ) -> Result<Vec<Fetched>, Error> {
        self.check(partition)?;
        self.readers.read(self.names.get(topic).to_owned(), partition, from, to).await
    }
}

#[async_trait]
impl Commits for Log {
    async fn committed(
        &self,
        group: &str,
        topic: Topic,
        partition: PartitionId,
    ) -> Result<Option<u64>, Error> {
        self.check(partition)?;
        self.groups.committed(group, self.names.get(topic).to_owned(), partition).await
    }

    async fn commit(
        &self,
        group: &str,
        partition: PartitionId,
        offsets: &[(Topic, u64)],
    ) -> Result<(), Error> {
        self.check(partition)?;
        let named = offsets.iter().map(|(topic, next)| (self.names.get(*topic).to_owned(), *next));
        self.groups.commit(group, partition, named.collect()).await
    }
}

#[async_trait]
impl Lag for Log {
    async fn lag(&self, group: &str, topic: Topic) -> Result<u64, Error> {
        let partitions = self.partitions();
        // First what is committed, then the ends: what is appended between the two counts, so it is never too few.
        let committed =
            self.groups.all_committed(group, self.names.get(topic).to_owned(), partitions).await?;
        let behind = committed.into_iter().zip(0..).map(|(committed, partition)| async move {
            let partition = PartitionId(partition);
            let end = Arc::clone(&self.asker).end(topic, partition).await?;
            let begin = match committed {
                Some(next) => next,
                // Most that never committed are empty, and are not asked about.
                None if end == 0 => 0,
                None => self.asker.first(topic, partition).await?,
            };
            Ok(end.saturating_sub(begin))
        });
        Ok(try_join_all(behind).await?.into_iter().sum())
    }
}
