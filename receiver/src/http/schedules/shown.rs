//! How a schedule looks outside: in answers of the API and in what the command line prints.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use shared::log::Entry;
use shared::notification::Notification;
use shared::record;
use shared::store::ScheduleRow;
use utoipa::ToSchema;

/// A schedule.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Schedule {
    /// Its name.
    #[schema(example = "nightly")]
    pub name: String,
    /// When it fires, and what becomes of times that were missed.
    #[schema(value_type = Object, example = json!({"cron": "0 3 * * *", "misfire": "fire_once"}))]
    pub when: Box<RawValue>,
    /// Whether it fires.
    pub enabled: bool,
    /// The next time that it fires; absent: never again, as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = "date-time")]
    pub next: Option<String>,
    /// The last time that it was to fire and did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = "date-time")]
    pub fired: Option<String>,
    /// How often it fired.
    pub count: u64,
    /// Grows with each change and each firing.
    pub revision: u64,
    /// When somebody changed it last.
    #[schema(format = "date-time")]
    pub changed: String,
    /// What it asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<ScheduledTask>,
}

/// The task that a schedule asks for.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ScheduledTask {
    /// By which module; the version that it names when it is run.
    #[schema(example = "digest")]
    pub module: String,
    /// Whom its input is for.
    pub recipient: String,
    /// What kind of thing its input is.
    #[serde(rename = "type")]
    pub kind: String,
    /// Media type of its input.
    pub content_type: String,
    /// Its input, where it is JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub content: Option<Box<RawValue>>,
    /// Its input, where it is anything else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_base64: Option<String>,
    /// The producer's own word for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Whether the recipient is told of each change of its state.
    pub progress: bool,
    /// Seconds until it is not worth being begun.
    pub ttl: u64,
}

impl From<ScheduleRow> for Schedule {
    fn from(row: ScheduleRow) -> Self {
        Self {
            name: row.name.to_string(),
            when: RawValue::from_string(row.settings).unwrap_or_else(|_broken| RawValue::NULL.to_owned()),
            enabled: row.enabled,
            next: row.next.filter(|_| row.enabled).map(|next| next.to_string()),
            fired: row.fired.map(|fired| fired.to_string()),
            count: row.count,
            revision: row.revision,
            changed: row.changed.to_string(),
            task: task(&row.record),
        }
    }
}

/// What a record asks for; none for one that nobody here wrote.
fn task(record: &Entry) -> Option<ScheduledTask> {
    let (_kind, input): (_, Notification) = record::decode(record).ok()?;
    let order = record::task::order(&record.headers).ok()?;
    let content = crate::content::is_json(&input.content_type)
        .then(|| serde_json::from_slice::<Box<RawValue>>(&input.content).ok())
        .flatten();
    Some(ScheduledTask {
        module: order.module.to_string(),
        recipient: input.recipient.id.to_string(),
        kind: input.kind.to_string(),
        content_type: input.content_type.as_str().to_owned(),
        content_base64: content.is_none().then(|| STANDARD.encode(&input.content)),
        content,
        code: order.code.map(|code| code.to_string()),
        progress: order.progress,
        ttl: input.expires.since(input.time).as_secs(),
    })
}
