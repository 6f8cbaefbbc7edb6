//! Notifications, names and numbers of the simulated world.

use std::time::Duration;

use bytes::Bytes;
use shared::clock::Timestamp;
use shared::notification::{ContentType, Notification, NotificationId, NotificationType, Trace, Urgency};
use shared::position::{Cursor, Epoch, PartitionId, Position};
use shared::recipient::Recipient;
use shared::topic;

/// Partitions of every topic.
pub(crate) const PARTITIONS: usize = 2;

/// The generation of the topics.
pub(crate) const EPOCH: Epoch = Epoch(1);

/// The time at which a run begins, in milliseconds.
pub(crate) const BEGIN_MS: u64 = 1_000_000;

pub(crate) fn at(partition: usize, offset: u64) -> Position {
    Position { epoch: EPOCH, partition: partition_id(partition), offset }
}

pub(crate) fn partition_id(partition: usize) -> PartitionId {
    PartitionId(partition as u32)
}

/// The cursor of a client that has processed everything below `next`.
pub(crate) fn cursor(partition: usize, next: u64) -> Cursor {
    let epoch = if next == 0 { Epoch(0) } else { EPOCH };
    Cursor { epoch, partition: partition_id(partition), next }
}

pub(crate) fn recipient(number: usize) -> Recipient {
    Recipient::parse_key(&format!("acme/r{number}")).expect("a good key")
}

pub(crate) fn partition_of(recipient: &Recipient) -> usize {
    topic::partition_of(recipient.key().as_bytes(), PARTITIONS as u32).0 as usize
}

/// The notification that says its own number.
pub(crate) fn notification(
    number: u64,
    recipient: &Recipient,
    now: u64,
    ttl: u64,
    urgent: bool,
) -> Notification {
    Notification {
        id: NotificationId::parse(&format!("n{number}")).expect("a good name"),
        recipient: recipient.clone(),
        source: "/simulation".to_owned(),
        kind: NotificationType::parse("simulation.thing").expect("a good name"),
        time: Timestamp::from_millis(now),
        expires: Timestamp::from_millis(now + ttl),
        urgency: if urgent { Urgency::High } else { Urgency::Normal },
        content_type: ContentType::parse("text/plain").expect("a good name"),
        metadata: None,
        trace: Trace::default(),
        content: Bytes::from_static(b"x"),
    }
}

/// Milliseconds as a duration.
pub(crate) fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}
