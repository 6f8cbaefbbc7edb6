//! `/v1/modules`: what a tenant's tasks are run by. Here they are looked at and removed; `put` takes them in, `aliases` says
//! which version is meant, `shown` is how they look outside.
//!
//! A tenant sees its own only. Built-in modules are every tenant's, and in no list.

pub(super) mod aliases;
pub(super) mod put;
pub(super) mod shown;

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use http::{StatusCode, Uri};
use serde::Serialize;
use shared::recipient::TenantId;
use shared::task::{ModuleName, ModuleRef, ModuleVersion};
use utoipa::ToSchema;

use self::shown::{Alias, ModuleShown};
use super::answer::{Failure, answer};
use super::intake::{self, Intake};
use super::{Edge, query};
use crate::publish::Reservation;
use crate::refusal::{Reason, Refusal};
use crate::stored;

/// A page of versions of modules.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ModulePage {
    /// By name, the newest version first.
    modules: Vec<ModuleShown>,
    /// What to ask with for the next page; absent when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
}

/// One version, and what stands for it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct WholeModule {
    #[serde(flatten)]
    module: ModuleShown,
    /// Aliases of the module, whichever version they stand for.
    aliases: Vec<Alias>,
}

/// Lists modules: all versions, by name, the newest first.
#[utoipa::path(
    get, path = "/v1/modules", tag = "modules", operation_id = "list_modules",
    params(
        ("name" = Option<String>, Query, description = "Versions of this module only.", example = "sum"),
        ("limit" = Option<u32>, Query, description = "How many, up to 200."),
        ("cursor" = Option<String>, Query, description = "What the page before ended with."),
    ),
    responses(
        (status = 200, description = "A page.", body = ModulePage),
        (status = "4XX", description = "Refused.", body = Failure, content_type = "application/problem+json"),
        (status = "5XX", description = "The store is away; see Retry-After.", body = Failure, content_type = "application/problem+json"),
    ),
    security(("api_key" = []), ("bearer" = [])),
)]
pub(super) async fn list(State(edge): State<Arc<Edge>>, request: Request) -> Response {
    answer(page(&edge, request).await.map(Json))
}

async fn page(edge: &Edge, request: Request) -> Result<ModulePage, Refusal> {
    let uri = request.uri().clone();
    let Intake { tenant, deadline, .. } = intake::take(edge, request, 0, |_headers| Ok(())).await?;
    let settings = &edge.config.modules;
    let Asked { name, after, limit } = Asked::read(&uri, settings.page, settings.page_most)?;
    let _answer = Reservation::of(&edge.memory, edge.config.tasks.answer_bytes)?;
    let after = after.as_ref().map(|(name, version)| (name, version));
    let listing = edge.modules.store().list_modules(&tenant, name.as_ref(), after, limit);
    let found = stored::by(deadline, listing).await?;
    let full = query::is_full(found.len(), limit);
    let cursor = found.last().filter(|_| full);
    let cursor = cursor.map(|last| query::cursor(&format!("{}@{}", last.name, last.version)));
    Ok(ModulePage { modules: found.into_iter().map(ModuleShown::from).collect(), cursor })
}

/// The query of a list.
struct Asked {
    name: Option<ModuleName>,
    after: Option<(ModuleName, ModuleVersion)>,
    limit: u32,
}

impl Asked {
    fn read(uri: &Uri, page: u32, most: u32) -> Result<Self, Refusal> {
        let mut asked = Self { name: None, after: None, limit: page };
        let place = |text: &str| {
            let module = ModuleRef::parse(text).ok()?;
            Some((module.name, module.version?))
        };
        for (name, value) in &query::pairs(uri)? {
            match name.as_str() {
                "limit" => asked.limit = query::limit(value, most)?,
                "cursor" => asked.after = Some(query::place(value, place)?),
                "name" => {
                    let name = ModuleName::parse(value);
                    asked.name = Some(name.map_err(|error| query::invalid(format_args!("name {error}")))?);
                }
                _ => return Err(query::invalid("there are name, limit and cursor")),
            }
        }
        Ok(asked)
    }
}

/// Shows a version of a module, by itself or by an alias, and the module's aliases.
#[utoipa::path(
    get, path = "/v1/modules/{module}", tag = "modules", operation_id = "show_module",
    params(("module" = String, Path, description = "`name@version`, or `name` for what is live.", example = "sum@1.0.0")),
    responses(
        (status = 200, description = "The version.", body = WholeModule),
        (status = "4XX", description = "Refused; 404 where there is no such one in this tenant.", body = Failure, content_type = "application/problem+json"),
        (status = "5XX", description = "The store is away; see Retry-After.", body = Failure, content_type = "application/problem+json"),
    ),
    security(("api_key" = []), ("bearer" = [])),
)]
pub(super) async fn show(
    State(edge): State<Arc<Edge>>,
    module: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    answer(whole(&edge, module, request).await.map(Json))
}

async fn whole(
    edge: &Edge,
    module: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<WholeModule, Refusal> {
    let Intake { tenant, deadline, .. } = intake::take(edge, request, 0, |_headers| Ok(())).await?;
    let module = named(module)?;
    let store = edge.modules.store();
    let found = stored::by(deadline, store.find_module(&tenant, &module)).await?.ok_or_else(absent)?;
    let aliases = stored::by(deadline, store.aliases(&tenant, &module.name)).await?;
    Ok(WholeModule { module: found.into(), aliases: aliases.into_iter().map(Alias::from).collect() })
}

/// Removes a version of a module. What runs goes on; what was asked for and names it will fail.
#[utoipa::path(
    delete, path = "/v1/modules/{module}", tag = "modules", operation_id = "delete_module",
    params(("module" = String, Path, description = "`name@version`; an alias is refused.", example = "sum@1.0.0")),
    responses(
        (status = 204, description = "Removed."),
        (status = "4XX", description = "Refused: it is not there, or an alias stands for it.", body = Failure, content_type = "application/problem+json"),
        (status = "5XX", description = "The store is away; see Retry-After.", body = Failure, content_type = "application/problem+json"),
    ),
    security(("api_key" = []), ("bearer" = [])),
)]
pub(super) async fn delete(
    State(edge): State<Arc<Edge>>,
    module: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    answer(removed(&edge, module, request).await.map(|()| StatusCode::NO_CONTENT))
}

async fn removed(
    edge: &Edge,
    module: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<(), Refusal> {
    let Intake { tenant, deadline, .. } = intake::take(edge, request, 0, |_headers| Ok(())).await?;
    let ModuleRef { name, version: Some(version) } = named(module)? else {
        return Err(Refusal::new(Reason::NameInvalid, "say which version: name@version"));
    };
    let deleting = edge.modules.store().delete_module(&tenant, &name, &version);
    let was_there = stored::or_conflict(deadline, Reason::VersionAliased, deleting).await;
    edge.modules.changed(&tenant, &name);
    if was_there? { Ok(()) } else { Err(absent()) }
}

/// The module that the path names.
fn named(module: Result<Path<String>, PathRejection>) -> Result<ModuleRef, Refusal> {
    // What is no name is the name of none.
    module.ok().and_then(|Path(text)| ModuleRef::parse(&text).ok()).ok_or_else(absent)
}

fn absent() -> Refusal {
    Refusal::plain(Reason::ModuleNotFound)
}

/// Whether `tenant` has a module called so.
async fn is_there(
    edge: &Edge,
    tenant: &TenantId,
    name: &ModuleName,
    deadline: tokio::time::Instant,
) -> Result<bool, Refusal> {
    let listing = edge.modules.store().list_modules(tenant, Some(name), None, 1);
    Ok(!stored::by(deadline, listing).await?.is_empty())
}
