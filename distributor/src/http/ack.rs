//! `POST /v1/ack`: a client acknowledges by cursor, whatever it is connected with, and wherever its session is.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use serde::{Deserialize, Serialize};
use shared::delivery::SessionName;
use shared::position::Cursor;

use super::problem::Refusal;
use super::{Edge, body};
use crate::drain::Causes;
use crate::relay::RelayError;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Acknowledgement {
    cursor: String,
    session: Option<String>,
}

/// On how many sessions it was acknowledged.
#[derive(Debug, Serialize)]
pub(super) struct Answer {
    sessions: usize,
}

/// Serves the request.
pub(super) async fn ack(State(edge): State<Arc<Edge>>, request: Request) -> Result<Json<Answer>, Refusal> {
    edge.check_origin(request.headers())?;
    let identity = edge.identify(request.headers(), None, crate::auth::Use::Connect)?;
    let bytes = body::read(request.into_body(), &edge.settings).await?;
    let Acknowledgement { cursor, session } =
        serde_json::from_slice(&bytes).map_err(|error| Refusal::Body(error.to_string()))?;
    let cursor = Cursor::decode(&cursor).map_err(|_why| Refusal::Cursor)?;
    let only: Option<SessionName> = session
        .map(|text| text.parse().map_err(|_why| Refusal::Body("session is not a session id".to_owned())))
        .transpose()?;
    let sessions = edge.hub.sessions_of(&identity.recipient);
    let mut acknowledged = 0;
    for handle in sessions.iter().filter(|handle| only.is_none_or(|name| name.session == handle.id())) {
        handle.acknowledge_cursor(cursor).map_err(|_foreign| Refusal::Cursor)?;
        acknowledged += 1;
    }
    if let Some(name) = only.filter(|_| acknowledged == 0) {
        match edge.relay.acknowledge(&identity.recipient, name, cursor).await {
            Ok(found) => acknowledged = usize::from(found),
            Err(RelayError::Foreign) => return Err(Refusal::Cursor),
            Err(error) => {
                tracing::debug!(session = %name, error = %Causes(&error), "an acknowledgement was not passed on");
                return Err(Refusal::Unreachable);
            }
        }
    }
    Ok(Json(Answer { sessions: acknowledged }))
}
