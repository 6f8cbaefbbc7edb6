//! Requeues: appends to `notifications` again what somebody asked for, at the rate of the settings, tenants taking turns.
//! Beside it, dead letters that were kept long enough are purged. Both run beside the dead stage of partition zero, so at
//! one director at a time, but for a moment one that was thought gone.
//!
//! A dead letter is appended first and marked `requeued` then: whoever dies between leaves it asked for, and it is appended
//! again, with the same id, by which client libraries know it. Of one recipient only one is under way at a time, the
//! lowest position first, so the first copies of its dead letters stand on the log in the order of their positions,
//! however often some of them are repeated.

mod selection;

use shared::clock::Timestamp;
use shared::log::{Entry, Error, Placed};
use shared::position::Position;
use shared::recipient::TenantId;
use shared::record::{self, Kind};
use shared::store::{DeadLetter, Requested, Settled};
use shared::topic::Topic;
use tokio_util::sync::CancellationToken;

use super::Archiver;
use super::stage::pace;
use crate::calls::{Conflict, persist};
use crate::metrics;
use selection::select;

/// Most waiting requeues that are counted for the gauge.
const COUNTED: u32 = 100_000;

/// Requeues and purges until `drain`. What is being appended then is still marked.
pub(super) async fn run(archiver: &Archiver, drain: &CancellationToken) {
    let purging = async {
        tokio::select! {
            () = drain.cancelled() => {}
            () = purge(archiver) => {}
        }
    };
    tokio::join!(requeue(archiver, drain), purging);
}

async fn requeue(archiver: &Archiver, drain: &CancellationToken) {
    let settings = &archiver.dead_letter_settings;
    let mut after = None;
    loop {
        let letters = tokio::select! {
            () = drain.cancelled() => return,
            letters = next(archiver, &mut after) => letters.unwrap_or_default(),
        };
        let pause = match letters.len() {
            0 => settings.requeue_poll_ms.mul_f64(0.5 + rand::random::<f64>()),
            some => pace(some, settings.requeue_rate),
        };
        if !letters.is_empty() {
            append(archiver, letters, drain).await;
        }
        tokio::select! {
            () = drain.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// The dead letters whose turn it is, those of the tenants after `after` first.
async fn next(archiver: &Archiver, after: &mut Option<TenantId>) -> Result<Vec<DeadLetter>, Conflict> {
    let settings = &archiver.dead_letter_settings;
    let each = u32::try_from(settings.requeue_batch).unwrap_or(u32::MAX);
    let ask = async |after: Option<TenantId>| -> Result<Vec<Requested>, Conflict> {
        persist(archiver.backoff, "reading requeues", || {
            archiver.requeues.requested(after.as_ref(), settings.requeue_tenants, each)
        })
        .await
    };
    let mut asked = ask(after.clone()).await?;
    if asked.is_empty() && after.is_some() {
        asked = ask(None).await?;
    }
    *after = asked.last().map(|last| last.tenant.clone());
    let chosen = select(&asked, settings.requeue_batch, settings.requeue_bytes);
    if chosen.is_empty() {
        return Ok(Vec::new());
    }
    persist(archiver.backoff, "reading dead letters to requeue", || {
        archiver.requeues.requested_letters(&chosen)
    })
    .await
}

/// Appends and marks. What the log has not answered for when `drain` comes stays asked for.
async fn append(archiver: &Archiver, letters: Vec<DeadLetter>, drain: &CancellationToken) {
    let now = archiver.clock.now();
    let mut settled = Vec::with_capacity(letters.len());
    let mut open = Vec::with_capacity(letters.len());
    for letter in letters {
        let position = letter.summary.position;
        match entry(letter, now) {
            Ok(entry) => open.push((position, entry)),
            Err(end) => settled.push((position, end)),
        }
    }
    let mut attempt = 0;
    while !open.is_empty() {
        let entries = open.iter().map(|(_, entry)| entry.clone()).collect();
        let mut answers = archiver.appender.append(Topic::Notifications, entries).await.into_iter();
        open.retain(|(position, _)| match answers.next().and_then(|answer| end(archiver, answer)) {
            Some(end) => {
                settled.push((*position, end));
                false
            }
            None => true,
        });
        if open.is_empty() {
            break;
        }
        metrics::engine_failure("log");
        tokio::select! {
            () = drain.cancelled() => break,
            () = tokio::time::sleep(archiver.backoff.delay(attempt, rand::random())) => {}
        }
        attempt = attempt.saturating_add(1);
    }
    let now = archiver.clock.now();
    let marked =
        persist(archiver.backoff, "marking requeues", || archiver.requeues.settle(&settled, now)).await;
    if let Ok(()) = marked {
        for (position, end) in settled {
            metrics::requeued(end);
            tracing::debug!(?position, ?end, "requeue settled");
        }
    }
}

/// The record to append for `letter`, or how its requeue ends without.
fn entry(letter: DeadLetter, now: Timestamp) -> Result<Entry, Settled> {
    let DeadLetter { summary, headers, payload } = letter;
    let entry = Entry { key: summary.key.into(), headers, payload };
    match record::decode(&entry) {
        Ok((Kind::Notification | Kind::Enrichment, notification)) if notification.is_expired(now) => {
            Err(Settled::Expired)
        }
        Ok((Kind::Notification | Kind::Enrichment, _)) => Ok(entry),
        Ok((Kind::Task, _)) | Err(_) => Err(Settled::Unfit),
    }
}

/// How a requeue ends by the log's answer; `None` when it is to be tried again.
fn end(archiver: &Archiver, answer: Result<Placed, Error>) -> Option<Settled> {
    match answer {
        Ok(Placed { partition, offset }) => {
            Some(Settled::Requeued(Position { epoch: archiver.epoch, partition, offset }))
        }
        Err(Error::TooLarge) => Some(Settled::Unfit),
        Err(error @ (Error::Unavailable(_) | Error::Rejected(_) | Error::Closed)) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "a requeue waits for the log");
            None
        }
    }
}

/// Purges what was kept long enough and counts what waits, again and again.
async fn purge(archiver: &Archiver) {
    let settings = &archiver.dead_letter_settings;
    loop {
        let waiting =
            persist(archiver.backoff, "counting requeues", || archiver.requeues.waiting(COUNTED)).await;
        if let Ok(waiting) = waiting {
            metrics::requeues_waiting(waiting);
        }
        let before = archiver.clock.now().before(settings.retention_ms);
        let gone = persist(archiver.backoff, "purging dead letters", || {
            archiver.dead_letters.purge_dead(before, settings.purge_rows)
        });
        if let Ok(gone) = gone.await {
            metrics::dead_letters_purged(gone);
        }
        tokio::time::sleep(settings.purge_ms.mul_f64(0.5 + rand::random::<f64>())).await;
    }
}
