//! How schedules, leases and the small store of tasks lie in columns, and the statements about them, which are the same in
//! both engines.

use super::columns::{name, timestamp, unpack_headers, wide};
use super::failure::{Failure, Unfit};
use super::{Expected, ScheduleRow};
use crate::log::Entry;

pub(super) const COUNT_OTHER_SCHEDULES: &str =
    "SELECT count(*) FROM schedules WHERE tenant = $1 AND name <> $2";

pub(super) const REVISION: &str = "SELECT revision FROM schedules WHERE tenant = $1 AND name = $2";

pub(super) const PUT_SCHEDULE: &str = "INSERT INTO schedules
        (tenant, name, settings, key, headers, payload, enabled, next_ms, fired_ms, count, changed_ms, revision)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
    ON CONFLICT (tenant, name) DO UPDATE SET settings = excluded.settings, key = excluded.key,
        headers = excluded.headers, payload = excluded.payload, enabled = excluded.enabled,
        next_ms = excluded.next_ms, fired_ms = excluded.fired_ms, count = excluded.count,
        changed_ms = excluded.changed_ms, revision = excluded.revision";

pub(super) const GET_SCHEDULE: &str = "SELECT * FROM schedules WHERE tenant = $1 AND name = $2";

pub(super) const LIST_SCHEDULES: &str = "SELECT * FROM schedules
    WHERE tenant = $1 AND (CAST($2 AS text) IS NULL OR name > $2) ORDER BY name LIMIT $3";

pub(super) const DELETE_SCHEDULE: &str = "DELETE FROM schedules WHERE tenant = $1 AND name = $2";

pub(super) const DUE_SCHEDULES: &str = "SELECT * FROM schedules WHERE enabled AND next_ms <= $1
    ORDER BY next_ms, tenant, name LIMIT $2";

pub(super) const ADVANCE_SCHEDULE: &str = "UPDATE schedules SET fired_ms = COALESCE($4, fired_ms),
    count = count + $5, next_ms = $6, revision = revision + 1
    WHERE tenant = $1 AND name = $2 AND revision = $3";

pub(super) const TAKE_LEASE: &str = "INSERT INTO leases (name, holder, until_ms) VALUES ($1, $2, $4)
    ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until_ms = excluded.until_ms
    WHERE leases.holder = excluded.holder OR leases.until_ms <= $3";

pub(super) const RELEASE_LEASE: &str = "DELETE FROM leases WHERE name = $1 AND holder = $2";

pub(super) const GET_VALUE: &str =
    "SELECT value, version FROM key_values WHERE tenant = $1 AND space = $2 AND key = $3";

/// A new version. Whoever else writes in the space waits until this transaction ends.
pub(super) const NEXT_VERSION: &str =
    "INSERT INTO key_spaces (tenant, space, entries, version) VALUES ($1, $2, 0, 1)
    ON CONFLICT (tenant, space) DO UPDATE SET version = key_spaces.version + 1
    RETURNING entries, version";

pub(super) const GET_VERSION: &str =
    "SELECT version FROM key_values WHERE tenant = $1 AND space = $2 AND key = $3";

pub(super) const SET_VALUE: &str =
    "INSERT INTO key_values (tenant, space, key, value, version) VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (tenant, space, key) DO UPDATE SET value = excluded.value, version = excluded.version";

pub(super) const DELETE_VALUE: &str = "DELETE FROM key_values WHERE tenant = $1 AND space = $2 AND key = $3";

pub(super) const COUNT_ENTRY: &str =
    "UPDATE key_spaces SET entries = entries + $3 WHERE tenant = $1 AND space = $2";

/// Whether what is there is as expected.
pub(super) fn agrees(expected: Expected, found: Option<u64>) -> bool {
    match expected {
        Expected::Anything => true,
        Expected::Nothing => found.is_none(),
        Expected::Version(version) => found == Some(version),
    }
}

/// The revision of `schedule` where `there` is what stands in its place. A new one starts at the time, in milliseconds, so that
/// whoever still knows one of this name that was removed does not take this one for it.
pub(super) fn next_revision(there: Option<u64>, schedule: &ScheduleRow) -> u64 {
    there.map_or_else(|| schedule.changed.as_millis().max(1), |revision| revision + 1)
}

/// A schedule, as read.
#[derive(sqlx::FromRow)]
pub(super) struct ScheduleColumns {
    tenant: String,
    name: String,
    settings: String,
    key: Vec<u8>,
    headers: Vec<u8>,
    payload: Vec<u8>,
    enabled: bool,
    next_ms: Option<i64>,
    fired_ms: Option<i64>,
    count: i64,
    revision: i64,
    changed_ms: i64,
}

impl TryFrom<ScheduleColumns> for ScheduleRow {
    type Error = Failure;

    fn try_from(row: ScheduleColumns) -> Result<Self, Failure> {
        Ok(Self {
            tenant: name("tenant", &row.tenant)?,
            name: name("name", &row.name)?,
            settings: row.settings,
            record: Entry {
                key: row.key.into(),
                headers: unpack_headers(row.headers.into())
                    .ok_or_else(|| Unfit::failure("headers", "are cut off or not text"))?,
                payload: row.payload.into(),
            },
            enabled: row.enabled,
            next: row.next_ms.map(|ms| timestamp("next_ms", ms)).transpose()?,
            fired: row.fired_ms.map(|ms| timestamp("fired_ms", ms)).transpose()?,
            count: wide("count", row.count)?,
            revision: wide("revision", row.revision)?,
            changed: timestamp("changed_ms", row.changed_ms)?,
        })
    }
}
