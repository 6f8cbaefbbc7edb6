//! What stands on `outcomes`: batches of ends that leave no other trace on the log. The director writes them, many ends to
//! a record; the reconciler reads them.
//!
//! A record's key is one of its partition's own ([`key_of`](crate::topic::key_of)), its headers are empty, its payload is
//!
//! ```text
//! version (1 byte)  epoch  partition  count, then for each outcome
//!     offset   as a step from the one before
//!     end      1 byte
//!     time     milliseconds since 1970, as a step from the one before
//!     id       length and text; length 0: a UUID of 16 bytes follows, whose text is in lower case with hyphens
//! ```
//!
//! with every number in LEB128, and steps folded so that small ones in either direction are short. An acknowledged
//! notification of the receiver takes some 20 bytes.

use bytes::Bytes;

use crate::clock::Timestamp;
use crate::leb128;
use crate::log::Entry;
use crate::notification::NotificationId;
use crate::outcome::End;
use crate::position::{Epoch, PartitionId};

const VERSION: u8 = 1;
/// The shortest outcome: three numbers, an end, a byte of text.
const LEAST_BYTES: usize = 5;

/// How one record ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Of the record on `notifications`.
    pub offset: u64,
    /// The notification.
    pub id: NotificationId,
    /// How it ended.
    pub end: End,
    /// When.
    pub time: Timestamp,
}

impl Outcome {
    /// The most bytes it takes in a batch.
    #[must_use]
    pub fn most_bytes(&self) -> usize {
        24 + self.id.as_str().len()
    }
}

/// Outcomes of one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Generation of the topics.
    pub epoch: Epoch,
    /// Partition of the records on `notifications`.
    pub partition: PartitionId,
    /// In no particular order.
    pub outcomes: Vec<Outcome>,
}

/// The payload is not a batch of this version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not a batch of outcomes")]
pub struct MalformedBatch;

/// The record of `outcomes` under `key`.
#[must_use]
pub fn encode(key: Bytes, epoch: Epoch, partition: PartitionId, outcomes: &[Outcome]) -> Entry {
    let most: usize = outcomes.iter().map(Outcome::most_bytes).sum();
    let mut payload = Vec::with_capacity(32 + most);
    payload.push(VERSION);
    for number in [u64::from(epoch.0), u64::from(partition.0), outcomes.len() as u64] {
        leb128::write(&mut payload, number);
    }
    let (mut offset, mut millis) = (0, 0);
    for outcome in outcomes {
        leb128::write_step(&mut payload, offset, outcome.offset);
        payload.push(code(outcome.end));
        leb128::write_step(&mut payload, millis, outcome.time.as_millis());
        write_id(&mut payload, outcome.id.as_str());
        (offset, millis) = (outcome.offset, outcome.time.as_millis());
    }
    Entry { key, headers: Vec::new(), payload: payload.into() }
}

/// Reads what [`encode`] wrote.
///
/// # Errors
/// When `payload` is anything else.
pub fn decode(payload: &[u8]) -> Result<Batch, MalformedBatch> {
    read(payload).ok_or(MalformedBatch)
}

fn read(payload: &[u8]) -> Option<Batch> {
    let (version, mut rest) = payload.split_first()?;
    if *version != VERSION {
        return None;
    }
    let epoch = Epoch(u32::try_from(leb128::read(&mut rest)?).ok()?);
    let partition = PartitionId(u32::try_from(leb128::read(&mut rest)?).ok()?);
    let count = usize::try_from(leb128::read(&mut rest)?).ok()?;
    if count > rest.len() / LEAST_BYTES {
        return None;
    }
    let mut outcomes = Vec::with_capacity(count);
    let (mut offset, mut millis) = (0, 0);
    for _ in 0..count {
        offset = leb128::read_step(&mut rest, offset)?;
        let end = end(take(&mut rest, 1)?[0])?;
        millis = leb128::read_step(&mut rest, millis)?;
        let id = read_id(&mut rest)?;
        outcomes.push(Outcome { offset, id, end, time: Timestamp::from_millis(millis) });
    }
    rest.is_empty().then_some(Batch { epoch, partition, outcomes })
}

fn take<'a>(rest: &mut &'a [u8], bytes: usize) -> Option<&'a [u8]> {
    let (taken, behind) = rest.split_at_checked(bytes)?;
    *rest = behind;
    Some(taken)
}

const fn code(end: End) -> u8 {
    match end {
        End::Acknowledged => 1,
        End::Parked => 2,
        End::Expired => 3,
        End::DeadLettered => 4,
        End::HandedOver => 5,
    }
}

fn end(code: u8) -> Option<End> {
    [End::Acknowledged, End::Parked, End::Expired, End::DeadLettered, End::HandedOver]
        .into_iter()
        .find(|end| self::code(*end) == code)
}

fn write_id(payload: &mut Vec<u8>, id: &str) {
    if let Some(uuid) = uuid(id) {
        payload.push(0);
        payload.extend_from_slice(&uuid);
    } else {
        leb128::write(payload, id.len() as u64);
        payload.extend_from_slice(id.as_bytes());
    }
}

fn read_id(rest: &mut &[u8]) -> Option<NotificationId> {
    let length = usize::try_from(leb128::read(rest)?).ok()?;
    if length == 0 {
        let uuid = <[u8; 16]>::try_from(take(rest, 16)?).ok()?;
        return NotificationId::parse(&text(uuid)).ok();
    }
    NotificationId::parse(std::str::from_utf8(take(rest, length)?).ok()?).ok()
}

/// Where the hyphens are, in bytes of the UUID before them.
const HYPHENS: [usize; 4] = [4, 6, 8, 10];

/// The bytes of a UUID, when `id` is exactly how [`text`] writes one.
fn uuid(id: &str) -> Option<[u8; 16]> {
    let mut digits = id.bytes();
    let mut bytes = [0; 16];
    for (at, byte) in bytes.iter_mut().enumerate() {
        if HYPHENS.contains(&at) && digits.next() != Some(b'-') {
            return None;
        }
        *byte = nibble(digits.next()?)? << 4 | nibble(digits.next()?)?;
    }
    digits.next().is_none().then_some(bytes)
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

fn text(uuid: [u8; 16]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(36);
    for (at, byte) in uuid.into_iter().enumerate() {
        if HYPHENS.contains(&at) {
            text.push('-');
        }
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 0xf)]));
    }
    text
}
