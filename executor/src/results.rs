//! What is told of a task as JSON: its result for whoever asks, and the notifications that tell its recipient how it goes.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;
use shared::InvalidName;
use shared::clock::Timestamp;
use shared::notification::{ContentType, Notification, NotificationType};
use shared::task::{Order, TaskState};

use crate::derived;
use crate::plan::Fault;

#[derive(Serialize)]
struct Outcome<'a> {
    outputs: Vec<Published<'a>>,
}

#[derive(Serialize)]
struct Published<'a> {
    id: &'a str,
    recipient: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<Content<'a>>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Content<'a> {
    Json(&'a RawValue),
    Text(&'a str),
}

/// What a completed task answered: the outputs that are published, with their contents where those are JSON or text and all
/// of them together have no more than `most_bytes`.
pub(crate) fn result(published: &[Notification], most_bytes: usize) -> String {
    let mut left = most_bytes;
    let outputs = published.iter().map(|one| {
        let content = content(one).filter(|_| one.content.len() <= left);
        left = left.saturating_sub(one.content.len());
        let (id, recipient) = (one.id.as_str(), one.recipient.id.as_str());
        Published { id, recipient, kind: one.kind.as_str(), content }
    });
    let outcome = Outcome { outputs: outputs.collect() };
    serde_json::to_string(&outcome).unwrap_or_else(|_never| "{}".to_owned())
}

fn content(notification: &Notification) -> Option<Content<'_>> {
    let kind = notification.content_type.as_str();
    let essence = kind.split(';').next().unwrap_or(kind).trim().to_ascii_lowercase();
    if essence == "application/json" || essence.ends_with("+json") {
        serde_json::from_slice(&notification.content).ok().map(Content::Json)
    } else if essence.starts_with("text/") {
        std::str::from_utf8(&notification.content).ok().map(Content::Text)
    } else {
        None
    }
}

#[derive(Serialize)]
struct Progress<'a> {
    task: &'a str,
    state: &'static str,
    module: Cow<'a, str>,
    attempt: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

/// How a task stands, for the recipient of its input.
pub(crate) struct Standing<'a> {
    /// The record that asked for it.
    pub(crate) input: &'a Notification,
    /// What it asked for.
    pub(crate) order: &'a Order,
    /// Which attempt.
    pub(crate) attempt: u32,
}

impl Standing<'_> {
    /// The notification that tells that the task is in `state` now. It has the same id whoever tells.
    pub(crate) fn told(
        &self,
        state: TaskState,
        fault: Option<&Fault>,
        now: Timestamp,
    ) -> Result<Notification, InvalidName> {
        let Self { input, order, attempt } = *self;
        let progress = Progress {
            task: input.id.as_str(),
            state: state.as_str(),
            module: order.module.to_string().into(),
            attempt,
            code: order.code.as_ref().map(|code| code.as_str()),
            failure: fault.map(|fault| fault.code),
            reason: fault.map(|fault| fault.reason.as_str()),
        };
        let content = serde_json::to_vec(&progress).unwrap_or_default();
        Ok(Notification {
            id: derived::progress(&input.recipient.tenant, &input.id, state, attempt)?,
            source: format!("/tasks/{}", order.module.name.as_str()),
            kind: NotificationType::parse(&format!("postrider.task.{}", state.as_str()))?,
            time: now,
            content_type: ContentType::parse("application/json")?,
            metadata: None,
            content: Bytes::from(content),
            ..(*input).clone()
        })
    }
}

#[cfg(test)]
mod tests {
    use shared::task::{ModuleRef, Origin, TaskCode};

    use super::*;
    use crate::testing;

    #[test]
    fn a_result_says_what_was_published_as_far_as_there_is_room() {
        let named = |id: &str, kind: &str, content: &str| Notification {
            content_type: ContentType::parse(kind).unwrap(),
            content: Bytes::copy_from_slice(content.as_bytes()),
            ..testing::notification("acme/alice", id)
        };
        let published = [
            named("t-1", "application/json; charset=utf-8", r#"{"total":3}"#),
            named("t-2", "text/plain", "three"),
            named("t-3", "image/png", "pixels"),
        ];
        let all = r#"{"outputs":[{"id":"t-1","recipient":"alice","type":"order.shipped","content":{"total":3}},{"id":"t-2","recipient":"alice","type":"order.shipped","content":"three"},{"id":"t-3","recipient":"alice","type":"order.shipped"}]}"#;
        assert_eq!(result(&published, 100), all);
        assert!(!result(&published, 12).contains("three"));
        assert_eq!(result(&[], 0), r#"{"outputs":[]}"#);
    }

    #[test]
    fn progress_is_a_notification_to_the_recipient_of_the_input() {
        let input = testing::notification("acme/alice", "n-1");
        let order = Order {
            module: ModuleRef::parse("sum@1.0").unwrap(),
            code: Some(TaskCode::parse("order-7").unwrap()),
            origin: Origin::Api,
            progress: true,
            schedule: None,
        };
        let standing = Standing { input: &input, order: &order, attempt: 2 };
        let told =
            standing.told(TaskState::Retrying, Some(&Fault::new("retry", "later")), input.time).unwrap();
        let text = r#"{"task":"n-1","state":"retrying","module":"sum@1.0","attempt":2,"code":"order-7","failure":"retry","reason":"later"}"#;
        assert_eq!(told.content, text.as_bytes());
        assert_eq!(told.kind.as_str(), "postrider.task.retrying");
        assert_eq!(told.recipient, input.recipient);
    }
}
