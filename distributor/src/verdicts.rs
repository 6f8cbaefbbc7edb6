//! Verdicts on their way back: what sessions say of the records of a director's stream, collected per stream and taken
//! in batches by the link, one frame per batch.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use shared::delivery::{SessionId, Verdict};
use shared::link::{self, wire};
use shared::position::Position;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::hub::lock;
use crate::metrics;
use crate::session::StreamId;

/// The shortest time from one batch to the next: what comes meanwhile goes together, so that neither side is woken for each
/// verdict.
const PACE: Duration = Duration::from_millis(1);

/// The streams that are open, each with the verdicts that wait for it.
#[derive(Debug, Default)]
pub(crate) struct Verdicts {
    streams: RwLock<HashMap<StreamId, Arc<Outbox>>>,
}

/// Verdicts waiting for one stream. Bounded by what the director has in flight on it, since every verdict answers a
/// record, and the link reads no further while too many wait (see [`Outbox::room`]).
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    waiting: Mutex<Waiting>,
    filled: Notify,
    emptied: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    verdicts: Vec<wire::VerdictFrame>,
    /// When the last batch went.
    sent_at: Option<Instant>,
}

impl Verdicts {
    /// Opens the outbox of a stream.
    pub(crate) fn open(&self, stream: StreamId) -> Arc<Outbox> {
        let outbox = Arc::new(Outbox::default());
        let mut streams = self.streams.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        streams.insert(stream, Arc::clone(&outbox));
        outbox
    }

    /// Forgets a stream; verdicts for it go nowhere from now on.
    pub(crate) fn close(&self, stream: StreamId) {
        self.streams.write().unwrap_or_else(std::sync::PoisonError::into_inner).remove(&stream);
    }

    /// Puts a verdict on its way. One for a stream that is gone is dropped: the director counts every record of a lost
    /// stream as unanswered and sends it again.
    pub(crate) fn push(&self, stream: StreamId, session: SessionId, position: Position, verdict: &Verdict) {
        metrics::verdict(verdict);
        let streams = self.streams.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        let Some(outbox) = streams.get(&stream) else { return };
        lock(&outbox.waiting).verdicts.push(link::verdict(session, position, verdict));
        outbox.filled.notify_one();
    }
}

impl Outbox {
    /// Waits for verdicts and takes at most `max`, oldest first; never empty.
    ///
    /// # Cancel safety
    /// Cancel safe: nothing is taken before it returns.
    pub(crate) async fn next(&self, max: usize) -> Vec<wire::VerdictFrame> {
        while lock(&self.waiting).verdicts.is_empty() {
            self.filled.notified().await;
        }
        // A full batch does not wait, nor the first one after a rest.
        let waiting = {
            let waiting = lock(&self.waiting);
            waiting.sent_at.filter(|_| waiting.verdicts.len() < max)
        };
        if let Some(sent_at) = waiting {
            tokio::time::sleep_until(sent_at + PACE).await;
        }
        self.take(max)
    }

    /// At most `max` verdicts, oldest first, without waiting.
    pub(crate) fn take(&self, max: usize) -> Vec<wire::VerdictFrame> {
        let mut waiting = lock(&self.waiting);
        let count = waiting.verdicts.len().min(max);
        let taken: Vec<_> = waiting.verdicts.drain(..count).collect();
        if count > 0 {
            waiting.sent_at = Some(Instant::now());
            self.emptied.notify_one();
        }
        taken
    }

    /// Waits until fewer than `most` verdicts wait.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(crate) async fn room(&self, most: usize) {
        while lock(&self.waiting).verdicts.len() >= most {
            self.emptied.notified().await;
        }
    }
}
