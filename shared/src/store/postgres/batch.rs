//! Rows on their way into Postgres, as columns of one statement.

use std::collections::{BTreeSet, HashSet};

use sqlx::PgConnection;

use super::weeks::Week;
use crate::clock::Timestamp;
use crate::notification::{MAX_TTL, Notification};
use crate::store::columns::{cause, millis, signed, text, urgency_number, wide};
use crate::store::failure::Failure;
use crate::store::{GapCause, StoredRow};

/// Rows to store, each position once, and the weeks they expire in.
pub(super) struct Batch<'a> {
    rows: Vec<&'a StoredRow>,
    expires_ms: Vec<i64>,
    pub(super) weeks: BTreeSet<Week>,
    now_ms: i64,
}

impl<'a> Batch<'a> {
    pub(super) fn new(rows: &'a [StoredRow], now: Timestamp) -> Self {
        let mut seen = HashSet::with_capacity(rows.len());
        let rows: Vec<_> =
            rows.iter().filter(|row| seen.insert((&row.notification.recipient, row.position))).collect();
        // A foreign producer may write any expiry; none may make more weeks than the longest life has.
        let latest = now.after(MAX_TTL);
        let expires_ms: Vec<_> =
            rows.iter().map(|row| millis(row.notification.expires.min(latest))).collect();
        let now_ms = millis(now);
        let weeks = expires_ms.iter().filter(|ms| **ms > now_ms).map(|ms| Week::of(*ms)).collect();
        Self { rows, expires_ms, weeks, now_ms }
    }

    /// Stores what is not stored yet, within the quota, and answers how many became a gap for each cause.
    pub(super) async fn store(
        &self,
        connection: &mut PgConnection,
        quota: u64,
    ) -> Result<Vec<(GapCause, u64)>, Failure> {
        if self.rows.is_empty() {
            return Ok(Vec::new());
        }
        let offsets: Result<Vec<i64>, Failure> =
            self.rows.iter().map(|row| signed("record_offset", row.position.offset)).collect();
        let lost: Vec<(String, i64)> = sqlx::query_as(include_str!("archive.sql"))
            .bind(self.column(|n| n.recipient.tenant.as_str()))
            .bind(self.column(|n| n.recipient.id.as_str()))
            .bind(self.rows.iter().map(|row| i64::from(row.position.epoch.0)).collect::<Vec<_>>())
            .bind(self.rows.iter().map(|row| i64::from(row.position.partition.0)).collect::<Vec<_>>())
            .bind(offsets?)
            .bind(&self.expires_ms)
            .bind(self.column(|n| millis(n.time)))
            .bind(self.column(|n| urgency_number(n.urgency)))
            .bind(self.column(|n| n.id.as_str()))
            .bind(self.column(|n| text(&n.source)))
            .bind(self.column(|n| n.kind.as_str()))
            .bind(self.column(|n| n.content_type.as_str()))
            .bind(self.column(|n| n.metadata.as_deref().map(text)))
            .bind(self.column(|n| n.trace.parent.as_deref().map(text)))
            .bind(self.column(|n| n.trace.state.as_deref().map(text)))
            .bind(self.column(|n| n.trace.baggage.as_deref().map(text)))
            .bind(self.column(|n| &n.content[..]))
            .bind(self.now_ms)
            .bind(signed("quota", quota)?)
            .fetch_all(connection)
            .await?;
        lost.into_iter().map(|(word, count)| Ok((cause(&word)?, wide("count", count)?))).collect()
    }

    fn column<T>(&self, value: impl Fn(&'a Notification) -> T) -> Vec<T> {
        self.rows.iter().map(|row| value(&row.notification)).collect()
    }
}
