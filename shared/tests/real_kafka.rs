//! The log on Kafka passes the log's contract on a real broker. Needs POSTRIDER_TEST_KAFKA_BROKERS (`scripts/test`
//! sets it).

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking, also in what they share")]

use std::sync::Arc;
use std::time::Duration;

use shared::config::{KafkaSettings, LogSettings};
use shared::log::contract::Fixture;
use shared::log::kafka::{Admin, Log};
use shared::log::{Appender, Entry, Error, Provision};
use shared::topic::Topic;

#[expect(clippy::disallowed_methods, reason = "tests find their engines in the environment")]
fn brokers() -> String {
    std::env::var("POSTRIDER_TEST_KAFKA_BROKERS")
        .expect("POSTRIDER_TEST_KAFKA_BROKERS must name a running Kafka; scripts/test starts one")
}

fn settings() -> (LogSettings, KafkaSettings) {
    let log = LogSettings {
        prefix: format!("test-{}-", uuid::Uuid::now_v7()),
        partitions: 4,
        max_record_bytes: 64 * 1024,
        ..LogSettings::default()
    };
    let kafka = KafkaSettings {
        brokers: brokers(),
        session_timeout_ms: Duration::from_secs(6),
        drain_timeout_ms: Duration::from_secs(5),
        request_timeout_ms: Duration::from_secs(15),
        ..KafkaSettings::default()
    };
    (log, kafka)
}

async fn fixture() -> (Fixture, Arc<Log>) {
    let (log_settings, kafka) = settings();
    let made = Admin::new(&log_settings, &kafka).unwrap().ensure().await.unwrap();
    assert!(made.iter().all(|topic| topic.created && topic.partitions == 4), "{made:?}");
    let log = Log::connect(&log_settings, &kafka).await.unwrap();
    (Fixture::of(&log, log_settings.max_record_bytes), log)
}

shared::log_contract!(fixture);

#[tokio::test]
async fn topics_that_are_there_are_left_alone() {
    let (log, kafka) = settings();
    let admin = Admin::new(&log, &kafka).unwrap();
    assert!(admin.ensure().await.unwrap().iter().all(|topic| topic.created));
    let more = LogSettings { partitions: 9, ..log };
    let again = Admin::new(&more, &kafka).unwrap().ensure().await.unwrap();
    assert!(again.iter().all(|topic| !topic.created && topic.partitions == 4), "{again:?}");
}

#[tokio::test]
async fn a_topic_that_may_lose_what_is_alive_is_pointed_out() {
    use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, ResourceSpecifier};
    let (log, kafka) = settings();
    let admin = Admin::new(&log, &kafka).unwrap();
    let made = admin.ensure().await.unwrap();
    assert!(admin.ensure().await.unwrap().iter().all(|topic| topic.faults.is_empty()), "as they are made");
    let client: AdminClient<_> =
        rdkafka::ClientConfig::new().set("bootstrap.servers", brokers()).create().unwrap();
    let week = AlterConfig::new(ResourceSpecifier::Topic(&made[1].name)).set("retention.ms", "604800000");
    let altered = client.alter_configs(&[week], &AdminOptions::new()).await.unwrap();
    assert!(altered[0].is_ok());
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    loop {
        let found = admin.ensure().await.unwrap();
        if matches!(&found[1].faults[..], [fault] if fault.starts_with("retention.ms is 604800000")) {
            assert!(found.iter().all(|topic| topic.name == made[1].name || topic.faults.is_empty()));
            return;
        }
        assert!(tokio::time::Instant::now() < deadline, "{found:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn missing_topics_are_named_and_how_to_make_them() {
    let (log, kafka) = settings();
    match Log::connect(&log, &kafka).await {
        Err(Error::Rejected(why)) => {
            let why = why.to_string();
            assert!(why.contains("notifications.parked") && why.contains("postrider topics"), "{why}");
        }
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("connected to topics that are not there"),
    }
}

#[tokio::test]
async fn a_broker_that_is_away_is_unavailable() {
    let (log, mut kafka) = settings();
    kafka.brokers = "127.0.0.1:1".into();
    kafka.request_timeout_ms = Duration::from_secs(1);
    let connected = Log::connect(&log, &kafka).await;
    assert!(matches!(connected, Err(Error::Unavailable(_))));
}

#[tokio::test]
async fn past_the_memory_bound_an_append_is_refused_at_once() {
    let (mut log_settings, mut kafka) = settings();
    log_settings.max_record_bytes = 600 * 1024;
    kafka.queue_kbytes = 1024;
    // The first record must not be acknowledged before the second is sent.
    kafka.linger_ms = Duration::from_millis(300);
    Admin::new(&log_settings, &kafka).unwrap().ensure().await.unwrap();
    let log = Log::connect(&log_settings, &kafka).await.unwrap();
    let large = || Entry { payload: vec![0; 600 * 1024].into(), ..Entry::default() };
    let answers = log.append(Topic::Notifications, vec![large(), large()]).await;
    assert!(matches!(&answers[..], [Ok(_), Err(Error::Unavailable(_))]), "{answers:?}");
    let again = log.append(Topic::Notifications, vec![large()]).await;
    assert!(again[0].is_ok(), "room is given back: {again:?}");
}
