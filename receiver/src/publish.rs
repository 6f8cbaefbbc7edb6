//! The output edge: appends records and tells which of them are durable.

use std::sync::Arc;
use std::time::Instant;

use shared::log::{Appender, Entry, Error, Placed};
use shared::notification::Notification;
use shared::record;
use shared::record::task::{encode_enrichment, encode_order};
use shared::task::{Enrichment, Order};
use shared::telemetry::spans::{self, Operation};
use shared::telemetry::trace::{self, Begun, Span};
use shared::topic::Topic;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::Instrument as _;

use crate::admission::{Admitted, Enriched};
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

/// A record on its way to the log, and the span of sending it, if it is sampled.
pub(crate) struct Outgoing {
    pub(crate) entry: Entry,
    span: Option<Span>,
}

/// What a record asks for.
pub(crate) enum Ask<'a> {
    /// Its delivery, after it became what the enrichment makes of it, if there is one.
    Delivery(Option<&'a Enrichment>),
    /// A task.
    Task(&'a Order),
}

/// Publishes what was admitted, and answers each notification; otherwise as [`append`].
pub(crate) async fn publish(
    log: &Arc<dyn Appender>,
    admitted: impl Iterator<Item = &Admitted>,
    reservation: Reservation,
    deadline: tokio::time::Instant,
) -> Result<Answers, Refusal> {
    let each = |one: &Admitted| {
        let ask = Ask::Delivery(one.enriched.as_ref().map(Enriched::how));
        one.notifications().iter().map(|notification| encode(notification, &ask)).collect::<Vec<_>>()
    };
    let told = append(log, admitted.flat_map(each).collect(), reservation, deadline).await?;
    metrics::accepted(told.iter().filter(|answer| answer.is_ok()).count());
    Ok(told)
}

/// Appends records and answers each. Goes on to its end when the caller stops waiting, and gives `reservation` back only
/// then: the memory is held as long as the log holds the records.
pub(crate) async fn append(
    log: &Arc<dyn Appender>,
    outgoing: Vec<Outgoing>,
    mut reservation: Reservation,
    deadline: tokio::time::Instant,
) -> Result<Answers, Refusal> {
    let (entries, spans): (Vec<_>, Vec<_>) = outgoing.into_iter().map(|one| (one.entry, one.span)).unzip();
    let asked = entries.len();
    reservation.grow(entries.iter().map(Entry::size_bytes).sum())?;
    let log = Arc::clone(log);
    let append = async move {
        let begun = Instant::now();
        let answers = log.append(Topic::Notifications, entries).await;
        metrics::append(begun.elapsed());
        end(spans, &answers);
        drop(reservation);
        answers
    };
    let append = tokio::spawn(append.in_current_span());
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
    Ok(told)
}

/// The record of `notification`, and the span of sending it, if it is sampled; whoever takes the record stands below.
pub(crate) fn encode(notification: &Notification, ask: &Ask<'_>) -> Outgoing {
    let Begun { mut span, context } = trace::begin(Operation::Send, &notification.trace);
    if let Some(span) = &mut span {
        span.note(spans::ID, notification.id.as_str().to_owned());
        span.note(spans::TENANT, notification.recipient.tenant.as_str().to_owned());
        span.note(spans::BODY_BYTES, i64::try_from(notification.content.len()).unwrap_or(i64::MAX));
    }
    let traced = context.map(|trace| Notification { trace, ..notification.clone() });
    let notification = traced.as_ref().unwrap_or(notification);
    let entry = match ask {
        Ask::Delivery(None) => record::encode(notification),
        Ask::Delivery(Some(enrichment)) => encode_enrichment(notification, enrichment),
        Ask::Task(order) => encode_order(notification, order),
    };
    Outgoing { entry, span }
}

/// Ends the spans with what the log answered, which may be for fewer.
fn end(spans: Vec<Option<Span>>, answers: &[Result<Placed, Error>]) {
    let mut answers = answers.iter();
    for span in spans {
        match (span, answers.next()) {
            (Some(mut span), Some(Ok(placed))) => {
                tracing::debug!(partition = %placed.partition, offset = placed.offset, "appended");
                span.note(spans::PARTITION, placed.partition.to_string());
                span.note(spans::OFFSET, i64::try_from(placed.offset).unwrap_or(i64::MAX));
            }
            (Some(mut span), Some(Err(_)) | None) => span.fail("not_appended"),
            (None, _) => {}
        }
    }
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
