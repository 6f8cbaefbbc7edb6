//! Notifications and records for the tests of this crate.

use bytes::Bytes;
use shared::clock::Timestamp;
use shared::notification::{ContentType, Notification, NotificationId, NotificationType, Trace, Urgency};
use shared::recipient::Recipient;

/// The `number`-th notification for `recipient` (`tenant/name`).
pub(crate) fn notification(recipient: &str, number: u64) -> Notification {
    Notification {
        id: NotificationId::parse(&format!("n-{number}")).unwrap(),
        recipient: Recipient::parse_key(recipient).unwrap(),
        source: "/tests".into(),
        kind: NotificationType::parse("test").unwrap(),
        time: Timestamp::from_millis(1_000),
        expires: Timestamp::from_millis(4_000_000_000_000),
        urgency: Urgency::Normal,
        content_type: ContentType::parse("text/plain").unwrap(),
        metadata: None,
        trace: Trace::default(),
        content: Bytes::from(format!("content {number}")),
    }
}
