//! What unit tests of the executor are made of.

use std::time::Duration;

use bytes::Bytes;
use shared::clock::Timestamp;
use shared::notification::{ContentType, Notification, NotificationId, NotificationType, Trace, Urgency};
use shared::recipient::Recipient;

/// A notification of `recipient` (`tenant/recipient`) that was accepted at a fixed time and lives an hour.
pub(crate) fn notification(recipient: &str, id: &str) -> Notification {
    let time = Timestamp::from_millis(1_700_000_000_000);
    Notification {
        id: NotificationId::parse(id).unwrap(),
        recipient: Recipient::parse_key(recipient).unwrap(),
        source: "/tests".to_owned(),
        kind: NotificationType::parse("order.shipped").unwrap(),
        time,
        expires: time.after(Duration::from_secs(3600)),
        urgency: Urgency::Normal,
        content_type: ContentType::parse("application/json").unwrap(),
        metadata: Some(r#"{"origin":"shop"}"#.to_owned()),
        trace: Trace::default(),
        content: Bytes::from_static(b"{}"),
    }
}
