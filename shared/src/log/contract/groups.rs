//! Checks of consumer groups with more than one member.

use std::time::Duration;

use super::Fixture;
use super::reader::{Reader, Releases, both_until};
use crate::topic::Topic;

/// Each group has all records, and offsets of its own.
pub async fn two_groups_do_not_see_each_other(fixture: &Fixture) {
    let here = crate::position::PartitionId(0);
    fixture.append(Topic::Parked, here, &["a", "b"]).await;
    let mut flags = Reader::join_alone(fixture, Topic::Parked, "flags").await;
    flags.until("both records", |reader| reader.seen.len() == 2).await;
    flags.progress.finish(here, 2);
    flags.close().await;
    let mut rows = Reader::join_alone(fixture, Topic::Parked, "rows").await;
    assert_eq!(rows.owned.get(&here), Some(&0));
    rows.until("both records", |reader| reader.seen.len() == 2).await;
    rows.close().await;
}

/// Every partition has exactly one owner, each record comes to the owner, and nothing finished comes again.
pub async fn a_second_member_shares_the_partitions_and_loses_nothing(fixture: &Fixture) {
    for partition in fixture.partitions() {
        fixture.append(Topic::Notifications, partition, &[&format!("old-{partition}")]).await;
    }
    let all = fixture.partitions().count();
    let mut first = Reader::join_alone(fixture, Topic::Notifications, "director").await;
    first.until("every old record", |reader| reader.seen.len() == all).await;
    for record in &first.seen {
        first.progress.finish(record.partition, record.offset + 1);
    }
    let mut second = Reader::join(fixture, Topic::Notifications, "director").await;
    both_until(&mut first, &mut second, "both to share", |a, b| {
        !a.owned.is_empty() && !b.owned.is_empty() && a.owned.len() + b.owned.len() == all
    })
    .await;
    assert!(first.owned.keys().all(|partition| !second.owned.contains_key(partition)), "one owner each");
    for (partition, offset) in &second.owned {
        assert_eq!(*offset, 1, "{partition} goes on where the first member finished");
    }
    for partition in fixture.partitions() {
        fixture.append(Topic::Notifications, partition, &[&format!("new-{partition}")]).await;
    }
    both_until(&mut first, &mut second, "every new record", |a, b| a.seen.len() + b.seen.len() == 2 * all)
        .await;
    for partition in fixture.partitions() {
        let owner = if second.owned.contains_key(&partition) { &second } else { &first };
        assert!(owner.has(&format!("new-{partition}")), "{partition} comes to its owner");
    }
    first.close().await;
    second.close().await;
}

/// Until then what is finished counts, and nobody else reads.
pub async fn a_revoked_partition_waits_for_its_release(fixture: &Fixture) {
    for partition in fixture.partitions() {
        fixture.append(Topic::Notifications, partition, &["record"]).await;
    }
    let all = fixture.partitions().count();
    let mut first = Reader::join_alone(fixture, Topic::Notifications, "director").await;
    first.until("every record", |reader| reader.seen.len() == all).await;
    first.releases = Releases::Held;
    let mut second = Reader::join(fixture, Topic::Notifications, "director").await;
    both_until(&mut first, &mut second, "a revocation", |a, _| !a.draining.is_empty()).await;
    // An observation window, not a wait for something: whatever the second member gets in it is a mistake.
    let early =
        tokio::time::timeout(Duration::from_millis(500), second.until("", |reader| !reader.owned.is_empty()));
    assert!(early.await.is_err(), "assigned before the release: {:?}", second.owned);
    for (partitions, release) in std::mem::take(&mut first.draining) {
        partitions.iter().for_each(|partition| first.progress.finish(*partition, 1));
        drop(release);
    }
    first.releases = Releases::AtOnce;
    both_until(&mut first, &mut second, "the release to count", |a, b| a.owned.len() + b.owned.len() == all)
        .await;
    assert!(!second.owned.is_empty());
    for (partition, offset) in &second.owned {
        assert_eq!(*offset, 1, "what was finished while {partition} drained counts");
    }
    first.close().await;
    second.close().await;
}

/// Within a bounded time, and with what it had finished.
pub async fn a_member_that_leaves_gives_its_partitions_to_the_others(fixture: &Fixture) {
    let all = fixture.partitions().count();
    let mut first = Reader::join_alone(fixture, Topic::Notifications, "director").await;
    let mut second = Reader::join(fixture, Topic::Notifications, "director").await;
    both_until(&mut first, &mut second, "both to share", |a, b| {
        !b.owned.is_empty() && a.owned.len() + b.owned.len() == all
    })
    .await;
    for partition in fixture.partitions() {
        fixture.append(Topic::Notifications, partition, &["record"]).await;
    }
    both_until(&mut first, &mut second, "every record", |a, b| a.seen.len() + b.seen.len() == all).await;
    for record in &first.seen {
        first.progress.finish(record.partition, record.offset + 1);
    }
    let before: Vec<_> = second.owned.keys().copied().collect();
    first.close().await;
    second.until("all partitions", |reader| reader.owned.len() == all).await;
    for (partition, offset) in second.owned.iter().filter(|(partition, _)| !before.contains(partition)) {
        assert_eq!(*offset, 1, "{partition} goes on where the other finished");
    }
    second.close().await;
}
