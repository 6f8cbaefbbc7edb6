//! The log: records appended, read by a group and committed, through our adapter, with the records of a call spread over
//! many partitions, so that each is alone in its batch, and over three. In calls a few milliseconds apart, as a receiver
//! makes them under load.

use std::sync::Arc;
use std::time::Duration;

use shared::config::{KafkaSettings, LogSettings};
use shared::log::kafka::{Admin, Log};
use shared::log::{Appender as _, Consumer, Entry, Interest, Provision as _, Subscriber as _, Turn};
use shared::record::encode;
use shared::topic::Topic;
use tokio::time::{Instant, sleep_until};

use super::server::Server;
use super::{port, sample, say, setting};

const CALLS: u64 = 600;
const CALL: u64 = 100;
const APART: Duration = Duration::from_millis(10);

pub(super) async fn run() {
    for (partitions, name) in [(192, "about one to a batch"), (3, "some thirty to a batch")] {
        one(partitions, name).await;
    }
}

/// Reads until `count` records have come, and finishes each.
async fn consume(mut consumer: Box<dyn Consumer>, count: u64) {
    let progress = consumer.progress();
    let mut came = 0;
    while came < count {
        if let Turn::Fetched(partition, records) = consumer.next().await.unwrap() {
            came += records.len() as u64;
            progress.finish(partition, records.last().unwrap().offset + 1);
        }
    }
    consumer.close().await;
}

async fn append(log: Arc<Log>) {
    let start = Instant::now();
    let mut calls = tokio::task::JoinSet::new();
    for call in 0..CALLS {
        let entries: Vec<Entry> = (call * CALL..(call + 1) * CALL)
            .map(|number| encode(&sample::notification(sample::recipient(number), number)))
            .collect();
        sleep_until(start + APART * u32::try_from(call).unwrap()).await;
        let log = Arc::clone(&log);
        calls.spawn(async move {
            let placed = log.append(Topic::Notifications, entries).await;
            assert!(placed.iter().all(Result::is_ok));
        });
    }
    calls.join_all().await;
}

async fn one(partitions: u32, name: &str) {
    let brokers = setting("POSTRIDER_TEST_KAFKA_BROKERS");
    let server = Server::at(port(&brokers));
    let prefix = format!("bench-{:08x}-", rand::random::<u32>());
    let log = LogSettings { prefix: prefix.clone(), partitions, ..LogSettings::default() };
    let kafka = KafkaSettings { brokers, ..KafkaSettings::default() };
    Admin::new(&log, &kafka).unwrap().ensure().await.unwrap();
    let log = Log::connect(&log, &kafka).await.unwrap();
    // Once to warm the broker's compiler, then for the figure.
    for round in 0..3 {
        let consumer = log.subscribe(Topic::Notifications, "bench", Interest::default()).await.unwrap();
        let before = server.open_bytes(&prefix, ".log");
        let from = server.cpu();
        let reading = tokio::spawn(consume(consumer, CALLS * CALL));
        append(Arc::clone(&log)).await;
        reading.await.unwrap();
        let count = (CALLS * CALL) as f64;
        let used = (server.cpu() - from) * 1e6 / count;
        say(&format!("Kafka, {name}, round {round}: a record appended and read"), used, "us");
        let stored = (server.open_bytes(&prefix, ".log") - before) / count - sample::CONTENT_BYTES as f64;
        say(&format!("Kafka, {name}, round {round}: a record on disk beside its content"), stored, "B");
    }
    idle(&server, partitions).await;
    let bytes = encode(&sample::notification(sample::recipient(1), 1)).size_bytes();
    say(
        "Kafka: a record beside its content, as it is sent",
        bytes as f64 - sample::CONTENT_BYTES as f64,
        "B",
    );
}

/// What the broker does when nobody asks it for anything: to be thought off the figures of a slow machine.
async fn idle(server: &Server, partitions: u32) {
    const LONG: Duration = Duration::from_secs(5);
    let from = server.cpu();
    tokio::time::sleep(LONG).await;
    let share = (server.cpu() - from) / LONG.as_secs_f64() * 100.0;
    say(&format!("Kafka, {partitions} partitions: a broker that idles"), share, "% of a core");
}
