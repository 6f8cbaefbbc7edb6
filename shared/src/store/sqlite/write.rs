//! Rows on their way into SQLite, one statement each inside one transaction: there is no network between.

use std::collections::{BTreeMap, HashMap};

use sqlx::SqliteConnection;

use crate::clock::Timestamp;
use crate::position::Position;
use crate::recipient::Recipient;
use crate::store::columns::{millis, signed, text, urgency_number, wide};
use crate::store::failure::Failure;
use crate::store::{GapCause, StoredRow};

/// Stores what is not stored yet, within the quota, and answers how many became a gap for each cause.
pub(super) async fn store(
    connection: &mut SqliteConnection,
    rows: &[StoredRow],
    now: Timestamp,
    quota: u64,
) -> Result<Vec<(GapCause, u64)>, Failure> {
    let mut held: HashMap<&Recipient, u64> = HashMap::new();
    let mut lost: BTreeMap<GapCause, u64> = BTreeMap::new();
    let mut ordered: Vec<&StoredRow> = rows.iter().collect();
    ordered.sort_by_key(|row| (row.position.epoch, row.position.offset));
    // A position twice in one batch is one position; the first time stores it, or tells of it.
    ordered.dedup_by(|one, other| {
        one.position == other.position && one.notification.recipient == other.notification.recipient
    });
    for row in ordered {
        let recipient = &row.notification.recipient;
        if is_stored(connection, recipient, row.position).await? {
            continue;
        }
        let cause = if row.notification.is_expired(now) {
            // A recipient's records are parked in order: one that is not above its gap is parked for the second time.
            if is_told(connection, recipient, row.position).await? {
                continue;
            }
            GapCause::Expired
        } else {
            let count = match held.get(recipient) {
                Some(count) => *count,
                None => count(connection, recipient, quota).await?,
            };
            if count < quota {
                insert(connection, row).await?;
                held.insert(recipient, count + 1);
                continue;
            }
            held.insert(recipient, count);
            GapCause::OverQuota
        };
        tell(connection, recipient, row.position, cause).await?;
        *lost.entry(cause).or_default() += 1;
    }
    Ok(lost.into_iter().collect())
}

/// Counts `position` as a gap.
pub(super) async fn tell(
    connection: &mut SqliteConnection,
    recipient: &Recipient,
    position: Position,
    cause: GapCause,
) -> Result<(), Failure> {
    sqlx::query(
        "INSERT INTO gaps (tenant, recipient, epoch, partition, cause, count, first_offset, last_offset)
         VALUES (?1, ?2, ?3, ?4, ?5, 1, ?6, ?6)
         ON CONFLICT (tenant, recipient, epoch, partition, cause) DO UPDATE SET
             count = count + 1,
             first_offset = min(first_offset, excluded.first_offset),
             last_offset = max(last_offset, excluded.last_offset)",
    )
    .bind(recipient.tenant.as_str())
    .bind(recipient.id.as_str())
    .bind(i64::from(position.epoch.0))
    .bind(i64::from(position.partition.0))
    .bind(cause.as_str())
    .bind(signed("record_offset", position.offset)?)
    .execute(connection)
    .await?;
    Ok(())
}

async fn is_stored(
    connection: &mut SqliteConnection,
    recipient: &Recipient,
    position: Position,
) -> Result<bool, Failure> {
    let found: Option<i64> = sqlx::query_scalar(
        "SELECT 1 FROM stored
         WHERE tenant = ?1 AND recipient = ?2 AND epoch = ?3 AND record_offset = ?4 AND partition = ?5",
    )
    .bind(recipient.tenant.as_str())
    .bind(recipient.id.as_str())
    .bind(i64::from(position.epoch.0))
    .bind(signed("record_offset", position.offset)?)
    .bind(i64::from(position.partition.0))
    .fetch_optional(connection)
    .await?;
    Ok(found.is_some())
}

/// Whether the gap of what expired reaches as far as `position`.
async fn is_told(
    connection: &mut SqliteConnection,
    recipient: &Recipient,
    position: Position,
) -> Result<bool, Failure> {
    let found: Option<i64> = sqlx::query_scalar(
        "SELECT 1 FROM gaps WHERE tenant = ?1 AND recipient = ?2 AND epoch = ?3 AND partition = ?4 AND cause = ?5
             AND last_offset >= ?6",
    )
    .bind(recipient.tenant.as_str())
    .bind(recipient.id.as_str())
    .bind(i64::from(position.epoch.0))
    .bind(i64::from(position.partition.0))
    .bind(GapCause::Expired.as_str())
    .bind(signed("record_offset", position.offset)?)
    .fetch_optional(connection)
    .await?;
    Ok(found.is_some())
}

async fn count(connection: &mut SqliteConnection, recipient: &Recipient, most: u64) -> Result<u64, Failure> {
    let count: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM (SELECT 1 FROM stored WHERE tenant = ?1 AND recipient = ?2 LIMIT ?3)",
    )
    .bind(recipient.tenant.as_str())
    .bind(recipient.id.as_str())
    .bind(signed("quota", most)?)
    .fetch_one(connection)
    .await?;
    wide("count", count)
}

async fn insert(connection: &mut SqliteConnection, row: &StoredRow) -> Result<(), Failure> {
    let n = &row.notification;
    sqlx::query(
        "INSERT INTO stored (
             tenant, recipient, epoch, partition, record_offset, expires_ms, time_ms, urgency,
             id, source, type, content_type, metadata, trace_parent, trace_state, baggage, content
         ) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)",
    )
    .bind(n.recipient.tenant.as_str())
    .bind(n.recipient.id.as_str())
    .bind(i64::from(row.position.epoch.0))
    .bind(i64::from(row.position.partition.0))
    .bind(signed("record_offset", row.position.offset)?)
    .bind(millis(n.expires))
    .bind(millis(n.time))
    .bind(urgency_number(n.urgency))
    .bind(n.id.as_str())
    .bind(text(&n.source))
    .bind(n.kind.as_str())
    .bind(n.content_type.as_str())
    .bind(n.metadata.as_deref().map(text))
    .bind(n.trace.parent.as_deref().map(text))
    .bind(n.trace.state.as_deref().map(text))
    .bind(n.trace.baggage.as_deref().map(text))
    .bind(&n.content[..])
    .execute(connection)
    .await?;
    Ok(())
}
