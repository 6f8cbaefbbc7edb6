//! How a task and its history look outside: in answers of the API and in what the command line prints.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use shared::store::{Effort, TaskStep, TaskSummary};
use utoipa::ToSchema;

/// A task.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Task {
    /// Names it for its whole life.
    pub id: String,
    /// `pending`, `running`, `retrying`, `completed`, `failed` or `cancelled`.
    #[schema(example = "completed")]
    pub state: String,
    /// Whom its input is for.
    pub recipient: String,
    /// Which module runs it.
    #[schema(example = "sum")]
    pub module: String,
    /// The version that was asked for, or that ran last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The digest of the module that ran last, in hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// The producer's own word for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// `api`, `record` or `schedule`.
    pub origin: String,
    /// The schedule that asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
    /// The attempt that runs, or ran last; 0 before the first.
    pub attempt: u32,
    /// The instance of the executor that runs it, or ran it last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// Stable code of what went wrong last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "deadline")]
    pub failure: Option<String>,
    /// The same for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Whether somebody asked to cancel it, and its attempt has not stopped yet.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cancel_asked: bool,
    /// When it was accepted.
    #[schema(format = "date-time")]
    pub created: String,
    /// Since when it is in its state.
    #[schema(format = "date-time")]
    pub changed: String,
    /// When the next attempt is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = "date-time")]
    pub due: Option<String>,
    /// What it answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub result: Option<Box<RawValue>>,
}

/// A task's history.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct TaskEvents {
    /// In the order in which it happened.
    pub events: Vec<TaskEvent>,
    /// Whether there may be more: ask with `after`, the number of the last.
    pub more: bool,
}

/// One line of a task's history.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct TaskEvent {
    /// Counts from 1.
    pub number: u32,
    /// When.
    #[schema(format = "date-time")]
    pub time: String,
    /// The state that it went to.
    pub state: String,
    /// Which attempt; 0 before the first.
    pub attempt: u32,
    /// The instance that did it, or the key that asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Stable code of what went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// The same for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The version that ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The digest of the module that ran, in hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// How long the attempt took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took_ms: Option<u64>,
    /// Fuel that it burnt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fuel: Option<u64>,
    /// The most memory it had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// What it logged.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub log: String,
}

impl From<TaskSummary> for Task {
    fn from(task: TaskSummary) -> Self {
        Self {
            id: task.key.id.to_string(),
            state: task.state.as_str().to_owned(),
            recipient: task.recipient.to_string(),
            module: task.module.to_string(),
            version: task.version.map(|version| version.to_string()),
            digest: task.digest.map(hex),
            code: task.code.map(|code| code.to_string()),
            origin: task.origin.as_str().to_owned(),
            schedule: task.schedule,
            attempt: task.attempt,
            instance: task.instance,
            failure: task.failure,
            reason: task.reason,
            cancel_asked: task.cancel_asked,
            created: task.created.to_string(),
            changed: task.changed.to_string(),
            due: task.due.map(|due| due.to_string()),
            result: task.result.and_then(|text| RawValue::from_string(text).ok()),
        }
    }
}

impl From<TaskStep> for TaskEvent {
    fn from(step: TaskStep) -> Self {
        let Effort { ran, took, fuel, memory_bytes, log } = step.effort;
        let (version, digest) = ran.unzip();
        let some = |number: u64| (number > 0).then_some(number);
        Self {
            number: step.number,
            time: step.time.to_string(),
            state: step.state.as_str().to_owned(),
            attempt: step.attempt,
            by: step.by,
            failure: step.failure,
            reason: step.reason,
            took_ms: digest.is_some().then(|| u64::try_from(took.as_millis()).unwrap_or(u64::MAX)),
            version: version.map(|version| version.to_string()),
            digest: digest.map(hex),
            fuel: some(fuel),
            memory_bytes: some(memory_bytes),
            log,
        }
    }
}

fn hex(digest: [u8; 32]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
