//! What somebody says of the task that they want: reading it, and judging it together with the module it names.

use bytes::Bytes;
use serde::Serialize;
use shared::notification::Notification;
use shared::task::{ModuleRef, Order, Origin, TaskCode};
use tokio::time::timeout_at;
use utoipa::ToSchema;

use crate::admission::{Allowance, Draft, To, What, admit};
use crate::bound::{self, Bound};
use crate::config::Config;
use crate::content::nests_within;
use crate::http::fields::Fields;
use crate::http::intake::{self, Intake};
use crate::http::{Edge, wire};
use crate::modules::Age;
use crate::refusal::{Reason, Refusal};

/// What the input of a task is when nobody says.
const DEFAULT_TYPE: &str = "task";

/// A task to be run. Exactly one of `content` and `content_base64`; fields that are not listed are refused.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"module": "sum", "to": {"recipient": "alice"}, "content": {"numbers": [1, 2, 3]}}))]
pub(in crate::http) struct TaskRequest {
    /// `name` or `name@version`, where the version may be an alias. The version that it names now is the one that runs.
    #[schema(example = "sum")]
    module: String,
    to: Recipient,
    /// What kind of thing its input is: A-Z a-z 0-9 - . _ : / up to 128 bytes; `task` when absent.
    #[serde(rename = "type")]
    #[schema(max_length = 128)]
    kind: Option<String>,
    /// Its input: any JSON value, or a string that is the text of a textual `content_type`.
    content: Option<serde_json::Value>,
    /// Input of any other type, in base64 (RFC 4648, section 4).
    content_base64: Option<String>,
    /// Media type of the input; `application/json` when absent, `application/octet-stream` for `content_base64`.
    #[schema(max_length = 255)]
    content_type: Option<String>,
    /// The producer's own word for it, to find it by its beginning: A-Z a-z 0-9 - . _ : / up to 128 bytes.
    #[schema(max_length = 128)]
    code: Option<String>,
    /// Whether the recipient is told of each change of its state, by notifications of the type `postrider.task.<state>`.
    progress: Option<bool>,
    /// Seconds until it is not worth being begun: up to 28 days, 7 days when absent.
    #[schema(minimum = 0, maximum = 2_419_200)]
    ttl: Option<u64>,
    /// RFC 8030 urgency of what it answers: very-low, low, normal (when absent) or high.
    urgency: Option<String>,
    /// The producer's own words about it.
    #[schema(value_type = Option<Object>)]
    metadata: Option<serde_json::Value>,
}

/// Whom a task's input is for, and what it answers unless it says otherwise.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Recipient {
    /// A-Z a-z 0-9 - . _ ~ @ : + up to 128 bytes.
    #[schema(example = "alice", max_length = 128)]
    recipient: String,
}

/// A task, read but not judged.
pub(in crate::http) struct TaskDraft {
    draft: Draft,
    module: String,
    code: Option<String>,
    progress: bool,
}

/// A task as it goes to the log.
pub(in crate::http) struct Wanted {
    pub(in crate::http) input: Notification,
    pub(in crate::http) order: Order,
}

impl TaskDraft {
    /// Reads one. `text` lies in `body`, of which the content becomes a slice.
    pub(in crate::http) fn read(text: &str, body: &Bytes, config: &Config) -> Result<Self, Refusal> {
        if !nests_within(text, config.json_depth) {
            let detail = format!("at most {} levels are taken", config.json_depth);
            return Err(Refusal::new(Reason::JsonTooDeep, detail));
        }
        let mut fields = Fields::read(text, "")?;
        let module = fields.required("module", "a string")?;
        let to = fields.take("to").ok_or_else(|| fields.missing("to"))?;
        let mut to = Fields::read(to.get(), "/to")?;
        let recipient = to.required("recipient", "a string")?;
        to.finish(&[])?;
        let kind: Option<String> = fields.optional("type", "a string")?;
        let content = wire::content(&mut fields, body)?;
        let draft = Draft {
            to: To::One(recipient),
            kind: kind.unwrap_or_else(|| DEFAULT_TYPE.to_owned()),
            content,
            content_type: fields.optional("content_type", "a string")?,
            ttl_s: wire::ttl(&mut fields)?,
            urgency: fields.optional("urgency", "a string")?,
            metadata: wire::metadata(&mut fields),
            task: None,
        };
        let code = fields.optional("code", "a string")?;
        let progress = fields.optional("progress", "true or false")?.unwrap_or_default();
        fields.finish(&[])?;
        Ok(Self { draft, module, code, progress })
    }

    /// Judges it, and whether the module that it names takes its input. Asked for by the API, the task is pinned to the
    /// version that is named now; by a schedule, it is run by whichever is named then.
    pub(in crate::http) async fn settle(
        self,
        edge: &Edge,
        intake: &Intake,
        schedule: Option<String>,
    ) -> Result<Wanted, Refusal> {
        let asked = bound::module(&self.module).map_err(|refusal| refusal.at("/module"))?;
        let code = self.code.as_deref().map(TaskCode::parse).transpose().map_err(|error| {
            Refusal::new(Reason::TaskInvalid, format_args!("the code {error}")).at("/code")
        })?;
        let (unbound, mut allowance) = (Bound::default(), Allowance::of(&edge.config));
        let id = intake::new_id(intake.now)?;
        let admitted = admit(self.draft, id, &intake.terms(edge, &unbound), &mut allowance)?;
        let What::One(input) = admitted.what else { return Err(Refusal::plain(Reason::Internal)) };
        let checked = async {
            let found = edge.modules.find(&intake.tenant, &asked, Age::Now).await?;
            edge.modules.check(&found, &input.content_type, &input.content).await?;
            found.pinned(&asked)
        };
        let pinned = match timeout_at(intake.deadline, checked).await {
            Ok(checked) => checked.map_err(|refusal| {
                if refusal.reason == Reason::ModuleUnknown { refusal.at("/module") } else { refusal }
            })?,
            Err(_elapsed) => return Err(Refusal::plain(Reason::StoreUnavailable)),
        };
        let (origin, module): (Origin, ModuleRef) = match schedule {
            Some(_) => (Origin::Schedule, asked),
            None => (Origin::Api, pinned),
        };
        let order = Order { module, code, origin, progress: self.progress, schedule };
        Ok(Wanted { input: *input, order })
    }
}

#[cfg(test)]
mod tests {
    use utoipa::PartialSchema as _;

    use super::*;

    fn refusal_of(item: &serde_json::Value) -> Option<Reason> {
        let body = Bytes::from(item.to_string());
        let text = std::str::from_utf8(&body).unwrap();
        TaskDraft::read(text, &body, &Config::default()).err().map(|refusal| refusal.reason)
    }

    #[test]
    fn every_documented_field_is_read_and_no_other() {
        let item = serde_json::json!({"module": "m", "to": {"recipient": "a"}, "content": 1});
        assert_eq!(refusal_of(&item), None);
        let schema = serde_json::to_value(TaskRequest::schema()).unwrap();
        for name in schema["properties"].as_object().unwrap().keys() {
            let mut with = item.clone();
            with[name] = serde_json::json!([]);
            assert_ne!(refusal_of(&with), Some(Reason::FieldUnknown), "{name}");
        }
        let mut with = item;
        with["colour"] = 1.into();
        assert_eq!(refusal_of(&with), Some(Reason::FieldUnknown));
    }
}
