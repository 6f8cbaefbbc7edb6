//! The wire form of a notification: reading it into a draft, and the schema that documents it.

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::fields::{Fields, elements, scalar};
use crate::admission::{Draft, To};
use crate::bound::Asked;
use crate::config::Config;
use crate::content::{Content, nests_within};
use crate::refusal::{Reason, Refusal};

/// What the design has and this version has not.
const LATER: [&str; 2] = ["collapse_key", "deliver_at"];

/// A notification to be delivered. Exactly one of `content` and `content_base64`; fields that are not listed are
/// refused.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"to": {"recipient": "alice"}, "type": "order.shipped", "content": {"order": 7}}))]
pub(super) struct NotificationRequest {
    to: Addressees,
    /// What kind of thing happened: A-Z a-z 0-9 - . _ : / up to 128 bytes.
    #[serde(rename = "type")]
    #[schema(example = "order.shipped", max_length = 128)]
    kind: String,
    /// Any JSON value, delivered untouched; or a string that is the text of a textual `content_type`.
    content: Option<serde_json::Value>,
    /// Content of any other type, in base64 (RFC 4648, section 4).
    content_base64: Option<String>,
    /// Media type of the content; `application/json` when absent, `application/octet-stream` for `content_base64`.
    #[schema(max_length = 255)]
    content_type: Option<String>,
    /// Seconds until the notification is worth nothing: up to 28 days, 7 days when absent. 0 means now or not at all.
    #[schema(minimum = 0, maximum = 2_419_200)]
    ttl: Option<u64>,
    /// RFC 8030 urgency: very-low, low, normal (when absent) or high.
    urgency: Option<String>,
    /// The producer's own words about it, delivered beside the content.
    #[schema(value_type = Option<Object>)]
    metadata: Option<serde_json::Value>,
    /// The module that is to enrich it before it is delivered; the one that is bound to its type when absent.
    task: Option<EnrichmentRequest>,
}

/// How a notification is to be enriched before it is delivered.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EnrichmentRequest {
    /// `name` or `name@version`, where the version may be an alias.
    #[schema(example = "enrich")]
    module: String,
    /// Most milliseconds that it is held back for that: up to 60000, 2000 when absent.
    #[schema(minimum = 1, maximum = 60_000)]
    deadline_ms: Option<u64>,
    /// What becomes of it when the deadline passes, or the module fails: deliver_plain (when absent), retry or dead_letter.
    on_timeout: Option<String>,
}

/// Whom it is for: exactly one of the two.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Addressees {
    /// One recipient: A-Z a-z 0-9 - . _ ~ @ : + up to 128 bytes.
    #[schema(example = "alice", max_length = 128)]
    recipient: Option<String>,
    /// Several recipients, each to get a notification of its own; up to 1000 unless set otherwise.
    recipients: Option<Vec<String>>,
}

/// Reads one notification. `text` lies in `body`, of which the content becomes a slice.
pub(super) fn draft(text: &str, body: &Bytes, config: &Config) -> Result<Draft, Refusal> {
    if !nests_within(text, config.json_depth) {
        let detail = format!("at most {} levels are taken", config.json_depth);
        return Err(Refusal::new(Reason::JsonTooDeep, detail));
    }
    let mut fields = Fields::read(text, "")?;
    let to = fields.take("to").ok_or_else(|| fields.missing("to"))?;
    let to = addressees(to, config)?;
    let kind = fields.required("type", "a string")?;
    let content = content(&mut fields, body)?;
    let draft = Draft {
        to,
        kind,
        content,
        content_type: fields.optional("content_type", "a string")?,
        ttl_s: ttl(&mut fields)?,
        urgency: fields.optional("urgency", "a string")?,
        metadata: metadata(&mut fields),
        task: enrichment(&mut fields)?,
    };
    fields.finish(&LATER)?;
    Ok(draft)
}

/// JSON text.
pub(super) fn metadata(fields: &mut Fields<'_>) -> Option<String> {
    fields.take("metadata").map(|value| value.get().to_owned()).filter(|text| text != "null")
}

fn enrichment(fields: &mut Fields<'_>) -> Result<Option<Asked>, Refusal> {
    let Some(value) = fields.take("task").filter(|value| value.get() != "null") else { return Ok(None) };
    let mut fields = Fields::read(value.get(), "/task")?;
    let asked = Asked::read(&mut fields)?;
    fields.finish(&[])?;
    Ok(Some(asked))
}

fn addressees(value: &RawValue, config: &Config) -> Result<To, Refusal> {
    let mut fields = Fields::read(value.get(), "/to")?;
    let one: Option<String> = fields.optional("recipient", "a string")?;
    let several = fields.take("recipients").filter(|value| value.get() != "null");
    let to = match (one, several) {
        (Some(name), None) => To::One(name),
        (None, Some(names)) => To::Several(recipients(names, config.recipients)?),
        (Some(_), Some(_)) => {
            let detail = "either recipient or recipients";
            return Err(Refusal::new(Reason::FieldConflict, detail).at("/to"));
        }
        (None, None) => {
            let missing = fields.missing("recipient");
            fields.finish(&["topic"])?;
            return Err(missing);
        }
    };
    fields.finish(&["topic"])?;
    Ok(to)
}

fn recipients(value: &RawValue, most: usize) -> Result<Vec<String>, Refusal> {
    let (names, count) = elements(value.get(), most).map_err(|refusal| refusal.at("/to/recipients"))?;
    if count > most {
        let detail = format!("at most {most} are taken");
        return Err(Refusal::new(Reason::RecipientsTooMany, detail).at("/to/recipients"));
    }
    let read = |(index, name): (usize, &RawValue)| {
        scalar(name, "a string").map_err(|refusal| refusal.at(format!("/to/recipients/{index}")))
    };
    names.into_iter().enumerate().map(read).collect()
}

pub(super) fn content(fields: &mut Fields<'_>, body: &Bytes) -> Result<Content, Refusal> {
    let json = fields.take("content");
    let base64 = fields.optional("content_base64", "a string")?;
    match (json, base64) {
        (Some(value), None) => Ok(Content::Json(body.slice_ref(value.get().as_bytes()))),
        (None, Some(text)) => Ok(Content::Base64(text)),
        (None, None) => Err(fields.missing("content")),
        (Some(_), Some(_)) => {
            let detail = "either content or content_base64";
            Err(Refusal::new(Reason::FieldConflict, detail).at("/content_base64"))
        }
    }
}

pub(super) fn ttl(fields: &mut Fields<'_>) -> Result<Option<u64>, Refusal> {
    let Some(number) = fields.optional::<serde_json::Number>("ttl", "a number")? else { return Ok(None) };
    let invalid = || Refusal::new(Reason::TtlInvalid, "the time to live is whole seconds").at("/ttl");
    number.as_u64().map(Some).ok_or_else(invalid)
}

/// A time to live in a header or a query (RFC 8030, section 5.2): digits.
pub(super) fn ttl_of(text: &str) -> Result<u64, Refusal> {
    let digits = !text.is_empty() && text.len() <= 10 && text.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = digits.then(|| text.parse().ok()).flatten();
    seconds.ok_or_else(|| Refusal::new(Reason::TtlInvalid, "the time to live is whole seconds"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn documented<T: utoipa::PartialSchema>() -> Vec<String> {
        let schema = serde_json::to_value(T::schema()).unwrap();
        schema["properties"].as_object().unwrap().keys().cloned().collect()
    }

    fn refusal_of(item: &serde_json::Value) -> Option<(Reason, Option<String>)> {
        let body = Bytes::from(item.to_string());
        let text = std::str::from_utf8(&body).unwrap();
        draft(text, &body, &Config::default()).err().map(|refusal| (refusal.reason, refusal.pointer))
    }

    #[test]
    fn every_documented_field_is_read_and_no_other() {
        let item = serde_json::json!({"to": {"recipient": "a"}, "type": "t", "content": 1});
        for name in documented::<NotificationRequest>() {
            let mut with = item.clone();
            with[&name] = serde_json::json!([]);
            assert!(refusal_of(&with).is_none_or(|(reason, _)| reason != Reason::FieldUnknown), "{name}");
        }
        let mut with = item;
        with["a/b~"] = 1.into();
        assert_eq!(refusal_of(&with), Some((Reason::FieldUnknown, Some("/a~1b~0".into()))));
        assert_eq!(documented::<Addressees>(), ["recipient", "recipients"]);
        assert_eq!(documented::<EnrichmentRequest>(), ["deadline_ms", "module", "on_timeout"]);
    }
}
