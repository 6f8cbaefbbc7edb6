//! The output edge: appends records and tells which of them are durable.

use std::sync::Arc;
use std::time::Instant;

use shared::log::{Appender, Entry, Error};
use shared::notification::Notification;
use shared::record;
use shared::topic::Topic;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::metrics;
use crate::refusal::{Reason, Refusal};

/// Memory that a request holds; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Reservation {
    memory: Arc<Semaphore>,
    permit: OwnedSemaphorePermit,
}

impl Reservation {
    /// Takes `bytes` of `memory`, which has a permit for each byte.
    ///
    /// # Errors
    /// [`Reason::Overloaded`], at once, when they are not there.
    pub(crate) fn of(memory: &Arc<Semaphore>, bytes: usize) -> Result<Self, Refusal> {
        let permit = acquire(memory, bytes)?;
        metrics::reserved(permit.num_permits());
        Ok(Self { memory: Arc::clone(memory), permit })
    }

    /// Takes `bytes` more.
    fn grow(&mut self, bytes: usize) -> Result<(), Refusal> {
        let more = acquire(&self.memory, bytes)?;
        metrics::reserved(more.num_permits());
        self.permit.merge(more);
        Ok(())
    }
}

fn acquire(memory: &Arc<Semaphore>, bytes: usize) -> Result<OwnedSemaphorePermit, Refusal> {
    let permits = u32::try_from(bytes).unwrap_or(u32::MAX);
    Arc::clone(memory)
        .try_acquire_many_owned(permits)
        .map_err(|_exhausted| Refusal::plain(Reason::Overloaded))
}

impl Drop for Reservation {
    fn drop(&mut self) {
        metrics::released(self.permit.num_permits());
    }
}

/// Whether each notification is durable, in order.
pub(crate) type Answers = Vec<Result<(), Reason>>;

/// Appends the records of `notifications` and answers each. Goes on to its end when the caller stops waiting, and
/// gives `reservation` back only then: the memory is held as long as the log holds the records.
pub(crate) async fn publish(
    log: &Arc<dyn Appender>,
    notifications: &[Notification],
    mut reservation: Reservation,
    deadline: tokio::time::Instant,
) -> Result<Answers, Refusal> {
    let entries: Vec<_> = notifications.iter().map(record::encode).collect();
    let asked = entries.len();
    reservation.grow(entries.iter().map(Entry::size_bytes).sum())?;
    let log = Arc::clone(log);
    let append = tokio::spawn(async move {
        let begun = Instant::now();
        let answers = log.append(Topic::Notifications, entries).await;
        metrics::append(begun.elapsed());
        drop(reservation);
        answers
    });
    let answers = match tokio::time::timeout_at(deadline, append).await {
        Ok(Ok(answers)) => answers,
        Ok(Err(error)) => {
            tracing::error!(%error, "the log adapter failed");
            return Err(Refusal::plain(Reason::Internal));
        }
        Err(_elapsed) => {
            let detail = "the log has not answered in time; some of it may still be delivered";
            return Err(Refusal::new(Reason::DeadlineExceeded, detail));
        }
    };
    let mut told: Answers = answers.into_iter().map(|answer| answer.map(drop).map_err(reason)).collect();
    // An adapter that says nothing about a record has not said that it is durable.
    told.resize(asked, Err(Reason::LogUnavailable));
    metrics::accepted(told.iter().filter(|answer| answer.is_ok()).count());
    Ok(told)
}

fn reason(error: Error) -> Reason {
    match error {
        Error::Unavailable(source) => {
            tracing::warn!(cause = ?source, "the log is unavailable");
            Reason::LogUnavailable
        }
        Error::TooLarge => Reason::RecordTooLarge,
        Error::Rejected(source) => {
            tracing::error!(cause = %source, "the log refuses");
            Reason::LogRefused
        }
        Error::Closed => Reason::LogUnavailable,
    }
}
