//! What follows an attempt: the end of its task, another attempt, or giving up. Pure: time and chance are arguments.

use std::time::Duration;

use shared::clock::Timestamp;
use shared::retry::Backoff;

use crate::sandbox::{Answer, Failure, Output};

/// Why a task failed, or why there is another attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Stable code, see `docs/TASKS.md`.
    pub(crate) code: &'static str,
    /// For a person.
    pub(crate) reason: String,
}

/// The codes that a task can fail with.
pub(crate) const CODES: [&str; 18] = [
    "attempts",
    "deadline",
    "denied",
    "expired",
    "fuel",
    "handles",
    "input_too_large",
    "invalid_input",
    "invalid_module",
    "invalid_output",
    "lost",
    "memory",
    "no_module",
    "output_too_large",
    "rejected",
    "stack",
    "trap",
    "unfit",
];

impl Fault {
    pub(crate) fn new(code: &'static str, reason: impl Into<String>) -> Self {
        Self { code, reason: reason.into() }
    }

    /// It was past its expiry before it was done.
    pub(crate) fn expired() -> Self {
        Self::new("expired", "it expired before it was done")
    }

    /// Every attempt was begun and none was heard of again.
    pub(crate) fn lost(attempts: u32) -> Self {
        Self::new("lost", format!("the executor was lost in each of {attempts} attempts"))
    }
}

impl From<&Failure> for Fault {
    fn from(failure: &Failure) -> Self {
        Self::new(failure.code(), failure.to_string())
    }
}

/// How often something is tried, and when again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policy {
    /// Most attempts.
    pub(crate) attempts: u32,
    /// Between them.
    pub(crate) backoff: Backoff,
}

/// What follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// It is done; this is to be published.
    Done(Vec<Output>),
    /// There is another attempt, not before `due`.
    Again {
        /// Why.
        fault: Fault,
        /// When.
        due: Timestamp,
    },
    /// It has failed.
    Failed(Fault),
}

/// What follows attempt number `attempt`, for a task that expires at `expires`. `unit` is drawn uniformly from 0 to 1.
pub(crate) fn next(
    answer: Result<Answer, Failure>,
    attempt: u32,
    policy: Policy,
    (now, expires): (Timestamp, Timestamp),
    unit: f64,
) -> Next {
    let (fault, after) = match answer {
        Ok(Answer::Done(outputs)) => return Next::Done(outputs),
        Ok(Answer::Rejected { reason }) => return Next::Failed(Fault::new("rejected", reason)),
        Ok(Answer::Retry { reason, after }) => (Fault::new("retry", reason), after),
        Err(failure) if failure.class() == crate::sandbox::Class::Terminal => {
            return Next::Failed(Fault::from(&failure));
        }
        Err(failure) => (Fault::from(&failure), None),
    };
    if attempt >= policy.attempts {
        let reason = format!("{attempt} of {} attempts; the last: {}", policy.attempts, fault.reason);
        return Next::Failed(Fault::new("attempts", reason));
    }
    let delay = policy.backoff.delay(attempt.saturating_sub(1), unit).max(after.unwrap_or(Duration::ZERO));
    let due = now.after(delay);
    if due >= expires {
        let reason =
            format!("it would be past its expiry before the next attempt; the last: {}", fault.reason);
        return Next::Failed(Fault::new("expired", reason));
    }
    Next::Again { fault, due }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_000_000);
    const POLICY: Policy = Policy {
        attempts: 3,
        backoff: Backoff { base: Duration::from_secs(1), cap: Duration::from_secs(60) },
    };

    fn after(answer: Result<Answer, Failure>, attempt: u32) -> Next {
        next(answer, attempt, POLICY, (NOW, NOW.after(Duration::from_secs(3600))), 1.0)
    }

    fn retry(after: Option<u64>) -> Result<Answer, Failure> {
        Ok(Answer::Retry { reason: "later".into(), after: after.map(Duration::from_secs) })
    }

    /// `docs/TASKS.md` says of each what it means.
    #[test]
    fn the_codes_that_tasks_fail_with_are_those_of_the_document() {
        let document = include_str!("../../docs/TASKS.md");
        let (_, table) = document.split_once("| code | class | what happened |").unwrap();
        let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
        let mut codes = BTreeSet::new();
        for row in rows.filter(|row| row.contains("terminal") || row.contains("ends it")) {
            let cell = row.split('|').nth(1).unwrap();
            codes.extend(cell.split('`').skip(1).step_by(2));
        }
        // That of enrichment, which is no task.
        assert!(codes.remove("timeout"));
        assert_eq!(codes, BTreeSet::from(CODES));
    }

    #[test]
    fn delays_double_and_what_the_task_asked_for_is_the_least() {
        let again = |seconds| Next::Again {
            fault: Fault::new("retry", "later"),
            due: NOW.after(Duration::from_secs(seconds)),
        };
        assert_eq!(after(retry(None), 1), again(1));
        assert_eq!(after(retry(None), 2), again(2));
        assert_eq!(after(retry(Some(30)), 1), again(30));
        assert_eq!(after(retry(Some(1)), 2), again(2));
    }

    #[test]
    fn attempts_and_time_run_out() {
        let code = |next| match next {
            Next::Failed(fault) => fault.code,
            Next::Done(_) | Next::Again { .. } => "none",
        };
        assert_eq!(code(after(retry(None), 3)), "attempts");
        assert_eq!(code(after(retry(None), 4)), "attempts");
        assert_eq!(code(after(retry(Some(3600)), 1)), "expired");
        assert_eq!(code(after(Ok(Answer::Rejected { reason: "no".into() }), 1)), "rejected");
        assert_eq!(code(after(Err(Failure::Fuel), 1)), "fuel");
        assert_eq!(code(after(Err(Failure::Busy), 1)), "none");
        assert_eq!(after(Ok(Answer::Done(vec![])), 3), Next::Done(vec![]));
    }
}
