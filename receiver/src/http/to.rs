//! `POST /v1/to/{recipient}`: the request body is the content, so that `curl -d hi …/v1/to/alice` works. Options are
//! headers, or query parameters where a header is awkward.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Query, Request, State};
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, Uri, header};

use super::Edge;
use super::answer::{Accepted, Failure};
use super::intake::{self, text};
use super::publish::accept;
use super::wire::ttl_of;
use crate::admission::{Draft, To};
use crate::bound::Asked;
use crate::content::{Content, MediaType, nests_within};
use crate::refusal::{Reason, Refusal};

/// What a notification is when nobody says.
const DEFAULT_TYPE: &str = "notification";

/// What `curl -d` says when nobody says otherwise: it is a text that somebody typed.
const FORM: &str = "application/x-www-form-urlencoded";

/// Publishes the request body.
///
/// The content type is the request's; `application/x-www-form-urlencoded`, what `curl -d` sends, is taken as
/// `text/plain; charset=utf-8`, and a request without any as `application/octet-stream`. A header and a query parameter
/// that say different things are refused.
#[utoipa::path(
    post, path = "/v1/to/{recipient}", tag = "notifications", operation_id = "publish_to",
    params(
        ("recipient" = String, Path, description = "A-Z a-z 0-9 - . _ ~ @ : + up to 128 bytes.", example = "alice"),
        ("ttl" = Option<u64>, Query, description = "Seconds, up to 28 days."),
        ("urgency" = Option<String>, Query, description = "very-low, low, normal or high."),
        ("type" = Option<String>, Query, description = "What kind of thing happened; `notification` when absent."),
        ("task" = Option<String>, Query, description = "The module that is to enrich it before it is delivered: `name` or `name@version`."),
        ("TTL" = Option<u64>, Header, description = "As the query parameter (RFC 8030, section 5.2)."),
        ("Urgency" = Option<String>, Header, description = "As the query parameter (RFC 8030, section 5.3)."),
        ("Postrider-Type" = Option<String>, Header, description = "As the query parameter `type`."),
        ("Postrider-Task" = Option<String>, Header, description = "As the query parameter `task`."),
        ("Postrider-Metadata" = Option<String>, Header, description = "A JSON object, in ASCII."),
    ),
    request_body(content = String, content_type = "*/*", description = "The content."),
    responses(
        (status = 202, description = "Accepted: durable on the log.", body = Accepted),
        (status = "4XX", description = "Refused; nothing was accepted.", body = Failure, content_type = "application/problem+json"),
        (status = "5XX", description = "Not accepted, or not known to be; see Retry-After.", body = Failure, content_type = "application/problem+json"),
    ),
    security(("api_key" = []), ("bearer" = [])),
)]
pub(super) async fn publish_to(
    State(edge): State<Arc<Edge>>,
    recipient: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    let uri = request.uri().clone();
    let taken = async {
        let mut options = None;
        let check = |headers: &HeaderMap| Options::read(headers, &uri).map(|read| options = Some(read));
        let intake = intake::take(&edge, request, edge.config.body_bytes, check).await?;
        let Path(recipient) =
            recipient.map_err(|error| Refusal::new(Reason::RecipientInvalid, error.body_text()))?;
        let options = options.ok_or_else(|| Refusal::plain(Reason::Internal))?;
        if !nests_within_where_json(&options, &intake.body, edge.config.json_depth) {
            return Err(Refusal::plain(Reason::JsonTooDeep));
        }
        let draft = Draft {
            to: To::One(recipient),
            kind: options.kind.unwrap_or_else(|| DEFAULT_TYPE.to_owned()),
            content: Content::Raw(intake.body.clone()),
            content_type: options.content_type,
            ttl_s: options.ttl_s,
            urgency: options.urgency,
            metadata: options.metadata,
            task: options.module.map(|module| Asked { module, ..Asked::default() }),
        };
        Ok((draft, intake))
    };
    match taken.await {
        Ok((draft, intake)) => accept(&edge, draft, intake).await,
        Err(refusal) => Refusal::into_response(refusal),
    }
}

fn nests_within_where_json(options: &Options, body: &[u8], most: usize) -> bool {
    let is_json =
        options.content_type.as_deref().and_then(MediaType::parse).is_some_and(|media| media.is_json());
    let sound = |text: Option<&str>| text.is_none_or(|text| nests_within(text, most));
    sound(options.metadata.as_deref()) && (!is_json || sound(std::str::from_utf8(body).ok()))
}

struct Options {
    kind: Option<String>,
    content_type: Option<String>,
    ttl_s: Option<u64>,
    urgency: Option<String>,
    metadata: Option<String>,
    module: Option<String>,
}

impl Options {
    fn read(headers: &HeaderMap, uri: &Uri) -> Result<Self, Refusal> {
        let [ttl, urgency, kind, task] = query(uri)?;
        let either = |name: &str, asked: Option<String>| match (text(headers, name)?, asked) {
            (Some(header), Some(asked)) if header != asked => Err(Refusal::new(
                Reason::FieldConflict,
                format_args!("the header {name} and the query differ"),
            )),
            (Some(header), _) => Ok(Some(header.to_owned())),
            (None, asked) => Ok(asked),
        };
        let ttl = either("ttl", ttl)?;
        Ok(Self {
            kind: either("postrider-type", kind)?,
            content_type: content_type(headers)?,
            ttl_s: ttl.as_deref().map(ttl_of).transpose()?,
            urgency: either("urgency", urgency)?,
            metadata: text(headers, "postrider-metadata")?.map(str::to_owned),
            module: either("postrider-task", task)?,
        })
    }
}

fn content_type(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    let Some(stated) = text(headers, header::CONTENT_TYPE.as_str())? else { return Ok(None) };
    match MediaType::parse(stated) {
        Some(media) if media.essence == FORM => Ok(Some("text/plain; charset=utf-8".into())),
        Some(media) if media.essence.starts_with("multipart/") => {
            Err(Refusal::new(Reason::MediaTypeUnsupported, "send the content itself as the body"))
        }
        // What is no media type is refused by admission, like that of any other operation.
        Some(_) | None => Ok(Some(stated.to_owned())),
    }
}

/// The values of `ttl`, `urgency`, `type` and `task`.
fn query(uri: &Uri) -> Result<[Option<String>; 4], Refusal> {
    const NAMES: [&str; 4] = ["ttl", "urgency", "type", "task"];
    let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri)
        .map_err(|error| Refusal::new(Reason::QueryInvalid, error.body_text()))?;
    let mut found = [const { None }; NAMES.len()];
    for (name, value) in pairs {
        let Some(at) = NAMES.iter().position(|known| *known == name) else {
            let detail = format!("there are {}", NAMES.join(", "));
            return Err(Refusal::new(Reason::QueryInvalid, detail));
        };
        if found[at].replace(value).is_some() {
            return Err(Refusal::new(Reason::QueryInvalid, format_args!("{} is there twice", NAMES[at])));
        }
    }
    Ok(found)
}
