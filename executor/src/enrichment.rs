//! Enriching a notification before it is delivered: a module makes another one of it, which goes to the log without asking
//! for anything more. Nothing here needs the store, and every way out ends with a record on the log: what the module made,
//! what the producer sent, or a dead letter.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt as _};
use shared::clock::Clock;
use shared::log::Entry;
use shared::log::outlet::{Outlet, Taken};
use shared::notification::Notification;
use shared::record;
use shared::record::dead::Letter;
use shared::task::{Enrichment, ModuleName, OnTimeout};
use shared::topic::Topic;
use tokio_util::sync::CancellationToken;

use crate::attempts::Attempts;
use crate::config::EnrichmentSettings;
use crate::metrics::{self, Purpose};
use crate::outputs;
use crate::plan::Fault;
use crate::routing::Asked;
use crate::sandbox::{Answer, Class, Failure, Output};
use crate::worker::{Ended, Work};

/// See the module.
pub(crate) struct Enricher {
    pub(crate) settings: EnrichmentSettings,
    pub(crate) max_record_bytes: usize,
    pub(crate) attempts: Arc<Attempts>,
    pub(crate) outlet: Outlet,
    pub(crate) clock: Arc<dyn Clock>,
}

/// What is to become of a notification.
enum Verdict {
    /// These records stand for it, and what that is called.
    Append(Vec<Entry>, &'static str),
    /// It becomes a dead letter.
    Bury(Fault),
    /// Nobody is told: the module answered that nothing is to be delivered.
    Filter,
}

impl Work<Enrichment> for Enricher {
    fn act(
        self: Arc<Self>,
        asked: Box<Asked<Enrichment>>,
        drain: CancellationToken,
    ) -> BoxFuture<'static, Ended> {
        async move {
            let verdict = tokio::select! {
                biased;
                verdict = self.decide(&asked) => verdict,
                () = self.overdue(&asked, &drain) => return Ended::Left,
            };
            self.settle(&asked, verdict).await;
            Ended::Done
        }
        .boxed()
    }

    fn bury(self: Arc<Self>, letter: Box<Letter>) -> BoxFuture<'static, Ended> {
        async move {
            self.outlet.bury(&[*letter]).await;
            Ended::Done
        }
        .boxed()
    }
}

impl Enricher {
    async fn overdue(&self, asked: &Asked<Enrichment>, drain: &CancellationToken) {
        drain.cancelled().await;
        // What has a deadline is done by then; what is tried again and again begins anew with whoever has it next.
        if asked.ask.on_timeout != OnTimeout::Retry {
            std::future::pending().await
        }
    }

    async fn decide(&self, asked: &Asked<Enrichment>) -> Verdict {
        let Asked { notification, ask, .. } = asked;
        if notification.is_expired(self.clock.now()) {
            // The director says so to whoever waits for it.
            return self.plain(notification, "expired");
        }
        let fault = match ask.on_timeout {
            OnTimeout::DeliverPlain | OnTimeout::DeadLetter => {
                // The log's clock may be ahead; nobody is given more time for that.
                let now = self.clock.now();
                let left = asked.appended.min(now).after(ask.deadline).since(now);
                // Who comes late begins nothing.
                let tries = async {
                    if left.is_zero() { Err(late(ask.deadline)) } else { self.until_it_says(asked).await }
                };
                match tokio::time::timeout(left, tries).await {
                    Ok(Ok(verdict)) => return verdict,
                    Ok(Err(fault)) => fault,
                    Err(_elapsed) => late(ask.deadline),
                }
            }
            OnTimeout::Retry => match self.again_and_again(asked).await {
                Ok(verdict) => return verdict,
                Err(fault) => fault,
            },
        };
        match ask.on_timeout {
            OnTimeout::DeliverPlain => {
                tracing::debug!(id = %notification.id, code = fault.code, "delivered as it was sent");
                self.plain(notification, "plain")
            }
            OnTimeout::DeadLetter | OnTimeout::Retry => Verdict::Bury(fault),
        }
    }

    /// Tries for as long as it is the executor that is not able, or the module asks for another attempt.
    async fn until_it_says(&self, asked: &Asked<Enrichment>) -> Result<Verdict, Fault> {
        let mut attempt = 1;
        loop {
            match self.attempt(asked, attempt).await {
                Ok(verdict) => return Ok(verdict),
                Err(Miss::Failed(fault)) => return Err(fault),
                Err(Miss::Unable(_)) => tokio::time::sleep(self.delay(attempt, None)).await,
                Err(Miss::Again(fault, after)) => {
                    if attempt >= self.settings.attempts {
                        return Err(fault);
                    }
                    tokio::time::sleep(self.delay(attempt, after)).await;
                }
            }
            attempt = attempt.saturating_add(1);
        }
    }

    /// Tries until the attempts are used up or the notification expires. The deadline is that of each attempt.
    async fn again_and_again(&self, asked: &Asked<Enrichment>) -> Result<Verdict, Fault> {
        let Asked { notification, ask, .. } = asked;
        let (mut attempt, mut waits) = (1, 0);
        loop {
            let tried = tokio::time::timeout(ask.deadline, self.attempt(asked, attempt)).await;
            let (fault, after, counts) =
                match tried.unwrap_or_else(|_elapsed| Err(Miss::Again(late(ask.deadline), None))) {
                    Ok(verdict) => return Ok(verdict),
                    Err(Miss::Failed(fault)) if fault.code == REJECTED => return Err(fault),
                    Err(Miss::Failed(fault)) => (fault, None, true),
                    Err(Miss::Again(fault, after)) => (fault, after, true),
                    Err(Miss::Unable(fault)) => (fault, None, false),
                };
            if counts && attempt >= self.settings.attempts {
                let reason = format!("{attempt} attempts; the last: {}", fault.reason);
                return Err(Fault::new("attempts", reason));
            }
            let delay = self.delay(attempt + waits, after);
            if notification.is_expired(self.clock.now().after(delay)) {
                return Err(Fault::expired());
            }
            tokio::time::sleep(delay).await;
            if counts { attempt += 1 } else { waits += 1 }
        }
    }

    async fn attempt(&self, asked: &Asked<Enrichment>, attempt: u32) -> Result<Verdict, Miss> {
        let Asked { notification, ask, .. } = asked;
        let made = self.attempts.make(Purpose::Enrichment, notification, &ask.module, attempt).await;
        match made.answer {
            Ok(Answer::Done(outputs)) if outputs.is_empty() => Ok(Verdict::Filter),
            Ok(Answer::Done(outputs)) => {
                let entries = self.entries(&made.input, &ask.module.name, outputs);
                let entries = entries.map_err(|failure| Miss::Failed(Fault::from(&failure)))?;
                Ok(Verdict::Append(entries, "enriched"))
            }
            Ok(Answer::Retry { reason, after }) => Err(Miss::Again(Fault::new("retry", reason), after)),
            Ok(Answer::Rejected { reason }) => Err(Miss::Failed(Fault::new(REJECTED, reason))),
            Err(failure) => Err(match failure.class() {
                Class::Terminal => Miss::Failed(Fault::from(&failure)),
                Class::Retry => Miss::Unable(Fault::from(&failure)),
            }),
        }
    }

    /// The first output stands for the notification; the others are of their own.
    fn entries(
        &self,
        input: &Notification,
        module: &ModuleName,
        outputs: Vec<Output>,
    ) -> Result<Vec<Entry>, Failure> {
        let now = self.clock.now();
        let made = outputs.into_iter().enumerate().map(|(place, output)| match place {
            0 => outputs::enriched(input, output, now),
            _ => outputs::notification(input, module, output, place, now)
                .map_err(|error| Failure::Host(error.to_string())),
        });
        outputs::entries(&made.collect::<Result<Vec<_>, _>>()?, self.max_record_bytes)
    }

    fn plain(&self, notification: &Notification, result: &'static str) -> Verdict {
        Verdict::Append(vec![record::encode(notification)], result)
    }

    fn delay(&self, attempt: u32, after: Option<Duration>) -> Duration {
        let backoff: shared::retry::Backoff = self.settings.backoff.into();
        // What is behind it waits, too.
        let after = after.unwrap_or_default().min(Enrichment::MAX_DEADLINE);
        backoff.delay(attempt.saturating_sub(1), rand::random()).max(after)
    }

    /// Makes it durable.
    async fn settle(&self, asked: &Asked<Enrichment>, verdict: Verdict) {
        let result = match verdict {
            Verdict::Append(entries, result) => {
                let taken = self.outlet.append(Topic::Notifications, entries).await;
                if taken.contains(&Taken::TooLarge) {
                    self.bury(asked, &Fault::new("output_too_large", "larger than the log takes")).await
                } else {
                    result
                }
            }
            Verdict::Bury(fault) => self.bury(asked, &fault).await,
            Verdict::Filter => "filtered",
        };
        metrics::enriched(result, self.clock.now().since(asked.notification.time));
    }

    async fn bury(&self, asked: &Asked<Enrichment>, fault: &Fault) -> &'static str {
        if let Some(letter) = asked.letter(fault.code, &fault.reason) {
            self.outlet.bury(&[letter]).await;
        }
        "dead_lettered"
    }
}

/// Why an attempt made nothing.
enum Miss {
    /// The module failed, or refused.
    Failed(Fault),
    /// It wants another attempt, not sooner than this.
    Again(Fault, Option<Duration>),
    /// It was not run.
    Unable(Fault),
}

/// The code of what a module refused.
const REJECTED: &str = "rejected";

fn late(deadline: Duration) -> Fault {
    Fault::new("timeout", format!("it was not enriched within {} ms", deadline.as_millis()))
}
