//! The gate: forwarded records that wait until nothing stored is left below them, by position, bounded by number and
//! by content. Remembers which streams are behind. The session asks it; it decides nothing about order.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use shared::clock::Timestamp;
use shared::notification::Notification;
use shared::position::{Cursor, Position};
use smallvec::SmallVec;

use super::interface::{Limits, StreamId};

/// A record that waits.
#[derive(Debug)]
pub(super) struct Gated {
    /// How far `parked` must be drained before it: the highest that any stream said.
    pub(super) parked_upto: u64,
    /// Who forwarded it.
    pub(super) streams: SmallVec<[StreamId; 1]>,
    /// What.
    pub(super) notification: Arc<Notification>,
    since: Timestamp,
}

/// See the file's description.
#[derive(Debug)]
pub(super) struct Gate {
    /// By position. They nearly always come in order, and leave from the front.
    records: VecDeque<(Position, Gated)>,
    bytes: usize,
    /// For each stream that was told `spilled`: the highest `parked_upto` seen on it by then.
    behind: BTreeMap<StreamId, u64>,
}

impl Gate {
    pub(super) fn new() -> Self {
        Self { records: VecDeque::new(), bytes: 0, behind: BTreeMap::new() }
    }

    /// Where the record at `position` stands, or would.
    fn find(&self, position: Position) -> Result<usize, usize> {
        self.records.binary_search_by_key(&position, |(waiting, _)| *waiting)
    }

    /// Adds `stream` to a record that waits already; answers whether there is one.
    pub(super) fn join(&mut self, stream: StreamId, position: Position, parked_upto: u64) -> bool {
        let found = self.find(position).ok().and_then(|index| self.records.get_mut(index));
        let Some((_, gated)) = found else { return false };
        gated.parked_upto = gated.parked_upto.max(parked_upto);
        if !gated.streams.contains(&stream) {
            gated.streams.push(stream);
        }
        true
    }

    /// Whether a record of `stream` belongs into the store. A `parked_upto` above the one it spilled at says that the
    /// director has parked what was spilled: the stream is behind no longer.
    pub(super) fn is_behind(&mut self, stream: StreamId, parked_upto: u64) -> bool {
        if self.behind.get(&stream).is_some_and(|spilled_at| parked_upto > *spilled_at) {
            self.behind.remove(&stream);
        }
        self.behind.contains_key(&stream)
    }

    /// Whether `notification` finds room. An empty gate has room for one of any size.
    pub(super) fn has_room(&self, notification: &Notification, limits: &Limits) -> bool {
        self.records.is_empty()
            || (self.records.len() < limits.gate_records.max(1)
                && self.bytes.saturating_add(notification.content.len()) <= limits.gate_bytes)
    }

    /// Content that waits, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Lets a record wait.
    pub(super) fn admit(
        &mut self,
        stream: StreamId,
        position: Position,
        parked_upto: u64,
        notification: Arc<Notification>,
        now: Timestamp,
    ) {
        self.bytes += notification.content.len();
        let streams = SmallVec::from_slice(&[stream]);
        let gated = Gated { parked_upto, streams, notification, since: now };
        let index = self.find(position).unwrap_or_else(|index| index);
        self.records.insert(index, (position, gated));
    }

    /// Notes that `stream` is told `spilled` for a record that came with `parked_upto`.
    pub(super) fn fall_behind(&mut self, stream: StreamId, parked_upto: u64) {
        let spilled_at = self.behind.entry(stream).or_insert(parked_upto);
        *spilled_at = (*spilled_at).max(parked_upto);
    }

    /// `stream` is behind no longer.
    pub(super) fn resume(&mut self, stream: StreamId) {
        self.behind.remove(&stream);
    }

    /// Forgets a stream that ended, and every record that nobody else forwarded: it comes again.
    pub(super) fn forget(&mut self, stream: StreamId) {
        self.behind.remove(&stream);
        let bytes = &mut self.bytes;
        self.records.retain_mut(|(_position, gated)| {
            gated.streams.retain(|waiting| *waiting != stream);
            if gated.streams.is_empty() {
                *bytes -= gated.notification.content.len();
            }
            !gated.streams.is_empty()
        });
        self.give_back();
    }

    /// The lowest record that waits: its position, and how far `parked` must be drained before it.
    pub(super) fn head(&self) -> Option<(Position, u64)> {
        self.records.front().map(|(position, gated)| (*position, gated.parked_upto))
    }

    /// Takes the record at `position`.
    pub(super) fn take(&mut self, position: Position) -> Option<Gated> {
        let (_, gated) = self.find(position).ok().and_then(|index| self.records.remove(index))?;
        self.bytes -= gated.notification.content.len();
        self.give_back();
        Some(gated)
    }

    /// A session for which nothing waits holds no memory for it.
    fn give_back(&mut self) {
        if self.records.is_empty() {
            self.records = VecDeque::new();
        }
    }

    /// Takes the lowest record that is behind `cursor`.
    pub(super) fn take_behind(&mut self, cursor: Cursor) -> Option<(Position, Gated)> {
        let (position, _) = self.head().filter(|(position, _)| cursor.covers(*position))?;
        self.take(position).map(|gated| (position, gated))
    }

    /// Takes everything.
    pub(super) fn take_all(&mut self) -> VecDeque<(Position, Gated)> {
        self.bytes = 0;
        std::mem::take(&mut self.records)
    }

    /// When the first record will have waited for too long.
    pub(super) fn deadline(&self, patience: Duration) -> Option<Timestamp> {
        self.records.iter().map(|(_, gated)| gated.since).min().map(|since| since.after(patience))
    }
}
