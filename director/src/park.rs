//! Output edge to the log: appends to `parked`, `dead` and `outcomes`, in batches, repeated until the log has answered for every
//! record. The worker holds the records meanwhile.

use std::sync::Arc;

use bytes::Bytes;
use shared::log::outlet::{Outlet, Taken};
use shared::log::{Appender, Entry};
use shared::outcome::ParkReason;
use shared::position::{Epoch, PartitionId};
use shared::record::dead::Letter;
use shared::record::outcomes::{self, Outcome};
use shared::record::{parked, run};
use shared::retry::Backoff;
use shared::topic::Topic;

use crate::lane::Run;
use crate::metrics;
use crate::routing::Record;

/// Appends what cannot be delivered.
#[derive(Clone)]
pub(crate) struct Parker {
    outlet: Outlet,
}

impl Parker {
    pub(crate) fn new(appender: Arc<dyn Appender>, backoff: Backoff) -> Self {
        Self { outlet: Outlet::new(appender, backoff, || metrics::engine_failure("log")) }
    }

    /// Parks each run, every one of another recipient, and answers where its records are, in order; nothing behind one that
    /// is too large is appended or answered for.
    pub(crate) async fn park(&self, runs: &[Run]) -> Vec<Vec<Taken>> {
        let packed = runs.iter().map(|run| {
            let mut copies: Vec<Entry> = run.iter().map(encode).collect();
            if copies.len() == 1 { copies.remove(0) } else { run::pack(&copies) }
        });
        let answers = self.outlet.append(Topic::Parked, packed.collect()).await;
        let mut parked = Vec::with_capacity(runs.len());
        for (run, answer) in runs.iter().zip(answers) {
            parked.push(match answer {
                Taken::TooLarge if run.len() > 1 => self.park_singly(run).await,
                Taken::At(_) | Taken::TooLarge => vec![answer; run.len()],
            });
        }
        parked
    }

    /// One record after the other: none is appended before the log has answered for the one before it.
    async fn park_singly(&self, run: &Run) -> Vec<Taken> {
        let mut answers = Vec::with_capacity(run.len());
        for copy in run {
            let answer = self.outlet.append(Topic::Parked, vec![encode(copy)]).await;
            answers.extend(&answer);
            if matches!(answer[..], [Taken::TooLarge]) {
                break;
            }
        }
        answers
    }

    /// Writes each dead letter, cut to what the log takes.
    pub(crate) async fn bury(&self, letters: &[Letter]) {
        self.outlet.bury(letters).await;
    }

    /// Tells how records of one partition ended: one record of `outcomes`, or more where the log takes no record as large.
    /// `key` decides which partition of `outcomes`.
    pub(crate) async fn tell(&self, key: &Bytes, epoch: Epoch, partition: PartitionId, outcomes: &[Outcome]) {
        let mut left = vec![outcomes];
        while let Some(outcomes) = left.pop() {
            let entry = outcomes::encode(key.clone(), epoch, partition, outcomes);
            let answers = self.outlet.append(Topic::Outcomes, vec![entry]).await;
            if matches!(answers[..], [Taken::TooLarge]) {
                match outcomes.len() {
                    0 | 1 => tracing::error!("the log takes no outcome at all"),
                    count => left.extend([&outcomes[..count / 2], &outcomes[count / 2..]]),
                }
            }
        }
    }
}

fn encode((record, reason): &(Arc<Record>, ParkReason)) -> Entry {
    parked::encode(&record.entry, record.position, *reason)
}
