//! `POST /v1/notifications`: one notification, to one recipient or to several.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use http::header;

use super::answer::{Accepted, Failure, outcome};
use super::enriching::Enriching;
use super::intake::{self, Intake};
use super::wire::{NotificationRequest, draft};
use super::{Edge, intake::text};
use crate::admission::{Admitted, Allowance, Draft, admit};
use crate::content::MediaType;
use crate::publish;
use crate::refusal::{Reason, Refusal};

/// Publishes a notification.
///
/// 202 means durable: the log has acknowledged the record.
#[utoipa::path(
    post, path = "/v1/notifications", tag = "notifications", operation_id = "publish",
    request_body(content = NotificationRequest, content_type = "application/json"),
    responses(
        (status = 202, description = "Accepted: durable on the log.", body = Accepted),
        (status = "4XX", description = "Refused; nothing was accepted.", body = Failure, content_type = "application/problem+json"),
        (status = "5XX", description = "Not accepted, or not known to be; see Retry-After.", body = Failure, content_type = "application/problem+json"),
    ),
    security(("api_key" = []), ("bearer" = [])),
)]
pub(super) async fn publish(State(edge): State<Arc<Edge>>, request: Request) -> Response {
    let admitted = async {
        let intake = intake::take(&edge, request, edge.config.body_bytes, takes_json).await?;
        let text = std::str::from_utf8(&intake.body)
            .map_err(|error| Refusal::new(Reason::JsonMalformed, format_args!("JSON is UTF-8: {error}")))?;
        let draft = draft(text, &intake.body, &edge.config)?;
        Ok((draft, intake))
    };
    match admitted.await {
        Ok((draft, intake)) => accept(&edge, draft, intake).await,
        Err(refusal) => Refusal::into_response(refusal),
    }
}

/// Admits and publishes the one draft of a request, and answers it.
pub(super) async fn accept(edge: &Edge, draft: Draft, intake: Intake) -> Response {
    let admitted = match admitted(edge, draft, &intake).await {
        Ok(admitted) => admitted,
        Err(refusal) => return refusal.into_response(),
    };
    let Intake { reservation, deadline, .. } = intake;
    match publish::publish(&edge.log, std::iter::once(&admitted), reservation, deadline).await {
        Ok(answers) => match outcome(&admitted, &answers) {
            Ok(accepted) => accepted.into_response(),
            Err(failure) => Failure::into_response(*failure),
        },
        Err(refusal) => refusal.into_response(),
    }
}

async fn admitted(edge: &Edge, draft: Draft, intake: &Intake) -> Result<Admitted, Refusal> {
    let bound = edge.bindings.of(&intake.tenant).await?;
    let (id, mut allowance) = (intake::new_id(intake.now)?, Allowance::of(&edge.config));
    let admitted = admit(draft, id, &intake.terms(edge, &bound), &mut allowance)?;
    Enriching::of(edge, &intake.tenant, intake.deadline).check(&admitted).await?;
    Ok(admitted)
}

/// Refuses what is not JSON by its content type.
pub(super) fn takes_json(headers: &http::HeaderMap) -> Result<(), Refusal> {
    let stated = text(headers, header::CONTENT_TYPE.as_str())?.unwrap_or_default();
    match MediaType::parse(stated) {
        Some(media) if media.is_json() => Ok(()),
        Some(_) | None => {
            Err(Refusal::new(Reason::MediaTypeUnsupported, "this operation takes application/json"))
        }
    }
}
