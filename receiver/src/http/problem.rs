//! The one place that chooses status and code of every refusal. The codes are stable; [`table`] lists them for the
//! OpenAPI document.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use shared::problem::{CONTENT_TYPE, Problem};

use crate::metrics;
use crate::refusal::{Reason, Refusal};

/// Whether the same request may succeed later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Again {
    No,
    /// After a few seconds.
    Soon,
    /// After an operator looked.
    Late,
}

macro_rules! rows {
    ($($reason:ident => $code:literal, $status:literal, $again:ident, $title:literal;)*) => {
        const REASONS: &[Reason] = &[$(Reason::$reason),*];

        fn row(reason: Reason) -> (&'static str, u16, Again, &'static str) {
            match reason {
                $(Reason::$reason => ($code, $status, Again::$again, $title),)*
            }
        }
    };
}

rows! {
    JsonMalformed => "json-malformed", 400, No, "the request is not well-formed JSON";
    JsonTooDeep => "json-too-deep", 400, No, "the JSON is nested too deep";
    FieldUnknown => "field-unknown", 400, No, "the request has a field that does not exist";
    FieldRepeated => "field-repeated", 400, No, "the request has a field twice";
    FieldMissing => "field-missing", 400, No, "the request lacks a field";
    FieldType => "field-type", 400, No, "a field has the wrong JSON type";
    FieldConflict => "field-conflict", 400, No, "two parts of the request contradict each other";
    HeaderInvalid => "header-invalid", 400, No, "a header is not text, or is there twice";
    QueryInvalid => "query-invalid", 400, No, "a query parameter is unknown, repeated or breaks its grammar";
    RecipientInvalid => "recipient-invalid", 422, No, "a recipient's name breaks its grammar";
    RecipientRepeated => "recipient-repeated", 422, No, "a recipient is named twice";
    RecipientsTooMany => "recipients-too-many", 422, No, "there are too many recipients";
    TypeInvalid => "type-invalid", 422, No, "the type breaks its grammar";
    ContentTypeInvalid => "content-type-invalid", 422, No, "the content type is not a media type";
    ContentEmpty => "content-empty", 400, No, "there is no content";
    ContentMismatch => "content-mismatch", 422, No, "the content is not what its content type says";
    ContentEncodingInvalid => "content-base64-invalid", 422, No, "content_base64 is not base64";
    ContentTooLarge => "content-too-large", 413, No, "the content is too large";
    TtlInvalid => "ttl-invalid", 422, No, "the time to live is not whole seconds from 0 to 28 days";
    UrgencyInvalid => "urgency-invalid", 422, No, "there is no such urgency";
    MetadataInvalid => "metadata-invalid", 422, No, "the metadata is not a JSON object";
    MetadataTooLarge => "metadata-too-large", 422, No, "the metadata is too large";
    NotSupported => "not-supported", 422, No, "this version does not support a part of the request";
    IdempotencyNotSupported => "idempotency-not-supported", 400, No, "this version does not support Idempotency-Key";
    BatchEmpty => "batch-empty", 400, No, "the batch is empty";
    BatchTooMany => "batch-too-many", 422, No, "the batch has too many items";
    FanOutTooLarge => "fan-out-too-large", 422, No, "the request would become too many records, or too large ones";
    BodyTooLarge => "body-too-large", 413, No, "the request body is too large";
    BodyTimeout => "body-timeout", 408, Soon, "the request body did not come in time";
    BodyBroken => "body-broken", 400, No, "the request body broke off";
    MediaTypeUnsupported => "media-type-unsupported", 415, No, "this operation does not take this content type";
    ContentCodingUnsupported => "content-coding-unsupported", 415, No, "content codings are not taken";
    Unauthorized => "unauthorized", 401, No, "no valid API key was presented";
    CredentialsUnavailable => "credentials-unavailable", 503, Soon, "API keys cannot be checked at the moment";
    Overloaded => "overloaded", 503, Soon, "too much is under way";
    LogUnavailable => "log-unavailable", 503, Soon, "the log is unavailable; nothing is known to be accepted";
    LogRefused => "log-refused", 500, Late, "the log refuses; an operator must look";
    RecordTooLarge => "record-too-large", 413, No, "the record is larger than the log takes";
    PartlyAccepted => "partly-accepted", 503, Soon, "some were accepted and some were not";
    DeadlineExceeded => "deadline-exceeded", 503, Soon, "the request took too long; whether it was accepted is not known";
    StoreUnavailable => "store-unavailable", 503, Soon, "the store is unavailable";
    StoreRefused => "store-refused", 500, Late, "the store refuses; an operator must look";
    FilterMissing => "filter-missing", 400, No, "the request does not say which dead letters are meant";
    FilterInvalid => "filter-invalid", 422, No, "a filter's value breaks its grammar";
    DeadLetterNotFound => "dead-letter-not-found", 404, No, "there is no such dead letter";
    DeadLetterUnfit => "dead-letter-not-requeueable", 422, No, "the dead letter is not a whole notification and cannot be requeued";
    DeadLetterDiscarded => "dead-letter-discarded", 409, No, "the dead letter was discarded and cannot be requeued";
    DeadLetterRequeued => "dead-letter-requeued", 409, No, "the dead letter was requeued and cannot be discarded";
    TaskInvalid => "task-invalid", 422, No, "what is said of the task breaks its grammar";
    ModuleUnknown => "module-unknown", 422, No, "there is no such module to run";
    InputMismatch => "input-mismatch", 422, No, "the input is not what the module's schema asks for";
    TaskNotFound => "task-not-found", 404, No, "there is no such task";
    TaskEnded => "task-ended", 409, No, "the task is at its end and cannot be cancelled";
    TaskNotEnded => "task-not-retryable", 409, No, "only a task that failed or was cancelled can be tried again";
    ModuleNotFound => "module-not-found", 404, No, "there is no such module";
    NameInvalid => "name-invalid", 422, No, "a name breaks its grammar, or is reserved";
    ModuleUnfit => "module-unfit", 422, No, "the body is not a module that can be run";
    ModuleSettingsInvalid => "module-settings-invalid", 422, No, "the module's settings are not what they must be";
    DigestMismatch => "digest-mismatch", 422, No, "the module is not the one whose digest was stated";
    VersionTaken => "version-taken", 409, No, "the version is there with other bytes or settings, or is an alias";
    VersionAliased => "version-aliased", 409, No, "an alias stands for the version";
    ModulesTooMany => "modules-too-many", 422, No, "there are as many versions of modules as there may be";
    AliasNotFound => "alias-not-found", 404, No, "there is no such alias";
    AliasTaken => "alias-taken", 409, No, "a version is called like the alias";
    NothingBefore => "nothing-before", 409, No, "the alias stood for nothing before";
    BindingNotFound => "binding-not-found", 404, No, "there is no such binding";
    BindingTaken => "binding-taken", 409, No, "another binding has the type";
    BindingsTooMany => "bindings-too-many", 422, No, "there are as many bindings as there may be";
    ScheduleNotFound => "schedule-not-found", 404, No, "there is no such schedule";
    ScheduleInvalid => "schedule-invalid", 422, No, "the schedule's times are not what they must be";
    SchedulesTooMany => "schedules-too-many", 422, No, "there are as many schedules as there may be";
    ScheduleChanged => "schedule-changed", 409, No, "somebody else changed the schedule meanwhile";
    NotFound => "not-found", 404, No, "there is no such resource";
    MethodNotAllowed => "method-not-allowed", 405, No, "the resource does not have this method";
    Internal => "internal", 500, Soon, "the receiver has a fault";
}

/// Every code with its status and title.
pub fn table() -> impl Iterator<Item = (&'static str, u16, &'static str)> {
    REASONS.iter().map(|reason| {
        let (code, status, _again, title) = row(*reason);
        (code, status, title)
    })
}

/// The code of a reason.
pub(crate) fn code(reason: Reason) -> &'static str {
    row(reason).0
}

/// The problem document of a refusal. Waits are drawn anew each time, so that producers do not come back all at once.
pub(crate) fn problem(refusal: &Refusal) -> Problem {
    let (code, status, again, title) = row(refusal.reason);
    metrics::refused(code);
    let mut problem = Problem::new(code, title, status);
    if !refusal.detail.is_empty() {
        problem = problem.detail(&refusal.detail);
    }
    if let Some(pointer) = &refusal.pointer {
        problem = problem.pointer(pointer);
    }
    match again {
        Again::No => problem,
        Again::Soon => problem.retry_after(rand::random_range(1..=5)),
        Again::Late => problem.retry_after(rand::random_range(30..=60)),
    }
}

/// A problem with what else `body` says of it, as a response.
pub(crate) fn respond(problem: &Problem, body: &impl Serialize) -> Response {
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, axum::Json(body)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
    if let Some(seconds) = problem.retry_after_s {
        headers.insert(header::RETRY_AFTER, seconds.into());
    }
    match status {
        StatusCode::UNAUTHORIZED => {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"postrider\""));
        }
        // The rest of the body will not be read: the connection is of no more use.
        StatusCode::REQUEST_TIMEOUT | StatusCode::PAYLOAD_TOO_LARGE => {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        _ => {}
    }
    response
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        super::answer::Failure::from(&self).into_response()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn codes_are_kebab_case_and_differ() {
        let codes: HashSet<_> = table().map(|(code, ..)| code).collect();
        assert_eq!(codes.len(), REASONS.len());
        assert!(codes.iter().all(|code| {
            code.bytes().all(|byte| byte == b'-' || byte.is_ascii_lowercase() || byte.is_ascii_digit())
        }));
    }

    #[test]
    fn whoever_may_try_again_is_told_when() {
        for reason in REASONS {
            let problem = problem(&Refusal::plain(*reason));
            assert_eq!(problem.retryable, problem.retry_after_s.is_some());
            assert!(problem.status != 503 || problem.retryable, "{reason:?}");
        }
    }
}
