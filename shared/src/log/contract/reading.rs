//! Checks of [`Reader`](crate::log::Reader) and [`Commits`](crate::log::Commits).

use tokio::time::Instant;

use super::reader::Reader as Member;
use super::{Fixture, PATIENCE};
use crate::log::{Error, Fetched};
use crate::position::PartitionId;
use crate::topic::Topic;

const HERE: PartitionId = PartitionId(0);
const ELSEWHERE: PartitionId = PartitionId(1);

/// Reads until nothing is left, as the port's caller does.
async fn read_all(
    fixture: &Fixture,
    topic: Topic,
    partition: PartitionId,
    from: u64,
    to: u64,
) -> Vec<Fetched> {
    let (mut all, mut from) = (Vec::new(), from);
    loop {
        let records = fixture.reader.read(topic, partition, from, to).await.expect("a healthy log is read");
        let Some(last) = records.last() else { return all };
        from = last.offset + 1;
        all.extend(records);
    }
}

fn offsets(records: &[Fetched]) -> Vec<u64> {
    records.iter().map(|record| record.offset).collect()
}

/// As it was appended, within the bounds, of that topic and partition alone; the same again when asked again.
pub async fn what_was_appended_is_read_from_anywhere_to_anywhere(fixture: &Fixture) {
    let payloads: Vec<String> = (0..1200).map(|number| number.to_string()).collect();
    let payloads: Vec<&str> = payloads.iter().map(String::as_str).collect();
    fixture.append(Topic::Outcomes, HERE, &payloads).await;
    fixture.append(Topic::Outcomes, ELSEWHERE, &["elsewhere"]).await;
    fixture.append(Topic::Parked, HERE, &["another topic"]).await;
    assert_eq!(fixture.reader.first(Topic::Outcomes, HERE).await.ok(), Some(0));
    for (from, to) in [(0, 1200), (7, 1200), (3, 9), (1199, 1200), (0, 1)] {
        let records = read_all(fixture, Topic::Outcomes, HERE, from, to).await;
        assert_eq!(offsets(&records), (from..to).collect::<Vec<u64>>(), "{from}..{to}");
        assert!(records.iter().all(|record| record.partition == HERE));
        let first = &records[0].entry;
        assert_eq!(first.payload, payloads[from as usize].as_bytes());
        assert_eq!(first.key, fixture.key_of(HERE));
        assert_eq!(first.headers, [("ce_id".into(), format!("id-{from}").into())]);
    }
    assert!(read_all(fixture, Topic::Outcomes, HERE, 1200, 1200).await.is_empty(), "nothing at the end");
    assert_eq!(read_all(fixture, Topic::Outcomes, ELSEWHERE, 0, 1).await.len(), 1);
    let none = PartitionId(fixture.ends.partitions());
    let refused = fixture.reader.read(Topic::Outcomes, none, 0, 1).await;
    assert!(matches!(refused, Err(Error::Rejected(_))), "{refused:?}");
}

/// Each gets its own, and a read does not disturb another.
pub async fn many_partitions_are_read_at_once(fixture: &Fixture) {
    for partition in fixture.partitions() {
        let payload = format!("of {partition}");
        fixture.append(Topic::Dead, partition, &[payload.as_str(); 20]).await;
    }
    let reads = (0..8).flat_map(|_| fixture.partitions()).map(|partition| async move {
        for from in [0, 10, 5] {
            let records = read_all(fixture, Topic::Dead, partition, from, 20).await;
            assert_eq!(offsets(&records), (from..20).collect::<Vec<u64>>());
            let expected = format!("of {partition}");
            assert!(records.iter().all(|record| record.entry.payload == expected.as_bytes()));
        }
    });
    futures_util::future::join_all(reads).await;
}

/// `None` before, and soon after it finished something as much as that.
pub async fn what_a_group_committed_is_told_from_outside(fixture: &Fixture) {
    fixture.append(Topic::Notifications, HERE, &["a", "b", "c"]).await;
    let told =
        async || fixture.commits.committed("director", Topic::Notifications, HERE).await.expect("told");
    assert_eq!(told().await, None, "a group that never was");
    let mut member = Member::join_alone(fixture, Topic::Notifications, "director").await;
    member.until("three records", |member| member.seen.len() == 3).await;
    member.progress.finish(HERE, 2);
    let deadline = Instant::now() + PATIENCE;
    while told().await != Some(2) {
        assert!(Instant::now() < deadline, "told {:?}", told().await);
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(fixture.commits.committed("rows", Topic::Notifications, HERE).await.ok(), Some(None));
    member.close().await;
}

/// For each partition and topic, from the answer on; topics not named are left alone.
pub async fn a_group_that_nobody_joins_keeps_the_offsets_committed_for_it(fixture: &Fixture) {
    let commits = &fixture.commits;
    let told =
        async |topic, partition| commits.committed("reconciled", topic, partition).await.expect("told");
    assert_eq!(told(Topic::Parked, HERE).await, None);
    let offsets = [(Topic::Notifications, 7), (Topic::Parked, 3), (Topic::Outcomes, 0)];
    commits.commit("reconciled", HERE, &offsets).await.expect("committed");
    assert_eq!(told(Topic::Notifications, HERE).await, Some(7));
    assert_eq!(told(Topic::Parked, HERE).await, Some(3));
    assert_eq!(told(Topic::Outcomes, HERE).await, Some(0));
    assert_eq!(told(Topic::Dead, HERE).await, None, "not named");
    assert_eq!(told(Topic::Parked, ELSEWHERE).await, None, "another partition");
    commits
        .commit("reconciled", HERE, &[(Topic::Notifications, 8), (Topic::Parked, 3)])
        .await
        .expect("committed");
    assert_eq!((told(Topic::Notifications, HERE).await, told(Topic::Parked, HERE).await), (Some(8), Some(3)));
    commits.commit("reconciled", ELSEWHERE, &[(Topic::Parked, 5)]).await.expect("committed");
    assert_eq!((told(Topic::Parked, ELSEWHERE).await, told(Topic::Parked, HERE).await), (Some(5), Some(3)));
}

/// A group without members has one too; a partition that it never committed counts whole.
pub async fn lag_is_what_stands_on_the_log_and_is_not_committed(fixture: &Fixture) {
    let lag = async |group| fixture.lag.lag(group, Topic::Parked).await.expect("told");
    assert_eq!(lag("nobody").await, 0, "nothing stands there");
    fixture.append(Topic::Parked, HERE, &["a", "b", "c"]).await;
    fixture.append(Topic::Parked, ELSEWHERE, &["d", "e"]).await;
    fixture.append(Topic::Dead, HERE, &["of another topic"]).await;
    assert_eq!(lag("nobody").await, 5);
    fixture.commits.commit("somebody", HERE, &[(Topic::Parked, 2)]).await.expect("committed");
    assert_eq!(lag("somebody").await, 3, "one of three, and both of the other partition");
    fixture.commits.commit("somebody", ELSEWHERE, &[(Topic::Parked, 2)]).await.expect("committed");
    fixture.commits.commit("somebody", HERE, &[(Topic::Parked, 3)]).await.expect("committed");
    assert_eq!((lag("somebody").await, lag("nobody").await), (0, 5));
}
