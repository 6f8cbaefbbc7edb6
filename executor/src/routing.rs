//! The first decision about a fetched record: whether this group is to act on it, and what it asks for. Pure.

use shared::clock::Timestamp;
use shared::log::{Entry, Fetched, Headers};
use shared::notification::Notification;
use shared::outcome::DeadReason;
use shared::position::{Epoch, Position};
use shared::record::dead::Letter;
use shared::record::{self, Kind, MalformedRecord};
use shared::task::{Enrichment, Order};
use shared::topic::partition_of;

/// What a group acts on, by the kind of record and what stands in its headers.
pub(crate) trait Ask: Sized + Send + Sync + 'static {
    /// The kind.
    const KIND: Kind;

    /// Whether a record may be of that kind, by a header. One without such a header is not.
    fn wanted(name: &str, value: &[u8]) -> bool;

    /// Reads what is asked for.
    fn read(headers: &Headers) -> Result<Self, MalformedRecord>;
}

impl Ask for Order {
    const KIND: Kind = Kind::Task;

    fn wanted(name: &str, value: &[u8]) -> bool {
        record::task::is_order(name, value)
    }

    fn read(headers: &Headers) -> Result<Self, MalformedRecord> {
        record::task::order(headers)
    }
}

impl Ask for Enrichment {
    const KIND: Kind = Kind::Enrichment;

    fn wanted(name: &str, _value: &[u8]) -> bool {
        record::task::names_module(name)
    }

    fn read(headers: &Headers) -> Result<Self, MalformedRecord> {
        record::task::enrichment(headers)
    }
}

/// A record that asks for something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asked<A> {
    /// Where it stands on `notifications`; none: it was found in the store, which does not know.
    pub(crate) position: Option<Position>,
    /// When it was appended, by the log's clock; not before it was accepted. Later for one that was requeued.
    pub(crate) appended: Timestamp,
    /// The notification in it.
    pub(crate) notification: Notification,
    /// The record.
    pub(crate) entry: Entry,
    /// What it asks for.
    pub(crate) ask: A,
}

impl<A> Asked<A> {
    /// The dead letter that it becomes; none where nothing is known to stand on the log.
    pub(crate) fn letter(&self, code: &'static str, reason: &str) -> Option<Letter> {
        let reason = DeadReason::Task { code, detail: reason.to_owned() };
        Some(Letter { position: self.position?, entry: self.entry.clone(), reason })
    }
}

/// What a record asks for that was kept apart from the log.
///
/// # Errors
/// When it asks for nothing of this kind.
pub(crate) fn read<A: Ask>(entry: Entry, position: Option<Position>) -> Result<Asked<A>, MalformedRecord> {
    let (_kind, notification) = record::decode(&entry)?;
    let ask = A::read(&entry.headers)?;
    Ok(Asked { position, appended: notification.time, notification, entry, ask })
}

/// What is to be done with a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Routed<A> {
    /// Nothing: another group, or the director, ends it.
    Elsewhere,
    /// It asks for something that cannot be understood.
    Bury(Box<Letter>),
    /// What it asks for.
    Act(Box<Asked<A>>),
}

/// What is fetched of a topic, as far as deciding about its records goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    /// Its generation.
    pub(crate) epoch: Epoch,
    /// How many partitions it has.
    pub(crate) partitions: u32,
    /// The largest record that may be published, in bytes.
    pub(crate) max_record_bytes: usize,
}

/// Decides about one record of `source`. What the director makes a dead letter, malformed, misplaced or too large, it is
/// left to make one.
pub(crate) fn route<A: Ask>(fetched: Fetched, source: Source) -> Routed<A> {
    let Fetched { partition, offset, timestamp, entry } = fetched;
    let position = Position { epoch: source.epoch, partition, offset };
    let notification = match record::decode(&entry) {
        Ok((kind, notification)) if kind == A::KIND => notification,
        Ok(_) | Err(_) => return Routed::Elsewhere,
    };
    if entry.size_bytes() > source.max_record_bytes
        || partition_of(&entry.key, source.partitions) != partition
    {
        return Routed::Elsewhere;
    }
    match A::read(&entry.headers) {
        Ok(ask) => {
            let appended = timestamp.max(notification.time);
            Routed::Act(Box::new(Asked { position: Some(position), appended, notification, entry, ask }))
        }
        Err(malformed) => {
            let reason = DeadReason::Malformed(malformed.to_string());
            Routed::Bury(Box::new(Letter { position, entry, reason }))
        }
    }
}
