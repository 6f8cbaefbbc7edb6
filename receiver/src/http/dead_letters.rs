//! `/v1/dead-letters`: what can never be delivered, for whoever produced it. Here they are looked at; `change` requeues and
//! discards them, `asked` reads what a request asks for, `letter` is how they look outside.
//!
//! A tenant sees its own only: what is another's is not there, 404.

mod asked;
pub(super) mod change;
pub(super) mod letter;

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use serde::Serialize;
use shared::position::Position;
use shared::store::{DeadFilter, DeadSummary};
use tokio::time::Instant;
use utoipa::ToSchema;

use self::asked::{Asked, cursor};
use self::letter::{Letter, WholeLetter};
use super::Edge;
use super::answer::{Failure, answer};
use super::intake::{self, Intake};
use crate::publish::Reservation;
use crate::refusal::{Reason, Refusal};
use crate::stored;

/// A page of dead letters.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct LetterPage {
    /// The newest first.
    dead_letters: Vec<Letter>,
    /// What to ask with for the next page; absent when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
}

/// Lists dead letters, the newest first.
#[utoipa::path(
    get, path = "/v1/dead-letters", tag = "dead letters", operation_id = "list_dead_letters",
    params(
        ("recipient" = Option<String>, Query, description = "Of this recipient."),
        ("code" = Option<String>, Query, description = "Whose code starts with this.", example = "refused"),
        ("from" = Option<String>, Query, description = "Dead-lettered then or later (RFC 3339)."),
        ("until" = Option<String>, Query, description = "Dead-lettered before then (RFC 3339)."),
        ("state" = Option<String>, Query, description = "dead, requeue_requested, requeued, expired or discarded."),
        ("limit" = Option<u32>, Query, description = "How many, up to 500."),
        ("cursor" = Option<String>, Query, description = "What the page before ended with."),
    ),
    responses(
        (status = 200, description = "A page.", body = LetterPage),
        (status = "4XX", description = "Refused.", body = Failure, content_type = "application/problem+json"),
        (status = "5XX", description = "The store is away; see Retry-After.", body = Failure, content_type = "application/problem+json"),
    ),
    security(("api_key" = []), ("bearer" = [])),
)]
pub(super) async fn list(State(edge): State<Arc<Edge>>, request: Request) -> Response {
    answer(page(&edge, request).await.map(Json))
}

async fn page(edge: &Edge, request: Request) -> Result<LetterPage, Refusal> {
    let uri = request.uri().clone();
    let Intake { tenant, deadline, .. } = intake::take(edge, request, 0, |_headers| Ok(())).await?;
    let settings = &edge.config.dead_letters;
    let Asked { filter, after, limit } = Asked::read(&uri, tenant, settings.page, settings.page_most)?;
    let found = stored::by(deadline, edge.dead_letters.list_dead(&filter, after, limit)).await?;
    let full = found.len() >= usize::try_from(limit).unwrap_or(usize::MAX);
    let cursor = found.last().filter(|_| full).map(|last| cursor((last.time, last.position)));
    Ok(LetterPage { dead_letters: found.into_iter().map(Letter::from).collect(), cursor })
}

/// Shows a dead letter with its headers and its body.
#[utoipa::path(
    get, path = "/v1/dead-letters/{id}", tag = "dead letters", operation_id = "show_dead_letter",
    params(("id" = String, Path, description = "As a list says.", example = "1-7-42")),
    responses(
        (status = 200, description = "The dead letter.", body = WholeLetter),
        (status = "4XX", description = "Refused; 404 where there is no such one in this tenant.", body = Failure, content_type = "application/problem+json"),
        (status = "5XX", description = "The store is away; see Retry-After.", body = Failure, content_type = "application/problem+json"),
    ),
    security(("api_key" = []), ("bearer" = [])),
)]
pub(super) async fn show(
    State(edge): State<Arc<Edge>>,
    id: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    answer(whole(&edge, id, request).await.map(Json))
}

async fn whole(
    edge: &Edge,
    id: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<WholeLetter, Refusal> {
    let Intake { tenant, deadline, .. } = intake::take(edge, request, 0, |_headers| Ok(())).await?;
    let position = named(id)?;
    let _answer = Reservation::of(&edge.memory, edge.config.dead_letters.answer_bytes)?;
    let found = stored::by(deadline, edge.dead_letters.get_dead(Some(&tenant), position)).await?;
    found.map(WholeLetter::from).ok_or_else(absent)
}

/// The dead letter that the path names.
fn named(id: Result<Path<String>, PathRejection>) -> Result<Position, Refusal> {
    // What is no id is the id of none.
    let Ok(Path(id)) = id else { return Err(absent()) };
    // Nor is there any beyond what the store holds.
    let held = |position: &Position| i64::try_from(position.offset).is_ok();
    id.parse().ok().filter(held).ok_or_else(absent)
}

fn absent() -> Refusal {
    Refusal::plain(Reason::DeadLetterNotFound)
}

/// The one dead letter of `filter`, without headers and body.
async fn summary(edge: &Edge, filter: &DeadFilter, deadline: Instant) -> Result<DeadSummary, Refusal> {
    stored::by(deadline, edge.dead_letters.list_dead(filter, None, 1)).await?.pop().ok_or_else(absent)
}
