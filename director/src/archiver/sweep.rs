//! Slow work beside the stages: marking again the recipients that have rows, for a registry that fails over can lose a
//! mark without losing its `flagged_upto`; and turning expired rows into gaps.

use shared::position::PartitionId;

use super::Archiver;
use super::flags::ask;
use super::marking::{Call, Marking, Step};
use super::stage::pace;
use crate::calls::persist;
use crate::metrics;

/// Marks every recipient of `partition` that has rows, at the rate of the settings; answers whether it came to the end.
async fn scan(archiver: &Archiver, partition: PartitionId) -> bool {
    let (mut marking, mut call) = Marking::sweep();
    loop {
        let answer = ask(archiver, partition, &call).await;
        if let Call::Mark(marks) = &call {
            metrics::swept(marks.len());
            tokio::time::sleep(pace(marks.len(), archiver.settings.sweep_rate)).await;
        }
        match marking.answer(answer) {
            Step::Call(next) => call = next,
            Step::Stands(_) => return true,
            Step::Conflict => return false,
        }
    }
}

/// Scans `partition` slowly, again and again.
pub(super) async fn mark(archiver: &Archiver, partition: PartitionId) {
    loop {
        // Jittered, so that the partitions of a director do not scan in step.
        tokio::time::sleep(archiver.settings.sweep_ms.mul_f64(0.5 + rand::random::<f64>())).await;
        if !scan(archiver, partition).await {
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
