//! Dead-letters what clients refused for good. A director that waits for the verdict does so too, if it hears it; a dead
//! letter is one by its position.

use std::sync::Arc;

use bytes::Bytes;
use rand::Rng as _;
use shared::delivery::Rejection;
use shared::log::{Appender, Entry, Error, Placed};
use shared::notification::Notification;
use shared::outcome::DeadReason;
use shared::position::Position;
use shared::record;
use shared::retry::Backoff;
use shared::shutdown::Shutdown;
use shared::topic::Topic;

use super::Causes;
use crate::config::StoreLimits;
use crate::hub::Hub;
use crate::metrics;

/// A refusal on its way to `dead`.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub(super) position: Position,
    pub(super) notification: Arc<Notification>,
    pub(super) rejection: Rejection,
    /// Whether it is too large for the log with its content.
    cut: bool,
}

impl Refusal {
    pub(super) fn new(position: Position, notification: Arc<Notification>, rejection: Rejection) -> Self {
        Self { position, notification, rejection, cut: false }
    }

    fn entry(&self) -> Entry {
        let (entry, reason) = (record::encode(&self.notification), DeadReason::Rejected(self.rejection));
        if self.cut {
            let without_body = Entry { payload: Bytes::new(), ..entry };
            return record::dead::encode_cut(&without_body, self.position, &reason);
        }
        record::dead::encode(&entry, self.position, &reason)
    }
}

/// Appends until `shutdown`, then what is left, once. What does not get there keeps its stored row.
pub(crate) async fn run(hub: Arc<Hub>, appender: Arc<dyn Appender>, limits: StoreLimits, shutdown: Shutdown) {
    let backoff = Backoff { base: limits.backoff_ms, cap: limits.backoff_cap_ms };
    let waiting = &hub.drain.refusals;
    let mut failures = 0_u32;
    loop {
        let refusals = tokio::select! {
            () = shutdown.begun() => break,
            refusals = waiting.next(limits.batch) => refusals,
        };
        if append(&hub, &*appender, refusals).await {
            failures = 0;
            continue;
        }
        let pause = backoff.delay(failures, rand::rng().random());
        failures = failures.saturating_add(1);
        tokio::select! {
            () = shutdown.begun() => break,
            () = tokio::time::sleep(pause) => {}
        }
    }
    for _batch in 0..waiting.len().div_ceil(limits.batch) {
        if !append(&hub, &*appender, waiting.take(limits.batch)).await {
            break;
        }
    }
    metrics::given_up("refusal", waiting.len());
}

/// One batch; what fails is put back. Answers whether nothing did.
async fn append(hub: &Hub, appender: &dyn Appender, refusals: Vec<Refusal>) -> bool {
    let entries = refusals.iter().map(Refusal::entry).collect();
    let answers = appender.append(Topic::Dead, entries).await;
    let mut again = Vec::new();
    let mut answers = answers.into_iter();
    for mut refusal in refusals {
        let answer = answers.next();
        if matches!(answer, Some(Err(Error::TooLarge))) && !refusal.cut {
            refusal.cut = true;
            again.push(refusal);
        } else if is_ended(answer, &refusal) {
            hub.drain.deletes.release(&refusal.notification.recipient);
        } else {
            again.push(refusal);
        }
    }
    let whole = again.is_empty();
    hub.drain.refusals.extend(again);
    whole
}

/// Whether a refusal is over: durable, or of a size that the log never takes, without its content either.
fn is_ended(answer: Option<Result<Placed, Error>>, refusal: &Refusal) -> bool {
    let position = refusal.position;
    match answer {
        Some(Ok(_)) => {
            metrics::dead_lettered(refusal.rejection);
            return true;
        }
        Some(Err(error @ Error::TooLarge)) => {
            metrics::given_up("refusal", 1);
            tracing::error!(error = %Causes(&error), ?position, "a refused notification is too large to be dead-lettered");
            return true;
        }
        Some(Err(error @ Error::Unavailable(_))) => {
            tracing::debug!(error = %Causes(&error), "a refused notification cannot be dead-lettered now");
        }
        Some(Err(error @ (Error::Rejected(_) | Error::Closed))) => {
            tracing::error!(error = %Causes(&error), "a refused notification cannot be dead-lettered");
        }
        None => tracing::error!("the log answered for fewer records than it was given"),
    }
    metrics::engine_failed("log");
    false
}
