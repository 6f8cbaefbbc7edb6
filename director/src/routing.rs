//! The first decision about a fetched record: a notification that belongs here and goes to its lane, or a dead letter.
//! Pure; the worker calls it for every record it takes.

use shared::log::{Entry, Fetched};
use shared::notification::Notification;
use shared::outcome::DeadReason;
use shared::position::{Epoch, Position};
use shared::record::{self, Kind};
use shared::topic::partition_of;

use crate::offsets::Ticket;

/// A record on its way: decoded for the link, and as it stood on the log for `parked` and `dead`. Both share the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Where it stands on `notifications`.
    pub position: Position,
    /// Its place in the tracker.
    pub ticket: Ticket,
    /// What it weighs against the byte limit.
    pub size_bytes: usize,
    /// The notification.
    pub notification: Notification,
    /// The record as fetched.
    pub entry: Entry,
}

/// What goes to `dead`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// Where the record stands on `notifications`.
    pub position: Position,
    /// The record.
    pub entry: Entry,
    /// Why it can never be delivered.
    pub reason: DeadReason,
}

/// A record that can never be delivered, and its place in the tracker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undeliverable {
    /// Its place in the tracker.
    pub ticket: Ticket,
    /// What it weighs against the byte limit.
    pub size_bytes: usize,
    /// What becomes of it.
    pub letter: DeadLetter,
}

impl Undeliverable {
    /// A record that was deliverable until `reason` was found.
    #[must_use]
    pub fn of(record: &Record, reason: DeadReason) -> Self {
        let letter = DeadLetter { position: record.position, entry: record.entry.clone(), reason };
        Self { ticket: record.ticket, size_bytes: record.size_bytes, letter }
    }
}

/// What is fetched of a topic, as far as deciding about its records goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// Its generation.
    pub epoch: Epoch,
    /// How many partitions it has.
    pub partitions: u32,
    /// The largest record that may be published, in bytes.
    pub max_record_bytes: usize,
}

/// Decides about one record of `source`.
///
/// # Errors
/// With the dead letter that it becomes.
pub fn route(fetched: Fetched, ticket: Ticket, source: Source) -> Result<Record, Box<Undeliverable>> {
    let Source { epoch, partitions, max_record_bytes } = source;
    let Fetched { partition, offset, entry, .. } = fetched;
    let position = Position { epoch, partition, offset };
    let size_bytes = entry.size_bytes();
    let reason = match record::decode(&entry) {
        // Nothing that it would be handed to has a place for it: not a node, not `parked`.
        Ok(_) if size_bytes > max_record_bytes => {
            DeadReason::TooLarge(format!("{size_bytes} bytes, at most {max_record_bytes} may be published"))
        }
        Ok(_) if partition_of(&entry.key, partitions) != partition => DeadReason::Misplaced,
        Ok((Kind::Notification, notification)) => {
            return Ok(Record { position, ticket, size_bytes, notification, entry });
        }
        Ok((Kind::Enrichment | Kind::Task, _)) => {
            DeadReason::Unsupported("tasks are not run by this version".into())
        }
        Err(malformed) => DeadReason::Malformed(malformed.to_string()),
    };
    Err(Box::new(Undeliverable { ticket, size_bytes, letter: DeadLetter { position, entry, reason } }))
}

#[cfg(test)]
mod tests {
    use shared::position::PartitionId;

    use super::*;
    use crate::offsets::Tracker;
    use crate::testing::notification;

    fn fetched(entry: Entry, partition: PartitionId) -> Fetched {
        Fetched { partition, offset: 7, timestamp: shared::clock::Timestamp::default(), entry }
    }

    fn decide(entry: Entry, partition: PartitionId) -> Result<Record, Box<Undeliverable>> {
        let ticket = Tracker::new(0).take(7).unwrap();
        let source = Source { epoch: Epoch(1), partitions: 12, max_record_bytes: 4096 };
        route(fetched(entry, partition), ticket, source)
    }

    #[test]
    fn a_notification_in_its_own_partition_goes_to_its_lane() {
        let notification = notification("acme/alice", 1);
        let entry = record::encode(&notification);
        let home = partition_of(&entry.key, 12);
        assert_eq!(decide(entry, home).unwrap().notification, notification);
    }

    #[test]
    fn a_record_in_another_partition_than_its_keys_is_misplaced() {
        let entry = record::encode(&notification("acme/alice", 1));
        let other = PartitionId((partition_of(&entry.key, 12).0 + 1) % 12);
        assert_eq!(decide(entry, other).unwrap_err().letter.reason, DeadReason::Misplaced);
    }

    #[test]
    fn a_record_larger_than_may_be_published_is_a_dead_letter_and_the_largest_is_none() {
        let mut large = notification("acme/alice", 1);
        let room = 4096 - record::encode(&large).size_bytes() + large.content.len();
        for (size, fits) in [(room, true), (room + 1, false)] {
            large.content = vec![0; size].into();
            let entry = record::encode(&large);
            let home = partition_of(&entry.key, 12);
            match decide(entry, home) {
                Ok(_) => assert!(fits),
                Err(dead) => assert!(!fits && dead.letter.reason.code() == "too_large", "{dead:?}"),
            }
        }
    }

    #[test]
    fn what_does_not_parse_is_malformed_and_a_task_is_unsupported() {
        assert!(matches!(
            decide(Entry::default(), PartitionId(0)).unwrap_err().letter.reason,
            DeadReason::Malformed(_)
        ));
        let mut task = record::encode(&notification("acme/alice", 1));
        let kind = task.headers.iter_mut().find(|(name, _)| name == "ce_kind").unwrap();
        kind.1 = bytes::Bytes::from_static(b"task");
        let home = partition_of(&task.key, 12);
        assert!(matches!(decide(task, home).unwrap_err().letter.reason, DeadReason::Unsupported(_)));
    }
}
