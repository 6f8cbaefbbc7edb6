//! `/v1/tasks`: asking for tasks, and looking at them. `draft` reads what is asked for, `asked` the query of a list,
//! `change` cancels and tries again, `shown` is how tasks look outside.
//!
//! A tenant sees its own only: what is another's is not there, 404.

mod asked;
pub(super) mod change;
pub(super) mod draft;
pub(super) mod run;
pub(super) mod shown;

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use serde::Serialize;
use shared::notification::NotificationId;
use shared::recipient::TenantId;
use shared::store::TaskKey;
use utoipa::ToSchema;

use self::asked::{Asked, Steps, cursor};
use self::shown::{Task, TaskEvents};
use super::answer::{Failure, answer};
use super::intake::{self, Intake};
use super::{Edge, query};
use crate::publish::Reservation;
use crate::refusal::{Reason, Refusal};
use crate::stored;

/// A page of tasks.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TaskPage {
    /// The newest first.
    tasks: Vec<Task>,
    /// What to ask with for the next page; absent when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
}

/// Lists tasks, the newest first.
#[utoipa::path(
    get, path = "/v1/tasks", tag = "tasks", operation_id = "list_tasks",
    params(
        ("code" = Option<String>, Query, description = "Whose code starts with this."),
        ("module" = Option<String>, Query, description = "Of the module of this name.", example = "sum"),
        ("state" = Option<String>, Query, description = "pending, running, retrying, completed, failed or cancelled."),
        ("origin" = Option<String>, Query, description = "api, record or schedule."),
        ("schedule" = Option<String>, Query, description = "Of this schedule."),
        ("failure" = Option<String>, Query, description = "Whose failure starts with this.", example = "deadline"),
        ("from" = Option<String>, Query, description = "Accepted then or later (RFC 3339)."),
        ("until" = Option<String>, Query, description = "Accepted before then (RFC 3339)."),
        ("limit" = Option<u32>, Query, description = "How many, up to 500."),
        ("cursor" = Option<String>, Query, description = "What the page before ended with."),
    ),
    responses(
        (status = 200, description = "A page.", body = TaskPage),
        (status = "4XX", description = "Refused.", body = Failure, content_type = "application/problem+json"),
        (status = "5XX", description = "The store is away; see Retry-After.", body = Failure, content_type = "application/problem+json"),
    ),
    security(("api_key" = []), ("bearer" = [])),
)]
pub(super) async fn list(State(edge): State<Arc<Edge>>, request: Request) -> Response {
    answer(page(&edge, request).await.map(Json))
}

async fn page(edge: &Edge, request: Request) -> Result<TaskPage, Refusal> {
    let uri = request.uri().clone();
    let Intake { tenant, deadline, .. } = intake::take(edge, request, 0, |_headers| Ok(())).await?;
    let settings = &edge.config.tasks;
    let Asked { filter, after, limit } = Asked::read(&uri, tenant, settings.page, settings.page_most)?;
    let _answer = Reservation::of(&edge.memory, settings.answer_bytes)?;
    let found = stored::by(deadline, edge.tasks.list_tasks(&filter, after, limit)).await?;
    let full = query::is_full(found.len(), limit);
    let cursor = found.last().filter(|_| full).map(|last| cursor(last.created, &last.key.id));
    Ok(TaskPage { tasks: found.into_iter().map(Task::from).collect(), cursor })
}

/// Shows a task.
#[utoipa::path(
    get, path = "/v1/tasks/{id}", tag = "tasks", operation_id = "show_task",
    params(("id" = String, Path, description = "As it was answered.")),
    responses(
        (status = 200, description = "The task.", body = Task),
        (status = "4XX", description = "Refused; 404 where there is no such one in this tenant, or none yet.", body = Failure, content_type = "application/problem+json"),
        (status = "5XX", description = "The store is away; see Retry-After.", body = Failure, content_type = "application/problem+json"),
    ),
    security(("api_key" = []), ("bearer" = [])),
)]
pub(super) async fn show(
    State(edge): State<Arc<Edge>>,
    id: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    answer(one(&edge, id, request).await.map(Json))
}

async fn one(
    edge: &Edge,
    id: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Task, Refusal> {
    let Intake { tenant, deadline, .. } = intake::take(edge, request, 0, |_headers| Ok(())).await?;
    let key = named(tenant, id)?;
    stored::by(deadline, edge.tasks.get_task(&key)).await?.map(Task::from).ok_or_else(absent)
}

/// What happened to a task, with the log of each attempt.
#[utoipa::path(
    get, path = "/v1/tasks/{id}/events", tag = "tasks", operation_id = "task_events",
    params(
        ("id" = String, Path, description = "As it was answered."),
        ("after" = Option<u32>, Query, description = "Those above this number only."),
        ("limit" = Option<u32>, Query, description = "How many, up to 60."),
    ),
    responses(
        (status = 200, description = "Its history, in the order in which it happened.", body = TaskEvents),
        (status = "4XX", description = "Refused; 404 where there is no such one in this tenant.", body = Failure, content_type = "application/problem+json"),
        (status = "5XX", description = "The store is away; see Retry-After.", body = Failure, content_type = "application/problem+json"),
    ),
    security(("api_key" = []), ("bearer" = [])),
)]
pub(super) async fn events(
    State(edge): State<Arc<Edge>>,
    id: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    answer(history(&edge, id, request).await.map(Json))
}

async fn history(
    edge: &Edge,
    id: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<TaskEvents, Refusal> {
    let uri = request.uri().clone();
    let Intake { tenant, deadline, .. } = intake::take(edge, request, 0, |_headers| Ok(())).await?;
    let settings = &edge.config.tasks;
    let key = named(tenant, id)?;
    let Steps { after, limit } = Steps::read(&uri, settings.events_page, settings.events_page_most)?;
    let _answer = Reservation::of(&edge.memory, settings.answer_bytes)?;
    let steps = stored::by(deadline, edge.tasks.task_steps(&key, after, limit)).await?;
    let steps = steps.ok_or_else(absent)?;
    Ok(TaskEvents {
        more: query::is_full(steps.len(), limit),
        events: steps.into_iter().map(Into::into).collect(),
    })
}

/// The task that the path names.
fn named(tenant: TenantId, id: Result<Path<String>, PathRejection>) -> Result<TaskKey, Refusal> {
    // What is no id is the id of none.
    let id = id.ok().and_then(|Path(id)| NotificationId::parse(&id).ok()).ok_or_else(absent)?;
    Ok(TaskKey { tenant, id })
}

fn absent() -> Refusal {
    Refusal::plain(Reason::TaskNotFound)
}
