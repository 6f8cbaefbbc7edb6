//! Checks of one [`Consumer`](crate::log::Consumer) and its [`Progress`](crate::log::Progress).

use std::time::Duration;

use tokio::time::Instant;

use super::Fixture;
use super::reader::Reader;
use crate::log::{Entry, Interest};
use crate::position::PartitionId;
use crate::topic::Topic;

const HERE: PartitionId = PartitionId(0);
const ELSEWHERE: PartitionId = PartitionId(1);

/// Key, headers, payload and place; from the earliest record on, also what was there before the group.
pub async fn a_member_reads_everything_as_it_was_appended(fixture: &Fixture) {
    let placed = fixture.append(Topic::Dead, HERE, &["a", "b", "c"]).await;
    let mut reader = Reader::join_alone(fixture, Topic::Dead, "archiver").await;
    assert!(reader.owned.values().all(|offset| *offset == 0), "{:?}", reader.owned);
    reader.until("what was there", |reader| reader.seen.len() == 3).await;
    fixture.append(Topic::Dead, ELSEWHERE, &["d"]).await;
    reader.until("what is new", |reader| reader.seen.len() == 4).await;
    assert_eq!(reader.payloads(), ["a", "b", "c", "d"]);
    let first = &reader.seen[0];
    assert_eq!((first.partition, first.offset), (placed[0].partition, placed[0].offset));
    assert_eq!(first.entry.key, fixture.key_of(HERE));
    assert_eq!(first.entry.headers, [("ce_id".into(), "id-a".into())]);
    assert!(first.timestamp.as_millis() > 0, "it is known when it was appended");
    reader.close().await;
}

/// Waiting for records is waiting, not polling at long intervals.
pub async fn a_member_hears_of_new_records_soon(fixture: &Fixture) {
    let mut reader = Reader::join_alone(fixture, Topic::Notifications, "prompt").await;
    fixture.append(Topic::Notifications, HERE, &["warm"]).await;
    reader.until("the first record", |reader| reader.seen.len() == 1).await;
    let mut took = Vec::new();
    for round in 2..22 {
        fixture.append(Topic::Notifications, HERE, &["more"]).await;
        let appended_at = Instant::now();
        reader.until("the next record", |reader| reader.seen.len() == round).await;
        took.push(appended_at.elapsed());
    }
    took.sort_unstable();
    assert!(
        took[took.len() / 2] < Duration::from_millis(250),
        "half took longer than {:?}",
        took[took.len() / 2]
    );
    reader.close().await;
}

/// What is wanted comes whole, and how far a partition was read is known however little of it is.
pub async fn what_is_of_no_interest_comes_bare_and_not_all_of_it(fixture: &Fixture) {
    let interest = Interest {
        header: Some(|name, value| name == "ce_id" && value == b"id-yes"),
        patience: Duration::from_millis(10),
    };
    let mut reader =
        Reader::join_for(fixture, Topic::Notifications, "tasks", interest).await.alone(fixture).await;
    let read_to = |reader: &Reader, partition, offset| {
        reader.seen.iter().any(|record| record.partition == partition && record.offset == offset)
    };
    fixture.append(Topic::Notifications, HERE, &["no", "no", "yes", "no", "yes", "no", "no"]).await;
    fixture.append(Topic::Notifications, ELSEWHERE, &["no"]).await;
    reader
        .until("the last of both", |reader| read_to(reader, HERE, 6) && read_to(reader, ELSEWHERE, 0))
        .await;
    fixture.append(Topic::Notifications, HERE, &["no", "yes"]).await;
    reader.until("what is wanted later", |reader| read_to(reader, HERE, 8)).await;

    let here = reader.seen.iter().filter(|record| record.partition == HERE);
    let (whole, bare): (Vec<_>, Vec<_>) = here.partition(|record| record.entry != Entry::default());
    assert_eq!(whole.iter().map(|record| record.offset).collect::<Vec<_>>(), [2, 4, 8]);
    assert!(whole.iter().all(|record| record.entry.payload == b"yes"[..]), "{whole:?}");
    assert!(bare.iter().any(|record| record.offset == 6), "{bare:?}");
    assert!(bare.len() < 6, "each of the six comes: {bare:?}");
    assert!(bare.iter().all(|record| record.timestamp.as_millis() > 0), "{bare:?}");
    reader.close().await;
}

/// Finished, closed, joined again: nothing twice, nothing missing.
pub async fn a_group_resumes_exactly_where_it_finished(fixture: &Fixture) {
    fixture.append(Topic::Notifications, HERE, &["a", "b", "c", "d"]).await;
    let mut reader = Reader::join_alone(fixture, Topic::Notifications, "director").await;
    reader.until("four records", |reader| reader.seen.len() == 4).await;
    let next = reader.seen[2].offset;
    reader.progress.finish(HERE, next);
    reader.close().await;

    let mut again = Reader::join_alone(fixture, Topic::Notifications, "director").await;
    assert_eq!(again.owned.get(&HERE), Some(&next), "assigned with what was finished");
    again.until("the rest", |reader| reader.seen.len() == 2).await;
    assert_eq!(again.payloads(), ["c", "d"]);
    again.close().await;
}

/// At least once.
pub async fn what_is_not_finished_comes_again(fixture: &Fixture) {
    fixture.append(Topic::Notifications, HERE, &["a", "b"]).await;
    for _ in 0..2 {
        let mut reader = Reader::join_alone(fixture, Topic::Notifications, "director").await;
        reader.until("both records", |reader| reader.seen.len() == 2).await;
        assert_eq!(reader.payloads(), ["a", "b"]);
        reader.close().await;
    }
}

/// Nothing comes of a paused partition while others go on.
pub async fn a_paused_partition_is_silent_until_resumed(fixture: &Fixture) {
    let mut reader = Reader::join_alone(fixture, Topic::Notifications, "director").await;
    fixture.append(Topic::Notifications, HERE, &["before"]).await;
    reader.until("a record before the pause", |reader| reader.has("before")).await;
    reader.progress.pause(HERE);
    fixture.append(Topic::Notifications, ELSEWHERE, &["paused by now"]).await;
    reader.until("a sign that the pause is heard", |reader| reader.has("paused by now")).await;
    fixture.append(Topic::Notifications, HERE, &["held"]).await;
    for barrier in ["x", "y", "z"] {
        fixture.append(Topic::Notifications, ELSEWHERE, &[barrier]).await;
        reader.until("another partition", |reader| reader.has(barrier)).await;
    }
    assert!(!reader.has("held"), "{:?}", reader.payloads());
    reader.progress.resume(HERE);
    reader.until("what was held", |reader| reader.has("held")).await;
    assert_eq!(reader.payloads().iter().filter(|payload| **payload == "before").count(), 1, "once each");
    reader.close().await;
}

/// Forward or back.
pub async fn a_seek_reads_again_from_there(fixture: &Fixture) {
    let placed = fixture.append(Topic::Notifications, HERE, &["a", "b", "c"]).await;
    let mut reader = Reader::join_alone(fixture, Topic::Notifications, "director").await;
    reader.until("three records", |reader| reader.seen.len() == 3).await;
    reader.progress.seek(HERE, placed[1].offset);
    reader.until("two of them again", |reader| reader.seen.len() == 5).await;
    assert_eq!(reader.payloads(), ["a", "b", "c", "b", "c"]);
    reader.close().await;
}

/// How a director that filled up goes back to what it left out.
pub async fn a_seek_while_paused_counts_when_resumed(fixture: &Fixture) {
    let placed = fixture.append(Topic::Notifications, HERE, &["a", "b", "c"]).await;
    let mut reader = Reader::join_alone(fixture, Topic::Notifications, "director").await;
    reader.until("three records", |reader| reader.seen.len() == 3).await;
    reader.progress.pause(HERE);
    reader.progress.seek(HERE, placed[2].offset);
    for barrier in ["x", "y"] {
        fixture.append(Topic::Notifications, ELSEWHERE, &[barrier]).await;
        reader.until("another partition", |reader| reader.has(barrier)).await;
    }
    assert_eq!(reader.payloads(), ["a", "b", "c", "x", "y"]);
    reader.progress.resume(HERE);
    reader.until("the sought record", |reader| reader.seen.len() == 6).await;
    assert_eq!(reader.payloads()[5], "c");
    reader.close().await;
}

/// A worker that speaks late, of a partition given up or never had, does no harm.
pub async fn controls_of_partitions_not_assigned_are_ignored(fixture: &Fixture) {
    let mut reader = Reader::join_alone(fixture, Topic::Notifications, "director").await;
    let beyond = PartitionId(fixture.ends.partitions() + 7);
    reader.progress.finish(beyond, 3);
    reader.progress.pause(beyond);
    reader.progress.seek(beyond, 1);
    reader.progress.resume(beyond);
    fixture.append(Topic::Notifications, HERE, &["a"]).await;
    reader.until("a record", |reader| reader.has("a")).await;
    reader.close().await;
}
