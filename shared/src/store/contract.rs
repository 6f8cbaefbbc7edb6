//! What every adapter of the store port must do. Each check takes a store that other checks may be using: it works in
//! tenants, partitions and with ids of its own. The checks of [`expiry`] and [`schedules`] need a store
//! of their own.
//!
//! A check panics, with what it expected, when the adapter breaks the contract.

pub mod dead;
pub mod expiry;
pub mod inbox;
pub mod key_values;
pub mod keys;
pub mod modules;
pub mod quota;
pub mod race;
pub mod schedules;
pub mod tasks;

use std::time::Duration;

use bytes::Bytes;

use super::{Inbox, Page, PageRequest, StoredRow};
use crate::clock::Timestamp;
use crate::notification::{ContentType, Notification, NotificationId, NotificationType, Trace, Urgency};
use crate::position::{Cursor, Epoch, PartitionId, Position};
use crate::recipient::{Recipient, RecipientId, TenantId};

/// When the checks take place: 2026-11-21T06:26:40Z, a Saturday.
pub const NOW: Timestamp = Timestamp::from_millis(1_795_242_400_000);

/// A tenant that no other check uses.
fn tenant() -> TenantId {
    TenantId::parse(&format!("t{:016x}", rand::random::<u64>())).expect("a tenant's name")
}

/// A recipient of a tenant that no other check uses.
fn recipient(name: &str) -> Recipient {
    Recipient::new(tenant(), RecipientId::parse(name).expect("a recipient's name"))
}

/// A partition that no other check uses.
fn partition() -> PartitionId {
    PartitionId(rand::random())
}

const fn at(epoch: u32, partition: PartitionId, offset: u64) -> Position {
    Position { epoch: Epoch(epoch), partition, offset }
}

/// A row that lives for an hour, with every column set.
fn row(recipient: &Recipient, position: Position) -> StoredRow {
    lasting(recipient, position, Duration::from_secs(3600))
}

fn lasting(recipient: &Recipient, position: Position, ttl: Duration) -> StoredRow {
    let urgencies = [Urgency::VeryLow, Urgency::Low, Urgency::Normal, Urgency::High];
    let full = position.offset.is_multiple_of(2);
    let told = |text: &str| full.then(|| text.to_owned());
    let notification = Notification {
        id: NotificationId::parse(&format!("n-{}-{}", position.epoch.0, position.offset)).expect("an id"),
        recipient: recipient.clone(),
        source: "/orders?a=ü'\"".into(),
        kind: NotificationType::parse("order.shipped").expect("a type"),
        time: NOW,
        expires: NOW.after(ttl),
        urgency: urgencies[usize::try_from(position.offset % 4).expect("below four")],
        content_type: ContentType::parse("application/json; charset=utf-8").expect("a media type"),
        metadata: told(r#"{"colour":"grün"}"#),
        trace: Trace { parent: told("00-11-22-01"), state: told("a=b"), baggage: told("c=d") },
        content: if full { Bytes::from_static(b"\x00\xff{}\n") } else { Bytes::new() },
    };
    StoredRow { position, notification }
}

/// Rows of one recipient at `offsets` of epoch 1.
fn rows(
    recipient: &Recipient,
    partition: PartitionId,
    offsets: impl IntoIterator<Item = u64>,
) -> Vec<StoredRow> {
    offsets.into_iter().map(|offset| row(recipient, at(1, partition, offset))).collect()
}

async fn page(inbox: &dyn Inbox, recipient: &Recipient, from: Cursor, limit: u32) -> Page {
    let request = PageRequest { recipient: recipient.clone(), partition: from.partition, from, limit };
    inbox.pages(&[request]).await.expect("pages").remove(0)
}

/// Everything of `recipient`.
async fn whole(inbox: &dyn Inbox, recipient: &Recipient, partition: PartitionId) -> Page {
    page(inbox, recipient, Cursor::start(Epoch(0), partition), 100).await
}

fn offsets(page: &Page) -> Vec<u64> {
    page.rows.iter().map(|row| row.position.offset).collect()
}
