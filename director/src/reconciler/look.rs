//! One look at one partition: asks the log, in the order that makes a judgement possible, and tells what was found.

use std::sync::Arc;
use std::time::Instant;

use shared::log::{Error, Fetched, Progress, groups};
use shared::position::PartitionId;
use shared::record::{outcomes, parked, run};
use shared::topic::Topic;

use super::Reconciler;
use super::account::{Account, Checkpoint, Verdicts, WITNESSES};
use super::probe::Probe;
use super::tally::Seat;
use crate::metrics;

/// Where ends stand.
const TOPICS: [Topic; WITNESSES] = [Topic::Outcomes, Topic::Parked, Topic::Dead];
/// The group that directors commit for.
const DIRECTORS: &str = groups::DIRECTOR;
/// The group that keeps checkpoints; nobody joins it.
const CHECKPOINTS: &str = "reconciled";
/// A checkpoint that does not change is committed again so often: Kafka forgets what a group without members committed
/// more than `offsets.retention.minutes` ago.
const REFRESH: std::time::Duration = std::time::Duration::from_secs(3600);

/// How far a look came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reached {
    /// Everything committed is judged.
    Everything,
    /// A part of it.
    Further,
    /// No further than before: as much is unaccounted as may be remembered.
    Nothing,
}

/// See the module.
pub(super) struct Look {
    reconciler: Reconciler,
    partition: PartitionId,
    progress: Arc<dyn Progress>,
    seat: Seat,
    account: Option<Account>,
    /// Not committed yet.
    checkpoint: Option<Checkpoint>,
    saved: Option<(Checkpoint, Instant)>,
}

impl Look {
    pub(super) fn new(reconciler: Reconciler, assignment: &shared::group::Assignment, seat: Seat) -> Self {
        let (partition, progress) = (assignment.partition, Arc::clone(&assignment.progress));
        Self { reconciler, partition, progress, seat, account: None, checkpoint: None, saved: None }
    }

    /// Looks once. The order matters, see [`Account`](super::account).
    ///
    /// # Errors
    /// When the log does not answer; what was learned so far is kept.
    pub(super) async fn once(&mut self) -> Result<Reached, Error> {
        let started = self.reconciler.clock.now();
        let mut account = match self.account.take() {
            Some(account) => account,
            None => self.begin().await?,
        };
        let looked = self.look(&mut account).await;
        self.seat.unaccounted(account.unaccounted());
        metrics::reconciled_upto(self.partition, account.upto());
        self.account = Some(account);
        let reached = looked?;
        if reached == Reached::Everything {
            self.seat.looked(started);
        }
        self.save().await?;
        Ok(reached)
    }

    async fn look(&mut self, account: &mut Account) -> Result<Reached, Error> {
        let Reconciler { commits, ends, settings, .. } = &self.reconciler;
        let committed =
            commits.committed(DIRECTORS, Topic::Notifications, self.partition).await?.unwrap_or(0);
        if committed <= account.upto() && account.unaccounted() == 0 {
            return Ok(Reached::Everything);
        }
        let mut upto = [0; WITNESSES];
        for (end, topic) in upto.iter_mut().zip(TOPICS) {
            *end = ends.end(topic, self.partition).await?;
        }
        let mut sight = Sight::Whole;
        for (witness, end) in upto.into_iter().enumerate() {
            if self.hear(account, witness, end).await? == Sight::Lost {
                sight = Sight::Lost;
            }
        }
        let before = account.upto();
        let judgeable = account.judgeable(committed);
        let verdicts = match sight {
            Sight::Whole => self.judge(account, judgeable).await?,
            Sight::Lost => {
                tracing::error!(
                    partition = %self.partition, from = before, to = judgeable,
                    "retention deleted ends before they were read; these positions are not accounted for"
                );
                metrics::unjudged("ends_deleted", account.open(judgeable, usize::MAX).len());
                Verdicts { missing: Vec::new(), upto: judgeable }
            }
        };
        account.judge(&verdicts, Instant::now());
        metrics::reconciled(account.upto() - before);
        if let Some(horizon) = Instant::now().checked_sub(settings.horizon_ms) {
            for offset in account.forget(horizon) {
                tracing::error!(partition = %self.partition, offset, "unaccounted for longer than the horizon; no longer counted");
            }
        }
        if let Some(checkpoint) = account.checkpoint() {
            self.checkpoint = Some(checkpoint);
        }
        Ok(if account.upto() >= committed {
            Reached::Everything
        } else if account.upto() > before {
            Reached::Further
        } else {
            Reached::Nothing
        })
    }

    /// Reads what a topic tells, up to `end`.
    async fn hear(&self, account: &mut Account, witness: usize, end: u64) -> Result<Sight, Error> {
        let (reader, topic) = (&self.reconciler.reader, TOPICS[witness]);
        let mut sight = Sight::Whole;
        while account.place(witness) < end {
            let from = account.place(witness);
            let records = reader.read(topic, self.partition, from, end).await?;
            if records.first().is_none_or(|record| record.offset > from)
                && reader.first(topic, self.partition).await? > from
            {
                sight = Sight::Lost;
            }
            if records.is_empty() {
                account.read_to(witness, end);
            }
            for record in records {
                for offset in account.take(witness, record.offset, &self.ended(topic, &record)) {
                    tracing::warn!(partition = %self.partition, offset, "accounted for after all");
                }
            }
        }
        Ok(sight)
    }

    /// The positions whose end a record tells of.
    fn ended(&self, topic: Topic, record: &Fetched) -> Vec<u64> {
        let (epoch, partition) = (self.reconciler.ends.epoch(), self.partition);
        let own = |position: shared::position::Position| {
            (position.epoch == epoch && position.partition == partition).then_some(position.offset)
        };
        let ended = match topic {
            Topic::Outcomes => outcomes::decode(&record.entry.payload).ok().map(|batch| {
                let own = batch.epoch == epoch && batch.partition == partition;
                batch.outcomes.iter().filter(|_| own).map(|outcome| outcome.offset).collect()
            }),
            Topic::Parked => run::unpack(&record.entry).ok().map(|copies| {
                copies.iter().filter_map(|copy| parked::position(copy).ok()).filter_map(own).collect()
            }),
            Topic::Dead | Topic::Notifications => {
                parked::position(&record.entry).ok().map(|position| own(position).into_iter().collect())
            }
        };
        ended.unwrap_or_else(|| {
            metrics::unreadable(topic.stem());
            tracing::warn!(topic = topic.stem(), partition = %partition, offset = record.offset, "tells of no end");
            Vec::new()
        })
    }

    async fn judge(&self, account: &Account, upto: u64) -> Result<Verdicts, Error> {
        let Reconciler { reader, settings, .. } = &self.reconciler;
        let room = settings.unaccounted.saturating_sub(account.unaccounted());
        let probe =
            Probe { reader: &**reader, partition: self.partition, room, log_lines: settings.log_lines };
        probe.judge(account, upto).await
    }

    /// The account from where it was left, or a new one.
    async fn begin(&mut self) -> Result<Account, Error> {
        let Reconciler { commits, settings, clock, reader, .. } = &self.reconciler;
        let mut left = Vec::with_capacity(1 + WITNESSES);
        for topic in [Topic::Notifications].into_iter().chain(TOPICS) {
            left.extend(commits.committed(CHECKPOINTS, topic, self.partition).await?);
        }
        let checkpoint = match left[..] {
            [upto, outcomes, parked, dead] => Checkpoint { upto, places: [outcomes, parked, dead] },
            _ => self.first_checkpoint().await?,
        };
        if left.len() == 1 + WITNESSES {
            self.saved = Some((checkpoint, Instant::now()));
        } else {
            // At once: what comes to be from here on must be found by whoever begins next.
            self.checkpoint = Some(checkpoint);
        }
        let committed =
            commits.committed(DIRECTORS, Topic::Notifications, self.partition).await?.unwrap_or(0);
        let oldest = reader.read(Topic::Notifications, self.partition, checkpoint.upto, committed).await?;
        self.seat.looked(oldest.first().map_or(clock.now(), |record| record.timestamp));
        Ok(Account::new(checkpoint, settings.window))
    }

    /// Where nobody has looked yet: the whole log, when no director has come anywhere; else what is accepted from now on,
    /// for what ended before was perhaps never told.
    async fn first_checkpoint(&self) -> Result<Checkpoint, Error> {
        let Reconciler { commits, reader, .. } = &self.reconciler;
        let committed =
            commits.committed(DIRECTORS, Topic::Notifications, self.partition).await?.unwrap_or(0);
        let first = reader.first(Topic::Notifications, self.partition).await?;
        if committed <= first {
            let mut places = [0; WITNESSES];
            for (place, topic) in places.iter_mut().zip(TOPICS) {
                *place = reader.first(topic, self.partition).await?;
            }
            return Ok(Checkpoint { upto: first, places });
        }
        let checkpoint = self.present().await?;
        tracing::warn!(
            partition = %self.partition, from = checkpoint.upto,
            "nobody has noted how far this partition is accounted for; what was accepted before is not looked at"
        );
        Ok(checkpoint)
    }

    /// What is accepted from now on ends after what stands on the other topics now.
    async fn present(&self) -> Result<Checkpoint, Error> {
        let ends = &self.reconciler.ends;
        let mut places = [0; WITNESSES];
        for (place, topic) in places.iter_mut().zip(TOPICS) {
            *place = ends.end(topic, self.partition).await?;
        }
        Ok(Checkpoint { upto: ends.end(Topic::Notifications, self.partition).await?, places })
    }

    /// Looks at nothing, and leaves nothing to be looked at.
    ///
    /// # Errors
    /// When the log does not answer.
    pub(super) async fn leave_behind(&mut self) -> Result<Reached, Error> {
        self.checkpoint = Some(self.present().await?);
        self.save().await?;
        Ok(Reached::Everything)
    }

    /// Commits the checkpoint, when one is new and it is time.
    async fn save(&mut self) -> Result<(), Error> {
        let Reconciler { commits, settings, .. } = &self.reconciler;
        let due = self.saved.is_none_or(|(_, at)| at.elapsed() >= settings.save_ms);
        let old = self.saved.filter(|(_, at)| at.elapsed() >= REFRESH).map(|(checkpoint, _)| checkpoint);
        let changed = self.checkpoint.filter(|new| self.saved.is_none_or(|(saved, _)| saved != *new));
        let Some(checkpoint) = changed.filter(|_| due).or(old) else { return Ok(()) };
        // `notifications` first: topics read from further back than necessary do no harm.
        let mut offsets = vec![(Topic::Notifications, checkpoint.upto)];
        offsets.extend(TOPICS.into_iter().zip(checkpoint.places));
        commits.commit(CHECKPOINTS, self.partition, &offsets).await?;
        // Nothing is read by this group; it tells operators, and the embedded log, what is needed no more.
        self.progress.finish(self.partition, checkpoint.upto);
        self.saved = Some((checkpoint, Instant::now()));
        Ok(())
    }
}

/// Whether everything that could tell of ends was still there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sight {
    Whole,
    Lost,
}
