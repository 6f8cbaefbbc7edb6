//! Requeues and discards dead letters, one or many. A requeue is asked for here, and done by a director: 202. Asking twice
//! changes nothing.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use shared::store::{DeadChange, DeadFilter, DeadState, DeadSummary};
use utoipa::ToSchema;

use super::asked::Change;
use super::letter::Letter;
use super::{named, summary};
use crate::http::answer::{Failure, answer};
use crate::http::intake::{self, Intake};
use crate::http::{Edge, publish};
use crate::metrics;
use crate::refusal::{Reason, Refusal};
use crate::stored;

/// Which dead letters. At least one of the filters must be there, or `all`.
#[derive(Debug, Deserialize, ToSchema)]
#[expect(dead_code, reason = "the schema of what `asked` reads field by field")]
pub(in crate::http) struct ChangeRequest {
    /// Of this recipient.
    recipient: Option<String>,
    /// Whose code starts with this.
    #[schema(example = "refused")]
    code: Option<String>,
    /// Dead-lettered then or later (RFC 3339).
    from: Option<String>,
    /// Dead-lettered before then (RFC 3339).
    until: Option<String>,
    /// When discarding: in this state, `dead` unless it says otherwise. A requeue only touches what is `dead`.
    state: Option<String>,
    /// All of them are meant.
    all: Option<bool>,
    /// Only count.
    dry_run: Option<bool>,
}

/// What was changed, or would be.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Changed {
    /// How many.
    pub count: u64,
    /// Whether there may be more: ask again.
    pub more: bool,
    /// Whether they were only counted.
    pub dry_run: bool,
}

/// Asks for a dead letter to be delivered again.
///
/// It is appended to the log again with the same id, unless it has expired by then; see its state.
#[utoipa::path(
    post, path = "/v1/dead-letters/{id}/requeue", tag = "dead letters", operation_id = "requeue_dead_letter",
    params(("id" = String, Path, description = "As a list says.", example = "1-7-42")),
    responses(
        (status = 202, description = "Asked for, now or before.", body = Letter),
        (status = "4XX", description = "Refused: it is not there, or cannot be requeued.", body = Failure, content_type = "application/problem+json"),
        (status = "5XX", description = "The store is away; see Retry-After.", body = Failure, content_type = "application/problem+json"),
    ),
    security(("api_key" = []), ("bearer" = [])),
)]
pub(in crate::http) async fn requeue_one(
    State(edge): State<Arc<Edge>>,
    id: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    let changed = one(&edge, id, request, DeadChange::Requeue).await;
    answer(changed.map(|letter| (StatusCode::ACCEPTED, Json(letter))))
}

/// Discards a dead letter: its headers and its body are gone at once.
#[utoipa::path(
    delete, path = "/v1/dead-letters/{id}", tag = "dead letters", operation_id = "discard_dead_letter",
    params(("id" = String, Path, description = "As a list says.", example = "1-7-42")),
    responses(
        (status = 200, description = "Discarded, now or before.", body = Letter),
        (status = "4XX", description = "Refused: it is not there, or was requeued.", body = Failure, content_type = "application/problem+json"),
        (status = "5XX", description = "The store is away; see Retry-After.", body = Failure, content_type = "application/problem+json"),
    ),
    security(("api_key" = []), ("bearer" = [])),
)]
pub(in crate::http) async fn discard_one(
    State(edge): State<Arc<Edge>>,
    id: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    answer(one(&edge, id, request, DeadChange::Discard).await.map(Json))
}

/// Asks for many dead letters to be delivered again: a bounded number at a time, by position.
#[utoipa::path(
    post, path = "/v1/dead-letters/requeue", tag = "dead letters", operation_id = "requeue_dead_letters",
    request_body(content = ChangeRequest, content_type = "application/json"),
    responses(
        (status = 200, description = "Asked for, or counted.", body = Changed),
        (status = "4XX", description = "Refused; nothing was changed.", body = Failure, content_type = "application/problem+json"),
        (status = "5XX", description = "The store is away; see Retry-After.", body = Failure, content_type = "application/problem+json"),
    ),
    security(("api_key" = []), ("bearer" = [])),
)]
pub(in crate::http) async fn requeue_many(State(edge): State<Arc<Edge>>, request: Request) -> Response {
    answer(many(&edge, request, DeadChange::Requeue).await.map(Json))
}

/// Discards many dead letters, a bounded number at a time, by position.
#[utoipa::path(
    post, path = "/v1/dead-letters/discard", tag = "dead letters", operation_id = "discard_dead_letters",
    request_body(content = ChangeRequest, content_type = "application/json"),
    responses(
        (status = 200, description = "Discarded, or counted.", body = Changed),
        (status = "4XX", description = "Refused; nothing was changed.", body = Failure, content_type = "application/problem+json"),
        (status = "5XX", description = "The store is away; see Retry-After.", body = Failure, content_type = "application/problem+json"),
    ),
    security(("api_key" = []), ("bearer" = [])),
)]
pub(in crate::http) async fn discard_many(State(edge): State<Arc<Edge>>, request: Request) -> Response {
    answer(many(&edge, request, DeadChange::Discard).await.map(Json))
}

async fn one(
    edge: &Edge,
    id: Result<Path<String>, PathRejection>,
    request: Request,
    change: DeadChange,
) -> Result<Letter, Refusal> {
    let Intake { tenant, key_id, now, deadline, .. } =
        intake::take(edge, request, 0, |_headers| Ok(())).await?;
    let position = Some(named(id)?);
    let filter = DeadFilter { tenant: Some(tenant), position, ..DeadFilter::default() };
    let before = summary(edge, &filter, deadline).await?;
    if is_done(&before, change)? {
        return Ok(before.into());
    }
    let changed =
        stored::by(deadline, edge.dead_letters.change_dead(&filter, change, &key_id, now, 1)).await?;
    metrics::dead_letters_changed(change, changed);
    let after = summary(edge, &filter, deadline).await?;
    // Somebody else may have decided otherwise meanwhile.
    is_done(&after, change)?;
    Ok(after.into())
}

/// Whether nothing is left to do for `change`.
fn is_done(letter: &DeadSummary, change: DeadChange) -> Result<bool, Refusal> {
    match (change, letter.state) {
        (DeadChange::Requeue, DeadState::Dead) if letter.requeueable => Ok(false),
        (DeadChange::Requeue, DeadState::Dead) => Err(Refusal::plain(Reason::DeadLetterUnfit)),
        (DeadChange::Requeue, DeadState::Discarded) => Err(Refusal::plain(Reason::DeadLetterDiscarded)),
        (DeadChange::Requeue, DeadState::RequeueRequested | DeadState::Requeued | DeadState::Expired) => {
            Ok(true)
        }
        (DeadChange::Discard, DeadState::Requeued) => Err(Refusal::plain(Reason::DeadLetterRequeued)),
        (DeadChange::Discard, DeadState::Discarded) => Ok(true),
        (DeadChange::Discard, DeadState::Dead | DeadState::RequeueRequested | DeadState::Expired) => {
            Ok(false)
        }
    }
}

async fn many(edge: &Edge, request: Request, change: DeadChange) -> Result<Changed, Refusal> {
    let Intake { tenant, key_id, now, deadline, body, .. } =
        intake::take(edge, request, edge.config.body_bytes, publish::takes_json).await?;
    let text = std::str::from_utf8(&body)
        .map_err(|error| Refusal::new(Reason::JsonMalformed, format_args!("JSON is UTF-8: {error}")))?;
    let Change { filter, dry_run } = Change::read(text, tenant, change)?;
    let settings = &edge.config.dead_letters;
    let (count, most) = if dry_run {
        let most = settings.counted;
        (stored::by(deadline, edge.dead_letters.count_dead(&filter, change, most)).await?, most)
    } else {
        let most = settings.changed;
        let changing = edge.dead_letters.change_dead(&filter, change, &key_id, now, most);
        let changed = stored::by(deadline, changing).await?;
        metrics::dead_letters_changed(change, changed);
        (changed, most)
    };
    Ok(Changed { count, more: count >= u64::from(most), dry_run })
}
