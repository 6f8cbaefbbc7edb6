//! Records of 256 bytes: as fast as an idempotent producer goes, and the way to a consumer at a rate.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rdkafka::ClientConfig;
use rdkafka::Message as _;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer};
use rdkafka::{ClientContext, Offset, TopicPartitionList};
use rustix::time::ClockId;

use super::{Amounts, cpu_micros};
use crate::clock::micros;
use crate::histogram::Latencies;
use crate::result::Better::{Higher, Lower};
use crate::result::Outcome;
use crate::schedule::Pace;

const PARTITIONS: i32 = 8;
const RECORD: usize = 256;

/// Notices records that the broker did not take.
#[derive(Clone, Default)]
struct Failed(Arc<AtomicBool>);

impl ClientContext for Failed {}

impl ProducerContext for Failed {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if result.is_err() {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}

type Sender = ThreadedProducer<Failed>;

pub(super) async fn measure(brokers: &str, amounts: &Amounts, outcome: &mut Outcome) -> anyhow::Result<()> {
    let topic = format!("bench-floor-{}", uuid::Uuid::new_v4().simple());
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("log_level", "2").set("socket.nagle.disable", "true");
    let admin: AdminClient<DefaultClientContext> = config.create()?;
    let new = NewTopic::new(&topic, PARTITIONS, TopicReplication::Fixed(1));
    for made in admin.create_topics(&[new], &AdminOptions::new()).await? {
        made.map_err(|(topic, code)| anyhow::anyhow!("cannot make {topic}: {code}"))?;
    }
    let (each, rate, name) = (amounts.each, amounts.kafka_rate, topic.clone());
    let measured = tokio::task::spawn_blocking(move || {
        let fast = fast(&config, &name, each)?;
        let way = way(&config, &name, rate, each)?;
        anyhow::Ok((fast, way))
    });
    let measured = measured.await?;
    admin.delete_topics(&[&topic], &AdminOptions::new()).await?;
    let ((cpu, per_second), latencies) = measured?;
    outcome.figure("floor.kafka_produce_us", cpu, "µs", Lower);
    outcome.figure("floor.kafka_produce_per_second", per_second, "1/s", Higher);
    outcome.set("floor_kafka_rate", rate);
    let summary = latencies.summary();
    for (name, value) in [("p50", summary.p50_ms), ("p99", summary.p99_ms), ("max", summary.max_ms)] {
        outcome.figure(format!("floor.kafka_way_{name}_ms"), value, "ms", Lower);
    }
    Ok(())
}

/// As the pipeline's producers are set.
fn sender(config: &ClientConfig) -> anyhow::Result<(Sender, Failed)> {
    let failed = Failed::default();
    let mut config = config.clone();
    config
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("compression.type", "lz4")
        .set("linger.ms", "0.5")
        .set("batch.size", "1000000")
        .set("queue.buffering.max.messages", "100000");
    Ok((config.create_with_context(failed.clone())?, failed))
}

/// A record that compresses about as a notification does: half of it differs from record to record.
fn record(stamp: u64) -> [u8; RECORD] {
    let mut record = [b'x'; RECORD];
    record[..8].copy_from_slice(&stamp.to_le_bytes());
    let mut state = stamp | 1;
    for part in record[8..RECORD / 2].chunks_mut(8) {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        part.copy_from_slice(&state.to_le_bytes()[..part.len()]);
    }
    record
}

fn send(sender: &Sender, topic: &str, partition: i32, payload: &[u8]) -> anyhow::Result<()> {
    loop {
        let record: BaseRecord<'_, (), [u8], ()> =
            BaseRecord::with_opaque_to(topic, ()).partition(partition).payload(payload);
        match sender.send(record) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                std::thread::sleep(Duration::from_millis(1));
            }
            Err((error, _)) => return Err(error.into()),
        }
    }
}

/// Processor microseconds of this process per record that the broker confirmed, and records per second.
fn fast(config: &ClientConfig, topic: &str, lasts: Duration) -> anyhow::Result<(f64, f64)> {
    let (sender, failed) = sender(config)?;
    send(&sender, topic, 0, &record(0))?;
    sender.flush(Duration::from_secs(30))?;
    let (used, began) = (cpu_micros(ClockId::ProcessCPUTime), Instant::now());
    let mut sent = 0_u64;
    while began.elapsed() < lasts {
        for _ in 0..1000 {
            send(&sender, topic, (sent % PARTITIONS as u64) as i32, &record(sent))?;
            sent += 1;
        }
    }
    sender.flush(Duration::from_secs(60))?;
    anyhow::ensure!(!failed.0.load(Ordering::Relaxed), "the broker did not take everything");
    let cpu = cpu_micros(ClockId::ProcessCPUTime) - used;
    Ok((cpu / sent as f64, sent as f64 / began.elapsed().as_secs_f64()))
}

/// From when each was to be sent until a consumer had it.
fn way(config: &ClientConfig, topic: &str, rate: f64, lasts: Duration) -> anyhow::Result<Latencies> {
    let mut consuming = config.clone();
    consuming
        .set("group.id", topic)
        .set("enable.auto.commit", "false")
        .set("fetch.wait.max.ms", "50")
        .set("fetch.queue.backoff.ms", "5");
    let consumer: BaseConsumer = consuming.create()?;
    let mut partitions = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        let (_, end) = consumer.fetch_watermarks(topic, partition, Duration::from_secs(10))?;
        partitions.add_partition_offset(topic, partition, Offset::Offset(end))?;
    }
    consumer.assign(&partitions)?;
    let (sender, failed) = sender(config)?;
    // A second to warm up, which does not count.
    let total = (rate * (lasts.as_secs_f64() + 1.0)) as u64;
    let begin = micros() + 200_000;
    let consumed = std::thread::spawn(move || consume(&consumer, total, begin + 1_000_000));
    let mut pace = Pace::new(begin, rate, total);
    while let Some(due) = pace.due() {
        let now = micros();
        if due > now {
            std::thread::sleep(Duration::from_micros(due - now));
        }
        while let Some((number, due)) = pace.take(micros()) {
            send(&sender, topic, (number % PARTITIONS as u64) as i32, &record(due))?;
        }
    }
    sender.flush(Duration::from_secs(30))?;
    anyhow::ensure!(!failed.0.load(Ordering::Relaxed), "the broker did not take everything");
    consumed.join().map_err(|_panicked| anyhow::anyhow!("the consumer ended"))?
}

fn consume(consumer: &BaseConsumer, total: u64, from: u64) -> anyhow::Result<Latencies> {
    let mut latencies = Latencies::new()?;
    for _ in 0..total {
        let message = consumer.poll(Duration::from_secs(30)).context("a record did not come")??;
        let due =
            message.payload().and_then(|payload| payload.first_chunk::<8>()).context("a strange record")?;
        let due = u64::from_le_bytes(*due);
        if due >= from {
            latencies.record(micros().saturating_sub(due));
        }
    }
    Ok(latencies)
}
