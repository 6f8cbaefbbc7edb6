//! The embedded log passes the log's contract, and keeps its promises about the disk.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking, also in what they share")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use shared::clock::{ManualClock, SystemClock, Timestamp};
use shared::config::LogSettings;
use shared::log::contract::Fixture;
use shared::log::sqlite::Log;
use shared::log::{Appender, Ends, Entry, Error, Interest, Provision, Subscriber, Turn};
use shared::position::PartitionId;
use shared::topic::Topic;

fn settings() -> LogSettings {
    LogSettings { partitions: 4, max_record_bytes: 64 * 1024, ..LogSettings::default() }
}

async fn open(path: &Path) -> Arc<Log> {
    Log::open(path, &settings(), Arc::new(SystemClock)).await.unwrap()
}

async fn fixture() -> (Fixture, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let log = open(&directory.path().join("log.sqlite")).await;
    (Fixture::of(&log, settings().max_record_bytes), directory)
}

shared::log_contract!(fixture);

fn entry(payload: &str) -> Entry {
    Entry { key: "tenant/alice".into(), payload: Bytes::from(payload.to_owned()), ..Entry::default() }
}

/// The first records of the group's partitions, as many as asked for, with what was assigned.
async fn read(log: &Arc<Log>, group: &str, records: usize) -> (Vec<String>, Box<dyn shared::log::Consumer>) {
    let mut consumer = log.subscribe(Topic::Notifications, group, Interest::default()).await.unwrap();
    let mut seen = Vec::new();
    while seen.len() < records {
        let turn = tokio::time::timeout(Duration::from_secs(20), consumer.next()).await.unwrap().unwrap();
        if let Turn::Fetched(_, fetched) = turn {
            seen.extend(
                fetched.iter().map(|record| String::from_utf8(record.entry.payload.to_vec()).unwrap()),
            );
        }
    }
    (seen, consumer)
}

#[tokio::test]
async fn what_was_answered_is_there_after_the_log_was_dropped_unclosed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log.sqlite");
    let log = open(&path).await;
    let placed = log.append(Topic::Notifications, vec![entry("a"), entry("b")]).await;
    let last = placed.into_iter().last().unwrap().unwrap();
    drop(log);
    let log = open(&path).await;
    assert_eq!(log.end(Topic::Notifications, last.partition).await.unwrap(), last.offset + 1);
    assert_eq!(read(&log, "director", 2).await.0, ["a", "b"]);
    let placed = log.append(Topic::Notifications, vec![entry("c")]).await;
    assert_eq!(placed[0].as_ref().unwrap().offset, last.offset + 1, "offsets go on");
}

#[tokio::test]
async fn a_copy_of_the_files_at_any_moment_has_everything_answered() {
    let directory = tempfile::tempdir().unwrap();
    let log = open(&directory.path().join("log.sqlite")).await;
    for number in 0..20 {
        let answers = log.append(Topic::Notifications, vec![entry(&number.to_string())]).await;
        answers.into_iter().for_each(|answer| assert!(answer.is_ok()));
    }
    // What a machine that lost its power would find: the file and its write-ahead log, as they are now.
    let found = tempfile::tempdir().unwrap();
    for name in ["log.sqlite", "log.sqlite-wal"] {
        std::fs::copy(directory.path().join(name), found.path().join(name)).unwrap();
    }
    let recovered = open(&found.path().join("log.sqlite")).await;
    let expected: Vec<String> = (0..20).map(|number| number.to_string()).collect();
    assert_eq!(read(&recovered, "director", 20).await.0, expected);
}

#[tokio::test]
async fn finished_offsets_reach_the_disk_without_a_close() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log.sqlite");
    let log = open(&path).await;
    let placed = log.append(Topic::Notifications, vec![entry("a"), entry("b")]).await;
    let partition = placed[0].as_ref().unwrap().partition;
    let (_, consumer) = read(&log, "director", 2).await;
    consumer.progress().finish(partition, 1);
    let reader = sqlx::SqlitePool::connect_lazy(&format!("sqlite://{}", path.display())).unwrap();
    let saved = async {
        loop {
            let next: i64 = sqlx::query_scalar("select next from commits where partition = ?")
                .bind(i64::from(partition.0))
                .fetch_one(&reader)
                .await
                .unwrap();
            if next == 1 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), saved).await.unwrap();
}

#[tokio::test]
async fn a_second_log_on_the_same_file_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log.sqlite");
    let _first = open(&path).await;
    let second = Log::open(&path, &settings(), Arc::new(SystemClock)).await;
    assert!(matches!(second, Err(Error::Rejected(_))));
}

#[tokio::test]
async fn a_file_that_is_no_log_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log.sqlite");
    std::fs::write(&path, vec![b'?'; 8192]).unwrap();
    let log = Log::open(&path, &settings(), Arc::new(SystemClock)).await;
    assert!(matches!(log, Err(Error::Rejected(_))));
}

#[tokio::test]
async fn past_the_memory_bound_an_append_is_refused_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let mut settings = settings();
    settings.max_record_bytes = 600 * 1024;
    settings.sqlite.queue_kbytes = 1024;
    let path = directory.path().join("log.sqlite");
    let log = Log::open(&path, &settings, Arc::new(SystemClock)).await.unwrap();
    let large = || Entry { payload: vec![0; 600 * 1024].into(), ..Entry::default() };
    let answers = log.append(Topic::Notifications, vec![large(), large()]).await;
    assert!(matches!(&answers[..], [Ok(_), Err(Error::Unavailable(_))]), "{answers:?}");
    let again = log.append(Topic::Notifications, vec![large()]).await;
    assert!(again[0].is_ok(), "room is given back: {again:?}");
}

#[tokio::test]
async fn a_closed_log_says_so() {
    let (directory, log);
    directory = tempfile::tempdir().unwrap();
    log = open(&directory.path().join("log.sqlite")).await;
    log.close().await;
    let answers = log.append(Topic::Notifications, vec![entry("a")]).await;
    assert!(matches!(&answers[..], [Err(Error::Closed)]), "{answers:?}");
}

#[tokio::test]
async fn another_generation_has_topics_of_its_own() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log.sqlite");
    let log = open(&path).await;
    let placed = log.append(Topic::Notifications, vec![entry("a")]).await;
    let partition = placed[0].as_ref().unwrap().partition;
    assert!(log.ensure().await.unwrap().iter().all(|topic| topic.created));
    log.close().await;
    drop(log);
    let second = LogSettings { epoch: 2, partitions: 6, ..settings() };
    let log = Log::open(&path, &second, Arc::new(SystemClock)).await.unwrap();
    assert_eq!(log.partitions(), 6);
    assert_eq!(log.end(Topic::Notifications, partition).await.unwrap(), 0);
    log.close().await;
    drop(log);
    let log = open(&path).await;
    assert_eq!(log.end(Topic::Notifications, partition).await.unwrap(), 1);
    assert!(log.ensure().await.unwrap().iter().all(|topic| !topic.created));
}

#[tokio::test]
async fn old_records_go_once_every_group_has_finished_them_and_offsets_go_on() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log.sqlite");
    let mut settings = settings();
    settings.sqlite.retention_ms = Duration::from_millis(500);
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_000_000)));
    let log = Log::open(&path, &settings, Arc::clone(&clock) as Arc<dyn shared::clock::Clock>).await.unwrap();
    let entries = (0..600).map(|number| entry(&number.to_string())).collect();
    let placed = log.append(Topic::Notifications, entries).await;
    let partition = placed[0].as_ref().unwrap().partition;
    let (_, fast) = read(&log, "fast", 600).await;
    let (_, slow) = read(&log, "slow", 600).await;
    fast.progress().finish(partition, 600);
    slow.progress().finish(partition, 400);
    clock.advance(Duration::from_secs(60));
    assert_eq!(remaining(&path, 200).await, 200, "what a group still needs stays");
    slow.progress().finish(partition, 600);
    assert_eq!(remaining(&path, 0).await, 0);
    log.close().await;
    drop((log, fast, slow));
    let log = Log::open(&path, &settings, clock).await.unwrap();
    assert_eq!(log.end(Topic::Notifications, partition).await.unwrap(), 600);
    let placed = log.append(Topic::Notifications, vec![entry("next")]).await;
    assert_eq!(placed[0].as_ref().unwrap().offset, 600);
}

/// How many records are in the file, once they are as many as expected or ten seconds have passed.
async fn remaining(path: &Path, expected: i64) -> i64 {
    let reader = sqlx::SqlitePool::connect_lazy(&format!("sqlite://{}", path.display())).unwrap();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    loop {
        let records: i64 =
            sqlx::query_scalar("select count(*) from records").fetch_one(&reader).await.unwrap();
        if records <= expected || tokio::time::Instant::now() >= deadline {
            return records;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_revoked_partition_goes_on_after_the_drain_deadline_at_latest() {
    let directory = tempfile::tempdir().unwrap();
    let mut settings = settings();
    settings.sqlite.drain_timeout_ms = Duration::from_millis(100);
    let path = directory.path().join("log.sqlite");
    let log = Log::open(&path, &settings, Arc::new(SystemClock)).await.unwrap();
    let mut first = log.subscribe(Topic::Notifications, "director", Interest::default()).await.unwrap();
    assert!(matches!(first.next().await, Ok(Turn::Assigned(all)) if all.len() == 4));
    let mut second = log.subscribe(Topic::Notifications, "director", Interest::default()).await.unwrap();
    let Ok(Turn::Revoked(partitions, _held)) = first.next().await else { panic!("no revocation") };
    let turn = tokio::time::timeout(Duration::from_secs(5), second.next()).await.unwrap().unwrap();
    let Turn::Assigned(assigned) = turn else { panic!("{turn:?}") };
    assert_eq!(assigned.iter().map(|(partition, _)| *partition).collect::<Vec<PartitionId>>(), partitions);
}
