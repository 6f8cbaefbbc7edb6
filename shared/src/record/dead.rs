//! What a record of `dead` carries on top: where it stood on `notifications`, and why it can never be delivered.

use bytes::Bytes;

use super::headers::{MalformedRecord, Notes};
use super::parked;
use crate::log::Entry;
use crate::outcome::DeadReason;
use crate::position::Position;

/// A record that can never be delivered, on its way to `dead`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// Where the record stands on `notifications`.
    pub position: Position,
    /// The record.
    pub entry: Entry,
    /// Why it can never be delivered.
    pub reason: DeadReason,
}

const CODE: &str = "pr_dead";
const DETAIL: &str = "pr_detail";
const CUT: &str = "pr_cut";

/// The record of `dead` for `entry`, which stood at `position`. Works for any record, parseable or not.
#[must_use]
pub fn encode(entry: &Entry, position: Position, reason: &DeadReason) -> Entry {
    let mut dead = entry.clone();
    parked::stamp(&mut dead.headers, position);
    dead.headers.push((CODE.into(), Bytes::from_static(reason.code().as_bytes())));
    dead.headers.push((DETAIL.into(), Bytes::from(reason.detail().to_owned())));
    dead
}

/// As [`encode`], for an `entry` that lost its body or its headers, because the log did not take it whole.
#[must_use]
pub fn encode_cut(entry: &Entry, position: Position, reason: &DeadReason) -> Entry {
    let mut dead = encode(entry, position, reason);
    dead.headers.push((CUT.into(), Bytes::from_static(b"1")));
    dead
}

/// Whether a record of `dead` lost its body or its headers.
#[must_use]
pub fn is_cut(entry: &Entry) -> bool {
    entry.headers.iter().any(|(name, _)| name == CUT)
}

/// The code and the detail of a record of `dead`.
///
/// # Errors
/// When they are missing or not UTF-8.
pub fn reason(entry: &Entry) -> Result<(String, String), MalformedRecord> {
    let notes = Notes(&entry.headers);
    Ok((notes.need(CODE)?.to_owned(), notes.get(DETAIL)?.unwrap_or_default().to_owned()))
}
