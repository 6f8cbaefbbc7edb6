//! Rows on their way into Postgres: each position once, by recipient, and which of them have a place whatever is stored.

use std::collections::{BTreeSet, HashMap, HashSet};

use sqlx::PgConnection;

use super::room::Taken;
use super::weeks::Week;
use crate::clock::Timestamp;
use crate::notification::{MAX_TTL, Notification};
use crate::recipient::Recipient;
use crate::store::columns::{cause, millis, signed, text, urgency_number, wide};
use crate::store::failure::Failure;
use crate::store::{GapCause, StoredRow};

/// A row of a batch.
#[derive(Clone, Copy)]
pub(super) struct Row<'a> {
    pub(super) row: &'a StoredRow,
    pub(super) expires_ms: i64,
    /// The index of its recipient.
    who: usize,
}

/// A recipient of a batch.
struct Who<'a> {
    recipient: &'a Recipient,
    /// How many rows of the batch are its, those past their expiry not among them.
    live: u64,
    /// Whether a row of it may be stored under another expiry.
    doubtful: bool,
}

/// Rows to store, each position once, and the weeks they expire in.
pub(super) struct Batch<'a> {
    rows: Vec<Row<'a>>,
    recipients: Vec<Who<'a>>,
    pub(super) weeks: BTreeSet<Week>,
    now_ms: i64,
}

impl<'a> Batch<'a> {
    pub(super) fn new(rows: &'a [StoredRow], now: Timestamp) -> Self {
        let now_ms = millis(now);
        // A foreign producer may write any expiry; none may make more weeks than the longest life has.
        let latest_ms = millis(now.after(MAX_TTL));
        let mut batch = Self {
            rows: Vec::with_capacity(rows.len()),
            recipients: Vec::new(),
            weeks: BTreeSet::new(),
            now_ms,
        };
        let mut known = HashMap::with_capacity(rows.len());
        let mut seen = HashSet::with_capacity(rows.len());
        for row in rows {
            let recipient = &row.notification.recipient;
            let who = *known.entry(recipient).or_insert_with(|| {
                batch.recipients.push(Who { recipient, live: 0, doubtful: false });
                batch.recipients.len() - 1
            });
            if !seen.insert((who, row.position)) {
                continue;
            }
            let written_ms = millis(row.notification.expires);
            let expires_ms = written_ms.min(latest_ms);
            if expires_ms > now_ms {
                batch.recipients[who].live += 1;
                batch.weeks.insert(Week::of(expires_ms));
            }
            // Cut to another expiry at another time, it is no duplicate of itself to the primary key.
            let notification = &row.notification;
            batch.recipients[who].doubtful |=
                expires_ms != written_ms || notification.expires > notification.time.after(MAX_TTL);
            batch.rows.push(Row { row, expires_ms, who });
        }
        batch
    }

    /// All of it.
    pub(super) fn rows(&self) -> &[Row<'a>] {
        &self.rows
    }

    /// The recipients of live rows that `room` knows nothing of.
    pub(super) fn unknown(&self, room: &Taken<'_>) -> Vec<&'a Recipient> {
        let live = self.recipients.iter().filter(|who| who.live > 0);
        live.map(|who| who.recipient).filter(|recipient| room.held(recipient).is_none()).collect()
    }

    /// Parts the rows into those that have a place, if they are not stored already, and the others; notes in `room` what is
    /// held when all that have a place are stored.
    pub(super) fn part(&self, room: &mut Taken<'_>, quota: u64) -> (Vec<Row<'a>>, Vec<Row<'a>>) {
        let fits: Vec<bool> = self
            .recipients
            .iter()
            .map(|who| {
                let held = room.held(who.recipient).map(|held| held.saturating_add(who.live));
                let fits = held.filter(|held| *held <= quota && !who.doubtful);
                room.set(who.recipient, fits);
                fits.is_some()
            })
            .collect();
        let (mut placed, others): (Vec<_>, Vec<_>) =
            self.rows.iter().partition(|row| fits[row.who] && row.expires_ms > self.now_ms);
        // As the indexes have it: scattered over them, the same rows cost the engine half as much again. What is read
        // together later lies together, too.
        placed.sort_unstable_by_key(|placed: &Row<'a>| {
            let StoredRow { position, notification } = placed.row;
            (&notification.recipient, position.epoch, position.offset)
        });
        (placed, others)
    }

    /// Stores those of `rows` that are not stored yet, within the quota, and answers how many became a gap for each cause.
    pub(super) async fn store(
        &self,
        rows: &[Row<'_>],
        connection: &mut PgConnection,
        quota: u64,
    ) -> Result<Vec<(GapCause, u64)>, Failure> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let offsets: Result<Vec<i64>, Failure> =
            rows.iter().map(|row| signed("record_offset", row.row.position.offset)).collect();
        let epochs: Vec<_> = rows.iter().map(|row| i64::from(row.row.position.epoch.0)).collect();
        let partitions: Vec<_> = rows.iter().map(|row| i64::from(row.row.position.partition.0)).collect();
        let lost: Vec<(String, i64)> = sqlx::query_as(include_str!("archive.sql"))
            .bind(column(rows, |n| n.recipient.tenant.as_str()))
            .bind(column(rows, |n| n.recipient.id.as_str()))
            .bind(epochs)
            .bind(partitions)
            .bind(offsets?)
            .bind(rows.iter().map(|row| row.expires_ms).collect::<Vec<_>>())
            .bind(column(rows, |n| millis(n.time)))
            .bind(column(rows, |n| urgency_number(n.urgency)))
            .bind(column(rows, |n| n.id.as_str()))
            .bind(column(rows, |n| text(&n.source)))
            .bind(column(rows, |n| n.kind.as_str()))
            .bind(column(rows, |n| n.content_type.as_str()))
            .bind(column(rows, |n| n.metadata.as_deref().map(text)))
            .bind(column(rows, |n| n.trace.parent.as_deref().map(text)))
            .bind(column(rows, |n| n.trace.state.as_deref().map(text)))
            .bind(column(rows, |n| n.trace.baggage.as_deref().map(text)))
            .bind(column(rows, |n| &n.content[..]))
            .bind(self.now_ms)
            .bind(signed("quota", quota)?)
            .fetch_all(connection)
            .await?;
        lost.into_iter().map(|(word, count)| Ok((cause(&word)?, wide("count", count)?))).collect()
    }
}

fn column<'a, T>(rows: &[Row<'a>], value: impl Fn(&'a Notification) -> T) -> Vec<T> {
    rows.iter().map(|row| value(&row.row.notification)).collect()
}
