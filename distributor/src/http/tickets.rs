//! `POST /v1/tickets`: a ticket for a client that cannot set headers.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use serde::Serialize;

use super::Edge;
use super::problem::Refusal;
use crate::auth::Denied;

/// A ticket, and how many seconds it waits for its first use.
#[derive(Debug, Serialize)]
pub(super) struct Answer {
    ticket: String,
    expires_in: u64,
}

/// Serves the request. Only a token makes a ticket, never another ticket.
pub(super) async fn issue(State(edge): State<Arc<Edge>>, request: Request) -> Result<Json<Answer>, Refusal> {
    edge.check_origin(request.headers())?;
    let identity = edge.bearer(request.headers())?.ok_or(Refusal::Denied(Denied::Missing))?;
    let now = edge.now();
    let expires_in = edge.ticket_ttl.min(identity.expires.since(now)).as_secs();
    Ok(Json(Answer { ticket: edge.tickets.issue(identity, now), expires_in }))
}
