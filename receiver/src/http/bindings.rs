//! `/v1/bindings`: which notifications are enriched by which module before they are delivered, whoever produces them.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use shared::store::{BindingRow, EntryName};
use tokio::time::timeout_at;
use utoipa::ToSchema;

use super::answer::{Failure, answer};
use super::fields::Fields;
use super::intake::{self, Intake};
use super::{Edge, publish::takes_json};
use crate::bound::{Asked, pattern};
use crate::modules::Age;
use crate::refusal::{Reason, Refusal};
use crate::stored;

/// What is to be enriched, by what.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"type": "order.*", "module": "enrich"}))]
pub(super) struct BindingRequest {
    /// A notification's type, or the beginning of one and `*`. Of all that fit, the type itself counts, else the longest
    /// beginning.
    #[serde(rename = "type")]
    kind: String,
    /// `name` or `name@version`, where the version may be an alias.
    module: String,
    /// Most milliseconds that a notification is held back: up to 60000, 2000 when absent.
    #[schema(minimum = 1, maximum = 60_000)]
    deadline_ms: Option<u64>,
    /// What becomes of it when the deadline passes, or the module fails: deliver_plain (when absent), retry or dead_letter.
    on_timeout: Option<String>,
}

/// A binding.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Binding {
    /// Its name.
    #[schema(example = "orders")]
    pub name: String,
    /// A notification's type, or the beginning of one and `*`.
    #[serde(rename = "type")]
    #[schema(example = "order.*")]
    pub kind: String,
    /// By which module.
    #[schema(example = "enrich")]
    pub module: String,
    /// Most milliseconds that a notification is held back.
    pub deadline_ms: u64,
    /// `deliver_plain`, `retry` or `dead_letter`.
    pub on_timeout: String,
    /// When it was put there.
    #[schema(format = "date-time")]
    pub changed: String,
}

/// All bindings of a tenant.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AllBindings {
    /// By name.
    bindings: Vec<Binding>,
}

impl From<BindingRow> for Binding {
    fn from(row: BindingRow) -> Self {
        Self {
            name: row.name.to_string(),
            kind: row.kind,
            module: row.module.to_string(),
            deadline_ms: u64::try_from(row.deadline.as_millis()).unwrap_or(u64::MAX),
            on_timeout: row.on_timeout.as_str().to_owned(),
            changed: row.changed.to_string(),
        }
    }
}

/// Lists the bindings.
#[utoipa::path(
    get, path = "/v1/bindings", tag = "modules", operation_id = "list_bindings",
    responses(
        (status = 200, description = "All of them.", body = AllBindings),
        (status = "4XX", description = "Refused.", body = Failure, content_type = "application/problem+json"),
        (status = "5XX", description = "The store is away; see Retry-After.", body = Failure, content_type = "application/problem+json"),
    ),
    security(("api_key" = []), ("bearer" = [])),
)]
pub(super) async fn list(State(edge): State<Arc<Edge>>, request: Request) -> Response {
    let listed = async {
        let Intake { tenant, deadline, .. } = intake::take(&edge, request, 0, |_headers| Ok(())).await?;
        let rows = stored::by(deadline, edge.bindings.store.bindings(&tenant)).await?;
        Ok::<_, Refusal>(AllBindings { bindings: rows.into_iter().map(Binding::from).collect() })
    };
    answer(listed.await.map(Json))
}

/// Binds a module to the notifications of a type, or puts another binding in the place of the one of this name.
///
/// Every receiver heeds it within seconds (`receiver.modules.lookups.fresh_ms`).
#[utoipa::path(
    put, path = "/v1/bindings/{name}", tag = "modules", operation_id = "put_binding",
    params(("name" = String, Path, description = "A-Z a-z 0-9 - _ . up to 64 bytes.", example = "orders")),
    request_body(content = BindingRequest, content_type = "application/json"),
    responses(
        (status = 200, description = "It is there.", body = Binding),
        (status = "4XX", description = "Refused; nothing was changed.", body = Failure, content_type = "application/problem+json"),
        (status = "5XX", description = "The store is away; see Retry-After.", body = Failure, content_type = "application/problem+json"),
    ),
    security(("api_key" = []), ("bearer" = [])),
)]
pub(super) async fn put(
    State(edge): State<Arc<Edge>>,
    name: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    answer(accept(&edge, name, request).await.map(Json))
}

async fn accept(
    edge: &Edge,
    name: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Binding, Refusal> {
    let intake = intake::take(edge, request, edge.config.body_bytes, takes_json).await?;
    let name = entry_name(name)?;
    let (kind, asked) = read(&intake)?;
    pattern(&kind).map_err(|refusal| refusal.at("/type"))?;
    let enrichment = asked.settle("")?;
    let finding = edge.modules.find(&intake.tenant, &enrichment.module, Age::Now);
    match timeout_at(intake.deadline, finding).await {
        Ok(found) => drop(found.map_err(|refusal| {
            if refusal.reason == Reason::ModuleUnknown { refusal.at("/module") } else { refusal }
        })?),
        Err(_elapsed) => return Err(Refusal::plain(Reason::StoreUnavailable)),
    }
    let others = stored::by(intake.deadline, edge.bindings.store.bindings(&intake.tenant)).await?;
    if let Some(other) = others.iter().find(|other| other.kind == kind && other.name != name) {
        let detail = format!("{} has the type {kind}", other.name);
        return Err(Refusal::new(Reason::BindingTaken, detail).at("/type"));
    }
    let row = BindingRow {
        tenant: intake.tenant.clone(),
        name,
        kind,
        module: enrichment.module,
        deadline: enrichment.deadline,
        on_timeout: enrichment.on_timeout,
        changed: intake.now,
    };
    let putting = edge.bindings.store.put_binding(&row, edge.config.modules.bindings);
    let put = stored::or_conflict(intake.deadline, Reason::BindingsTooMany, putting).await;
    edge.bindings.changed(&intake.tenant);
    put.map(|()| row.into())
}

/// The type, and what is bound to it.
fn read(intake: &Intake) -> Result<(String, Asked), Refusal> {
    let text = std::str::from_utf8(&intake.body)
        .map_err(|error| Refusal::new(Reason::JsonMalformed, format_args!("JSON is UTF-8: {error}")))?;
    let mut fields = Fields::read(text, "")?;
    let kind = fields.required("type", "a string")?;
    let asked = Asked::read(&mut fields)?;
    fields.finish(&[])?;
    Ok((kind, asked))
}

impl Asked {
    /// Takes the fields that say by which module something is to be enriched.
    pub(super) fn read(fields: &mut Fields<'_>) -> Result<Self, Refusal> {
        Ok(Self {
            module: fields.required("module", "a string")?,
            deadline_ms: fields.optional("deadline_ms", "a whole number of milliseconds")?,
            on_timeout: fields.optional("on_timeout", "a string")?,
        })
    }
}

/// Removes a binding.
#[utoipa::path(
    delete, path = "/v1/bindings/{name}", tag = "modules", operation_id = "delete_binding",
    params(("name" = String, Path, description = "As a list says.", example = "orders")),
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
        // What is no name is the name of none.
        let name = entry_name(name).map_err(|_none| Refusal::plain(Reason::BindingNotFound))?;
        let was_there = stored::by(deadline, edge.bindings.store.delete_binding(&tenant, &name)).await;
        edge.bindings.changed(&tenant);
        if was_there? { Ok(StatusCode::NO_CONTENT) } else { Err(Refusal::plain(Reason::BindingNotFound)) }
    };
    answer(deleted.await)
}

/// The name of a binding, or of a schedule, in a path.
pub(super) fn entry_name(name: Result<Path<String>, PathRejection>) -> Result<EntryName, Refusal> {
    let invalid = |why: &dyn std::fmt::Display| Refusal::new(Reason::NameInvalid, why);
    let Path(text) = name.map_err(|error| invalid(&error.body_text()))?;
    EntryName::parse(&text).map_err(|error| invalid(&format_args!("the name {error}")))
}
