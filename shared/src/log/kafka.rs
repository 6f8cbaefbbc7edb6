//! The log on Apache Kafka, through librdkafka.
//!
//! [`Log::connect`] finds the topics. Appends go through one idempotent producer; every group member is a consumer
//! polled on a thread of its own; ends are asked for many at a time. [`Admin`] makes the topics.

mod admin;
mod client;
mod ends;
mod mailbox;
mod member;
mod poll;
mod producer;
mod rebalance;

use std::sync::Arc;

use async_trait::async_trait;

pub use self::admin::Admin;
use self::client::{Names, found};
use self::ends::Asker;
use self::member::Member;
use self::producer::Producer;
use super::{Appender, Consumer, Ends, Entry, Error, Placed, Subscriber};
use crate::config::{KafkaSettings, LogSettings};
use crate::position::{Epoch, PartitionId};
use crate::topic::Topic;

/// The log on Kafka.
pub struct Log {
    names: Names,
    partitions: u32,
    producer: Producer,
    asker: Arc<Asker>,
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
        let partitions = asker.find().await?;
        let producer = Producer::new(log, kafka)?;
        Ok(Arc::new(Self { names, partitions, producer, asker, log: log.clone(), kafka: kafka.clone() }))
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
    async fn subscribe(&self, topic: Topic, group: &str) -> Result<Box<dyn Consumer>, Error> {
        let states = self.asker.states().await?;
        found(&self.names, &states, &[topic])?;
        let member = Member::join(&self.log, &self.kafka, self.names.get(topic), group)?;
        Ok(Box::new(member))
    }
}

#[async_trait]
impl Ends for Log {
    async fn end(&self, topic: Topic, partition: PartitionId) -> Result<u64, Error> {
        if partition.0 >= self.partitions {
            return Err(Error::Rejected(format!("there is no partition {partition}").into()));
        }
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
