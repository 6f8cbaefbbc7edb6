//! `PUT /v1/modules/{name}@{version}`: takes a module in. The body is the WASM, and in front of it, where there are any, the
//! settings as JSON: `cat settings.json sum.wasm | curl -T - …`. No JSON has the byte that every WASM begins with.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use shared::digest::Digest;
use shared::store::ModuleRow;
use shared::task::settings::Settings;
use shared::task::{BUILTIN, LIVE, ModuleName, ModuleRef, ModuleVersion};
use tokio::time::timeout_at;

use super::shown::ModuleShown;
use crate::http::Edge;
use crate::http::answer::{Failure, answer};
use crate::http::intake::{self, Intake, text};
use crate::refusal::{Reason, Refusal};
use crate::stored;

/// Puts a version of a module there.
///
/// The body is the WASM: a component of the world `postrider:task/task`, or a command of WASI preview 1. In front of it may
/// be its settings, a JSON object: grants, limits and the schema of its input. A version never changes: the same again is
/// answered as the first time, anything else is refused. The first version of a module is `live` at once.
#[utoipa::path(
    put, path = "/v1/modules/{module}", tag = "modules", operation_id = "put_module",
    params(
        ("module" = String, Path, description = "`name@version`: a-z 0-9 - _ . and A-Z a-z 0-9 - _ . + up to 64 bytes each.", example = "sum@1.0.0"),
        ("Content-Digest" = Option<String>, Header, description = "`sha-256=:…:` of the body (RFC 9530), settings included; another body is refused."),
        ("Postrider-Module-Digest" = Option<String>, Header, description = "`sha256:` and 64 hexadecimal digits of the WASM alone; another module is refused."),
    ),
    request_body(content = String, content_type = "application/wasm", description = "The settings, if there are any, and the WASM."),
    responses(
        (status = 200, description = "It is there already.", body = ModuleShown),
        (status = 201, description = "It is there now.", body = ModuleShown),
        (status = "4XX", description = "Refused; nothing was changed.", body = Failure, content_type = "application/problem+json"),
        (status = "5XX", description = "The store is away; see Retry-After.", body = Failure, content_type = "application/problem+json"),
    ),
    security(("api_key" = []), ("bearer" = [])),
)]
pub(in crate::http) async fn put(
    State(edge): State<Arc<Edge>>,
    module: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    answer(accept(&edge, module, request).await.map(|(status, module)| (status, Json(module))))
}

async fn accept(
    edge: &Edge,
    module: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<(StatusCode, ModuleShown), Refusal> {
    let mut stated = Stated::default();
    let most = edge.config.modules.module_bytes.saturating_add(Settings::MAX_BYTES);
    let check = |headers: &HeaderMap| Stated::read(headers).map(|read| stated = read);
    let intake = intake::take(edge, request, most, check).await?;
    let (name, version) = named(module)?;
    let (settings, bytes) = apart(&intake.body, edge.config.modules.module_bytes)?;
    let digest = stated.check(&intake.body, &bytes)?;
    let inspecting = edge.modules.inspect(bytes.clone(), settings.clone());
    let Ok(inspected) = timeout_at(intake.deadline, inspecting).await else {
        return Err(Refusal::new(Reason::Overloaded, "other modules are being checked"));
    };
    inspected?;
    let row = ModuleRow {
        tenant: intake.tenant.clone(),
        name,
        version,
        digest,
        size_bytes: bytes.len() as u64,
        settings: settings.to_json(),
        created: intake.now,
        created_by: intake.key_id.clone(),
    };
    put_row(edge, &intake, row, &bytes).await
}

async fn put_row(
    edge: &Edge,
    intake: &Intake,
    row: ModuleRow,
    bytes: &Bytes,
) -> Result<(StatusCode, ModuleShown), Refusal> {
    let (store, deadline) = (edge.modules.store(), intake.deadline);
    let asked = ModuleRef { name: row.name.clone(), version: Some(row.version.clone()) };
    let known = stored::by(deadline, store.find_module(&row.tenant, &asked)).await?;
    if let Some(known) = known.filter(|known| known.version == row.version) {
        let same = known.digest == row.digest && known.settings == row.settings;
        return if same {
            Ok((StatusCode::OK, known.into()))
        } else {
            Err(Refusal::plain(Reason::VersionTaken))
        };
    }
    let most = edge.config.modules.versions;
    let others = stored::by(deadline, store.list_modules(&row.tenant, None, None, most)).await?;
    if others.len() >= usize::try_from(most).unwrap_or(usize::MAX) {
        return Err(Refusal::new(Reason::ModulesTooMany, format_args!("at most {most} versions in all")));
    }
    let putting = store.put_module(&row, bytes);
    let put = stored::or_conflict(deadline, Reason::VersionTaken, putting).await;
    edge.modules.changed(&row.tenant, &row.name);
    put.map(|()| (StatusCode::CREATED, row.into()))
}

/// The module that the path names.
fn named(module: Result<Path<String>, PathRejection>) -> Result<(ModuleName, ModuleVersion), Refusal> {
    let invalid = |why: &dyn std::fmt::Display| Refusal::new(Reason::NameInvalid, why);
    let Path(text) = module.map_err(|error| invalid(&error.body_text()))?;
    let module =
        ModuleRef::parse(&text).map_err(|error| invalid(&format_args!("the module's name {error}")))?;
    let Some(version) = module.version else {
        return Err(invalid(&"say which version: name@version"));
    };
    if [LIVE, BUILTIN].contains(&version.as_str()) {
        return Err(invalid(&format_args!("{version} is no version to give")));
    }
    Ok((module.name, version))
}

/// What stands before the WASM, and the WASM.
fn apart(body: &Bytes, most_bytes: usize) -> Result<(Settings, Bytes), Refusal> {
    let at = body.iter().position(|byte| *byte == 0).unwrap_or(body.len());
    let (settings, bytes) = (body.slice(..at), body.slice(at..));
    if bytes.is_empty() {
        let detail = "the body is no WASM; settings stand in front of it, not in its place";
        return Err(Refusal::new(Reason::ModuleUnfit, detail));
    }
    if bytes.len() > most_bytes {
        let detail = format!("the module has {} bytes, at most {most_bytes} are taken", bytes.len());
        return Err(Refusal::new(Reason::BodyTooLarge, detail));
    }
    let invalid = |why: &dyn std::fmt::Display| Refusal::new(Reason::ModuleSettingsInvalid, why);
    let text = std::str::from_utf8(&settings).map_err(|error| invalid(&error))?.trim();
    let settings = if text.is_empty() { Ok(Settings::default()) } else { Settings::parse(text) };
    Ok((settings.map_err(|error| invalid(&error))?, bytes))
}

/// The digests that the request states.
#[derive(Default)]
struct Stated {
    /// Of the body, base64.
    body: Option<String>,
    /// Of the module.
    module: Option<Digest>,
}

impl Stated {
    fn read(headers: &HeaderMap) -> Result<Self, Refusal> {
        let invalid = |what: &str, why: &dyn std::fmt::Display| {
            Refusal::new(Reason::HeaderInvalid, format_args!("{what} {why}"))
        };
        let body = text(headers, "content-digest")?.map(|stated| {
            // Of several algorithms the one that is known counts.
            let known =
                stated.split(',').find_map(|one| one.trim().strip_prefix("sha-256=:")?.strip_suffix(':'));
            known.map(str::to_owned).ok_or_else(|| invalid("Content-Digest", &"is not sha-256=:base64:"))
        });
        let module = text(headers, "postrider-module-digest")?.map(|stated| {
            stated.parse::<Digest>().map_err(|error| invalid("Postrider-Module-Digest", &error))
        });
        Ok(Self { body: body.transpose()?, module: module.transpose()? })
    }

    /// The digest of the module, once it is what was stated.
    fn check(&self, body: &Bytes, module: &Bytes) -> Result<Digest, Refusal> {
        let digest = Digest::of(module);
        let differs = |is: &dyn std::fmt::Display| {
            Refusal::new(Reason::DigestMismatch, format_args!("what came has the digest {is}"))
        };
        if self.module.is_some_and(|stated| stated != digest) {
            return Err(differs(&digest));
        }
        if let Some(stated) = &self.body {
            let is = STANDARD.encode(Digest::of(body).as_bytes());
            if is != *stated {
                return Err(differs(&format_args!("sha-256=:{is}:")));
            }
        }
        Ok(digest)
    }
}
