//! The log's port on a Kafka that is hurt: what its adapter does alone, without a service.

use std::error::Error as _;
use std::time::{Duration, Instant};

use bytes::Bytes;
use shared::config::{KafkaSettings, LogSettings};
use shared::log::kafka::{Admin, Log};
use shared::log::{
    Appender as _, Consumer, Ends as _, Entry, Error, Fetched, Interest, Placed, Provision as _,
    Subscriber as _, Turn,
};
use shared::position::PartitionId;
use shared::topic::Topic;

use crate::stack::{Engines, Fault, PATIENCE, Part, Plan, Stack};

/// Engines and no services.
async fn brokers(kafka: Engines) -> Stack {
    let none = Plan { receivers: 0, directors: 0, distributors: 0, executors: 0, ..Plan::default() };
    Stack::start(Plan { kafka, ..none }).await
}

/// The log on the stack's own brokers, on topics beside the stack's.
async fn log(stack: &mut Stack, copies: u16) -> std::sync::Arc<Log> {
    let log =
        LogSettings { prefix: "port.".into(), partitions: 3, replication: copies, ..LogSettings::default() };
    let addresses = stack.addresses_of(Part::Kafka);
    let kafka = KafkaSettings {
        brokers: addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
        session_timeout_ms: Duration::from_secs(6),
        drain_timeout_ms: Duration::from_secs(1),
        request_timeout_ms: Duration::from_secs(3),
        ..KafkaSettings::default()
    };
    Admin::new(&log, &kafka).unwrap().ensure().await.unwrap();
    Log::connect(&log, &kafka).await.unwrap()
}

/// Appends one record, once.
async fn append_once(log: &Log, key: &str) -> Result<Placed, Error> {
    let entry = Entry {
        key: Bytes::copy_from_slice(key.as_bytes()),
        headers: Vec::new(),
        payload: Bytes::from_static(b"payload"),
    };
    log.append(Topic::Notifications, vec![entry]).await.remove(0)
}

/// Appends one record until it is taken.
async fn append(log: &Log, key: &str) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match append_once(log, key).await {
            Ok(_placed) => return,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
    }
}

/// The end of a partition, once a broker knows it.
async fn end(log: &Log, partition: PartitionId) -> u64 {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match log.end(Topic::Notifications, partition).await {
            Ok(end) => return end,
            Err(error) => assert!(Instant::now() < deadline, "{error}: {:?}", error.source()),
        }
    }
}

/// How many records all partitions have taken.
async fn end_of_all(log: &Log) -> u64 {
    let mut ends = 0;
    for partition in (0..3).map(PartitionId) {
        ends += end(log, partition).await;
    }
    ends
}

/// The next turn of this kind.
async fn next<T>(member: &mut dyn Consumer, what: &str, mut wanted: impl FnMut(Turn) -> Option<T>) -> T {
    let looking = async {
        loop {
            if let Some(found) = wanted(member.next().await.unwrap()) {
                return found;
            }
        }
    };
    tokio::time::timeout(PATIENCE, looking).await.unwrap_or_else(|_late| panic!("waited for {what}"))
}

fn records(turn: Turn) -> Option<Vec<Fetched>> {
    match turn {
        Turn::Fetched(_, records) => Some(records),
        Turn::Assigned(_) | Turn::Revoked(..) | Turn::Lost(_) => None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_whose_leader_died_are_read_on() {
    let mut stack = brokers(Engines::Own { brokers: 3 }).await;
    let log = log(&mut stack, 3).await;
    let mut member = log.subscribe(Topic::Notifications, "director", Interest::default()).await.unwrap();
    let keys: Vec<String> = (0..12).map(|number| format!("tenant/recipient-{number}")).collect();
    for broker in 0..3 {
        for (key, away) in keys.iter().map(|key| (key, false)).chain(keys.iter().map(|key| (key, true))) {
            if away && key == &keys[0] {
                stack.fault(Part::Broker(broker), Fault::Killed).await;
            }
            append(&log, key).await;
        }
        for partition in (0..3).map(PartitionId) {
            let end = end(&log, partition).await;
            stack.says(&format!("partition {partition} ends at {end}"));
        }
        let mut found = 0;
        while found < 2 * keys.len() {
            found += next(&mut *member, "every partition's records", records).await.len();
        }
        stack.heal(Part::Broker(broker)).await;
        // Its copies catch up, before the next one dies.
        for key in &keys {
            append(&log, key).await;
        }
        found = 0;
        while found < keys.len() {
            found += next(&mut *member, "the records after it came back", records).await.len();
        }
    }
    member.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_silent_for_too_long_is_told_what_it_lost_and_gets_it_again() {
    let mut stack = brokers(Engines::PROXIED).await;
    let log = log(&mut stack, 1).await;
    let mut member = log.subscribe(Topic::Notifications, "director", Interest::default()).await.unwrap();
    let assigned = |turn| match turn {
        Turn::Assigned(partitions) => Some(partitions),
        Turn::Fetched(..) | Turn::Revoked(..) | Turn::Lost(_) => None,
    };
    assert_eq!(next(&mut *member, "the first assignment", assigned).await.len(), 3);
    // Longer than the group waits for it.
    stack.fault(Part::Kafka, Fault::BlackHoled).await;
    tokio::time::sleep(Duration::from_secs(7)).await;
    stack.heal(Part::Kafka).await;
    let lost = next(&mut *member, "what was lost", |turn| match turn {
        Turn::Lost(partitions) => Some(partitions.len()),
        Turn::Fetched(..) | Turn::Revoked(..) | Turn::Assigned(_) => None,
    });
    assert_eq!(lost.await, 3);
    append(&log, "tenant/alice").await;
    let mut again = 0;
    let arrived = next(&mut *member, "the record after the loss", |turn| match turn {
        Turn::Assigned(partitions) => {
            again += partitions.len();
            None
        }
        Turn::Fetched(_, records) => Some(records.len()),
        Turn::Revoked(..) | Turn::Lost(_) => None,
    });
    assert_eq!(arrived.await, 1);
    assert_eq!(again, 3);
    member.close().await;
}

/// As while a leader waits for a dead copy: what was sent stands on the log, and the answer is longer under way than any
/// request of ours. Given up, it would be sent again under another number, which no broker recognises.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_appended_and_not_answered_for_seconds_stands_on_the_log_once() {
    let mut stack = brokers(Engines::PROXIED).await;
    let log = log(&mut stack, 1).await;
    append(&log, "tenant/alice").await;
    let before = end_of_all(&log).await;
    stack.fault(Part::Kafka, Fault::Muted).await;
    let appending: Vec<_> = (0..6)
        .map(|number| {
            let log = std::sync::Arc::clone(&log);
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_secs(number)).await;
                append_once(&log, "tenant/alice").await
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_secs(7)).await;
    stack.heal(Part::Kafka).await;
    let mut durable = 0;
    for one in appending {
        durable += u64::from(one.await.unwrap().is_ok());
    }
    append(&log, "tenant/alice").await;
    assert_eq!(end_of_all(&log).await - before, durable + 1);
    assert_eq!(durable, 6);
}
