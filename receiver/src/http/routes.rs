//! Which path leads to which operation, and what it is called in metrics.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{MatchedPath, Request};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::{get, post, put};
use http::Method;

use super::dead_letters::change;
use super::modules::aliases;
use super::schedules::put as schedule;
use super::tasks::{change as task, run};
use super::{
    Edge, batch, bindings, dead_letters, modules, openapi, publish, root, schedules, tasks, to, traced,
};
use crate::refusal::{Reason, Refusal};

/// All routes, for a receiver that listens at `address`.
pub(crate) fn router(edge: Arc<Edge>, address: SocketAddr) -> Router {
    Router::new()
        .route("/v1/notifications", post(publish::publish))
        .route("/v1/notifications/batch", post(batch::publish_batch))
        .route("/v1/to/{recipient}", post(to::publish_to))
        .route("/v1/tasks", post(run::run).get(tasks::list))
        .route_layer(from_fn(traced::request))
        .merge(desks())
        .with_state(edge)
        .route("/", get(move || async move { root::welcome(address) }))
        .route("/openapi.json", get(openapi::serve))
        .fallback(|| async { Refusal::plain(Reason::NotFound) })
        .method_not_allowed_fallback(|| async { Refusal::plain(Reason::MethodNotAllowed) })
        .layer(from_fn(measure))
}

/// Where somebody looks and decides.
fn desks() -> Router<Arc<Edge>> {
    Router::new()
        .route("/v1/dead-letters", get(dead_letters::list))
        .route("/v1/dead-letters/requeue", post(change::requeue_many))
        .route("/v1/dead-letters/discard", post(change::discard_many))
        .route("/v1/dead-letters/{id}", get(dead_letters::show).delete(change::discard_one))
        .route("/v1/dead-letters/{id}/requeue", post(change::requeue_one))
        .route("/v1/tasks/{id}", get(tasks::show))
        .route("/v1/tasks/{id}/events", get(tasks::events))
        .route("/v1/tasks/{id}/cancel", post(task::cancel))
        .route("/v1/tasks/{id}/retry", post(task::retry))
        .route("/v1/modules", get(modules::list))
        .route("/v1/modules/{module}", put(modules::put::put).get(modules::show).delete(modules::delete))
        .route("/v1/modules/{module}/aliases/{alias}", put(aliases::set))
        .route("/v1/modules/{module}/aliases/{alias}/rollback", post(aliases::roll_back))
        .route("/v1/bindings", get(bindings::list))
        .route("/v1/bindings/{name}", put(bindings::put).delete(bindings::delete))
        .route("/v1/schedules", get(schedules::list))
        .route("/v1/schedules/{name}", put(schedule::put).get(schedules::show).delete(schedules::delete))
        .route("/v1/schedules/{name}/enable", post(schedule::enable))
        .route("/v1/schedules/{name}/disable", post(schedule::disable))
}

/// Counts and times every request by its route, which is a bounded set.
async fn measure(request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let path = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let operation = operation(path, request.method());
    let response = next.run(request).await;
    crate::metrics::request(operation, response.status().as_u16(), begun.elapsed());
    response
}

fn operation(path: Option<&str>, method: &Method) -> &'static str {
    let asks = method == Method::GET || method == Method::HEAD;
    match path {
        Some("/v1/notifications") => "publish",
        Some("/v1/notifications/batch") => "batch",
        Some("/v1/to/{recipient}") => "to",
        Some("/v1/dead-letters") => "dead_letters",
        Some("/v1/dead-letters/{id}") => "dead_letter",
        Some("/v1/dead-letters/requeue" | "/v1/dead-letters/{id}/requeue") => "requeue",
        Some("/v1/dead-letters/discard") => "discard",
        Some("/v1/tasks") if asks => "tasks",
        Some("/v1/tasks") => "run_task",
        Some("/v1/tasks/{id}") => "task",
        Some("/v1/tasks/{id}/events") => "task_events",
        Some("/v1/tasks/{id}/cancel" | "/v1/tasks/{id}/retry") => "change_task",
        Some("/v1/modules") => "modules",
        Some("/v1/modules/{module}") if asks => "module",
        Some("/v1/modules/{module}") => "change_module",
        Some("/v1/modules/{module}/aliases/{alias}" | "/v1/modules/{module}/aliases/{alias}/rollback") => {
            "alias"
        }
        Some("/v1/bindings" | "/v1/bindings/{name}") => "bindings",
        Some("/v1/schedules") => "schedules",
        Some("/v1/schedules/{name}") if asks => "schedule",
        Some("/v1/schedules/{name}" | "/v1/schedules/{name}/enable" | "/v1/schedules/{name}/disable") => {
            "change_schedule"
        }
        Some("/") => "root",
        Some("/openapi.json") => "openapi",
        Some(_) | None => "unknown",
    }
}
