//! One attempt with everything it needs: which module, its grants and limits, the sandbox. What runs tasks and what enriches
//! call it, and decide what becomes of the answer.

use std::sync::Arc;
use std::time::Duration;

use shared::notification::Notification;
use shared::retry::Backoff;
use shared::task::ModuleRef;
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
        let tenant = &input.recipient.tenant;
        let found = match self.catalogue.find(tenant, module).await {
            Ok(found) => found,
            Err(failure) => {
                metrics::attempt(purpose, failure.code(), start.elapsed(), Usage::default());
                let (took, usage) = (start.elapsed(), Usage::default());
                return Attempted { answer: Err(failure), module: None, took, usage, log: String::new() };
            }
        };
        let input = Input {
            notification: input.clone(),
            attempt,
            idempotency_token: derived::token(tenant, &input.id, &module.name),
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
        Attempted { answer, module: Some(found), took, usage, log: text(&log, log_dropped_bytes) }
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
