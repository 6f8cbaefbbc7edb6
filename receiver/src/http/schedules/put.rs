//! Takes a schedule in, or switches one on or off. What it asks for is judged now; the version of the module that runs is
//! the one that is named when it is run.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use serde::Serialize;
use shared::clock::Timestamp;
use shared::log::Entry;
use shared::store::{EntryName, Error, ScheduleRow};
use shared::task::timing::Timing;
use utoipa::ToSchema;

use super::shown::Schedule;
use super::{absent, named};
use crate::content::nests_within;
use crate::http::answer::{Failure, answer};
use crate::http::bindings::entry_name;
use crate::http::fields::Fields;
use crate::http::intake::{self, Intake};
use crate::http::tasks::draft::{TaskDraft, TaskRequest};
use crate::http::{Edge, publish::takes_json};
use crate::publish::{Ask, encode};
use crate::refusal::{Reason, Refusal};
use crate::stored;

/// How often a change is tried that a firing came before.
const TRIES: usize = 4;

/// Fields that say when a schedule fires.
const TIMING: [&str; 6] = ["cron", "timezone", "every_ms", "at", "misfire", "misfire_limit"];

/// A schedule: one of `cron`, `every_ms` and `at`.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"cron": "0 3 * * *", "task": {"module": "digest", "to": {"recipient": "alice"}, "content": {}}}))]
pub(in crate::http) struct ScheduleRequest {
    /// Minute, hour, day of the month, month, day of the week.
    #[schema(example = "0 3 * * *")]
    cron: Option<String>,
    /// The time zone of `cron`, by its IANA name; UTC when absent.
    timezone: Option<String>,
    /// At each multiple of this since 1970, in milliseconds: a second to a year.
    #[schema(minimum = 1000)]
    every_ms: Option<u64>,
    /// Once, then (RFC 3339).
    at: Option<String>,
    /// What becomes of times at which nobody could fire: skip, fire_once (when absent) or fire_all.
    misfire: Option<String>,
    /// With fire_all, most of those that are made up for; 100 when absent.
    misfire_limit: Option<u32>,
    /// Whether it fires; it does when absent.
    enabled: Option<bool>,
    /// What it asks for each time.
    task: TaskRequest,
}

type Named = Result<Path<String>, PathRejection>;

/// Puts a schedule there, or another in the place of the one of this name.
#[utoipa::path(
    put, path = "/v1/schedules/{name}", tag = "schedules", operation_id = "put_schedule",
    params(("name" = String, Path, description = "A-Z a-z 0-9 - _ . up to 64 bytes.", example = "nightly")),
    request_body(content = ScheduleRequest, content_type = "application/json"),
    responses(
        (status = 200, description = "It is there; `next` says when it fires.", body = Schedule),
        (status = "4XX", description = "Refused; nothing was changed.", body = Failure, content_type = "application/problem+json"),
        (status = "5XX", description = "The store is away; see Retry-After.", body = Failure, content_type = "application/problem+json"),
    ),
    security(("api_key" = []), ("bearer" = [])),
)]
pub(in crate::http) async fn put(State(edge): State<Arc<Edge>>, name: Named, request: Request) -> Response {
    answer(accept(&edge, name, request).await.map(Json))
}

async fn accept(edge: &Edge, name: Named, request: Request) -> Result<Schedule, Refusal> {
    let intake = intake::take(edge, request, edge.config.body_bytes, takes_json).await?;
    let name = entry_name(name)?;
    let Asked { timing, enabled, task } = Asked::read(&intake, edge)?;
    let next = timing
        .next_after(intake.now)
        .ok_or_else(|| Refusal::new(Reason::ScheduleInvalid, "no time at which it would fire is to come"))?;
    let settling = task.settle(edge, &intake, Some(name.to_string()));
    let wanted = settling.await.map_err(|refusal| refusal.under("/task"))?;
    let record: Entry = encode(&wanted.input, &Ask::Task(&wanted.order)).entry;
    let change = |before: Option<ScheduleRow>| {
        let (fired, count) = before.map_or((None, 0), |row| (row.fired, row.count));
        Ok(ScheduleRow {
            tenant: intake.tenant.clone(),
            name: name.clone(),
            settings: timing.to_json(),
            record: record.clone(),
            enabled,
            next: Some(next),
            fired,
            count,
            revision: 0,
            changed: intake.now,
        })
    };
    changed(edge, &intake, &name, change).await
}

/// What a request asks for.
struct Asked {
    timing: Timing,
    enabled: bool,
    task: TaskDraft,
}

impl Asked {
    fn read(intake: &Intake, edge: &Edge) -> Result<Self, Refusal> {
        let text = std::str::from_utf8(&intake.body)
            .map_err(|error| Refusal::new(Reason::JsonMalformed, format_args!("JSON is UTF-8: {error}")))?;
        if !nests_within(text, edge.config.json_depth) {
            let detail = format!("at most {} levels are taken", edge.config.json_depth);
            return Err(Refusal::new(Reason::JsonTooDeep, detail));
        }
        let mut fields = Fields::read(text, "")?;
        let stated = TIMING.iter().filter_map(|name| {
            let value = fields.take(name).filter(|value| value.get() != "null")?;
            Some(format!("\"{name}\":{}", value.get()))
        });
        let written = format!("{{{}}}", stated.collect::<Vec<_>>().join(","));
        let timing = Timing::parse(&written).map_err(|error| Refusal::new(Reason::ScheduleInvalid, error))?;
        let enabled = fields.optional("enabled", "true or false")?.unwrap_or(true);
        let task = fields.take("task").ok_or_else(|| fields.missing("task"))?;
        let task = TaskDraft::read(task.get(), &intake.body, &edge.config)
            .map_err(|refusal| refusal.under("/task"))?;
        fields.finish(&[])?;
        Ok(Self { timing, enabled, task })
    }
}

/// Switches a schedule on: it fires at its next time from now on, and makes up for nothing.
#[utoipa::path(
    post, path = "/v1/schedules/{name}/enable", tag = "schedules", operation_id = "enable_schedule",
    params(("name" = String, Path, description = "As a list says.", example = "nightly")),
    responses(
        (status = 200, description = "It fires.", body = Schedule),
        (status = "4XX", description = "Refused; 404 where there is no such one in this tenant.", body = Failure, content_type = "application/problem+json"),
        (status = "5XX", description = "The store is away; see Retry-After.", body = Failure, content_type = "application/problem+json"),
    ),
    security(("api_key" = []), ("bearer" = [])),
)]
pub(in crate::http) async fn enable(
    State(edge): State<Arc<Edge>>,
    name: Named,
    request: Request,
) -> Response {
    answer(switched(&edge, name, request, Switch::On).await.map(Json))
}

/// Switches a schedule off: it does not fire until it is switched on.
#[utoipa::path(
    post, path = "/v1/schedules/{name}/disable", tag = "schedules", operation_id = "disable_schedule",
    params(("name" = String, Path, description = "As a list says.", example = "nightly")),
    responses(
        (status = 200, description = "It does not fire.", body = Schedule),
        (status = "4XX", description = "Refused; 404 where there is no such one in this tenant.", body = Failure, content_type = "application/problem+json"),
        (status = "5XX", description = "The store is away; see Retry-After.", body = Failure, content_type = "application/problem+json"),
    ),
    security(("api_key" = []), ("bearer" = [])),
)]
pub(in crate::http) async fn disable(
    State(edge): State<Arc<Edge>>,
    name: Named,
    request: Request,
) -> Response {
    answer(switched(&edge, name, request, Switch::Off).await.map(Json))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Switch {
    On,
    Off,
}

async fn switched(edge: &Edge, name: Named, request: Request, to: Switch) -> Result<Schedule, Refusal> {
    let intake = intake::take(edge, request, 0, |_headers| Ok(())).await?;
    let name = named(name)?;
    let change = |before: Option<ScheduleRow>| {
        let before = before.ok_or_else(absent)?;
        let enabled = to == Switch::On;
        // One that is on keeps what it still has to make up for.
        let next = if enabled && !before.enabled { next(&before, intake.now)? } else { before.next };
        Ok(ScheduleRow { enabled, next, changed: intake.now, ..before })
    };
    changed(edge, &intake, &name, change).await
}

fn next(row: &ScheduleRow, now: Timestamp) -> Result<Option<Timestamp>, Refusal> {
    let timing = Timing::parse(&row.settings).map_err(|error| {
        tracing::error!(%error, "the store has a schedule that is none");
        Refusal::plain(Reason::StoreRefused)
    })?;
    Ok(timing.next_after(now))
}

/// Puts what `change` makes of the schedule in its place; another change that came before it is looked at again.
async fn changed(
    edge: &Edge,
    intake: &Intake,
    name: &EntryName,
    change: impl Fn(Option<ScheduleRow>) -> Result<ScheduleRow, Refusal>,
) -> Result<Schedule, Refusal> {
    let (store, most) = (&edge.schedules, edge.config.schedules.most);
    for _ in 0..TRIES {
        let before = stored::by(intake.deadline, store.get_schedule(&intake.tenant, name)).await?;
        let expected = before.as_ref().map(|row| row.revision);
        let row = change(before)?;
        let putting = async {
            match store.put_schedule(&row, expected, most).await {
                Ok(revision) => Ok(Some(revision)),
                Err(Error::Conflict) if expected.is_some() => Ok(None),
                Err(error) => Err(error),
            }
        };
        let put = stored::or_conflict(intake.deadline, Reason::SchedulesTooMany, putting).await?;
        if let Some(revision) = put {
            return Ok(ScheduleRow { revision, ..row }.into());
        }
    }
    Err(Refusal::plain(Reason::ScheduleChanged))
}
