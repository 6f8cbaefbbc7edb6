//! The record format: how a [`Notification`] stands on the log. Body untouched, everything else in headers, by the
//! CloudEvents 1.0 Kafka protocol binding, binary mode. The receiver writes it, the director forwards it, the archiver
//! stores it; nobody parses a body.
//!
//! Reading order: [`encode`] and [`decode`] for `notifications`; [`parked`] and [`dead`] add what those topics carry on
//! top: the original position and the reason; [`run`] is several of one recipient parked at once; [`outcomes`] is what
//! stands on the topic of that name; [`task`] is what a record says of the task it asks for.

pub mod dead;
mod headers;
pub mod outcomes;
pub mod parked;
pub mod run;
pub mod task;

use bytes::Bytes;

pub use headers::{MalformedRecord, Notes, header_name};

use crate::log::Entry;
use crate::notification::Notification;

/// What a record asks for (`ce_kind`, and whether there is a `ce_task`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Deliver it.
    Notification,
    /// Enrich it; what comes of that is delivered.
    Enrichment,
    /// Run a task.
    Task,
}

/// The record of a notification.
#[must_use]
pub fn encode(notification: &Notification) -> Entry {
    Entry {
        key: notification.recipient.key().into(),
        headers: headers::write(notification),
        payload: notification.content.clone(),
    }
}

/// The notification's id as a record has it, whatever else may be wrong with the record.
#[must_use]
pub fn id(entry: &Entry) -> Option<&str> {
    headers::id(&entry.headers)
}

/// Reads the record of a notification. Unknown headers are ignored; the first of a repeated header counts.
///
/// # Errors
/// Names the header, or the key, that is missing or breaks its grammar.
pub fn decode(entry: &Entry) -> Result<(Kind, Notification), MalformedRecord> {
    let key = std::str::from_utf8(&entry.key).ok();
    headers::read(key, &entry.headers, Bytes::clone(&entry.payload))
}
