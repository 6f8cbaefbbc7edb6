//! What a request about tasks asks for: the query of a list, and that of a history.

use http::Uri;
use shared::clock::Timestamp;
use shared::notification::NotificationId;
use shared::recipient::TenantId;
use shared::store::{EntryName, TaskFilter, TaskKey};
use shared::task::{ModuleName, Origin, TaskCode, TaskState};

use crate::http::query;
use crate::refusal::Refusal;

/// Longest prefix of a failure's code, in bytes.
const FAILURE_BYTES: usize = 64;

/// The query of a list.
pub(super) struct Asked {
    pub(super) filter: TaskFilter,
    pub(super) after: Option<(Timestamp, TaskKey)>,
    pub(super) limit: u32,
}

impl Asked {
    /// Reads the query; a page has `page` unless it asks for another number, up to `most`.
    pub(super) fn read(uri: &Uri, tenant: TenantId, page: u32, most: u32) -> Result<Self, Refusal> {
        let mut asked = Self { filter: TaskFilter::default(), after: None, limit: page };
        for (name, value) in &query::pairs(uri)? {
            match name.as_str() {
                "limit" => asked.limit = query::limit(value, most)?,
                "cursor" => {
                    let (time, id) = query::place(value, place)?;
                    asked.after = Some((time, TaskKey { tenant: tenant.clone(), id }));
                }
                _ => narrow(&mut asked.filter, name, value).map_err(query::invalid)?,
            }
        }
        asked.filter.tenant = Some(tenant);
        Ok(asked)
    }
}

/// The query of a history.
pub(super) struct Steps {
    pub(super) after: u32,
    pub(super) limit: u32,
}

impl Steps {
    /// Reads it, as [`Asked::read`].
    pub(super) fn read(uri: &Uri, page: u32, most: u32) -> Result<Self, Refusal> {
        let mut asked = Self { after: 0, limit: page };
        for (name, value) in &query::pairs(uri)? {
            match name.as_str() {
                "limit" => asked.limit = query::limit(value, most)?,
                "after" => {
                    let after = value.parse().map_err(|_other| query::invalid("after is a number"))?;
                    asked.after = after;
                }
                _ => return Err(query::invalid("there are after and limit")),
            }
        }
        Ok(asked)
    }
}

/// Narrows `filter` by one field. The error is for a person.
fn narrow(filter: &mut TaskFilter, name: &str, value: &str) -> Result<(), String> {
    let named = |error: &dyn std::fmt::Display| format!("{name} {error}");
    let time = || Timestamp::parse_rfc3339(value).map(Some).map_err(|error| format!("{name} is {error}"));
    match name {
        "code" => {
            let code = TaskCode::parse(value).map_err(|error| named(&error))?;
            filter.code_prefix = Some(code.as_str().to_owned());
        }
        "module" => filter.module = Some(ModuleName::parse(value).map_err(|error| named(&error))?),
        "state" => {
            let words = || TaskState::ALL.map(TaskState::as_str).join(", ");
            filter.state =
                Some(TaskState::parse(value).ok_or_else(|| format!("state is one of {}", words()))?);
        }
        "origin" => {
            let words = || Origin::ALL.map(Origin::as_str).join(", ");
            filter.origin =
                Some(Origin::parse(value).ok_or_else(|| format!("origin is one of {}", words()))?);
        }
        "schedule" => {
            let schedule = EntryName::parse(value).map_err(|error| named(&error))?;
            filter.schedule = Some(schedule.as_str().to_owned());
        }
        "failure" => {
            let word = |byte: u8| byte.is_ascii_lowercase() || byte == b'_' || byte == b'-';
            if value.is_empty() || value.len() > FAILURE_BYTES || !value.bytes().all(word) {
                return Err("failure is the beginning of a code, for example deadline".into());
            }
            filter.failure_prefix = Some(value.to_owned());
        }
        "from" => filter.from = time()?,
        "until" => filter.until = time()?,
        _ => {
            let known = "code, module, state, origin, schedule, failure, from, until, limit and cursor";
            return Err(format!("there are {known}"));
        }
    }
    Ok(())
}

/// The cursor behind a task.
pub(super) fn cursor(created: Timestamp, id: &NotificationId) -> String {
    query::cursor(&format!("{}-{id}", created.as_millis()))
}

fn place(text: &str) -> Option<(Timestamp, NotificationId)> {
    let (time, id) = text.split_once('-')?;
    // Beyond what the store holds lies nothing, and no page ended there.
    let time = time.parse::<u64>().ok().filter(|ms| i64::try_from(*ms).is_ok())?;
    Some((Timestamp::from_millis(time), NotificationId::parse(id).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_survives_a_round_trip_and_other_text_is_none() {
        let (time, id) = (Timestamp::from_millis(7), NotificationId::parse("a-b.1").unwrap());
        let cursor = cursor(time, &id);
        assert_eq!(query::place(&cursor, place).unwrap(), (time, id));
        for other in ["", "x", "MS0y.", &cursor[1..]] {
            assert!(query::place(other, place).is_err(), "{other}");
        }
    }
}
