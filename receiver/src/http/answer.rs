//! What a producer is told about notifications that were admitted.

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Serialize;
use shared::problem::Problem;
use utoipa::ToSchema;

use super::problem::{problem, respond};
use crate::admission::{Admitted, What};
use crate::refusal::{Reason, Refusal, Violation};

/// The notification is durable.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Accepted {
    /// Identifies the notification for its whole life.
    #[schema(example = "019ab3c4-5d6e-7f80-9a1b-2c3d4e5f6071")]
    pub(super) id: String,
    /// For `to.recipients`: what became of it, one for each, in order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) notifications: Option<Vec<Addressed>>,
}

/// One recipient's notification.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Addressed {
    /// The recipient.
    recipient: String,
    /// The id of its notification.
    id: String,
}

/// A recipient whose notification is not known to be durable.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Missed {
    /// Its place in `to.recipients`.
    index: usize,
    /// The recipient.
    recipient: String,
    /// The code of the problem.
    code: &'static str,
}

/// A problem document (RFC 9457). Programs match `code`.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Failure {
    #[serde(flatten)]
    #[schema(inline, value_type = ProblemDocument)]
    pub(super) problem: Problem,
    /// Of several recipients, those whose notification is durable all the same.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    accepted: Vec<Addressed>,
    /// Of several recipients, those whose notification is not known to be.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    failed: Vec<Missed>,
    /// Where an input is not what a module's schema asks for, the first places.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    violations: Vec<Violated>,
}

/// A place where an input is not what a module's schema asks for.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Violated {
    /// JSON pointer (RFC 6901) to it, inside the request body.
    #[schema(example = "/content/order")]
    pointer: String,
    /// What is wrong with it.
    detail: String,
}

// The schema of `shared::problem::Problem`, which knows no HTTP; a test compares the two.
/// What went wrong.
#[derive(Serialize, ToSchema)]
pub(super) struct ProblemDocument {
    /// `urn:postrider:problem:` and the code.
    #[serde(rename = "type")]
    kind: String,
    /// A short sentence, the same for every problem of this code.
    title: String,
    /// The HTTP status.
    status: u16,
    /// Stable code.
    #[schema(example = "recipient-invalid")]
    code: String,
    /// Whether the same request may succeed later.
    retryable: bool,
    /// What is wrong with this request.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// JSON pointer (RFC 6901) to the part of the request that is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pointer: Option<String>,
    /// Seconds after which to try again; the `Retry-After` header says the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_s: Option<u64>,
}

impl From<&Refusal> for Failure {
    fn from(refusal: &Refusal) -> Self {
        let violated = |violation: &Violation| Violated {
            pointer: violation.pointer.clone(),
            detail: violation.detail.clone(),
        };
        let violations = refusal.violations.iter().map(violated).collect();
        Self { problem: problem(refusal), accepted: Vec::new(), failed: Vec::new(), violations }
    }
}

/// What to say of `admitted`, given the log's answer to each of its notifications.
pub(super) fn outcome(admitted: &Admitted, answers: &[Result<(), Reason>]) -> Result<Accepted, Box<Failure>> {
    let (id, notifications) = match &admitted.what {
        What::One(notification) => {
            return match answers.first().copied().unwrap_or(Err(Reason::LogUnavailable)) {
                Ok(()) => Ok(Accepted { id: notification.id.to_string(), notifications: None }),
                Err(reason) => Err(Box::new(Failure::from(&Refusal::plain(reason)))),
            };
        }
        What::Several(id, notifications) => (id, notifications),
    };
    let (mut accepted, mut failed, mut first) = (Vec::new(), Vec::new(), None);
    for (index, notification) in notifications.iter().enumerate() {
        let recipient = notification.recipient.id.to_string();
        match answers.get(index).copied().unwrap_or(Err(Reason::LogUnavailable)) {
            Ok(()) => accepted.push(Addressed { recipient, id: notification.id.to_string() }),
            Err(reason) => {
                first.get_or_insert(reason);
                failed.push(Missed { index, recipient, code: super::problem::code(reason) });
            }
        }
    }
    let Some(first) = first else {
        return Ok(Accepted { id: id.to_string(), notifications: Some(accepted) });
    };
    let reason = if accepted.is_empty() { first } else { Reason::PartlyAccepted };
    let told = Failure::from(&Refusal::plain(reason));
    Err(Box::new(Failure { accepted, failed, ..told }))
}

/// A result as a response.
pub(super) fn answer(result: Result<impl IntoResponse, Refusal>) -> Response {
    match result {
        Ok(answer) => answer.into_response(),
        Err(refusal) => refusal.into_response(),
    }
}

impl IntoResponse for Accepted {
    fn into_response(self) -> Response {
        (StatusCode::ACCEPTED, axum::Json(self)).into_response()
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        respond(&self.problem, &self)
    }
}

#[cfg(test)]
mod tests {
    use utoipa::PartialSchema as _;

    use super::*;

    #[test]
    fn the_documented_problem_is_the_one_that_is_written() {
        let full = Problem::new("x", "y", 500).detail("d").pointer("/p").retry_after(1);
        let written = serde_json::to_value(full).unwrap();
        let documented = serde_json::to_value(ProblemDocument::schema()).unwrap();
        let names =
            |value: &serde_json::Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        let (mut written, mut documented) = (names(&written), names(&documented["properties"]));
        written.sort();
        documented.sort();
        assert_eq!(written, documented);
    }
}
