//! The one place that chooses the HTTP status of each refusal.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use shared::problem::{CONTENT_TYPE, Problem};

use crate::auth::Denied;
use crate::hub::Refused;

/// Why a request is not served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The credentials are no good.
    Denied(Denied),
    /// A browser page of another origin.
    Origin,
    /// The cursor is none of ours, or not this recipient's.
    Cursor,
    /// A query parameter, and what is wrong with it.
    Query(&'static str, &'static str),
    /// The body is not what this endpoint reads.
    Body(String),
    /// The body is larger than the limit.
    BodyTooLarge,
    /// The body took longer than the limit.
    BodyTimeout,
    /// Not a WebSocket handshake, and why.
    Handshake(&'static str),
    /// Another version of the WebSocket protocol.
    Version,
    /// Subprotocols were offered, none of them ours.
    Subprotocol,
    /// The node that holds the session cannot be told just now.
    Unreachable,
    /// No such path.
    NotFound,
    /// No such method here.
    Method,
    /// No session, and the seconds after which to try again.
    Refused(Refused, u64),
}

impl Refusal {
    /// The problem, with its status.
    pub(crate) fn problem(&self) -> Problem {
        match self {
            Self::Denied(Denied::Missing) => Problem::new("token-missing", "a client token is needed", 401),
            Self::Denied(Denied::Expired) => Problem::new("token-expired", "the token has expired", 401),
            Self::Denied(Denied::Ticket) => Problem::new("ticket-invalid", "the ticket is no good", 401)
                .detail(Denied::Ticket.to_string()),
            Self::Denied(denied) => {
                Problem::new("token-invalid", "the token is no good", 401).detail(denied.to_string())
            }
            Self::Origin => Problem::new("origin-refused", "this origin is not let in", 403)
                .detail("add it to auth.allowed_origins"),
            Self::Cursor => Problem::new("cursor-invalid", "the cursor is not one of this recipient", 400),
            Self::Query(name, what) => Problem::new("query-invalid", "a query parameter is wrong", 400)
                .detail(format!("{name} {what}")),
            Self::Body(what) => Problem::new("body-invalid", "the body is wrong", 400).detail(what),
            Self::BodyTooLarge => Problem::new("body-too-large", "the body is too large", 413),
            Self::BodyTimeout => Problem::new("body-timeout", "the body took too long", 408).retry_after(1),
            Self::Handshake(what) => {
                Problem::new("handshake-invalid", "not a WebSocket handshake", 400).detail(*what)
            }
            Self::Version => {
                Problem::new("version-unsupported", "another version of WebSocket is needed", 426)
            }
            Self::Subprotocol => {
                Problem::new("subprotocol-unsupported", "no offered subprotocol is spoken here", 400)
                    .detail("offer postrider.v1.json, or nothing")
            }
            Self::Unreachable => {
                Problem::new("session-unreachable", "the node of the session cannot be told now", 503)
                    .retry_after(1)
            }
            Self::NotFound => Problem::new("not-found", "there is nothing here", 404),
            Self::Method => Problem::new("method-not-allowed", "not with this method", 405),
            Self::Refused(Refused::Full, after) => {
                Problem::new("overloaded", "this node is full", 503).retry_after(*after)
            }
            Self::Refused(Refused::RecipientFull, after) => {
                Problem::new("recipient-overloaded", "the recipient has too many sessions", 503)
                    .retry_after(*after)
            }
            Self::Refused(Refused::TenantFull, after) => {
                Problem::new("tenant-overloaded", "the tenant has too many sessions at this node", 503)
                    .retry_after(*after)
            }
            Self::Refused(Refused::Draining, after) => {
                Problem::new("draining", "this node is going away", 503).retry_after(*after)
            }
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let problem = self.problem();
        crate::metrics::request_refused(problem.code);
        let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let retry_after = problem.retry_after_s;
        let mut response = (status, Json(problem)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
        if let Some(seconds) = retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        match self {
            Self::Denied(_) => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            Self::Version => {
                headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
            }
            // The rest of a body that was not read cannot be told from the next request.
            Self::BodyTooLarge | Self::BodyTimeout => {
                headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            _ => {}
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use shared::serve::TurnedAway;

    use super::*;

    #[test]
    fn every_problem_is_documented_as_it_is_answered() {
        let document = include_str!("../../../docs/PROTOCOL.md");
        let all = [
            Refusal::Denied(Denied::Missing),
            Refusal::Denied(Denied::Malformed),
            Refusal::Denied(Denied::Expired),
            Refusal::Denied(Denied::Ticket),
            Refusal::Origin,
            Refusal::Cursor,
            Refusal::Query("max", "is wrong"),
            Refusal::Body("is wrong".to_owned()),
            Refusal::BodyTooLarge,
            Refusal::BodyTimeout,
            Refusal::Handshake("is wrong"),
            Refusal::Version,
            Refusal::Subprotocol,
            Refusal::Unreachable,
            Refusal::NotFound,
            Refusal::Method,
            Refusal::Refused(Refused::Full, 1),
            Refusal::Refused(Refused::RecipientFull, 1),
            Refusal::Refused(Refused::TenantFull, 1),
            Refusal::Refused(Refused::Draining, 1),
        ];
        for refusal in all {
            let problem = refusal.problem();
            let retryable = if problem.retryable { "yes" } else { "no" };
            let row = format!("| `{}` | {} | {retryable} |", problem.code, problem.status);
            assert!(document.contains(&row), "docs/PROTOCOL.md lacks: {row}");
        }
        for turned in TurnedAway::ALL {
            let (code, status, _title) = turned.row();
            let row = format!("| `{code}` | {status} | yes |");
            assert!(document.contains(&row), "docs/PROTOCOL.md lacks: {row}");
        }
    }
}
