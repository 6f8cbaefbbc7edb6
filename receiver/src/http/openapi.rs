//! `GET /openapi.json`: the document, generated from the operations. `docs/openapi.json` is the same; regenerate it with
//! `cargo run -p postrider-receiver --example openapi > docs/openapi.json`.

use std::sync::LazyLock;

use axum::response::{IntoResponse, Response};
use http::header;
use shared::serve::TurnedAway;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

use super::dead_letters::{self, change, letter};
use super::modules::{aliases, put};
use super::schedules::put as schedule;
use super::tasks::{change as task, draft, run, shown};
use super::{answer, batch, bindings, modules, problem, publish, schedules, tasks, to, wire};

#[derive(OpenApi)]
#[openapi(
    info(title = "Postrider receiver", version = "1", license(name = "Apache-2.0", identifier = "Apache-2.0")),
    paths(
        publish::publish, batch::publish_batch, to::publish_to,
        dead_letters::list, dead_letters::show, change::requeue_one, change::requeue_many, change::discard_one,
        change::discard_many,
        run::run, tasks::list, tasks::show, tasks::events, task::cancel, task::retry,
        put::put, modules::list, modules::show, modules::delete, aliases::set, aliases::roll_back,
        bindings::put, bindings::list, bindings::delete,
        schedule::put, schedules::list, schedules::show, schedules::delete, schedule::enable, schedule::disable,
    ),
    components(schemas(
        wire::NotificationRequest, answer::Accepted, answer::Failure, batch::BatchAnswer,
        dead_letters::LetterPage, letter::Letter, letter::WholeLetter, change::ChangeRequest, change::Changed,
        draft::TaskRequest, run::TaskAccepted, tasks::TaskPage, shown::Task, shown::TaskEvents,
        modules::ModulePage, modules::WholeModule, modules::shown::ModuleShown, modules::shown::Alias, aliases::AliasRequest,
        schedule::ScheduleRequest, schedules::SchedulePage, schedules::shown::Schedule,
        bindings::BindingRequest, bindings::Binding, bindings::AllBindings,
    )),
    modifiers(&Security, &Problems),
)]
struct Document;

struct Security;

impl Modify for Security {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_default();
        let bearer =
            HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("prk_<id>_<secret>").build();
        components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
        let header = ApiKey::Header(ApiKeyValue::new("X-Api-Key"));
        components.add_security_scheme("api_key", SecurityScheme::ApiKey(header));
    }
}

/// The table of problem codes, as the document's description.
struct Problems;

impl Modify for Problems {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let mut text = String::from(
            "Where producers hand notifications in, and look after those that could never be delivered. Every refusal is a problem document (RFC 9457) with a stable \
             `code`:\n\n| code | status | meaning |\n|---|---|---|\n",
        );
        for (code, status, title) in problem::table() {
            text.push_str(&format!("| `{code}` | {status} | {title} |\n"));
        }
        for (code, status, title) in TurnedAway::ALL.map(TurnedAway::row) {
            text.push_str(&format!("| `{code}` | {status} | {title} |\n"));
        }
        document.info.description = Some(text);
    }
}

/// The OpenAPI document of the receiver, as JSON text with a line break at its end.
#[must_use]
pub fn document() -> &'static str {
    static TEXT: LazyLock<String> =
        LazyLock::new(|| Document::openapi().to_pretty_json().map(|text| text + "\n").unwrap_or_default());
    &TEXT
}

pub(super) async fn serve() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], document()).into_response()
}
