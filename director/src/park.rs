//! Output edge to the log: appends to `parked`, `dead` and `outcomes`, in batches, repeated until the log has answered for every
//! record. The worker holds the records meanwhile.

use std::sync::Arc;

use bytes::Bytes;
use shared::log::{Appender, Entry, Error};
use shared::outcome::{DeadReason, ParkReason};
use shared::position::{Epoch, PartitionId};
use shared::record::outcomes::{self, Outcome};
use shared::record::{dead, parked, run};
use shared::retry::Backoff;
use shared::topic::Topic;

use crate::lane::Run;
use crate::metrics;
use crate::routing::{DeadLetter, Record};

/// Appends what cannot be delivered.
#[derive(Clone)]
pub(crate) struct Parker {
    appender: Arc<dyn Appender>,
    backoff: Backoff,
}

/// What became of a record that was to be parked.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ParkedAt {
    /// It stands on `parked`, at this offset.
    Offset(u64),
    /// The log will never take it.
    TooLarge,
}

impl Parker {
    pub(crate) fn new(appender: Arc<dyn Appender>, backoff: Backoff) -> Self {
        Self { appender, backoff }
    }

    /// Parks each run, every one of another recipient, and answers where its records are, in order; nothing behind one that
    /// is too large is appended or answered for.
    pub(crate) async fn park(&self, runs: &[Run]) -> Vec<Vec<ParkedAt>> {
        let packed = runs.iter().map(|run| {
            let mut copies: Vec<Entry> = run.iter().map(encode).collect();
            if copies.len() == 1 { copies.remove(0) } else { run::pack(&copies) }
        });
        let answers = self.append(Topic::Parked, packed.collect()).await;
        let mut parked = Vec::with_capacity(runs.len());
        for (run, answer) in runs.iter().zip(answers) {
            parked.push(match answer {
                ParkedAt::TooLarge if run.len() > 1 => self.park_singly(run).await,
                ParkedAt::Offset(_) | ParkedAt::TooLarge => vec![answer; run.len()],
            });
        }
        parked
    }

    /// One record after the other: none is appended before the log has answered for the one before it.
    async fn park_singly(&self, run: &Run) -> Vec<ParkedAt> {
        let mut answers = Vec::with_capacity(run.len());
        for copy in run {
            let answer = self.append(Topic::Parked, vec![encode(copy)]).await;
            answers.extend(&answer);
            if matches!(answer[..], [ParkedAt::TooLarge]) {
                break;
            }
        }
        answers
    }

    /// Writes each dead letter. One that is too large for the log, with what was added to it, loses its body, and if
    /// that is not enough its headers: its coordinates always arrive.
    pub(crate) async fn bury(&self, dead_letters: &[DeadLetter]) {
        let mut entries: Vec<Entry> = dead_letters
            .iter()
            .map(|letter| dead::encode(&letter.entry, letter.position, &letter.reason))
            .collect();
        let mut left: Vec<&DeadLetter> = dead_letters.iter().collect();
        for shrink in [without_body, without_headers, without_anything] {
            let answers = self.append(Topic::Dead, std::mem::take(&mut entries)).await;
            let refused: Vec<bool> =
                answers.iter().map(|answer| matches!(answer, ParkedAt::TooLarge)).collect();
            left = left
                .into_iter()
                .zip(refused)
                .filter(|(_, refused)| *refused)
                .map(|(letter, _)| letter)
                .collect();
            if left.is_empty() {
                return;
            }
            entries = left.iter().map(|letter| shrink(letter)).collect();
        }
        for answer in self.append(Topic::Dead, entries).await {
            if matches!(answer, ParkedAt::TooLarge) {
                tracing::error!("the log takes no dead letter at all, however small");
            }
        }
    }

    /// Tells how records of one partition ended: one record of `outcomes`, or more where the log takes no record as large.
    /// `key` decides which partition of `outcomes`.
    pub(crate) async fn tell(&self, key: &Bytes, epoch: Epoch, partition: PartitionId, outcomes: &[Outcome]) {
        let mut left = vec![outcomes];
        while let Some(outcomes) = left.pop() {
            let entry = outcomes::encode(key.clone(), epoch, partition, outcomes);
            let answers = self.append(Topic::Outcomes, vec![entry]).await;
            if matches!(answers[..], [ParkedAt::TooLarge]) {
                match outcomes.len() {
                    0 | 1 => tracing::error!("the log takes no outcome at all"),
                    count => left.extend([&outcomes[..count / 2], &outcomes[count / 2..]]),
                }
            }
        }
    }

    /// Appends until the log has answered for each.
    async fn append(&self, topic: Topic, entries: Vec<Entry>) -> Vec<ParkedAt> {
        let mut answers: Vec<Option<ParkedAt>> = entries.iter().map(|_| None).collect();
        let mut open: Vec<usize> = (0..entries.len()).collect();
        let mut attempt = 0;
        loop {
            let batch = open.iter().map(|index| entries[*index].clone()).collect();
            let results = self.appender.append(topic, batch).await;
            let mut failed = None;
            for (index, result) in open.iter().zip(results) {
                match result {
                    Ok(placed) => answers[*index] = Some(ParkedAt::Offset(placed.offset)),
                    Err(Error::TooLarge) => answers[*index] = Some(ParkedAt::TooLarge),
                    Err(error @ (Error::Unavailable(_) | Error::Rejected(_) | Error::Closed)) => {
                        failed = Some(error)
                    }
                }
            }
            open.retain(|index| answers[*index].is_none());
            if open.is_empty() {
                return answers.into_iter().flatten().collect();
            }
            metrics::engine_failure("log");
            if attempt % 16 == 0 {
                let error = failed.as_ref().map(|error| error as &dyn std::error::Error);
                tracing::warn!(?topic, open = open.len(), error, "records are held until the log takes them");
            }
            tokio::time::sleep(self.backoff.delay(attempt, rand::random())).await;
            attempt = attempt.saturating_add(1);
        }
    }
}

fn encode((record, reason): &(Arc<Record>, ParkReason)) -> Entry {
    parked::encode(&record.entry, record.position, *reason)
}

fn reencode(letter: &DeadLetter, entry: &Entry) -> Entry {
    let detail = format!("{} ({} bytes, cut to fit)", letter.reason.detail(), letter.entry.size_bytes());
    let reason = match &letter.reason {
        DeadReason::Malformed(_) => DeadReason::Malformed(detail),
        DeadReason::Unsupported(_) => DeadReason::Unsupported(detail),
        DeadReason::TooLarge(_) => DeadReason::TooLarge(detail),
        DeadReason::Misplaced | DeadReason::Rejected(_) => letter.reason.clone(),
    };
    dead::encode_cut(entry, letter.position, &reason)
}

fn without_body(letter: &DeadLetter) -> Entry {
    reencode(letter, &Entry { payload: Bytes::new(), ..letter.entry.clone() })
}

fn without_headers(letter: &DeadLetter) -> Entry {
    reencode(letter, &Entry { key: letter.entry.key.clone(), ..Entry::default() })
}

fn without_anything(letter: &DeadLetter) -> Entry {
    let reason = DeadReason::Malformed("too large to be kept".into());
    dead::encode_cut(&Entry::default(), letter.position, &reason)
}
