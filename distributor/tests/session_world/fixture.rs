//! What the worlds are made of: one recipient, one partition, notifications that differ by position only.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use postrider_distributor::session::{Acknowledging, Limits, Opening};
use shared::clock::Timestamp;
use shared::notification::{ContentType, Notification, NotificationId, NotificationType, Trace, Urgency};
use shared::position::{Cursor, Epoch, PartitionId, Position};
use shared::recipient::{Recipient, RecipientId, TenantId};

/// The position at `offset`.
pub(crate) fn at(offset: u64) -> Position {
    Position { epoch: Epoch(1), partition: PartitionId(0), offset }
}

/// The cursor whose first offset not behind the client is `next`.
pub(crate) fn cursor(next: u64) -> Cursor {
    Cursor { epoch: Epoch(1), partition: PartitionId(0), next }
}

/// A notification that expires at `expires`.
pub(crate) fn notification(offset: u64, expires: Timestamp) -> Arc<Notification> {
    let recipient = Recipient::new(
        TenantId::parse("acme").expect("a good name"),
        RecipientId::parse("alice").expect("a good name"),
    );
    Arc::new(Notification {
        id: NotificationId::parse(&format!("n{offset}")).expect("a good name"),
        recipient,
        source: "/world".to_owned(),
        kind: NotificationType::parse("world.thing").expect("a good name"),
        time: Timestamp::from_millis(0),
        expires,
        urgency: Urgency::Normal,
        content_type: ContentType::parse("text/plain").expect("a good name"),
        metadata: None,
        trace: Trace::default(),
        content: Bytes::from_static(b"x"),
    })
}

/// A session that starts at `next`, with limits so small that every one of them is met.
pub(crate) fn opening(next: u64) -> Opening {
    Opening {
        partition: PartitionId(0),
        cursor: cursor(next),
        acknowledging: Acknowledging::Explicit,
        limits: std::sync::Arc::new(Limits {
            window: 2,
            gate_records: 3,
            gate_bytes: 1 << 20,
            page_rows: 2,
            refusals: 2,
            ack_deadline: Duration::from_secs(10),
            grace: Duration::from_secs(5),
            retry: Duration::from_millis(50),
        }),
    }
}
