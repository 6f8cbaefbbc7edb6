//! The output edge: appends records and tells which of them are durable.

use std::sync::Arc;
use std::time::Instant;

use shared::log::{Appender, Error};
use shared::notification::Notification;
use shared::record;
use shared::topic::Topic;
use tokio::sync::OwnedSemaphorePermit;

use crate::metrics;
use crate::refusal::{Reason, Refusal};

/// Memory that a request holds; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Reservation {
    permit: OwnedSemaphorePermit,
}

impl Reservation {
    /// Holds `permit`, one permit a byte.
    pub(crate) fn new(permit: OwnedSemaphorePermit) -> Self {
        metrics::reserved(u32::try_from(permit.num_permits()).unwrap_or(u32::MAX));
        Self { permit }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        metrics::released(u32::try_from(self.permit.num_permits()).unwrap_or(u32::MAX));
    }
}

/// Whether each notification is durable, in order.
pub(crate) type Answers = Vec<Result<(), Reason>>;

/// Appends the records of `notifications` and answers each. Goes on to its end when the caller stops waiting, and
/// gives `reservation` back only then: the memory is held as long as the log holds the records.
pub(crate) async fn publish(
    log: &Arc<dyn Appender>,
    notifications: &[Notification],
    reservation: Reservation,
    deadline: tokio::time::Instant,
) -> Result<Answers, Refusal> {
    let entries: Vec<_> = notifications.iter().map(record::encode).collect();
    let asked = entries.len();
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
