//! Reading outside of groups: a few consumers, each lent to one read at a time, on a thread that may block. A consumer
//! that reads one partition only cannot mistake whose end it was told of.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use tokio::sync::Semaphore;

use super::super::{Error, Fetched, metrics};
use super::client::{base, failed};
use super::poll::fetched;
use crate::config::{KafkaSettings, LogSettings};
use crate::position::PartitionId;

/// The longest wait for one record before the deadline is looked at.
const SLICE: Duration = Duration::from_millis(100);

pub(super) struct Readers {
    config: ClientConfig,
    idle: Mutex<Vec<BaseConsumer>>,
    permits: Arc<Semaphore>,
    patience: Duration,
    batch_records: usize,
    batch_bytes: usize,
}

/// What is read.
struct Stretch<'a> {
    topic: &'a str,
    partition: PartitionId,
    from: u64,
    to: u64,
}

impl Readers {
    pub(super) fn new(log: &LogSettings, kafka: &KafkaSettings) -> Self {
        let mut config = base(kafka);
        config
            // Never joined and never committed; a consumer must name one.
            .set("group.id", format!("{}reader", log.prefix))
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("enable.partition.eof", "true")
            .set("isolation.level", "read_uncommitted")
            .set("auto.offset.reset", "earliest")
            .set("allow.auto.create.topics", "false")
            .set("fetch.wait.max.ms", "10")
            .set("fetch.error.backoff.ms", "100")
            .set("queued.max.messages.kbytes", (2 * log.batch_kbytes).max(1024).to_string());
        Self {
            config,
            idle: Mutex::default(),
            permits: Arc::new(Semaphore::new(kafka.readers)),
            patience: kafka.request_timeout_ms,
            batch_records: log.batch_records,
            batch_bytes: log.batch_kbytes * 1024,
        }
    }

    /// As [`Reader::read`](super::super::Reader::read), of the topic called `topic`.
    pub(super) async fn read(
        self: &Arc<Self>,
        topic: String,
        partition: PartitionId,
        from: u64,
        to: u64,
    ) -> Result<Vec<Fetched>, Error> {
        if from >= to {
            return Ok(Vec::new());
        }
        let permit = tokio::time::timeout(self.patience, Arc::clone(&self.permits).acquire_owned());
        let permit = permit.await.map_err(|elapsed| Error::Unavailable(Some(Box::new(elapsed))))?;
        let readers = Arc::clone(self);
        let reading = tokio::task::spawn_blocking(move || {
            let records = readers.read_blocking(&Stretch { topic: &topic, partition, from, to });
            drop(permit);
            records
        });
        reading.await.map_err(|error| Error::Unavailable(Some(error.into())))?
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<BaseConsumer>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read_blocking(&self, stretch: &Stretch<'_>) -> Result<Vec<Fetched>, Error> {
        let idle = self.idle().pop();
        let consumer = match idle {
            Some(consumer) => consumer,
            None => self.config.create().map_err(failed)?,
        };
        let mut list = TopicPartitionList::new();
        let raw = Offset::Offset(i64::try_from(stretch.from).unwrap_or(i64::MAX));
        list.add_partition_offset(stretch.topic, stretch.partition.0.cast_signed(), raw).map_err(failed)?;
        consumer.assign(&list).map_err(failed)?;
        let records = self.collect(&consumer, stretch);
        // A consumer that failed is not lent again.
        if records.is_ok() && consumer.unassign().is_ok() {
            self.idle().push(consumer);
        }
        records
    }

    fn collect(&self, consumer: &BaseConsumer, stretch: &Stretch<'_>) -> Result<Vec<Fetched>, Error> {
        let deadline = Instant::now() + self.patience;
        let (mut records, mut bytes): (Vec<Fetched>, usize) = (Vec::new(), 0);
        while records.len() < self.batch_records && bytes < self.batch_bytes {
            match consumer.poll(SLICE) {
                Some(Ok(record)) => {
                    use rdkafka::Message as _;
                    let own = record.topic() == stretch.topic;
                    let Some(record) = fetched(&record).filter(|record| own && record.offset >= stretch.from)
                    else {
                        continue;
                    };
                    if record.offset >= stretch.to {
                        break;
                    }
                    let last = record.offset + 1 == stretch.to;
                    bytes += record.entry.size_bytes();
                    records.push(record);
                    if last {
                        break;
                    }
                }
                Some(Err(KafkaError::PartitionEOF(_))) => break,
                Some(Err(error)) => {
                    metrics::trouble("kafka", "reader");
                    tracing::debug!(%error, topic = stretch.topic, partition = %stretch.partition, "reader");
                }
                None => {}
            }
            if Instant::now() >= deadline {
                // What came is there, whatever comes behind it.
                return if records.is_empty() { Err(Error::Unavailable(None)) } else { Ok(records) };
            }
        }
        metrics::fetched("kafka", records.len());
        Ok(records)
    }
}
