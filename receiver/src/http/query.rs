//! Queries of lists: each parameter once, a limit within what the settings allow, a cursor that nobody looks into.

use axum::extract::Query;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Uri;

use crate::refusal::{Reason, Refusal};

/// The parameters of a query, each at most once.
pub(super) fn pairs(uri: &Uri) -> Result<Vec<(String, String)>, Refusal> {
    let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri)
        .map_err(|error| Refusal::new(Reason::QueryInvalid, error.body_text()))?;
    for (at, (name, _)) in pairs.iter().enumerate() {
        if pairs[..at].iter().any(|(earlier, _)| earlier == name) {
            return Err(invalid(format_args!("{name:.64} is there twice")));
        }
    }
    Ok(pairs)
}

/// A refusal of the query.
pub(super) fn invalid(why: impl std::fmt::Display) -> Refusal {
    Refusal::new(Reason::QueryInvalid, why)
}

/// A limit from 1 to `most`.
pub(super) fn limit(value: &str, most: u32) -> Result<u32, Refusal> {
    let limit = value.parse().ok().filter(|limit| (1..=most).contains(limit));
    limit.ok_or_else(|| invalid(format_args!("limit is a number from 1 to {most}")))
}

/// The cursor behind `place`; opaque.
pub(super) fn cursor(place: &str) -> String {
    URL_SAFE_NO_PAD.encode(place)
}

/// The place of a cursor, read by `read`.
pub(super) fn place<T>(cursor: &str, read: impl FnOnce(&str) -> Option<T>) -> Result<T, Refusal> {
    let text = URL_SAFE_NO_PAD.decode(cursor).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    text.and_then(|text| read(&text)).ok_or_else(|| invalid("cursor is not one that a list ended with"))
}

/// Whether a page of `found` may be followed by another.
pub(super) fn is_full(found: usize, limit: u32) -> bool {
    found >= usize::try_from(limit).unwrap_or(usize::MAX)
}
