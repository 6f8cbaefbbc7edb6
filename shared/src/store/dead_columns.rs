//! How dead letters lie in columns, and the parts of statements about them that are the same in both engines.

use super::columns::{name, position, timestamp, unpack_headers, wide};
use super::failure::{Failure, Unfit};
use super::{DeadChange, DeadLetter, DeadState, DeadSummary, Requested};
use crate::position::Position;
use crate::recipient::TenantId;

/// The columns of a summary.
macro_rules! summary {
    () => {
        "epoch, partition, record_offset, tenant, recipient, key, code, detail, time_ms, notification, cut, requeueable, \
         CAST(octet_length(payload) AS bigint) AS size_bytes, state, changed_ms, changed_by, \
         requeued_epoch, requeued_partition, requeued_offset"
    };
}
pub(super) use summary;

/// What [`super::DeadFilter`] says, as the first ten parameters; bound by [`bind_filter`].
macro_rules! filtered {
    () => {
        "(CAST($1 AS text) IS NULL OR tenant = $1) \
         AND (CAST($2 AS bigint) IS NULL OR (epoch, partition, record_offset) = ($2, $3, $4)) \
         AND (CAST($5 AS text) IS NULL OR recipient = $5) \
         AND (CAST($6 AS text) IS NULL OR substr(code, 1, length($6)) = $6) \
         AND time_ms >= $7 AND time_ms < $8 \
         AND (CAST($9 AS text) IS NULL OR state = $9) \
         AND ($10 = 'any' OR ($10 = 'requeue' AND state = 'dead' AND requeueable) \
             OR ($10 = 'discard' AND state IN ('dead', 'requeue_requested', 'expired')))"
    };
}
pub(super) use filtered;

/// Binds a filter, and the change that is meant, to [`filtered`]'s parameters.
macro_rules! bind_filter {
    ($query:expr, $filter:expr, $change:expr) => {{
        let filter: &crate::store::DeadFilter = $filter;
        let offset = filter.position.map(|one| signed("record_offset", one.offset)).transpose()?;
        $query
            .bind(filter.tenant.as_ref().map(|tenant| tenant.as_str()))
            .bind(filter.position.map(|one| i64::from(one.epoch.0)))
            .bind(filter.position.map(|one| i64::from(one.partition.0)))
            .bind(offset)
            .bind(filter.recipient.as_ref().map(|recipient| recipient.as_str()))
            .bind(filter.code_prefix.as_deref())
            .bind(filter.from.map_or(0, millis))
            .bind(filter.until.map_or(i64::MAX, millis))
            .bind(filter.state.map(|state| state.as_str()))
            .bind(crate::store::dead_columns::change_word($change))
    }};
}
pub(super) use bind_filter;

/// The word for `change` in [`filtered`].
pub(super) const fn change_word(change: Option<DeadChange>) -> &'static str {
    match change {
        None => "any",
        Some(DeadChange::Requeue) => "requeue",
        Some(DeadChange::Discard) => "discard",
    }
}

/// Tenants that have requeues asked for: those after `$1`, at most `$2`. One probe of the index each.
pub(super) const REQUESTING_TENANTS: &str = "WITH RECURSIVE walk (tenant, number) AS (
    SELECT min(d.tenant), CAST(1 AS bigint) FROM dead_letters d WHERE d.state = 'requeue_requested' AND d.tenant > $1
    UNION ALL
    SELECT (SELECT min(d.tenant) FROM dead_letters d WHERE d.state = 'requeue_requested' AND d.tenant > walk.tenant),
        walk.number + 1
    FROM walk WHERE walk.tenant IS NOT NULL AND walk.number < $2
) SELECT tenant FROM walk WHERE tenant IS NOT NULL ORDER BY number";

/// A summary, as read.
#[derive(sqlx::FromRow)]
pub(super) struct SummaryColumns {
    epoch: i64,
    partition: i64,
    record_offset: i64,
    tenant: Option<String>,
    recipient: Option<String>,
    key: String,
    code: String,
    detail: String,
    time_ms: i64,
    notification: Option<String>,
    cut: bool,
    requeueable: bool,
    size_bytes: i64,
    state: String,
    changed_ms: i64,
    changed_by: Option<String>,
    requeued_epoch: Option<i64>,
    requeued_partition: Option<i64>,
    requeued_offset: Option<i64>,
}

impl TryFrom<SummaryColumns> for DeadSummary {
    type Error = Failure;

    fn try_from(row: SummaryColumns) -> Result<Self, Failure> {
        let again = row.requeued_epoch.zip(row.requeued_partition).zip(row.requeued_offset);
        Ok(Self {
            position: position(row.epoch, row.partition, row.record_offset)?,
            tenant: row.tenant.map(|tenant| name("tenant", &tenant)).transpose()?,
            recipient: row.recipient.map(|recipient| name("recipient", &recipient)).transpose()?,
            key: row.key,
            code: row.code,
            detail: row.detail,
            time: timestamp("time_ms", row.time_ms)?,
            notification: row.notification.map(|id| name("notification", &id)).transpose()?,
            cut: row.cut,
            requeueable: row.requeueable,
            size_bytes: wide("size_bytes", row.size_bytes)?,
            state: DeadState::parse(&row.state)
                .ok_or_else(|| Unfit::failure("state", format_args!("is {:?}", row.state)))?,
            changed: timestamp("changed_ms", row.changed_ms)?,
            changed_by: row.changed_by,
            requeued_at: again
                .map(|((epoch, partition), offset)| position(epoch, partition, offset))
                .transpose()?,
        })
    }
}

/// A whole dead letter, as read.
#[derive(sqlx::FromRow)]
pub(super) struct LetterColumns {
    #[sqlx(flatten)]
    summary: SummaryColumns,
    headers: Vec<u8>,
    payload: Vec<u8>,
}

impl TryFrom<LetterColumns> for DeadLetter {
    type Error = Failure;

    fn try_from(row: LetterColumns) -> Result<Self, Failure> {
        Ok(Self {
            summary: row.summary.try_into()?,
            headers: unpack_headers(row.headers.into())
                .ok_or_else(|| Unfit::failure("headers", "are cut off or not text"))?,
            payload: row.payload.into(),
        })
    }
}

/// A requeue that is asked for, as read.
#[derive(sqlx::FromRow)]
pub(super) struct RequestedColumns {
    epoch: i64,
    partition: i64,
    record_offset: i64,
    tenant: String,
    key: String,
    size_bytes: i64,
}

impl TryFrom<RequestedColumns> for Requested {
    type Error = Failure;

    fn try_from(row: RequestedColumns) -> Result<Self, Failure> {
        Ok(Self {
            position: position(row.epoch, row.partition, row.record_offset)?,
            tenant: name::<TenantId>("tenant", &row.tenant)?,
            key: row.key,
            size_bytes: wide("size_bytes", row.size_bytes)?,
        })
    }
}

/// The state that a settled requeue ends in, and where it stands again.
pub(super) const fn ended(settled: super::Settled) -> (DeadState, Option<Position>) {
    match settled {
        super::Settled::Requeued(at) => (DeadState::Requeued, Some(at)),
        super::Settled::Expired => (DeadState::Expired, None),
        super::Settled::Unfit => (DeadState::Dead, None),
    }
}
