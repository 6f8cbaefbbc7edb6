//! Appends that are repeated until the log has answered for every record: the output edge of who must not go on before it
//! has. Whoever calls holds the records meanwhile, so a log that is away costs lag and nothing else.

use std::sync::Arc;

use bytes::Bytes;

use super::{Appender, Entry, Error, Placed};
use crate::outcome::DeadReason;
use crate::record::dead::{self, Letter};
use crate::retry::Backoff;
use crate::topic::Topic;

/// See the module. Cloning shares the log.
#[derive(Clone)]
pub struct Outlet {
    appender: Arc<dyn Appender>,
    backoff: Backoff,
    /// Where calls that the log did not answer are counted.
    away: fn(),
}

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It stands here.
    At(Placed),
    /// The log will never take it.
    TooLarge,
}

impl Outlet {
    /// Appends to `appender`, again and again by `backoff`; each call that it did not answer is told to `away`.
    #[must_use]
    pub fn new(appender: Arc<dyn Appender>, backoff: Backoff, away: fn()) -> Self {
        Self { appender, backoff, away }
    }

    /// Appends until the log has answered for each, in order. A log that refuses is asked again too: an operator has to
    /// mend it, and giving a record up is no answer. Without a failure the records of a partition stand in the order given.
    ///
    /// # Cancel safety
    /// Dropped, what was under way may still turn up on the log.
    pub async fn append(&self, topic: Topic, entries: Vec<Entry>) -> Vec<Taken> {
        let mut answers: Vec<Option<Taken>> = entries.iter().map(|_| None).collect();
        let mut open: Vec<usize> = (0..entries.len()).collect();
        let mut attempt = 0;
        loop {
            let batch = open.iter().map(|index| entries[*index].clone()).collect();
            let results = self.appender.append(topic, batch).await;
            let mut failed = None;
            for (index, result) in open.iter().zip(results) {
                match result {
                    Ok(placed) => answers[*index] = Some(Taken::At(placed)),
                    Err(Error::TooLarge) => answers[*index] = Some(Taken::TooLarge),
                    Err(error @ (Error::Unavailable(_) | Error::Rejected(_) | Error::Closed)) => {
                        failed = Some(error)
                    }
                }
            }
            open.retain(|index| answers[*index].is_none());
            if open.is_empty() {
                return answers.into_iter().flatten().collect();
            }
            (self.away)();
            if attempt % 16 == 0 {
                let error = failed.as_ref().map(|error| error as &dyn std::error::Error);
                tracing::warn!(?topic, open = open.len(), error, "records are held until the log takes them");
            }
            tokio::time::sleep(self.backoff.delay(attempt, rand::random())).await;
            attempt = attempt.saturating_add(1);
        }
    }

    /// Writes each dead letter. One that is too large for the log, with what was added to it, loses its body, and if
    /// that is not enough its headers: its coordinates always arrive.
    ///
    /// # Cancel safety
    /// As [`Outlet::append`].
    pub async fn bury(&self, letters: &[Letter]) {
        let mut entries: Vec<Entry> = letters
            .iter()
            .map(|letter| dead::encode(&letter.entry, letter.position, &letter.reason))
            .collect();
        let mut left: Vec<&Letter> = letters.iter().collect();
        for shrink in [without_body, without_headers, without_anything] {
            let answers = self.append(Topic::Dead, std::mem::take(&mut entries)).await;
            let refused: Vec<bool> = answers.iter().map(|answer| *answer == Taken::TooLarge).collect();
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
            if answer == Taken::TooLarge {
                tracing::error!("the log takes no dead letter at all, however small");
            }
        }
    }
}

fn reencode(letter: &Letter, entry: &Entry) -> Entry {
    let detail = format!("{} ({} bytes, cut to fit)", letter.reason.detail(), letter.entry.size_bytes());
    let reason = match &letter.reason {
        DeadReason::Malformed(_) => DeadReason::Malformed(detail),
        DeadReason::TooLarge(_) => DeadReason::TooLarge(detail),
        DeadReason::Task { code, .. } => DeadReason::Task { code, detail },
        DeadReason::Misplaced | DeadReason::Rejected(_) => letter.reason.clone(),
    };
    dead::encode_cut(entry, letter.position, &reason)
}

fn without_body(letter: &Letter) -> Entry {
    reencode(letter, &Entry { payload: Bytes::new(), ..letter.entry.clone() })
}

fn without_headers(letter: &Letter) -> Entry {
    reencode(letter, &Entry { key: letter.entry.key.clone(), ..Entry::default() })
}

fn without_anything(letter: &Letter) -> Entry {
    let reason = DeadReason::Malformed("too large to be kept".into());
    dead::encode_cut(&Entry::default(), letter.position, &reason)
}
