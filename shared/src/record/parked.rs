//! What a record of `parked` carries on top: where it stood on `notifications`, and why it was parked.

use bytes::Bytes;

use super::headers::{MalformedRecord, Notes};
use crate::log::{Entry, Headers};
use crate::outcome::ParkReason;
use crate::position::{Epoch, PartitionId, Position};

pub(super) const EPOCH: &str = "pr_epoch";
pub(super) const PARTITION: &str = "pr_partition";
pub(super) const OFFSET: &str = "pr_offset";
const REASON: &str = "pr_parked";

/// The record of `parked` for `entry`, which stood at `position`.
#[must_use]
pub fn encode(entry: &Entry, position: Position, reason: ParkReason) -> Entry {
    let mut parked = entry.clone();
    stamp(&mut parked.headers, position);
    parked.headers.push((REASON.into(), Bytes::from_static(reason.as_str().as_bytes())));
    parked
}

/// The original position of a record of `parked` or `dead`.
///
/// # Errors
/// When a position header is missing or no number.
pub fn position(entry: &Entry) -> Result<Position, MalformedRecord> {
    let notes = Notes(&entry.headers);
    Ok(Position {
        epoch: Epoch(notes.number(EPOCH)?),
        partition: PartitionId(notes.number(PARTITION)?),
        offset: notes.number(OFFSET)?,
    })
}

/// Replaces every `pr_` header by the coordinates of `position`: what a producer wrote under a reserved name is not
/// believed.
pub(super) fn stamp(headers: &mut Headers, position: Position) {
    headers.retain(|(name, _)| !name.starts_with("pr_"));
    for (name, number) in [
        (EPOCH, u64::from(position.epoch.0)),
        (PARTITION, u64::from(position.partition.0)),
        (OFFSET, position.offset),
    ] {
        headers.push((name.into(), Bytes::from(number.to_string())));
    }
}
