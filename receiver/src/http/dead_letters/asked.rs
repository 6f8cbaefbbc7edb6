//! What a request about dead letters asks for: the query of a list, the body of a change of many.

use axum::extract::Query;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Uri;
use shared::clock::Timestamp;
use shared::position::Position;
use shared::recipient::{RecipientId, TenantId};
use shared::store::{DeadChange, DeadFilter, DeadState};

use crate::http::fields::Fields;
use crate::refusal::{Reason, Refusal};

/// Longest code prefix, in bytes.
const CODE_BYTES: usize = 64;

/// Where a page ends: the time and the position of its last one.
pub(super) type Place = (Timestamp, Position);

/// The query of a list.
pub(super) struct Asked {
    pub(super) filter: DeadFilter,
    pub(super) after: Option<Place>,
    pub(super) limit: u32,
}

impl Asked {
    /// Reads the query; a page has `page` unless it asks for another number, up to `most`.
    pub(super) fn read(uri: &Uri, tenant: TenantId, page: u32, most: u32) -> Result<Self, Refusal> {
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri)
            .map_err(|error| Refusal::new(Reason::QueryInvalid, error.body_text()))?;
        let filter = DeadFilter { tenant: Some(tenant), ..DeadFilter::default() };
        let mut asked = Self { filter, after: None, limit: page };
        let mut seen: Vec<&str> = Vec::new();
        for (name, value) in &pairs {
            if seen.contains(&name.as_str()) {
                return Err(Refusal::new(Reason::QueryInvalid, format_args!("{name:.64} is there twice")));
            }
            seen.push(name);
            match name.as_str() {
                "limit" => {
                    let limit = value.parse().ok().filter(|limit| (1..=most).contains(limit));
                    asked.limit = limit.ok_or_else(|| {
                        Refusal::new(Reason::QueryInvalid, format_args!("limit is a number from 1 to {most}"))
                    })?;
                }
                "cursor" => {
                    let place = place(value).ok_or_else(|| {
                        Refusal::new(Reason::QueryInvalid, "cursor is not one that a list ended with")
                    })?;
                    asked.after = Some(place);
                }
                _ => narrow(&mut asked.filter, name, value)
                    .map_err(|why| Refusal::new(Reason::QueryInvalid, why))?,
            }
        }
        Ok(asked)
    }
}

/// The body of a change of many.
pub(super) struct Change {
    pub(super) filter: DeadFilter,
    pub(super) dry_run: bool,
}

impl Change {
    /// Reads the JSON `text`. Without any filter it must say that all are meant.
    pub(super) fn read(text: &str, tenant: TenantId, change: DeadChange) -> Result<Self, Refusal> {
        let mut fields = Fields::read(text, "")?;
        let mut filter = DeadFilter { tenant: Some(tenant), ..DeadFilter::default() };
        let mut narrowed = false;
        // A requeue only ever touches what is dead.
        let names = match change {
            DeadChange::Requeue => &["recipient", "code", "from", "until"][..],
            DeadChange::Discard => &["recipient", "code", "from", "until", "state"],
        };
        for name in names {
            let Some(value) = fields.optional::<String>(name, "a string")? else { continue };
            narrow(&mut filter, name, &value)
                .map_err(|why| Refusal::new(Reason::FilterInvalid, why).at(format!("/{name}")))?;
            narrowed = true;
        }
        let all = fields.optional::<bool>("all", "true or false")?.unwrap_or_default();
        let dry_run = fields.optional::<bool>("dry_run", "true or false")?.unwrap_or_default();
        fields.finish(&[])?;
        if !narrowed && !all {
            return Err(Refusal::new(Reason::FilterMissing, "to mean all of them say {\"all\": true}"));
        }
        // What was asked to be requeued is withdrawn only by who names it.
        filter.state.get_or_insert(DeadState::Dead);
        Ok(Self { filter, dry_run })
    }
}

/// Narrows `filter` by one field. The error is for a person.
fn narrow(filter: &mut DeadFilter, name: &str, value: &str) -> Result<(), String> {
    let time =
        |value| Timestamp::parse_rfc3339(value).map(Some).map_err(|error| format!("{name} is {error}"));
    match name {
        "recipient" => {
            let recipient = RecipientId::parse(value).map_err(|error| format!("recipient {error}"))?;
            filter.recipient = Some(recipient);
        }
        "code" => {
            let word = |byte: u8| byte.is_ascii_lowercase() || byte == b'-' || byte == b'_';
            if value.is_empty() || value.len() > CODE_BYTES || !value.bytes().all(word) {
                return Err("code is the beginning of a code, for example refused".into());
            }
            filter.code_prefix = Some(value.to_owned());
        }
        "from" => filter.from = time(value)?,
        "until" => filter.until = time(value)?,
        "state" => {
            let words = || DeadState::ALL.map(DeadState::as_str).join(", ");
            filter.state =
                Some(DeadState::parse(value).ok_or_else(|| format!("state is one of {}", words()))?);
        }
        _ => return Err("there are recipient, code, from, until, state, limit and cursor".into()),
    }
    Ok(())
}

/// The cursor behind `place`; opaque.
pub(super) fn cursor((time, position): Place) -> String {
    URL_SAFE_NO_PAD.encode(format!("{}-{position}", time.as_millis()))
}

fn place(cursor: &str) -> Option<Place> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
    let (time, position) = text.split_once('-')?;
    // Beyond what the store holds lies nothing, and no page ended there.
    let time = time.parse::<u64>().ok().filter(|ms| i64::try_from(*ms).is_ok())?;
    Some((Timestamp::from_millis(time), position.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_survives_a_round_trip_and_other_text_is_none() {
        let place = (Timestamp::from_millis(7), "1-2-3".parse().unwrap());
        assert_eq!(super::place(&cursor(place)), Some(place));
        for other in ["", "x", "MS0y", &cursor(place)[1..]] {
            assert_eq!(super::place(other), None, "{other}");
        }
    }
}
