//! The span of a request: begun below what the producer says, ended with the answer. What the request publishes stands
//! below it, and log lines of a request that is sampled name its trace.

use axum::extract::{MatchedPath, Request};
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderMap, Method};
use shared::notification::Trace;
use shared::telemetry::spans::{self, Operation};
use shared::telemetry::trace::{self, Begun};
use tracing::Instrument as _;

use crate::trace::carried;

/// Runs `request` within its span, and leaves the context in its extensions as a [`Trace`].
pub(super) async fn request(mut request: Request, next: Next) -> Response {
    if request.method() != Method::POST {
        return next.run(request).await;
    }
    let route = match request.extensions().get::<MatchedPath>().map(MatchedPath::as_str) {
        Some("/v1/notifications") => "/v1/notifications",
        Some("/v1/notifications/batch") => "/v1/notifications/batch",
        Some("/v1/to/{recipient}") => "/v1/to/{recipient}",
        Some("/v1/tasks") => "/v1/tasks",
        Some(_) | None => return next.run(request).await,
    };
    let stated = stated(request.headers());
    let Begun { span, context } = trace::begin(Operation::Request(route), &stated);
    request.extensions_mut().insert(context.unwrap_or(stated));
    let Some(mut span) = span else { return next.run(request).await };
    let lines = tracing::info_span!("request", trace_id = span.trace_id());
    let response = next.run(request).instrument(lines).await;
    span.note(spans::HTTP_STATUS, i64::from(response.status().as_u16()));
    if response.status().is_server_error() {
        span.fail("5xx");
    }
    response
}

/// What the producer says of its trace, as far as it is well formed.
fn stated(headers: &HeaderMap) -> Trace {
    // More than one line of these is one list (RFC 9110, section 5.3).
    let joined = |name: &str| {
        let lines: Vec<_> = headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
        (!lines.is_empty()).then(|| lines.join(","))
    };
    carried(joined("traceparent").as_deref(), joined("tracestate").as_deref(), joined("baggage").as_deref())
}
