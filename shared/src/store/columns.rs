//! How notifications, headers and keys lie in columns, the same in both engines. The adapters bind and read these;
//! `dead_columns` has those of dead letters.

use std::borrow::Cow;

use bytes::{Buf as _, BufMut as _, Bytes};

use super::failure::{Failure, Unfit};
use super::{ApiKey, GapCause, GapRow, StoredRow};
use crate::clock::Timestamp;
use crate::log::Headers;
use crate::notification::{Notification, Trace, Urgency};
use crate::position::{Epoch, PartitionId, Position};
use crate::recipient::{Recipient, TenantId};

/// A row of `stored`, as read.
#[derive(sqlx::FromRow)]
pub(super) struct StoredColumns {
    tenant: String,
    recipient: String,
    epoch: i64,
    partition: i64,
    record_offset: i64,
    expires_ms: i64,
    time_ms: i64,
    urgency: i16,
    id: String,
    source: String,
    r#type: String,
    content_type: String,
    metadata: Option<String>,
    trace_parent: Option<String>,
    trace_state: Option<String>,
    baggage: Option<String>,
    content: Vec<u8>,
}

impl TryFrom<StoredColumns> for StoredRow {
    type Error = Failure;

    fn try_from(row: StoredColumns) -> Result<Self, Failure> {
        Ok(Self {
            position: position(row.epoch, row.partition, row.record_offset)?,
            notification: Notification {
                id: name("id", &row.id)?,
                recipient: Recipient::new(name("tenant", &row.tenant)?, name("recipient", &row.recipient)?),
                source: row.source,
                kind: name("type", &row.r#type)?,
                time: timestamp("time_ms", row.time_ms)?,
                expires: timestamp("expires_ms", row.expires_ms)?,
                urgency: urgency(row.urgency)?,
                content_type: name("content_type", &row.content_type)?,
                metadata: row.metadata,
                trace: Trace { parent: row.trace_parent, state: row.trace_state, baggage: row.baggage },
                content: row.content.into(),
            },
        })
    }
}

/// A row of `gaps`, as read.
#[derive(sqlx::FromRow)]
pub(super) struct GapColumns {
    epoch: i64,
    partition: i64,
    cause: String,
    count: i64,
    first_offset: i64,
    last_offset: i64,
}

impl TryFrom<GapColumns> for GapRow {
    type Error = Failure;

    fn try_from(row: GapColumns) -> Result<Self, Failure> {
        Ok(Self {
            cause: cause(&row.cause)?,
            count: wide("count", row.count)?,
            first: position(row.epoch, row.partition, row.first_offset)?,
            last: position(row.epoch, row.partition, row.last_offset)?,
        })
    }
}

/// Adds `gap` to the gaps of one recipient, of which there is one per cause whatever their epochs.
pub(super) fn merge_gap(gaps: &mut Vec<GapRow>, gap: GapRow) {
    let order = |position: Position| (position.epoch, position.offset);
    match gaps.iter_mut().find(|other| other.cause == gap.cause) {
        Some(other) => {
            other.count += gap.count;
            other.first = std::cmp::min_by_key(other.first, gap.first, |position| order(*position));
            other.last = std::cmp::max_by_key(other.last, gap.last, |position| order(*position));
        }
        None => gaps.push(gap),
    }
}

/// A row of `api_keys`, as read.
#[derive(sqlx::FromRow)]
pub(super) struct KeyColumns {
    id: String,
    hash: Vec<u8>,
    tenant: String,
    label: String,
    created_ms: i64,
    expires_ms: Option<i64>,
    revoked_ms: Option<i64>,
}

impl TryFrom<KeyColumns> for ApiKey {
    type Error = Failure;

    fn try_from(row: KeyColumns) -> Result<Self, Failure> {
        let hash: Result<[u8; 32], Vec<u8>> = row.hash.try_into();
        Ok(Self {
            id: row.id,
            hash: hash.map_err(|bytes| Unfit::failure("hash", format_args!("has {} bytes", bytes.len())))?,
            tenant: name::<TenantId>("tenant", &row.tenant)?,
            label: row.label,
            created: timestamp("created_ms", row.created_ms)?,
            expires: row.expires_ms.map(|ms| timestamp("expires_ms", ms)).transpose()?,
            revoked: row.revoked_ms.map(|ms| timestamp("revoked_ms", ms)).transpose()?,
        })
    }
}

/// A number of ours in a column: both engines have signed ones only.
pub(super) fn signed(column: &'static str, number: u64) -> Result<i64, Failure> {
    i64::try_from(number).map_err(|error| Unfit::failure(column, error))
}

/// A time of ours in a column. One beyond the column's range, 292 million years away, is as good as its end.
pub(super) fn millis(time: Timestamp) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

/// Text that Postgres can hold: it refuses NUL, and a record of a foreign producer must not stop the archiver for that.
pub(super) fn text(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', "\u{fffd}")) } else { Cow::Borrowed(text) }
}

pub(super) const fn urgency_number(urgency: Urgency) -> i16 {
    match urgency {
        Urgency::VeryLow => 0,
        Urgency::Low => 1,
        Urgency::Normal => 2,
        Urgency::High => 3,
    }
}

/// Headers as bytes: each name and each value after its length, 4 bytes big-endian.
pub(super) fn pack_headers(headers: &Headers) -> Vec<u8> {
    let mut packed = Vec::new();
    for (name, value) in headers {
        for part in [name.as_bytes(), value.as_ref()] {
            // Lengths are bounded by the largest record, far below 4 GiB.
            packed.put_u32(u32::try_from(part.len()).unwrap_or(u32::MAX));
            packed.put_slice(part);
        }
    }
    packed
}

pub(super) fn unpack_headers(mut packed: Bytes) -> Option<Headers> {
    let mut headers = Headers::new();
    while !packed.is_empty() {
        let name = String::from_utf8(take_part(&mut packed)?.to_vec()).ok()?;
        headers.push((name.into(), take_part(&mut packed)?));
    }
    Some(headers)
}

fn take_part(packed: &mut Bytes) -> Option<Bytes> {
    let length = usize::try_from(packed.try_get_u32().ok()?).ok()?;
    (packed.len() >= length).then(|| packed.split_to(length))
}

pub(super) fn wide(column: &'static str, number: i64) -> Result<u64, Failure> {
    u64::try_from(number).map_err(|error| Unfit::failure(column, error))
}

pub(super) fn recipient(tenant: &str, id: &str) -> Result<Recipient, Failure> {
    Ok(Recipient::new(name("tenant", tenant)?, name("recipient", id)?))
}

pub(super) fn cause(word: &str) -> Result<GapCause, Failure> {
    [GapCause::Expired, GapCause::OverQuota]
        .into_iter()
        .find(|cause| cause.as_str() == word)
        .ok_or_else(|| Unfit::failure("cause", format_args!("is {word:?}")))
}

pub(super) fn name<N: std::str::FromStr<Err = crate::InvalidName>>(
    column: &'static str,
    text: &str,
) -> Result<N, Failure> {
    text.parse().map_err(|error| Unfit::failure(column, error))
}

pub(super) fn position(epoch: i64, partition: i64, offset: i64) -> Result<Position, Failure> {
    let narrow = |column, number: i64| u32::try_from(number).map_err(|error| Unfit::failure(column, error));
    Ok(Position {
        epoch: Epoch(narrow("epoch", epoch)?),
        partition: PartitionId(narrow("partition", partition)?),
        offset: wide("record_offset", offset)?,
    })
}

pub(super) fn timestamp(column: &'static str, ms: i64) -> Result<Timestamp, Failure> {
    wide(column, ms).map(Timestamp::from_millis)
}

fn urgency(number: i16) -> Result<Urgency, Failure> {
    [Urgency::VeryLow, Urgency::Low, Urgency::Normal, Urgency::High]
        .into_iter()
        .find(|urgency| urgency_number(*urgency) == number)
        .ok_or_else(|| Unfit::failure("urgency", format_args!("is {number}")))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_length_without_its_part_is_no_header() {
        assert_eq!(unpack_headers(Bytes::from_static(&[0, 0, 0, 5])), None);
        assert_eq!(unpack_headers(Bytes::from_static(&[0, 0, 0, 0])), None);
    }

    proptest! {
        #[test]
        fn headers_survive_a_round_trip(headers: Vec<(String, Vec<u8>)>) {
            let headers: Headers = headers.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
            prop_assert_eq!(unpack_headers(pack_headers(&headers).into()), Some(headers));
        }

        #[test]
        fn headers_cut_off_are_not_headers(headers: Vec<(String, Vec<u8>)>, cut in 1_usize..9) {
            let headers: Headers = headers.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
            let packed = pack_headers(&headers);
            let short = packed[..packed.len().saturating_sub(cut)].to_vec();
            let read = unpack_headers(short.into());
            prop_assert!(headers.is_empty() || read != Some(headers));
        }

        #[test]
        fn no_bytes_break_the_reader_of_headers(bytes: Vec<u8>) {
            if let Some(headers) = unpack_headers(bytes.clone().into()) {
                prop_assert_eq!(pack_headers(&headers), bytes);
            }
        }
    }
}
