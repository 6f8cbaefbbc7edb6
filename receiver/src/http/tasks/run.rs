//! `POST /v1/tasks`: asks for a task. It is on the log before it is answered, and in the store soon after, where it can be
//! looked at.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use http::{HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};
use shared::log::Entry;
use shared::store::{NewTask, TaskKey};
use utoipa::ToSchema;

use super::draft::{TaskDraft, TaskRequest, Wanted};
use crate::http::answer::Failure;
use crate::http::intake::{self, Intake};
use crate::http::{Edge, publish::takes_json};
use crate::publish::{Ask, append, encode};
use crate::refusal::{Reason, Refusal};
use crate::{metrics, stored};

/// The task is durable.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct TaskAccepted {
    /// Names it for its whole life.
    pub id: String,
    /// Where it can be looked at, below the receiver's address; the header `Location` says the same.
    #[schema(example = "/v1/tasks/019ab3c4-5d6e-7f80-9a1b-2c3d4e5f6071")]
    pub status_url: String,
}

/// Asks for a task.
///
/// 202 means durable: the log has acknowledged the record. An input that is not what the module's schema asks for is
/// refused, with the places that are wrong, and nothing is enqueued.
#[utoipa::path(
    post, path = "/v1/tasks", tag = "tasks", operation_id = "run_task",
    request_body(content = TaskRequest, content_type = "application/json"),
    responses(
        (status = 202, description = "Accepted: durable on the log.", body = TaskAccepted),
        (status = "4XX", description = "Refused; nothing was accepted.", body = Failure, content_type = "application/problem+json"),
        (status = "5XX", description = "Not accepted, or not known to be; see Retry-After.", body = Failure, content_type = "application/problem+json"),
    ),
    security(("api_key" = []), ("bearer" = [])),
)]
pub(in crate::http) async fn run(State(edge): State<Arc<Edge>>, request: Request) -> Response {
    let accepted = match accept(&edge, request).await {
        Ok(accepted) => accepted,
        Err(refusal) => return refusal.into_response(),
    };
    let place = HeaderValue::from_str(&accepted.status_url);
    let mut response = (StatusCode::ACCEPTED, Json(accepted)).into_response();
    if let Ok(place) = place {
        response.headers_mut().insert(header::LOCATION, place);
    }
    response
}

async fn accept(edge: &Edge, request: Request) -> Result<TaskAccepted, Refusal> {
    let intake = intake::take(edge, request, edge.config.body_bytes, takes_json).await?;
    let text = std::str::from_utf8(&intake.body)
        .map_err(|error| Refusal::new(Reason::JsonMalformed, format_args!("JSON is UTF-8: {error}")))?;
    let draft = TaskDraft::read(text, &intake.body, &edge.config)?;
    let wanted = draft.settle(edge, &intake, None).await?;
    let outgoing = encode(&wanted.input, &Ask::Task(&wanted.order));
    let record = outgoing.entry.clone();
    let Intake { reservation, deadline, .. } = intake;
    let answers = append(&edge.log, vec![outgoing], reservation, deadline).await?;
    answers.into_iter().next().unwrap_or(Err(Reason::LogUnavailable)).map_err(Refusal::plain)?;
    metrics::task_accepted();
    let id = wanted.input.id.to_string();
    enter(edge, wanted, record).await;
    Ok(TaskAccepted { status_url: format!("/v1/tasks/{id}"), id })
}

/// Lets the task be looked at. It is on the log: whatever becomes of this, an executor takes it from there.
async fn enter(edge: &Edge, Wanted { input, order }: Wanted, record: Entry) {
    let task = NewTask {
        key: TaskKey { tenant: input.recipient.tenant, id: input.id },
        recipient: input.recipient.id,
        module: order.module.name,
        version: order.module.version,
        code: order.code,
        origin: order.origin,
        schedule: order.schedule,
        record,
        position: None,
        created: input.time,
    };
    let entering = edge.tasks.enter_tasks(std::slice::from_ref(&task));
    let entered = stored::within(edge.config.tasks.enter_ms, entering).await;
    metrics::task_entered(if entered.is_ok() { "entered" } else { "left" });
}
