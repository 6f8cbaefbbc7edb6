//! One attempt with everything it needs: which module, its grants and limits, the sandbox. What runs tasks and what enriches
//! call it, and decide what becomes of the answer.

use std::sync::Arc;
use std::time::Duration;

use shared::notification::Notification;
use shared::retry::Backoff;
use shared::task::ModuleRef;
use shared::telemetry::spans::{ATTEMPT, END, ID, MODULE, Operation, TENANT};
use shared::telemetry::trace::{self, Begun, Span};
use tokio::time::Instant;

use crate::catalogue::{Catalogue, Module};
use crate::derived;
use crate::metrics::{self, Purpose};
use crate::sandbox::{Answer, Class, Failure, Input, Level, LogLine, Report, Sandbox, Usage};

/// See the module.
pub(crate) struct Attempts {
    pub(crate) catalogue: Catalogue,
    pub(crate) sandbox: Sandbox,
    /// Between tries while the executor itself is not able.
    pub(crate) backoff: Backoff,
}

/// All that is known of an attempt.
#[derive(Debug)]
pub(crate) struct Attempted {
    /// What the module said, or why it did not.
    pub(crate) answer: Result<Answer, Failure>,
    /// What the module was given, in the trace of this attempt: so is what it asks to publish.
    pub(crate) input: Notification,
    /// Which module, when it was found.
    pub(crate) module: Option<Arc<Module>>,
    /// How long it took, waiting for a turn included.
    pub(crate) took: Duration,
    /// What it took else.
    pub(crate) usage: Usage,
    /// What it said beside its answer.
    pub(crate) log: String,
}

impl Attempts {
    /// One attempt of `module` at `input`.
    ///
    /// # Cancel safety
    /// The guest is stopped when this is dropped.
    pub(crate) async fn make(
        &self,
        purpose: Purpose,
        input: &Notification,
        module: &ModuleRef,
        attempt: u32,
    ) -> Attempted {
        let start = Instant::now();
        let (mut span, input) = traced(purpose, input, module, attempt);
        let tenant = &input.recipient.tenant;
        let found = match self.catalogue.find(tenant, module).await {
            Ok(found) => found,
            Err(failure) => {
                let (took, usage) = (start.elapsed(), Usage::default());
                metrics::attempt(purpose, failure.code(), took, usage);
                end(&mut span, failure.code(), true);
                return Attempted {
                    answer: Err(failure),
                    input,
                    module: None,
                    took,
                    usage,
                    log: String::new(),
                };
            }
        };
        let input = Input {
            idempotency_token: derived::token(tenant, &input.id, &module.name),
            notification: input,
            attempt,
        };
        let report = self.sandbox.run_within(&found.digest, &found.grants, &found.limits, &input).await;
        let took = start.elapsed();
        let Report { answer, log, log_dropped_bytes, usage } = report;
        let outcome = match &answer {
            Ok(Answer::Done(_)) => "done",
            Ok(Answer::Retry { .. }) => "retry",
            Ok(Answer::Rejected { .. }) => "rejected",
            Err(failure) => failure.code(),
        };
        metrics::attempt(purpose, outcome, took, usage);
        end(&mut span, outcome, answer.is_err());
        let (input, log) = (input.notification, text(&log, log_dropped_bytes));
        Attempted { answer, input, module: Some(found), took, usage, log }
    }

    /// The same for a task. While it is the executor that is not able (no turn, the module not at hand), it is tried again
    /// for as long as `patience`: that is no attempt of the task.
    ///
    /// # Cancel safety
    /// As [`Attempts::make`].
    pub(crate) async fn make_patiently(
        &self,
        input: &Notification,
        module: &ModuleRef,
        attempt: u32,
        patience: Duration,
    ) -> Attempted {
        let start = Instant::now();
        let mut tries = 0;
        loop {
            let attempted = self.make(Purpose::Task, input, module, attempt).await;
            let unable = matches!(&attempted.answer, Err(failure) if failure.class() == Class::Retry);
            let delay = self.backoff.delay(tries, rand::random());
            if !unable || start.elapsed() + delay >= patience {
                return attempted;
            }
            tries = tries.saturating_add(1);
            tokio::time::sleep(delay).await;
        }
    }
}

/// The attempt's span, and the input below it.
fn traced(
    purpose: Purpose,
    input: &Notification,
    module: &ModuleRef,
    attempt: u32,
) -> (Option<Span>, Notification) {
    let Begun { mut span, context } = trace::begin(Operation::Run(purpose.as_str()), &input.trace);
    if let Some(span) = &mut span {
        span.note(ID, input.id.as_str().to_owned());
        span.note(TENANT, input.recipient.tenant.as_str().to_owned());
        span.note(MODULE, module.to_string());
        span.note(ATTEMPT, i64::from(attempt));
    }
    let trace = context.unwrap_or_else(|| input.trace.clone());
    (span, Notification { trace, ..input.clone() })
}

fn end(span: &mut Option<Span>, outcome: &'static str, failed: bool) {
    let Some(span) = span else { return };
    span.note(END, outcome);
    if failed {
        span.fail(outcome);
    }
}

/// A log as text: a line for each, with how much it matters.
fn text(log: &[LogLine], dropped_bytes: u64) -> String {
    let mut text = String::new();
    for line in log {
        let level = match line.level {
            Level::Debug => "debug",
            Level::Info => "info",
            Level::Warn => "warn",
            Level::Error => "error",
        };
        text.extend([level, " ", &line.text, "\n"]);
    }
    if dropped_bytes > 0 {
        text.push_str(&format!("warn {dropped_bytes} bytes more were dropped\n"));
    }
    text
}
