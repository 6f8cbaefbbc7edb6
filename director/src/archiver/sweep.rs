//! Slow work beside the stages: marking again the recipients that have rows, for a registry that fails over can lose a
//! mark without losing its `flagged_upto`; and turning expired rows into gaps.

use shared::position::PartitionId;
use shared::recipient::Recipient;

use super::Archiver;
use super::stage::pace;
use crate::calls::{Conflict, persist};
use crate::metrics;

/// How fast a scan goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tempo {
    /// As fast as the engines answer: sessions wait for it.
    Fast,
    /// At the rate of the settings.
    Slow,
}

/// Marks every recipient of `partition` that has rows with how far the partition was archived before, and answers that.
pub(super) async fn scan(archiver: &Archiver, partition: PartitionId, tempo: Tempo) -> Result<u64, Conflict> {
    let Archiver { inbox, flags, backoff, settings, .. } = archiver;
    let upto = persist(*backoff, "reading archived_upto", || inbox.archived_upto(partition)).await?;
    let mut after: Option<Recipient> = None;
    loop {
        let page = persist(*backoff, "reading recipients with rows", || {
            inbox.recipients(partition, after.as_ref(), settings.sweep_page)
        });
        let page = page.await?;
        let Some(last) = page.last().cloned() else { return Ok(upto) };
        let marks: Vec<_> = page.into_iter().map(|recipient| (recipient, upto)).collect();
        persist(*backoff, "marking recipients with rows", || flags.mark(&marks)).await?;
        metrics::swept(marks.len());
        after = Some(last);
        if tempo == Tempo::Slow {
            tokio::time::sleep(pace(marks.len(), settings.sweep_rate)).await;
        }
    }
}

/// Scans `partition` slowly, again and again.
pub(super) async fn mark(archiver: &Archiver, partition: PartitionId) {
    loop {
        // Jittered, so that the partitions of a director do not scan in step.
        tokio::time::sleep(archiver.settings.sweep_ms.mul_f64(0.5 + rand::random::<f64>())).await;
        if scan(archiver, partition, Tempo::Slow).await.is_err() {
            tracing::debug!(%partition, "scan given up; the next one follows");
        }
    }
}

/// Turns expired rows into gaps, in chunks, again and again.
pub(super) async fn expire(archiver: &Archiver) {
    let Archiver { inbox, clock, backoff, settings, .. } = archiver;
    loop {
        tokio::time::sleep(settings.expire_ms.mul_f64(0.5 + rand::random::<f64>())).await;
        loop {
            let expired =
                persist(*backoff, "expiring rows", || inbox.expire(clock.now(), settings.expire_rows));
            let Ok(count) = expired.await else { break };
            metrics::expired(count);
            if count < u64::from(settings.expire_rows) {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
}
