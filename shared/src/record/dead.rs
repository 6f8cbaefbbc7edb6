//! What a record of `dead` carries on top: where it stood on `notifications`, and why it can never be delivered.

use bytes::Bytes;

use super::headers::{MalformedRecord, Notes};
use super::parked;
use crate::log::Entry;
use crate::outcome::DeadReason;
use crate::position::Position;

const CODE: &str = "pr_dead";
const DETAIL: &str = "pr_detail";

/// The record of `dead` for `entry`, which stood at `position`. Works for any record, parseable or not.
#[must_use]
pub fn encode(entry: &Entry, position: Position, reason: &DeadReason) -> Entry {
    let mut dead = entry.clone();
    parked::stamp(&mut dead.headers, position);
    dead.headers.push((CODE.into(), Bytes::from_static(reason.code().as_bytes())));
    dead.headers.push((DETAIL.into(), Bytes::from(reason.detail().to_owned())));
    dead
}

/// The code and the detail of a record of `dead`.
///
/// # Errors
/// When they are missing or not UTF-8.
pub fn reason(entry: &Entry) -> Result<(String, String), MalformedRecord> {
    let notes = Notes(&entry.headers);
    Ok((notes.need(CODE)?.to_owned(), notes.get(DETAIL)?.unwrap_or_default().to_owned()))
}
