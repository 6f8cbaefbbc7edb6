//! What goes into an attempt and what comes out of it. Pure.

use std::time::Duration;

use bytes::Bytes;
use shared::notification::{ContentType, Notification, NotificationType, Urgency};
use shared::recipient::RecipientId;

use super::failure::Failure;

/// What a task is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// The record that asks for the task.
    pub notification: Notification,
    /// Which attempt this is, 1 for the first.
    pub attempt: u32,
    /// The same in every attempt at this record by this task, and in no other.
    pub idempotency_token: String,
}

/// A notification that a task asks to publish. Its names are sound, its metadata is a JSON object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Whom it is for, in the input's tenant; none: the input's recipient.
    pub recipient: Option<RecipientId>,
    /// CloudEvents `type`.
    pub kind: NotificationType,
    /// Media type of `content`.
    pub content_type: ContentType,
    /// The content.
    pub content: Bytes,
    /// A JSON object as text.
    pub metadata: Option<String>,
    /// None: the input's.
    pub urgency: Option<Urgency>,
    /// How long it is worth delivering; none: until the input expires.
    pub ttl: Option<Duration>,
}

/// What a task said became of its input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is done; this is to be published, in this order.
    Done(Vec<Output>),
    /// It wants another attempt.
    Retry {
        /// Why.
        reason: String,
        /// Not sooner than this; none: as the executor likes.
        after: Option<Duration>,
    },
    /// It will never succeed with this input.
    Rejected {
        /// Why.
        reason: String,
    },
}

/// How much a line of a task's log matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// For whoever writes the module.
    Debug,
    /// For whoever looks.
    Info,
    /// Something to look at.
    Warn,
    /// Something went wrong.
    Error,
}

/// A line of a task's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// How much it matters. Lines of standard output are [`Level::Info`], of standard error [`Level::Warn`].
    pub level: Level,
    /// The line, without its end.
    pub text: String,
}

/// What an attempt took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Fuel burnt.
    pub fuel: u64,
    /// The most linear memory it had, in bytes.
    pub memory_bytes: usize,
}

/// All that is known of an attempt that had its turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// What the task said, or why it could not say anything.
    pub answer: Result<Answer, Failure>,
    /// What it wrote to its log, at most `log_bytes`.
    pub log: Vec<LogLine>,
    /// How many bytes of its log were dropped.
    pub log_dropped_bytes: u64,
    /// What it took.
    pub usage: Usage,
}
