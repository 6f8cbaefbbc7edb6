//! Aliases: which version of a module is meant by a word, and back to the one before.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use shared::task::{BUILTIN, ModuleName, ModuleVersion};
use utoipa::ToSchema;

use super::absent;
use super::shown::Alias;
use crate::http::answer::{Failure, answer};
use crate::http::fields::Fields;
use crate::http::intake::{self, Intake};
use crate::http::{Edge, publish::takes_json};
use crate::refusal::{Reason, Refusal};
use crate::stored;

/// What an alias is to stand for.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"version": "1.0.0"}))]
pub(in crate::http) struct AliasRequest {
    /// A version of the module.
    version: String,
}

type Named = Result<Path<(String, String)>, PathRejection>;

/// Lets an alias stand for a version.
///
/// What comes in from now on means that version; tasks that were asked for before are run by the version that was meant
/// then.
#[utoipa::path(
    put, path = "/v1/modules/{module}/aliases/{alias}", tag = "modules", operation_id = "set_alias",
    params(
        ("module" = String, Path, description = "The module's name.", example = "sum"),
        ("alias" = String, Path, description = "The alias.", example = "live"),
    ),
    request_body(content = AliasRequest, content_type = "application/json"),
    responses(
        (status = 200, description = "It stands for that version.", body = Alias),
        (status = "4XX", description = "Refused: there is no such version, or a version is called like the alias.", body = Failure, content_type = "application/problem+json"),
        (status = "5XX", description = "The store is away; see Retry-After.", body = Failure, content_type = "application/problem+json"),
    ),
    security(("api_key" = []), ("bearer" = [])),
)]
pub(in crate::http) async fn set(State(edge): State<Arc<Edge>>, named: Named, request: Request) -> Response {
    let set = async {
        let intake = intake::take(&edge, request, edge.config.body_bytes, takes_json).await?;
        let text = std::str::from_utf8(&intake.body)
            .map_err(|error| Refusal::new(Reason::JsonMalformed, format_args!("JSON is UTF-8: {error}")))?;
        let mut fields = Fields::read(text, "")?;
        let version: String = fields.required("version", "a string")?;
        fields.finish(&[])?;
        let version = ModuleVersion::parse(&version).map_err(|error| {
            Refusal::new(Reason::NameInvalid, format_args!("the version {error}")).at("/version")
        })?;
        changed(&edge, &intake, named, Some(&version)).await
    };
    answer(set.await.map(Json))
}

/// Lets an alias stand for what it stood for before.
///
/// Once more goes forward again: the two change places.
#[utoipa::path(
    post, path = "/v1/modules/{module}/aliases/{alias}/rollback", tag = "modules", operation_id = "roll_back_alias",
    params(
        ("module" = String, Path, description = "The module's name.", example = "sum"),
        ("alias" = String, Path, description = "The alias.", example = "live"),
    ),
    responses(
        (status = 200, description = "It stands for what it stood for before.", body = Alias),
        (status = "4XX", description = "Refused: there is no such alias, or nothing before.", body = Failure, content_type = "application/problem+json"),
        (status = "5XX", description = "The store is away; see Retry-After.", body = Failure, content_type = "application/problem+json"),
    ),
    security(("api_key" = []), ("bearer" = [])),
)]
pub(in crate::http) async fn roll_back(
    State(edge): State<Arc<Edge>>,
    named: Named,
    request: Request,
) -> Response {
    let rolled = async {
        let intake = intake::take(&edge, request, 0, |_headers| Ok(())).await?;
        changed(&edge, &intake, named, None).await
    };
    answer(rolled.await.map(Json))
}

async fn changed(
    edge: &Edge,
    intake: &Intake,
    named: Named,
    version: Option<&ModuleVersion>,
) -> Result<Alias, Refusal> {
    let (name, alias) = read(named)?;
    let Intake { tenant, key_id, now, deadline, .. } = intake;
    let store = edge.modules.store();
    let setting = store.set_alias(tenant, &name, &alias, version, key_id, *now);
    let set = stored::or_conflict(*deadline, Reason::AliasTaken, setting).await;
    edge.modules.changed(tenant, &name);
    if let Some(row) = set? {
        return Ok(row.into());
    }
    if version.is_some() || !super::is_there(edge, tenant, &name, *deadline).await? {
        return Err(absent());
    }
    let known = stored::by(*deadline, store.aliases(tenant, &name)).await?;
    let is_alias = known.iter().any(|row| row.alias == alias);
    Err(Refusal::plain(if is_alias { Reason::NothingBefore } else { Reason::AliasNotFound }))
}

fn read(named: Named) -> Result<(ModuleName, ModuleVersion), Refusal> {
    // What is no name is the name of none.
    let Ok(Path((name, alias))) = named else { return Err(absent()) };
    let name = ModuleName::parse(&name).map_err(|_none| absent())?;
    let invalid =
        |why: &dyn std::fmt::Display| Refusal::new(Reason::NameInvalid, format_args!("the alias {why}"));
    let alias = ModuleVersion::parse(&alias).map_err(|error| invalid(&error))?;
    if alias.as_str() == BUILTIN { Err(invalid(&"is what executors bring along")) } else { Ok((name, alias)) }
}
