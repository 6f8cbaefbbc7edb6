//! Appends: one idempotent producer, whose delivery callback answers each record. The memory of records not yet
//! answered is bounded here, headers included, and past the bound a record is refused at once.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::error::KafkaError;
use rdkafka::message::{DeliveryResult, Header, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::{Instant, timeout_at};

use super::super::{Entry, Error, Placed, metrics};
use super::client::{base, failed, millis, most_bytes};
use crate::config::{KafkaSettings, LogSettings};
use crate::position::PartitionId;
use crate::topic::Topic;

/// What a record weighs beside its bytes, against `kafka.queue_kbytes`.
const RECORD_OVERHEAD_BYTES: usize = 256;
/// librdkafka looks for records past their time once a second; an answer later than this is not waited for.
const GRACE: Duration = Duration::from_secs(2);
/// How long a thread serves a producer before it looks whether it is still used. `ThreadedProducer` is not used: it looks
/// ten times a second, and the driver's binding waits for the last millisecond before that without sleeping.
const SERVED: Duration = Duration::from_secs(2);

pub(super) struct Producer {
    config: ClientConfig,
    current: RwLock<Arc<BaseProducer<Deliveries>>>,
    room: Arc<Semaphore>,
    max_record_bytes: usize,
    deadline: Duration,
}

/// Answers records.
struct Deliveries;

/// One record's claim to an answer, and its share of the bounded memory.
struct Ticket {
    answer: oneshot::Sender<Result<Placed, Error>>,
    room: OwnedSemaphorePermit,
}

impl ClientContext for Deliveries {
    fn error(&self, error: KafkaError, reason: &str) {
        metrics::trouble("kafka", "producer");
        tracing::warn!(%error, reason, "producer");
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = Box<Ticket>;

    fn delivery(&self, result: &DeliveryResult<'_>, ticket: Box<Ticket>) {
        let answer = match result {
            Ok(record) => place(record.partition(), record.offset()),
            Err((error, _)) => Err(failed(error.clone())),
        };
        let Ticket { answer: to, room } = *ticket;
        // Before the answer: who has it may count on the room.
        drop(room);
        // Whoever asked may have stopped waiting.
        let _nobody_waits = to.send(answer);
    }
}

/// A producer and the thread that serves it for as long as it is used.
fn start(config: &ClientConfig) -> Result<Arc<BaseProducer<Deliveries>>, Error> {
    let producer: BaseProducer<_> = config.create_with_context(Deliveries).map_err(failed)?;
    let producer = Arc::new(producer);
    let served = Arc::clone(&producer);
    std::thread::Builder::new()
        .name("log-producer".into())
        .spawn(move || {
            // Once it is used no more, it is dropped here, where that may wait.
            while Arc::strong_count(&served) > 1 {
                served.poll(SERVED);
            }
        })
        .map_err(|error| Error::Unavailable(Some(error.into())))?;
    Ok(producer)
}

fn place(partition: i32, offset: i64) -> Result<Placed, Error> {
    let (partition, offset) = (u32::try_from(partition), u64::try_from(offset));
    match (partition, offset) {
        (Ok(partition), Ok(offset)) => Ok(Placed { partition: PartitionId(partition), offset }),
        (Err(error), _) | (_, Err(error)) => Err(Error::Unavailable(Some(error.into()))),
    }
}

impl Producer {
    pub(super) fn new(log: &LogSettings, kafka: &KafkaSettings) -> Result<Self, Error> {
        metrics::show("kafka");
        let most = Topic::ALL.map(|topic| most_bytes(topic, log)).into_iter().fold(0, usize::max);
        let mut config = base(kafka);
        config
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("partitioner", "murmur2_random")
            .set("compression.type", "lz4")
            .set("linger.ms", millis(kafka.linger_ms))
            // A record given up after it was sent makes the driver number the others anew, and brokers take what they
            // have already under its old number for new.
            .set("delivery.timeout.ms", millis(kafka.delivery_timeout_ms))
            .set("socket.timeout.ms", millis(kafka.request_timeout_ms))
            .set("message.max.bytes", most.to_string())
            .set("batch.size", most.min(1_000_000).to_string())
            // The bound is kept here, where headers count too. The library's own must never be the one that refuses: it
            // counts a record until some time after its answer.
            .set(
                "queue.buffering.max.kbytes",
                kafka.queue_kbytes.saturating_mul(2).min(2_147_483_647).to_string(),
            )
            .set("queue.buffering.max.messages", "0");
        let current = RwLock::new(start(&config)?);
        Ok(Self {
            config,
            current,
            room: Arc::new(Semaphore::new(kafka.queue_kbytes as usize)),
            max_record_bytes: log.max_record_bytes,
            deadline: kafka.delivery_timeout_ms + GRACE,
        })
    }

    /// Appends to the topic called `name`.
    pub(super) async fn append(
        &self,
        topic: Topic,
        name: &str,
        entries: Vec<Entry>,
    ) -> Vec<Result<Placed, Error>> {
        let started = Instant::now();
        let most = topic.most_bytes(self.max_record_bytes);
        self.replace_when_fatal();
        let waiting: Vec<_> = {
            let producer = self.current.read().unwrap_or_else(PoisonError::into_inner);
            entries.iter().map(|entry| self.send(&producer, name, most, entry)).collect()
        };
        let mut answers = Vec::with_capacity(waiting.len());
        for sent in waiting {
            let answer = match sent {
                Ok(answer) => match timeout_at(started + self.deadline, answer).await {
                    Ok(Ok(answer)) => answer,
                    Ok(Err(_dropped)) => Err(Error::Unavailable(None)),
                    Err(elapsed) => Err(Error::Unavailable(Some(Box::new(elapsed)))),
                },
                Err(refused) => Err(refused),
            };
            if let Err(error) = &answer {
                metrics::append_failed("kafka", error);
            }
            answers.push(answer);
        }
        metrics::appended("kafka", started.elapsed());
        answers
    }

    fn send(
        &self,
        producer: &BaseProducer<Deliveries>,
        topic: &str,
        most: usize,
        entry: &Entry,
    ) -> Result<oneshot::Receiver<Result<Placed, Error>>, Error> {
        let size_bytes = entry.size_bytes();
        if size_bytes > most {
            return Err(Error::TooLarge);
        }
        let kbytes = u32::try_from((size_bytes + RECORD_OVERHEAD_BYTES).div_ceil(1024)).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.room)
            .try_acquire_many_owned(kbytes)
            .map_err(|full| Error::Unavailable(Some(Box::new(full))))?;
        let headers = OwnedHeaders::new_with_capacity(entry.headers.len());
        let headers = entry.headers.iter().fold(headers, |headers, (name, value)| {
            headers.insert(Header { key: name, value: Some(&value[..]) })
        });
        let (answer, delivered) = oneshot::channel();
        let record = BaseRecord::with_opaque_to(topic, Box::new(Ticket { answer, room }))
            .key(&entry.key[..])
            .payload(&entry.payload[..])
            .headers(headers);
        producer.send(record).map_err(|(error, _)| failed(error))?;
        Ok(delivered)
    }

    /// After a fatal error a producer takes nothing any more: another takes its place. What the old one had not
    /// answered is answered as unavailable.
    fn replace_when_fatal(&self) {
        let is_fatal = |producer: &BaseProducer<Deliveries>| producer.client().fatal_error();
        if is_fatal(&self.current.read().unwrap_or_else(PoisonError::into_inner)).is_none() {
            return;
        }
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        let Some((code, reason)) = is_fatal(&current) else { return };
        match start(&self.config) {
            Ok(fresh) => {
                tracing::warn!(%code, reason, "the producer failed for good and is replaced");
                metrics::producer_rebuilt();
                // Its thread drops the old one, which answers what is outstanding.
                *current = fresh;
            }
            Err(error) => tracing::error!(%error, "the producer cannot be replaced"),
        }
    }
}
