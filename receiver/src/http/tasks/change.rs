//! Cancels a task, or has it tried again. Asking twice changes nothing.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use http::StatusCode;
use shared::store::TaskChange;

use super::shown::Task;
use super::{absent, named};
use crate::http::Edge;
use crate::http::answer::{Failure, answer};
use crate::http::intake::{self, Intake};
use crate::metrics;
use crate::refusal::{Reason, Refusal};
use crate::stored;

/// Asks for a task to be cancelled.
///
/// One that nobody runs is `cancelled` at once; one that runs when its attempt was stopped, until then it says
/// `cancel_asked`.
#[utoipa::path(
    post, path = "/v1/tasks/{id}/cancel", tag = "tasks", operation_id = "cancel_task",
    params(("id" = String, Path, description = "As it was answered.")),
    responses(
        (status = 202, description = "Asked for, now or before.", body = Task),
        (status = "4XX", description = "Refused: it is not there, or is at another end.", body = Failure, content_type = "application/problem+json"),
        (status = "5XX", description = "The store is away; see Retry-After.", body = Failure, content_type = "application/problem+json"),
    ),
    security(("api_key" = []), ("bearer" = [])),
)]
pub(in crate::http) async fn cancel(
    State(edge): State<Arc<Edge>>,
    id: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    changed(&edge, id, request, TaskChange::Cancel).await
}

/// Asks for a task that failed, or was cancelled, to be tried again: its attempts count from 1.
#[utoipa::path(
    post, path = "/v1/tasks/{id}/retry", tag = "tasks", operation_id = "retry_task",
    params(("id" = String, Path, description = "As it was answered.")),
    responses(
        (status = 202, description = "Asked for, now or before.", body = Task),
        (status = "4XX", description = "Refused: it is not there, or has neither failed nor was cancelled.", body = Failure, content_type = "application/problem+json"),
        (status = "5XX", description = "The store is away; see Retry-After.", body = Failure, content_type = "application/problem+json"),
    ),
    security(("api_key" = []), ("bearer" = [])),
)]
pub(in crate::http) async fn retry(
    State(edge): State<Arc<Edge>>,
    id: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    changed(&edge, id, request, TaskChange::Retry).await
}

async fn changed(
    edge: &Edge,
    id: Result<Path<String>, PathRejection>,
    request: Request,
    change: TaskChange,
) -> Response {
    let changed = async {
        let Intake { tenant, key_id, now, deadline, .. } =
            intake::take(edge, request, 0, |_headers| Ok(())).await?;
        let key = named(tenant, id)?;
        let conflict = match change {
            TaskChange::Cancel => Reason::TaskEnded,
            TaskChange::Retry => Reason::TaskNotEnded,
        };
        let changing = edge.tasks.change_task(&key, change, &key_id, now);
        let task = stored::or_conflict(deadline, conflict, changing).await?.ok_or_else(absent)?;
        metrics::task_changed(change);
        Ok::<_, Refusal>((StatusCode::ACCEPTED, Json(Task::from(task))))
    };
    answer(changed.await)
}
