//! What is stored: notifications as a shop would send them.

use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use shared::clock::{Clock as _, SystemClock};
use shared::notification::{ContentType, Notification, NotificationId, NotificationType, Trace, Urgency};
use shared::position::{Epoch, PartitionId, Position};
use shared::recipient::{Recipient, RecipientId, TenantId};
use shared::store::StoredRow;

/// The partition that all of it lies in.
pub(crate) const PARTITION: PartitionId = PartitionId(7);

/// Which rows.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Sample {
    /// How many.
    #[arg(long, default_value_t = 100_000, global = true)]
    pub(crate) rows: usize,
    /// How many of each recipient.
    #[arg(long, default_value_t = 10, global = true)]
    pub(crate) each: usize,
    /// How many of them one after the other; the others follow after every recipient had as many.
    #[arg(long, default_value_t = 1, global = true)]
    pub(crate) together: usize,
    /// Bytes of content.
    #[arg(long, default_value_t = 256, global = true)]
    pub(crate) content: usize,
}

impl Sample {
    pub(crate) fn recipients(&self) -> usize {
        self.rows.div_ceil(self.each)
    }

    pub(crate) fn recipient(number: usize) -> Recipient {
        // Scattered: neighbours in time are none in the index.
        let scattered = (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let id = RecipientId::parse(&format!("user-{scattered:016x}")).unwrap();
        Recipient::new(TenantId::parse("acme").unwrap(), id)
    }

    pub(crate) fn make(&self) -> Vec<StoredRow> {
        let now = SystemClock.now();
        let recipients: Vec<Recipient> = (0..self.recipients()).map(Self::recipient).collect();
        let (kind, json) = ("order.shipped", "application/json");
        let row = |offset: usize| {
            let recipient = recipients[offset / self.together % recipients.len()].clone();
            let notification = Notification {
                id: NotificationId::parse(&uuid::Uuid::now_v7().to_string()).unwrap(),
                recipient,
                source: "/shops/berlin".into(),
                kind: NotificationType::parse(kind).unwrap(),
                time: now,
                expires: now.after(Duration::from_secs(72 * 3600)),
                urgency: Urgency::Normal,
                content_type: ContentType::parse(json).unwrap(),
                metadata: None,
                trace: Trace {
                    parent: Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".into()),
                    state: None,
                    baggage: None,
                },
                content: Bytes::from(vec![b'x'; self.content]),
            };
            let position = Position { epoch: Epoch(1), partition: PARTITION, offset: offset as u64 };
            StoredRow { position, notification }
        };
        (0..self.rows).map(row).collect()
    }
}
