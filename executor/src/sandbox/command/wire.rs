//! The JSON that a command reads and the JSON it answers with. Field names and the two forms of content are those of the
//! HTTP API.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use shared::notification::Urgency;

use crate::sandbox::Call;
use crate::sandbox::attempt::Answer;
use crate::sandbox::failure::Failure;
use crate::sandbox::guest::Answered;
use crate::sandbox::outputs::{Measure, Stated};

/// What a command reads.
#[derive(Serialize)]
struct Input<'a> {
    id: &'a str,
    tenant: &'a str,
    recipient: &'a str,
    source: &'a str,
    r#type: &'a str,
    content_type: &'a str,
    /// Of a JSON type: the value. Of a text type: a string.
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<Written<'a>>,
    /// Of any other type.
    #[serde(skip_serializing_if = "Option::is_none")]
    content_base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a RawValue>,
    urgency: Urgency,
    accepted: u64,
    expires: u64,
    attempt: u32,
    time_limit_ms: u64,
    idempotency_token: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<&'a str>,
}

/// A content that stands in the JSON as it is.
#[derive(Serialize)]
#[serde(untagged)]
enum Written<'a> {
    Json(&'a RawValue),
    Text(&'a str),
}

/// What a command answers: exactly one of the fields.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Line<'a> {
    Ok(#[serde(borrow)] Vec<Output<'a>>),
    Retry(Retry),
    Reject(Reject),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Output<'a> {
    recipient: Option<String>,
    r#type: String,
    content_type: Option<String>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    content_base64: Option<String>,
    #[serde(borrow)]
    metadata: Option<&'a RawValue>,
    urgency: Option<Urgency>,
    ttl_ms: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Retry {
    reason: String,
    after_ms: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reject {
    reason: String,
}

/// The input of `call` as a line of JSON.
///
/// # Errors
/// [`Failure::InvalidInput`] when a record says that its content is JSON, and it is not.
pub(super) fn lower(call: &Call<'_>) -> Result<Bytes, Failure> {
    let notification = &call.input.notification;
    let unreadable = |error: serde_json::Error| Failure::InvalidInput(format!("not JSON: {error}"));
    let content = match form(notification.content_type.as_str()) {
        Form::Json => Some(Written::Json(serde_json::from_slice(&notification.content).map_err(unreadable)?)),
        // Of another charset, perhaps.
        Form::Text => std::str::from_utf8(&notification.content).ok().map(Written::Text),
        Form::Bytes => None,
    };
    let input = Input {
        id: notification.id.as_str(),
        tenant: notification.recipient.tenant.as_str(),
        recipient: notification.recipient.id.as_str(),
        source: &notification.source,
        r#type: notification.kind.as_str(),
        content_type: notification.content_type.as_str(),
        content_base64: content.is_none().then(|| STANDARD.encode(&notification.content)),
        content,
        metadata: notification
            .metadata
            .as_deref()
            .map(serde_json::from_str)
            .transpose()
            .map_err(unreadable)?,
        urgency: notification.urgency,
        accepted: notification.time.as_millis(),
        expires: notification.expires.as_millis(),
        attempt: call.input.attempt,
        time_limit_ms: call.time_limit_ms(),
        idempotency_token: &call.input.idempotency_token,
        traceparent: notification.trace.parent.as_deref(),
    };
    let mut line = serde_json::to_vec(&input).map_err(unreadable)?;
    line.push(b'\n');
    Ok(line.into())
}

/// The answer of a command that exited with 0. Nothing at all is a success without outputs.
pub(super) fn lift(measure: &Measure<'_>, answer: &[u8]) -> Answered {
    if answer.trim_ascii().is_empty() {
        return Ok(Answer::Done(Vec::new()));
    }
    match serde_json::from_slice(answer) {
        Ok(Line::Ok(outputs)) => measure.done(outputs.into_iter().map(stated).collect::<Result<_, _>>()?),
        Ok(Line::Retry(retry)) => Ok(measure.retry(&retry.reason, retry.after_ms)),
        Ok(Line::Reject(reject)) => Ok(measure.rejected(&reject.reason)),
        Err(error) => Err(Failure::InvalidOutput(format!("standard output: {error}"))),
    }
}

fn stated(output: Output<'_>) -> Result<Stated, Failure> {
    let invalid = |what: String| Failure::InvalidOutput(what);
    let json = output.content.is_some();
    let fallback = if json { "application/json" } else { "application/octet-stream" };
    let content_type = output.content_type.unwrap_or_else(|| fallback.to_owned());
    let content = match (output.content, output.content_base64) {
        (Some(written), None) => written_bytes(written, &content_type)?,
        (None, Some(text)) => {
            Bytes::from(STANDARD.decode(text).map_err(|error| invalid(format!("content_base64: {error}")))?)
        }
        (Some(_), Some(_)) | (None, None) => {
            return Err(invalid("exactly one of content and content_base64 is needed".to_owned()));
        }
    };
    Ok(Stated {
        recipient: output.recipient,
        kind: output.r#type,
        content_type,
        content,
        metadata: output.metadata.map(|metadata| metadata.get().to_owned()),
        urgency: output.urgency,
        ttl_ms: output.ttl_ms,
    })
}

fn written_bytes(written: &RawValue, content_type: &str) -> Result<Bytes, Failure> {
    match form(content_type) {
        Form::Json => Ok(Bytes::copy_from_slice(written.get().as_bytes())),
        Form::Text => {
            let text: String = serde_json::from_str(written.get()).map_err(|error| {
                Failure::InvalidOutput(format!("a content of type {content_type} is a string: {error}"))
            })?;
            Ok(Bytes::from(text))
        }
        Form::Bytes => {
            Err(Failure::InvalidOutput(format!("a content of type {content_type} goes into content_base64")))
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Json,
    Text,
    Bytes,
}

/// How a content of this media type is written. JSON is known by name or by suffix (RFC 6839, section 3.1).
fn form(content_type: &str) -> Form {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if essence == "application/json" || essence == "text/json" || essence.ends_with("+json") {
        Form::Json
    } else if essence.starts_with("text/") {
        Form::Text
    } else {
        Form::Bytes
    }
}
