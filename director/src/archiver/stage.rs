//! What the stages of the archiver have in common: batches of one partition, moved in order, from where the stage's own
//! engine says it has come to. The consumer group's commit follows that and is never trusted above it.

use std::sync::Arc;
use std::time::Duration;

use shared::group::Assignment;
use shared::log::Fetched;
use shared::record::run;
use shared::retry::Backoff;
use tokio::time::{Instant, timeout, timeout_at};

use super::reading::{Offer, Reading};
use crate::calls::Conflict;
use crate::config::ArchiverSettings;
use crate::metrics;

/// Records taken before the limits of a batch are looked at again.
const STEP: usize = 8;

/// One stage's work on one partition. Everything it does may be dropped and done again.
pub(super) trait Stage: Send + Sync {
    /// For metrics.
    const NAME: &'static str;

    /// How far the stage has come, by its own engine.
    fn begin(&self) -> impl Future<Output = Result<u64, Conflict>> + Send;

    /// Moves `batch`, all that there is from `from` up to `to`, and says in the stage's engine that it has come to `to`.
    ///
    /// # Errors
    /// [`Conflict`] when the engine does not stand at `from`: begin anew.
    fn shift(
        &self,
        batch: &[Fetched],
        from: u64,
        to: u64,
    ) -> impl Future<Output = Result<(), Conflict>> + Send;
}

/// Runs `stage` on the partition of `assignment` until it is to drain. A call under way is then dropped: what it did is
/// found by whoever begins next.
pub(super) async fn run(
    stage: impl Stage,
    assignment: Assignment,
    settings: Arc<ArchiverSettings>,
    backoff: Backoff,
) {
    let drain = assignment.drain.clone();
    let mut reader = Reader {
        reading: Reading::new(assignment.from, settings.seek_settle_ms),
        held: Vec::new(),
        settings,
        assignment,
    };
    tokio::select! {
        () = drain.cancelled() => {}
        () = shift_all(&stage, &mut reader, backoff) => {}
    }
}

async fn shift_all<S: Stage>(stage: &S, reader: &mut Reader, backoff: Backoff) {
    let mut conflicts = 0;
    loop {
        if let Ok(upto) = stage.begin().await {
            shift_from(stage, reader, upto, &mut conflicts).await;
        }
        // Another member of the group was here, or the engine lost its content.
        metrics::restarted(S::NAME);
        tracing::warn!(stage = S::NAME, partition = %reader.assignment.partition, "conflict; the stage begins anew");
        tokio::time::sleep(backoff.delay(conflicts, rand::random())).await;
        conflicts = conflicts.saturating_add(1);
    }
}

/// Returns on a conflict.
async fn shift_from<S: Stage>(stage: &S, reader: &mut Reader, mut upto: u64, conflicts: &mut u32) {
    reader.seek(upto);
    let mut allowed = Instant::now();
    metrics::archived(S::NAME, reader.assignment.partition, 0, upto);
    // What lies below has ended, whoever moved it.
    reader.assignment.progress.finish(reader.assignment.partition, upto);
    loop {
        let Ok(batch) = timeout(reader.settings.verify_ms, reader.batch()).await else {
            // Nothing to move, so nothing would show that the engine has lost its content.
            if stage.begin().await.ok() == Some(upto) {
                continue;
            }
            return;
        };
        let Some(to) = batch.last().map(|record| record.offset + 1) else { continue };
        if allowed > Instant::now() {
            metrics::throttled(S::NAME);
            tokio::time::sleep_until(allowed).await;
        }
        allowed = Instant::now() + pace(copies(&batch), reader.settings.rate);
        let moved = stage.shift(&batch, upto, to).await;
        reader.ended(&batch);
        if let Err(Conflict) = moved {
            return;
        }
        *conflicts = 0;
        upto = to;
        reader.assignment.progress.finish(reader.assignment.partition, upto);
        metrics::archived(S::NAME, reader.assignment.partition, copies(&batch), upto);
    }
}

struct Reader {
    assignment: Assignment,
    reading: Reading,
    /// Taken, for the batch being made.
    held: Vec<Fetched>,
    settings: Arc<ArchiverSettings>,
}

impl Reader {
    fn seek(&mut self, to: u64) {
        let held = std::mem::take(&mut self.held);
        self.ended(&held);
        if self.reading.seek(to, Instant::now().into_std()) {
            self.assignment.progress.seek(self.assignment.partition, to);
        }
    }

    fn ended(&self, records: &[Fetched]) {
        self.assignment.intake.ended(records.len(), size_bytes(records));
    }

    /// The next batch: full, or as old as it may get. May be empty.
    ///
    /// # Cancel safety
    /// Cancel safe: what was taken is in the next batch.
    async fn batch(&mut self) -> Vec<Fetched> {
        // What a call that was given up had taken waits for no arrival: there may be none for hours.
        if self.held.is_empty() {
            self.assignment.intake.arrival().await;
        }
        let deadline = Instant::now() + self.settings.age_ms;
        loop {
            let room = self.settings.rows.saturating_sub(copies(&self.held));
            self.fill(room);
            let full =
                copies(&self.held) >= self.settings.rows || size_bytes(&self.held) >= self.settings.bytes;
            let arrival = self.assignment.intake.arrival();
            if full || timeout_at(deadline, arrival).await.is_err() {
                return std::mem::take(&mut self.held);
            }
        }
    }

    fn fill(&mut self, room: usize) {
        // In small steps, so that the limits are overshot by little.
        let mut left = room;
        while left > 0 && size_bytes(&self.held) < self.settings.bytes {
            let some = self.assignment.intake.take(left.min(STEP));
            if some.is_empty() {
                return;
            }
            for record in some {
                match self.reading.offer(record.offset, Instant::now().into_std()) {
                    Offer::Take => {
                        left = left.saturating_sub(run::copies(&record.entry));
                        self.held.push(record);
                        continue;
                    }
                    Offer::Skip => {}
                    Offer::Seek(offset) => self.assignment.progress.seek(self.assignment.partition, offset),
                }
                self.ended(std::slice::from_ref(&record));
            }
        }
    }
}

/// How many rows the records become: a run is several.
fn copies(records: &[Fetched]) -> usize {
    records.iter().map(|record| run::copies(&record.entry)).sum()
}

fn size_bytes(records: &[Fetched]) -> usize {
    records.iter().map(|record| record.entry.size_bytes()).sum()
}

/// How long `count` take at `rate` a second.
pub(super) fn pace(count: usize, rate: u32) -> Duration {
    Duration::from_secs_f64(count as f64 / f64::from(rate.max(1)))
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use shared::clock::Timestamp;
    use shared::group::Group;
    use shared::group::intake::{Intake, Limits};
    use shared::log::{Entry, Progress};
    use shared::position::PartitionId;

    use super::*;

    struct Unheard;

    impl Progress for Unheard {
        fn finish(&self, _partition: PartitionId, _next: u64) {}
        fn pause(&self, _partition: PartitionId) {}
        fn resume(&self, _partition: PartitionId) {}
        fn seek(&self, _partition: PartitionId, _offset: u64) {}
    }

    fn reader() -> Reader {
        let (partition, progress) = (PartitionId(0), Arc::new(Unheard));
        let group = Group {
            name: "tests",
            topic: shared::topic::Topic::Parked,
            interest: shared::log::Interest::default(),
            limits: Limits { records: 100, bytes: 1 << 20, room_percent: 50 },
            drain: Duration::ZERO,
            backoff: Backoff { base: Duration::ZERO, cap: Duration::ZERO },
            counts: metrics::COUNTS,
        };
        let intake = Arc::new(Intake::new(group, partition, progress.clone()));
        let settings = ArchiverSettings { age_ms: Duration::from_millis(20), ..ArchiverSettings::default() };
        Reader {
            assignment: Assignment { partition, from: 0, intake, progress, drain: Default::default() },
            reading: Reading::new(0, settings.seek_settle_ms),
            held: Vec::new(),
            settings: Arc::new(settings),
        }
    }

    fn record(offset: u64) -> Fetched {
        let timestamp = Timestamp::from_millis(1);
        Fetched { partition: PartitionId(0), offset, timestamp, entry: Entry::default() }
    }

    #[tokio::test]
    async fn what_was_taken_when_the_wait_was_given_up_is_moved_without_another_arrival() {
        let mut reader = reader();
        reader.assignment.intake.put(vec![record(0)]);
        assert!(reader.batch().now_or_never().is_none());
        assert_eq!(reader.held.len(), 1);
        let batch = timeout(Duration::from_secs(10), reader.batch()).await.unwrap();
        assert_eq!(batch.len(), 1);
    }

    #[tokio::test]
    async fn what_was_taken_and_is_sought_again_weighs_nothing() {
        let mut reader = reader();
        reader.assignment.intake.put(vec![record(0)]);
        reader.fill(10);
        reader.seek(0);
        assert_eq!(reader.assignment.intake.weight(), (0, 0));
    }
}
