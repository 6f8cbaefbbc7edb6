//! `POST /v1/notifications/batch`: many notifications, as a JSON array or one a line (NDJSON), with a result for each.
//! A bad item costs only itself.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, header};
use serde::Serialize;
use utoipa::ToSchema;

use super::Edge;
use super::answer::{Accepted, Addressed, Failure, outcome};
use super::enriching::Enriching;
use super::fields::elements;
use super::intake::{self, Intake, text};
use super::wire::{NotificationRequest, draft};
use crate::admission::{Admitted, Allowance, Terms, admit};
use crate::content::MediaType;
use crate::publish;
use crate::refusal::{Reason, Refusal};

/// What became of a batch.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct BatchAnswer {
    /// One for each item, in order.
    results: Vec<BatchResult>,
    /// How many items were accepted.
    accepted: usize,
    /// How many were not.
    failed: usize,
}

/// What became of one item: `id` when `status` is 202, else `problem`.
#[derive(Debug, Serialize, ToSchema)]
struct BatchResult {
    /// Its place in the batch, from zero; blank lines do not count.
    index: usize,
    /// The status that it would have been answered with alone.
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    notifications: Option<Vec<Addressed>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<Box<Failure>>,
}

type Items = Vec<Result<Admitted, Refusal>>;

/// Publishes many notifications.
///
/// `application/json` with an array, or `application/x-ndjson` with one notification a line.
#[utoipa::path(
    post, path = "/v1/notifications/batch", tag = "notifications", operation_id = "publish_batch",
    request_body(content((Vec<NotificationRequest> = "application/json"), (String = "application/x-ndjson"))),
    responses(
        (status = 200, description = "A result for each item.", body = BatchAnswer),
        (status = "4XX", description = "Refused as a whole; nothing was accepted.", body = Failure, content_type = "application/problem+json"),
        (status = "5XX", description = "No item is known to be accepted; see Retry-After.", body = Failure, content_type = "application/problem+json"),
    ),
    security(("api_key" = []), ("bearer" = [])),
)]
pub(super) async fn publish_batch(State(edge): State<Arc<Edge>>, request: Request) -> Response {
    match batch(&edge, request).await {
        Ok(answer) => Json(answer).into_response(),
        Err(refusal) => refusal.into_response(),
    }
}

async fn batch(edge: &Edge, request: Request) -> Result<BatchAnswer, Refusal> {
    let mut form = Form::Array;
    let most = edge.config.batch_body_bytes;
    let intake =
        intake::take(edge, request, most, |headers| form_of(headers).map(|found| form = found)).await?;
    let bound = edge.bindings.of(&intake.tenant).await?;
    let terms = intake.terms(edge, &bound);
    let mut items = match form {
        Form::Array => array(edge, &intake, &terms)?,
        Form::Lines => lines(edge, &intake, &terms)?,
    };
    let mut enriching = Enriching::of(edge, &intake.tenant, intake.deadline);
    for item in &mut items {
        if let Ok(admitted) = item
            && let Err(refusal) = enriching.check(admitted).await
        {
            *item = Err(refusal);
        }
    }
    let Intake { reservation, deadline, .. } = intake;
    let answers = if items.iter().all(Result::is_err) {
        Vec::new()
    } else {
        publish::publish(&edge.log, items.iter().flatten(), reservation, deadline).await?
    };
    let away =
        |answer: &Result<(), Reason>| matches!(answer, Err(Reason::LogUnavailable | Reason::LogRefused));
    if !answers.is_empty() && answers.iter().all(away) {
        let reason = answers.iter().find_map(|answer| answer.err()).unwrap_or(Reason::LogUnavailable);
        return Err(Refusal::new(reason, "no item was accepted"));
    }
    Ok(tell(&items, &answers))
}

/// Puts the log's answers back to the items they belong to.
fn tell(items: &Items, answers: &[Result<(), Reason>]) -> BatchAnswer {
    let mut rest = answers;
    let mut results = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        let told = match item {
            Ok(admitted) => {
                let (own, behind) = rest.split_at(admitted.notifications().len().min(rest.len()));
                rest = behind;
                outcome(admitted, own)
            }
            Err(refusal) => Err(Box::new(Failure::from(refusal))),
        };
        results.push(match told {
            Ok(Accepted { id, notifications }) => {
                BatchResult { index, status: 202, id: Some(id), notifications, problem: None }
            }
            Err(failure) => BatchResult {
                index,
                status: failure.problem.status,
                id: None,
                notifications: None,
                problem: Some(failure),
            },
        });
    }
    let accepted = results.iter().filter(|result| result.problem.is_none()).count();
    BatchAnswer { accepted, failed: results.len() - accepted, results }
}

fn array(edge: &Edge, intake: &Intake, terms: &Terms<'_>) -> Result<Items, Refusal> {
    let text = std::str::from_utf8(&intake.body)
        .map_err(|error| Refusal::new(Reason::JsonMalformed, format_args!("JSON is UTF-8: {error}")))?;
    let most = edge.config.batch_items;
    let (items, count) = elements(text, most)?;
    within(count, most)?;
    let mut allowance = Allowance::of(&edge.config);
    Ok(items.into_iter().map(|item| read(intake, terms, item.get(), &mut allowance)).collect())
}

fn lines(edge: &Edge, intake: &Intake, terms: &Terms<'_>) -> Result<Items, Refusal> {
    let most = edge.config.batch_items;
    let filled = intake.body.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
    let lines: Vec<_> = filled.take(most + 1).collect();
    within(lines.len(), most)?;
    let mut allowance = Allowance::of(&edge.config);
    let read = |line: &[u8]| {
        let text = std::str::from_utf8(line)
            .map_err(|error| Refusal::new(Reason::JsonMalformed, format_args!("JSON is UTF-8: {error}")))?;
        read(intake, terms, text, &mut allowance)
    };
    let items: Items = lines.into_iter().map(read).collect();
    let malformed = |item: &Result<_, Refusal>| {
        item.as_ref().is_err_and(|refusal| {
            refusal.reason == Reason::JsonMalformed && refusal.pointer.as_deref().is_none_or(str::is_empty)
        })
    };
    if items.iter().all(malformed) {
        return Err(Refusal::new(Reason::JsonMalformed, "no line is JSON"));
    }
    Ok(items)
}

fn within(count: usize, most: usize) -> Result<(), Refusal> {
    match count {
        0 => Err(Refusal::plain(Reason::BatchEmpty)),
        count if count > most => {
            Err(Refusal::new(Reason::BatchTooMany, format_args!("at most {most} are taken")))
        }
        _ => Ok(()),
    }
}

fn read(
    intake: &Intake,
    terms: &Terms<'_>,
    text: &str,
    allowance: &mut Allowance,
) -> Result<Admitted, Refusal> {
    let draft = draft(text, &intake.body, terms.config)?;
    admit(draft, intake::new_id(intake.now)?, terms, allowance)
}

/// Names under which one JSON a line goes about.
const LINES: [&str; 3] = ["application/x-ndjson", "application/ndjson", "application/jsonl"];

enum Form {
    Array,
    Lines,
}

fn form_of(headers: &HeaderMap) -> Result<Form, Refusal> {
    let stated = text(headers, header::CONTENT_TYPE.as_str())?.unwrap_or_default();
    match MediaType::parse(stated) {
        Some(media) if LINES.contains(&media.essence.as_str()) => Ok(Form::Lines),
        Some(media) if media.is_json() => Ok(Form::Array),
        Some(_) | None => {
            let detail = "this operation takes application/json and application/x-ndjson";
            Err(Refusal::new(Reason::MediaTypeUnsupported, detail))
        }
    }
}
