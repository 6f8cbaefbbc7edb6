//! `/v1/schedules`: tasks at their times. Here they are looked at and removed; `put` takes them in, switches them on and off;
//! `shown` is how they look outside.
//!
//! A tenant sees its own only: what is another's is not there, 404.

pub(super) mod put;
pub(super) mod shown;

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use http::{StatusCode, Uri};
use serde::Serialize;
use shared::store::EntryName;
use utoipa::ToSchema;

use self::shown::Schedule;
use super::answer::{Failure, answer};
use super::bindings::entry_name;
use super::intake::{self, Intake};
use super::{Edge, query};
use crate::publish::Reservation;
use crate::refusal::{Reason, Refusal};
use crate::stored;

/// A page of schedules.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SchedulePage {
    /// By name.
    schedules: Vec<Schedule>,
    /// What to ask with for the next page; absent when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
}

/// Lists schedules, by name.
#[utoipa::path(
    get, path = "/v1/schedules", tag = "schedules", operation_id = "list_schedules",
    params(
        ("limit" = Option<u32>, Query, description = "How many, up to 50."),
        ("cursor" = Option<String>, Query, description = "What the page before ended with."),
    ),
    responses(
        (status = 200, description = "A page.", body = SchedulePage),
        (status = "4XX", description = "Refused.", body = Failure, content_type = "application/problem+json"),
        (status = "5XX", description = "The store is away; see Retry-After.", body = Failure, content_type = "application/problem+json"),
    ),
    security(("api_key" = []), ("bearer" = [])),
)]
pub(super) async fn list(State(edge): State<Arc<Edge>>, request: Request) -> Response {
    answer(page(&edge, request).await.map(Json))
}

async fn page(edge: &Edge, request: Request) -> Result<SchedulePage, Refusal> {
    let uri = request.uri().clone();
    let Intake { tenant, deadline, .. } = intake::take(edge, request, 0, |_headers| Ok(())).await?;
    let settings = &edge.config.schedules;
    let (after, limit) = asked(&uri, settings.page, settings.page_most)?;
    let _answer = Reservation::of(&edge.memory, settings.answer_bytes)?;
    let listing = edge.schedules.list_schedules(&tenant, after.as_ref(), limit);
    let found = stored::by(deadline, listing).await?;
    let full = query::is_full(found.len(), limit);
    let cursor = found.last().filter(|_| full).map(|last| query::cursor(last.name.as_str()));
    Ok(SchedulePage { schedules: found.into_iter().map(Schedule::from).collect(), cursor })
}

fn asked(uri: &Uri, page: u32, most: u32) -> Result<(Option<EntryName>, u32), Refusal> {
    let (mut after, mut limit) = (None, page);
    for (name, value) in &query::pairs(uri)? {
        match name.as_str() {
            "limit" => limit = query::limit(value, most)?,
            "cursor" => after = Some(query::place(value, |text| EntryName::parse(text).ok())?),
            _ => return Err(query::invalid("there are limit and cursor")),
        }
    }
    Ok((after, limit))
}

/// Shows a schedule.
#[utoipa::path(
    get, path = "/v1/schedules/{name}", tag = "schedules", operation_id = "show_schedule",
    params(("name" = String, Path, description = "As a list says.", example = "nightly")),
    responses(
        (status = 200, description = "The schedule.", body = Schedule),
        (status = "4XX", description = "Refused; 404 where there is no such one in this tenant.", body = Failure, content_type = "application/problem+json"),
        (status = "5XX", description = "The store is away; see Retry-After.", body = Failure, content_type = "application/problem+json"),
    ),
    security(("api_key" = []), ("bearer" = [])),
)]
pub(super) async fn show(
    State(edge): State<Arc<Edge>>,
    name: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    let shown = async {
        let Intake { tenant, deadline, .. } = intake::take(&edge, request, 0, |_headers| Ok(())).await?;
        let name = named(name)?;
        let found = stored::by(deadline, edge.schedules.get_schedule(&tenant, &name)).await?;
        found.map(|row| Json(Schedule::from(row))).ok_or_else(absent)
    };
    answer(shown.await)
}

/// Removes a schedule. Tasks that it asked for before are run.
#[utoipa::path(
    delete, path = "/v1/schedules/{name}", tag = "schedules", operation_id = "delete_schedule",
    params(("name" = String, Path, description = "As a list says.", example = "nightly")),
    responses(
        (status = 204, description = "Removed."),
        (status = "4XX", description = "Refused; 404 where there is no such one in this tenant.", body = Failure, content_type = "application/problem+json"),
        (status = "5XX", description = "The store is away; see Retry-After.", body = Failure, content_type = "application/problem+json"),
    ),
    security(("api_key" = []), ("bearer" = [])),
)]
pub(super) async fn delete(
    State(edge): State<Arc<Edge>>,
    name: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    let deleted = async {
        let Intake { tenant, deadline, .. } = intake::take(&edge, request, 0, |_headers| Ok(())).await?;
        let name = named(name)?;
        let was_there = stored::by(deadline, edge.schedules.delete_schedule(&tenant, &name)).await?;
        if was_there { Ok(StatusCode::NO_CONTENT) } else { Err(absent()) }
    };
    answer(deleted.await)
}

/// The schedule that the path names.
fn named(name: Result<Path<String>, PathRejection>) -> Result<EntryName, Refusal> {
    // What is no name is the name of none.
    entry_name(name).map_err(|_none| absent())
}

fn absent() -> Refusal {
    Refusal::plain(Reason::ScheduleNotFound)
}
