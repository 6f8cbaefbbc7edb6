//! A run: consecutive records of one recipient as one record of `parked`. The log takes it whole or not at all, so no copy
//! is ever on `parked` without those before it, whatever fails. The director packs it, the archiver [unpacks](unpack) it.
//!
//! Key: the recipient's, so it stands where each copy would. Header `pr_run`: how many. Body: for each copy the number of
//! its headers, each as name and value, then its body; numbers and lengths are big-endian, 32 bits.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

use super::headers::{MalformedRecord, Notes};
use crate::log::{Entry, Headers};

const RUN: &str = "pr_run";

/// The record of `parked` for `copies`, each a record of `parked` itself, all with one key.
#[must_use]
pub fn pack(copies: &[Entry]) -> Entry {
    let mut payload = BytesMut::with_capacity(copies.iter().map(packed_bytes).sum());
    let number = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
    for copy in copies {
        payload.put_u32(number(copy.headers.len()));
        for (name, value) in &copy.headers {
            for part in [name.as_bytes(), value] {
                payload.put_u32(number(part.len()));
                payload.put_slice(part);
            }
        }
        payload.put_u32(number(copy.payload.len()));
        payload.put_slice(&copy.payload);
    }
    let key = copies.first().map(|copy| copy.key.clone()).unwrap_or_default();
    Entry { key, headers: vec![(RUN.into(), copies.len().to_string().into())], payload: payload.freeze() }
}

/// What `copy` weighs in a run, in bytes.
#[must_use]
pub fn packed_bytes(copy: &Entry) -> usize {
    copy.size_bytes() + 8 * (copy.headers.len() + 1)
}

/// How many copies a record of `parked` is, as it says; one that is no run is one.
#[must_use]
pub fn copies(entry: &Entry) -> usize {
    Notes(&entry.headers).number(RUN).unwrap_or(1)
}

/// The copies of a record of `parked`, in order, sharing its bytes. One that is no run is its own only copy.
///
/// # Errors
/// When the run is cut off, or holds another number of copies than it says.
pub fn unpack(entry: &Entry) -> Result<Vec<Entry>, MalformedRecord> {
    if !entry.headers.iter().any(|(name, _)| name == RUN) {
        return Ok(vec![entry.clone()]);
    }
    let count: u32 = Notes(&entry.headers).number(RUN)?;
    let mut rest = entry.payload.clone();
    let mut copies = Vec::new();
    while !rest.is_empty() {
        let mut headers = Headers::new();
        for _ in 0..number(&mut rest)? {
            let (name, value) = (part(&mut rest)?, part(&mut rest)?);
            let name = std::str::from_utf8(&name).map_err(|_not_text| MalformedRecord::NotText(RUN))?;
            headers.push((name.to_owned().into(), value));
        }
        copies.push(Entry { key: entry.key.clone(), headers, payload: part(&mut rest)? });
    }
    if copies.len() as u64 == u64::from(count) {
        Ok(copies)
    } else {
        Err(MalformedRecord::Value(RUN, format!("says {count}, and {} are there", copies.len())))
    }
}

fn cut_off() -> MalformedRecord {
    MalformedRecord::Value(RUN, "stands on a body that is cut off".into())
}

fn number(rest: &mut Bytes) -> Result<usize, MalformedRecord> {
    let number = rest.try_get_u32().map_err(|_too_short| cut_off())?;
    Ok(number as usize)
}

fn part(rest: &mut Bytes) -> Result<Bytes, MalformedRecord> {
    let length = number(rest)?;
    if length > rest.len() {
        return Err(cut_off());
    }
    Ok(rest.split_to(length))
}
