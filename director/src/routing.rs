//! The first decision about a fetched record: a notification that belongs here and goes to its lane, or a dead letter.
//! Pure; the worker calls it for every record it takes.

use std::sync::Arc;

use shared::group::offsets::Ticket;
use shared::log::{Entry, Fetched};
use shared::notification::Notification;
use shared::outcome::DeadReason;
use shared::position::{Epoch, Position};
use shared::record::dead::Letter;
use shared::record::{self, Kind};
use shared::topic::partition_of;

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

impl AsRef<Notification> for Record {
    fn as_ref(&self) -> &Notification {
        &self.notification
    }
}

/// A record that can never be delivered, and its place in the tracker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undeliverable {
    /// Its place in the tracker.
    pub ticket: Ticket,
    /// What it weighs against the byte limit.
    pub size_bytes: usize,
    /// What becomes of it.
    pub letter: Letter,
}

impl Undeliverable {
    /// A record that was deliverable until `reason` was found.
    #[must_use]
    pub fn of(record: &Record, reason: DeadReason) -> Self {
        let letter = Letter { position: record.position, entry: record.entry.clone(), reason };
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

/// What is to be done with a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Routed {
    /// It is delivered. Nobody else has it yet.
    Deliver(Arc<Record>),
    /// The executor has it: it asks for a task, or is to be enriched.
    HandOver(Box<Record>),
    /// It becomes a dead letter.
    Bury(Box<Undeliverable>),
}

/// Decides about one record of `source`.
#[must_use]
pub fn route(fetched: Fetched, ticket: Ticket, source: Source) -> Routed {
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
        Ok((kind, notification)) => {
            let record = Record { position, ticket, size_bytes, notification, entry };
            return match kind {
                Kind::Notification => Routed::Deliver(Arc::new(record)),
                Kind::Enrichment | Kind::Task => Routed::HandOver(Box::new(record)),
            };
        }
        Err(malformed) => DeadReason::Malformed(malformed.to_string()),
    };
    Routed::Bury(Box::new(Undeliverable { ticket, size_bytes, letter: Letter { position, entry, reason } }))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use shared::group::offsets::Tracker;
    use shared::position::PartitionId;
    use shared::record::task;
    use shared::task::{Enrichment, ModuleRef, OnTimeout, Order, Origin};

    use super::*;
    use crate::testing::notification;

    fn fetched(entry: Entry, partition: PartitionId) -> Fetched {
        Fetched { partition, offset: 7, timestamp: shared::clock::Timestamp::default(), entry }
    }

    fn decide(entry: Entry, partition: PartitionId) -> Routed {
        let ticket = Tracker::new(0).take(7).unwrap();
        let source = Source { epoch: Epoch(1), partitions: 12, max_record_bytes: 4096 };
        route(fetched(entry, partition), ticket, source)
    }

    fn buried(routed: Routed) -> DeadReason {
        let Routed::Bury(dead) = routed else { panic!("{routed:?}") };
        dead.letter.reason
    }

    #[test]
    fn a_notification_in_its_own_partition_goes_to_its_lane() {
        let notification = notification("acme/alice", 1);
        let entry = record::encode(&notification);
        let home = partition_of(&entry.key, 12);
        let Routed::Deliver(record) = decide(entry, home) else { panic!("not delivered") };
        assert_eq!(record.notification, notification);
    }

    #[test]
    fn a_record_in_another_partition_than_its_keys_is_misplaced() {
        let entry = record::encode(&notification("acme/alice", 1));
        let other = PartitionId((partition_of(&entry.key, 12).0 + 1) % 12);
        assert_eq!(buried(decide(entry, other)), DeadReason::Misplaced);
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
                Routed::Bury(dead) => {
                    assert!(!fits && dead.letter.reason.code() == "too_large", "{dead:?}");
                }
                routed => assert!(fits && matches!(routed, Routed::Deliver(_)), "{routed:?}"),
            }
        }
    }

    #[test]
    fn what_does_not_parse_is_malformed() {
        assert!(matches!(buried(decide(Entry::default(), PartitionId(0))), DeadReason::Malformed(_)));
    }

    #[test]
    fn what_names_a_module_is_handed_over_and_only_from_its_own_partition() {
        let input = notification("acme/alice", 1);
        let module = ModuleRef::parse("sum").unwrap();
        let enrichment = Enrichment {
            module: module.clone(),
            deadline: Duration::from_secs(1),
            on_timeout: OnTimeout::Retry,
        };
        let order = Order { module, code: None, origin: Origin::Api, progress: false, schedule: None };
        for entry in [task::encode_order(&input, &order), task::encode_enrichment(&input, &enrichment)] {
            let home = partition_of(&entry.key, 12);
            let other = PartitionId((home.0 + 1) % 12);
            assert!(matches!(decide(entry.clone(), home), Routed::HandOver(_)));
            assert_eq!(buried(decide(entry, other)), DeadReason::Misplaced);
        }
    }
}
