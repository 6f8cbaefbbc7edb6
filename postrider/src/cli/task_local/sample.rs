//! Samples: an input as a file, and the answer that is expected of it.

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use postrider_executor::sandbox::Input;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use shared::clock::Timestamp;
use shared::notification::{ContentType, Notification, NotificationId, NotificationType, Trace, Urgency};
use shared::recipient::Recipient;
use std::time::Duration;

/// When samples were accepted, so that an answer is the same every day.
const ACCEPTED: Timestamp = Timestamp::from_millis(1_700_000_000_000);
const LIFE: Duration = Duration::from_secs(3600);

/// `{"input":{…},"answer":{…}}`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sample {
    pub(super) input: Stated,
    /// As a command answers, or `{"failure":{"code":…}}`; what it does not state is not compared.
    pub(super) answer: Value,
}

/// An input; what is not stated has a default.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Stated {
    recipient: Option<String>,
    source: Option<String>,
    r#type: Option<String>,
    content_type: Option<String>,
    content: Option<Box<RawValue>>,
    content_base64: Option<String>,
    metadata: Option<Box<RawValue>>,
    urgency: Option<Urgency>,
    attempt: Option<u32>,
}

impl Sample {
    pub(super) fn read(text: &str) -> Result<Self> {
        Ok(serde_json::from_str(text)?)
    }
}

impl Stated {
    pub(super) fn read(text: &str) -> Result<Self> {
        Ok(serde_json::from_str(text)?)
    }

    /// The input it states, of the recipient `alice` of the tenant `sample` unless it says otherwise.
    ///
    /// # Errors
    /// When a name is none, or its content is not what it says it is.
    pub(super) fn input(&self) -> Result<Input> {
        let json = self.content.is_some();
        let fallback = if json { "application/json" } else { "application/octet-stream" };
        let content_type = ContentType::parse(self.content_type.as_deref().unwrap_or(fallback))?;
        let recipient = self.recipient.as_deref().unwrap_or("alice");
        let notification = Notification {
            id: NotificationId::parse("sample")?,
            recipient: Recipient::parse_key(&format!("sample/{recipient}"))?,
            source: self.source.clone().unwrap_or_else(|| "/samples".to_owned()),
            kind: NotificationType::parse(self.r#type.as_deref().unwrap_or("sample"))?,
            time: ACCEPTED,
            expires: ACCEPTED.after(LIFE),
            urgency: self.urgency.unwrap_or_default(),
            content: self.bytes(&content_type)?,
            content_type,
            metadata: self.metadata.as_ref().map(|metadata| metadata.get().to_owned()),
            trace: Trace::default(),
        };
        let attempt = self.attempt.unwrap_or(1);
        Ok(Input { notification, attempt, idempotency_token: "sample".to_owned() })
    }

    fn bytes(&self, content_type: &ContentType) -> Result<Bytes> {
        match (&self.content, &self.content_base64) {
            (Some(written), None) if is_text(content_type) => {
                let text: String = serde_json::from_str(written.get())
                    .with_context(|| format!("a content of type {} is a string", content_type.as_str()))?;
                Ok(text.into())
            }
            (Some(written), None) => Ok(Bytes::copy_from_slice(written.get().as_bytes())),
            (None, Some(text)) => Ok(STANDARD.decode(text).context("content_base64")?.into()),
            (Some(_), Some(_)) | (None, None) => bail!("exactly one of content and content_base64 is needed"),
        }
    }
}

/// Whether a content of this type is a string in JSON.
pub(super) fn is_text(content_type: &ContentType) -> bool {
    let essence = content_type.as_str().split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence.starts_with("text/") && essence != "text/json"
}
