//! The notification that all figures are of: an ordinary one, with 256 bytes of JSON, as the receiver makes it.

use bytes::Bytes;
use shared::clock::Timestamp;
use shared::log::{Entry, Fetched};
use shared::notification::{ContentType, Notification, NotificationId, NotificationType, Trace, Urgency};
use shared::position::{Epoch, PartitionId, Position};
use shared::recipient::{Recipient, RecipientId, TenantId};
use shared::record;

/// How many bytes of content it has.
pub(crate) const CONTENT_BYTES: usize = 256;

/// The partition that everything stands in.
pub(crate) const PARTITION: PartitionId = PartitionId(0);

/// Where the record at `offset` stands.
pub(crate) fn position(offset: u64) -> Position {
    Position { epoch: Epoch(1), partition: PARTITION, offset }
}

/// A recipient out of many.
pub(crate) fn recipient(number: u64) -> Recipient {
    let id = RecipientId::parse(&format!("customer-{number:09}")).unwrap();
    Recipient::new(TenantId::parse("acme").unwrap(), id)
}

/// The `number`-th notification, for `recipient`.
pub(crate) fn notification(recipient: Recipient, number: u64) -> Notification {
    let frame = r#"{"text":""}"#.len();
    let content = format!(r#"{{"text":"{}"}}"#, "a".repeat(CONTENT_BYTES - frame));
    Notification {
        id: NotificationId::parse(&format!("019a9f00-0000-7000-8000-{number:012x}")).unwrap(),
        recipient,
        source: "/shop/orders".into(),
        kind: NotificationType::parse("order.shipped").unwrap(),
        time: Timestamp::from_millis(1_763_700_000_000),
        expires: Timestamp::from_millis(4_000_000_000_000),
        urgency: Urgency::Normal,
        content_type: ContentType::parse("application/json").unwrap(),
        metadata: None,
        trace: Trace::default(),
        content: Bytes::from(content),
    }
}

/// As the log hands out its record at `offset`.
pub(crate) fn fetched(notification: &Notification, offset: u64) -> Fetched {
    let entry: Entry = record::encode(notification);
    Fetched { partition: PARTITION, offset, timestamp: notification.time, entry }
}
