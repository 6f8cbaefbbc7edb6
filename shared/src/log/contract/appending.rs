//! Checks of [`Appender`](crate::log::Appender) and [`Ends`](crate::log::Ends).

use bytes::Bytes;

use super::Fixture;
use crate::log::{Entry, Error};
use crate::outcome::{DeadReason, ParkReason};
use crate::position::{Epoch, PartitionId, Position};
use crate::record::{dead, parked};
use crate::topic::{COPY_BYTES, Topic, partition_of};

/// Answers of one call come in its order, and offsets of one partition ascend in it.
pub async fn answers_come_in_order_and_tell_where_records_stand(fixture: &Fixture) {
    let entries: Vec<Entry> = (0..200_u32)
        .map(|number| Entry {
            key: Bytes::from(format!("tenant/recipient-{}", number % 20)),
            payload: Bytes::from(number.to_string()),
            ..Entry::default()
        })
        .collect();
    let partitions = fixture.ends.partitions();
    let answers = fixture.appender.append(Topic::Notifications, entries.clone()).await;
    assert_eq!(answers.len(), entries.len());
    let mut next = vec![0; partitions as usize];
    for (entry, answer) in entries.iter().zip(answers) {
        let placed = answer.expect("an append on a healthy log succeeds");
        assert_eq!(placed.partition, partition_of(&entry.key, partitions));
        let next = &mut next[placed.partition.0 as usize];
        assert!(placed.offset >= *next, "offset {} after {next}", placed.offset);
        *next = placed.offset + 1;
    }
}

/// So that a recipient's position means the same everywhere.
pub async fn a_key_has_the_same_partition_in_every_topic(fixture: &Fixture) {
    for key in ["tenant/alice", "tenant/bob", "other#news", ""] {
        let expected = partition_of(key.as_bytes(), fixture.ends.partitions());
        for topic in Topic::ALL {
            let entry = Entry { key: Bytes::from_static(key.as_bytes()), ..Entry::default() };
            let mut answers = fixture.appender.append(topic, vec![entry]).await;
            let placed = answers.remove(0).expect("an append on a healthy log succeeds");
            assert_eq!(placed.partition, expected, "{key:?} in {topic:?}");
        }
    }
}

/// The rule that "drained up to here" hangs on.
pub async fn an_end_lies_above_everything_appended_before(fixture: &Fixture) {
    for partition in fixture.partitions() {
        assert_eq!(fixture.ends.end(Topic::Parked, partition).await.expect("an end"), 0);
    }
    for round in 0..20 {
        for partition in fixture.partitions() {
            let placed = fixture.append(Topic::Parked, partition, &[&round.to_string()]).await;
            let end = fixture.ends.end(Topic::Parked, partition).await.expect("an end");
            assert_eq!(end, placed[0].offset + 1);
        }
    }
    let asked = (0..100_u32).map(|number| {
        let partition = PartitionId(number % fixture.ends.partitions());
        fixture.ends.end(Topic::Parked, partition)
    });
    for end in futures_util::future::join_all(asked).await {
        assert_eq!(end.expect("an end"), 20, "many who ask at once are all answered");
    }
}

/// A mistake of the caller, not an outage.
pub async fn an_end_of_no_partition_is_rejected(fixture: &Fixture) {
    let beyond = PartitionId(fixture.ends.partitions());
    let answer = fixture.ends.end(Topic::Parked, beyond).await;
    assert!(matches!(answer, Err(Error::Rejected(_))), "{answer:?}");
}

/// One at the limit is taken, one above it is refused, and neither harms the others of its call.
pub async fn a_record_too_large_is_refused_and_its_neighbours_are_not(fixture: &Fixture) {
    let entry = |bytes: usize| Entry { payload: Bytes::from(vec![b'x'; bytes]), ..Entry::default() };
    let most = fixture.max_record_bytes;
    let entries = vec![entry(1), entry(most + 1), entry(2), entry(most)];
    let answers = fixture.appender.append(Topic::Notifications, entries).await;
    assert!(matches!(&answers[..], [Ok(_), Err(Error::TooLarge), Ok(_), Ok(_)]), "{answers:?}");
}

/// Copies carry more than what they copy; a record that was accepted must not be refused on its way.
pub async fn a_record_at_the_limit_can_be_parked_and_dead_lettered_whole(fixture: &Fixture) {
    let headers = vec![("ce_id".into(), Bytes::from_static(b"id"))];
    let mut entry = Entry { key: fixture.key_of(PartitionId(0)), headers, payload: Bytes::new() };
    entry.payload = vec![b'x'; fixture.max_record_bytes - entry.size_bytes()].into();
    let position = Position { epoch: Epoch(u32::MAX), partition: PartitionId(u32::MAX), offset: u64::MAX };
    let parked = parked::encode(&entry, position, ParkReason::RegistryUnavailable);
    let malformed = DeadReason::Malformed("what is wrong with it ".repeat(100));
    let dead = dead::encode(&entry, position, &malformed);
    for (topic, entry) in [(Topic::Notifications, entry), (Topic::Parked, parked), (Topic::Dead, dead)] {
        let size_bytes = entry.size_bytes();
        let answers = fixture.appender.append(topic, vec![entry]).await;
        assert!(matches!(&answers[..], [Ok(_)]), "{topic:?}, {size_bytes} bytes: {answers:?}");
    }
    for topic in [Topic::Parked, Topic::Dead, Topic::Outcomes] {
        let most = fixture.max_record_bytes + COPY_BYTES;
        let entries =
            [most, most + 1].map(|bytes| Entry { payload: vec![b'x'; bytes].into(), ..Entry::default() });
        let answers = fixture.appender.append(topic, entries.into()).await;
        assert!(matches!(&answers[..], [Ok(_), Err(Error::TooLarge)]), "{topic:?}: {answers:?}");
    }
}
