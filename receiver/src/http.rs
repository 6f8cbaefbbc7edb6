//! The input edge: one file per operation.
//!
//! Each operation takes the same way: [`intake`] (who is it, how much memory, the body within its deadline), then the
//! operation's own reading into drafts, then admission, then publishing, then [`answer`]. [`problem`] says how every
//! refusal is answered.

mod answer;
mod batch;
mod body;
mod dead_letters;
mod fields;
mod intake;
mod openapi;
pub mod problem;
mod publish;
mod root;
mod to;
mod traced;
mod wire;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{MatchedPath, Request};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::{get, post};
use shared::clock::Clock;
use shared::log::Appender;
use shared::store::DeadReview;
use tokio::sync::Semaphore;

pub use dead_letters::change::Changed;
pub use dead_letters::letter::{Coordinates, Header, Letter, WholeLetter};
pub use openapi::document;

use self::dead_letters::change;
use crate::auth::Authenticator;
use crate::config::Config;
use crate::refusal::{Reason, Refusal};

/// What every operation works with.
pub(crate) struct Edge {
    pub(crate) config: Config,
    pub(crate) authenticator: Arc<Authenticator>,
    pub(crate) log: Arc<dyn Appender>,
    pub(crate) dead_letters: Arc<dyn DeadReview>,
    pub(crate) clock: Arc<dyn Clock>,
    /// One permit a byte of [`Config::in_flight_bytes`].
    pub(crate) memory: Arc<Semaphore>,
}

/// All routes, for a receiver that listens at `address`.
pub(crate) fn router(edge: Arc<Edge>, address: SocketAddr) -> Router {
    Router::new()
        .route("/v1/notifications", post(publish::publish))
        .route("/v1/notifications/batch", post(batch::publish_batch))
        .route("/v1/to/{recipient}", post(to::publish_to))
        .route_layer(from_fn(traced::request))
        .route("/v1/dead-letters", get(dead_letters::list))
        .route("/v1/dead-letters/requeue", post(change::requeue_many))
        .route("/v1/dead-letters/discard", post(change::discard_many))
        .route("/v1/dead-letters/{id}", get(dead_letters::show).delete(change::discard_one))
        .route("/v1/dead-letters/{id}/requeue", post(change::requeue_one))
        .with_state(edge)
        .route("/", get(move || async move { root::welcome(address) }))
        .route("/openapi.json", get(openapi::serve))
        .fallback(|| async { Refusal::plain(Reason::NotFound) })
        .method_not_allowed_fallback(|| async { Refusal::plain(Reason::MethodNotAllowed) })
        .layer(from_fn(measure))
}

/// Counts and times every request by its route, which is a bounded set.
async fn measure(request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let operation = match request.extensions().get::<MatchedPath>().map(MatchedPath::as_str) {
        Some("/v1/notifications") => "publish",
        Some("/v1/notifications/batch") => "batch",
        Some("/v1/to/{recipient}") => "to",
        Some("/v1/dead-letters") => "dead_letters",
        Some("/v1/dead-letters/{id}") => "dead_letter",
        Some("/v1/dead-letters/requeue" | "/v1/dead-letters/{id}/requeue") => "requeue",
        Some("/v1/dead-letters/discard") => "discard",
        Some("/") => "root",
        Some("/openapi.json") => "openapi",
        Some(_) | None => "unknown",
    };
    let response = next.run(request).await;
    crate::metrics::request(operation, response.status().as_u16(), begun.elapsed());
    response
}
