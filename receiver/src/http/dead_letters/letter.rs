//! How a dead letter looks outside: in answers of the API and in what the command line prints.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use shared::position::{Epoch, Position};
use shared::store::{DeadLetter, DeadSummary};
use shared::topic::Topic;
use utoipa::ToSchema;

/// A dead letter.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Letter {
    /// Names it for its whole life; opaque.
    #[schema(example = "1-7-42")]
    pub id: String,
    /// `dead`, `requeue_requested`, `requeued`, `expired` or `discarded`.
    #[schema(example = "dead")]
    pub state: String,
    /// Why it was dead-lettered: `malformed`, `misplaced`, `too_large`, `refused`, `undecodable`, or how a task failed.
    #[schema(example = "refused")]
    pub code: String,
    /// The same for a person.
    pub detail: String,
    /// When it was dead-lettered.
    #[schema(format = "date-time")]
    pub time: String,
    /// The tenant; absent where the record names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// The recipient; absent where the record names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipient: Option<String>,
    /// The notification's id; absent where the record has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notification: Option<String>,
    /// Size of the body.
    pub size_bytes: u64,
    /// Whether body or headers are missing, because the log did not take them a second time.
    pub cut: bool,
    /// Whether it reads as a whole notification: no other can be requeued.
    pub requeueable: bool,
    /// Since when it is in its state.
    #[schema(format = "date-time")]
    pub changed: String,
    /// Who asked for that: a key's id, or `operator`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed_by: Option<String>,
    /// Where the record stood.
    pub coordinates: Coordinates,
    /// Where it stands since it was requeued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requeued_at: Option<Coordinates>,
}

/// A place on the log.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Coordinates {
    /// Without prefix and generation. Absent for a record that came to the dead letters by no way of ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "notifications")]
    pub topic: Option<String>,
    /// Generation of the topic.
    pub epoch: u32,
    /// Partition.
    pub partition: u32,
    /// Offset.
    pub offset: u64,
}

/// A dead letter with everything that was kept of it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct WholeLetter {
    /// All but key, headers and body.
    #[serde(flatten)]
    pub letter: Letter,
    /// The record's key.
    pub key: String,
    /// The record's headers, in order; names may repeat.
    pub headers: Vec<Header>,
    /// The record's body, where it is JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub body: Option<Box<RawValue>>,
    /// The record's body, where it is anything else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_base64: Option<String>,
}

/// A header of a record.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Header {
    /// Its name.
    pub name: String,
    /// Its value, where it is text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Its value, where it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_base64: Option<String>,
}

impl From<Position> for Coordinates {
    fn from(at: Position) -> Self {
        let topic = (at.epoch > Epoch(0)).then(|| Topic::Notifications.stem().to_owned());
        Self { topic, epoch: at.epoch.0, partition: at.partition.0, offset: at.offset }
    }
}

impl From<DeadSummary> for Letter {
    fn from(summary: DeadSummary) -> Self {
        Self {
            id: summary.position.to_string(),
            state: summary.state.as_str().to_owned(),
            code: summary.code,
            detail: summary.detail,
            time: summary.time.to_string(),
            tenant: summary.tenant.map(|tenant| tenant.to_string()),
            recipient: summary.recipient.map(|recipient| recipient.to_string()),
            notification: summary.notification.map(|id| id.to_string()),
            size_bytes: summary.size_bytes,
            cut: summary.cut,
            requeueable: summary.requeueable,
            changed: summary.changed.to_string(),
            changed_by: summary.changed_by,
            coordinates: summary.position.into(),
            requeued_at: summary.requeued_at.map(Coordinates::from),
        }
    }
}

impl From<DeadLetter> for WholeLetter {
    fn from(dead: DeadLetter) -> Self {
        let DeadLetter { summary, headers, payload } = dead;
        let body = serde_json::from_slice::<Box<RawValue>>(&payload).ok();
        let body_base64 = (body.is_none() && !payload.is_empty()).then(|| STANDARD.encode(&payload));
        let header = |(name, value): (std::borrow::Cow<'static, str>, bytes::Bytes)| {
            let (value, value_base64) = match String::from_utf8(value.into()) {
                Ok(text) => (Some(text), None),
                Err(error) => (None, Some(STANDARD.encode(error.as_bytes()))),
            };
            Header { name: name.into_owned(), value, value_base64 }
        };
        let key = summary.key.clone();
        let headers = headers.into_iter().map(header).collect();
        Self { letter: summary.into(), key, headers, body, body_base64 }
    }
}
