//! How a record lies in the file: its place as one integer, its key, headers and payload as one body. Pure.

use std::borrow::Cow;

use bytes::Bytes;

use crate::log::Entry;
use crate::position::PartitionId;

/// A topic's number in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot(pub(super) u16);

/// Offsets have 40 bits: a million records a second for twelve days each second partition; a file fills up long before.
const OFFSET_BITS: u32 = 40;
/// Partitions have 14 bits; settings allow 10,000.
const PARTITION_BITS: u32 = 14;

impl Slot {
    /// Nine bits are left for slots below the sign.
    pub(super) const MOST: u16 = 511;

    /// The place of a record.
    pub(super) fn place(self, partition: PartitionId, offset: u64) -> i64 {
        let high = (u64::from(self.0) << PARTITION_BITS) | u64::from(partition.0);
        ((high << OFFSET_BITS) | (offset & ((1 << OFFSET_BITS) - 1))).cast_signed()
    }
}

/// The offset that a place stands for.
pub(super) fn offset_of(place: i64) -> u64 {
    place.cast_unsigned() & ((1 << OFFSET_BITS) - 1)
}

/// Key, headers and payload as one body, so that a record is one allocation when it is read.
pub(super) fn encode(entry: &Entry) -> Vec<u8> {
    let mut body = Vec::with_capacity(entry.size_bytes() + 8 * (entry.headers.len() + 1));
    put(&mut body, &entry.key);
    put_length(&mut body, entry.headers.len());
    for (name, value) in &entry.headers {
        put(&mut body, name.as_bytes());
        put(&mut body, value);
    }
    body.extend_from_slice(&entry.payload);
    body
}

fn put(body: &mut Vec<u8>, part: &[u8]) {
    put_length(body, part.len());
    body.extend_from_slice(part);
}

fn put_length(body: &mut Vec<u8>, length: usize) {
    // Bounded by the largest record, 16 MiB.
    body.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
}

/// Reads what [`encode`] wrote; the entry shares the body's bytes. Nothing when the body is damaged.
pub(super) fn decode(body: Vec<u8>) -> Option<Entry> {
    let mut rest = Bytes::from(body);
    let key = take(&mut rest)?;
    let count = take_length(&mut rest)?;
    let mut headers = Vec::with_capacity(count.min(64));
    for _ in 0..count {
        let name = String::from_utf8(take(&mut rest)?.to_vec()).ok()?;
        headers.push((Cow::Owned(name), take(&mut rest)?));
    }
    Some(Entry { key, headers, payload: rest })
}

fn take(rest: &mut Bytes) -> Option<Bytes> {
    let length = take_length(rest)?;
    (rest.len() >= length).then(|| rest.split_to(length))
}

fn take_length(rest: &mut Bytes) -> Option<usize> {
    if rest.len() < 4 {
        return None;
    }
    let length: [u8; 4] = rest.split_to(4).as_ref().try_into().ok()?;
    usize::try_from(u32::from_le_bytes(length)).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_entry_survives_a_round_trip(
            key: Vec<u8>, payload: Vec<u8>, headers in proptest::collection::vec(("[a-z_-]{0,12}", any::<Vec<u8>>()), 0..6),
        ) {
            let headers = headers.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
            let entry = Entry { key: key.into(), headers, payload: payload.into() };
            prop_assert_eq!(decode(encode(&entry)), Some(entry));
        }

        #[test]
        fn a_damaged_body_is_never_a_panic(body: Vec<u8>) {
            let _read_or_refused = decode(body);
        }

        #[test]
        fn places_are_ordered_as_slot_partition_offset(
            a in (0..=Slot::MOST, 0..10_000_u32, 0..1_u64 << 40), b in (0..=Slot::MOST, 0..10_000_u32, 0..1_u64 << 40),
        ) {
            let place = |(slot, partition, offset)| Slot(slot).place(PartitionId(partition), offset);
            prop_assert_eq!(place(a).cmp(&place(b)), a.cmp(&b));
            prop_assert_eq!(offset_of(place(a)), a.2);
            prop_assert!(place(a) >= 0);
        }
    }
}
