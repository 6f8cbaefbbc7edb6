//! Server-sent events: `GET /v1/sse`. The body is a stream that is asked for the next chunk; what the socket's
//! [`Outflow`] says of the chunks before it is what the session's grace rule hangs on.

mod encode;

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State as Shared};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, header};
use rand::Rng as _;
use shared::serve::Outflow;
use tokio::time::Instant;

use crate::auth::{Denied, Use};
use crate::heartbeat::{Beat, Heartbeat};
use crate::http::Edge;
use crate::http::problem::Refusal;
use crate::http::query::Asked;
use crate::hub::{Handle, Opened, SessionGuard, Transport};
use crate::protocol::{self, Code, Mistake};
use crate::session::{Frame, State};

/// Serves the request.
pub(crate) async fn stream(
    Shared(edge): Shared<Arc<Edge>>,
    request: Request,
) -> Result<Response<Body>, Refusal> {
    edge.check_origin(request.headers())?;
    let asked = Asked::read(request.uri())?;
    let (cursor, window) = (asked.event_cursor(request.headers())?, asked.window()?);
    let acknowledging = asked.acknowledging()?;
    let usage = if cursor.is_some() { Use::Reconnect } else { Use::Connect };
    let bearer = edge.bearer(request.headers())?;
    let identity = match (bearer, asked.ticket()) {
        (Some(identity), _) => identity,
        (None, None) => return Err(Refusal::Denied(Denied::Missing)),
        (None, Some(ticket)) => match edge.ticket(ticket, usage) {
            Ok(identity) => identity,
            // An `EventSource` comes back for ever by itself; this status makes it stop.
            Err(Refusal::Denied(Denied::Expired)) => return Ok(StatusCode::NO_CONTENT.into_response()),
            Err(refusal) => return Err(refusal),
        },
    };
    let handle = edge.open(Opened {
        recipient: identity.recipient.clone(),
        cursor,
        acknowledging,
        window,
        transport: Transport::Sse,
    })?;
    let outflow = request.extensions().get::<Outflow>().cloned().unwrap_or_default();
    outflow.limit_unconfirmed(edge.unconfirmed);
    let now = Instant::now();
    let events = Events {
        opened: edge.opened(&handle, window),
        heartbeat: Heartbeat::new(handle.id(), edge.settings.ping_ms, u32::MAX, now.into_std()),
        expires: now + identity.expires.since(edge.now()),
        guard: handle.guard(),
        handle,
        outflow,
        unflushed: None,
        stage: Stage::Begin,
        edge,
    };
    let body = futures_util::stream::unfold(Box::new(events), |mut events| async move {
        let chunk = events.next().await?;
        Some((Ok::<_, Infallible>(chunk), events))
    });
    Ok(response(Body::from_stream(body)))
}

fn response(body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Proxies of the nginx family collect a response before they pass it on, unless told not to.
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    response
}

/// Where a stream stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Begin,
    Open,
    Over,
}

/// One stream of events. Dropping it, as hyper does when the connection goes, ends the session.
struct Events {
    edge: Arc<Edge>,
    handle: Handle,
    #[expect(dead_code, reason = "held to be dropped")]
    guard: SessionGuard,
    opened: protocol::Opened,
    heartbeat: Heartbeat,
    expires: Instant,
    outflow: Outflow,
    /// The last sequence number given to hyper, and the flushes counted before.
    unflushed: Option<(u64, u64)>,
    stage: Stage,
}

impl Events {
    /// The next chunk; `None` ends the response.
    async fn next(&mut self) -> Option<Bytes> {
        match self.stage {
            Stage::Begin => {
                self.stage = Stage::Open;
                return Some(self.retry());
            }
            Stage::Open => {}
            Stage::Over => return None,
        }
        loop {
            let deadline = Instant::from_std(self.heartbeat.next()).min(self.expires);
            let before = self.unflushed;
            let flushed = async {
                match before {
                    Some((_, flushes)) => self.outflow.flushed_beyond(flushes).await,
                    None => std::future::pending().await,
                }
            };
            let chunk = tokio::select! {
                biased;
                () = flushed => {
                    if let Some((seq, _)) = self.unflushed.take() {
                        self.handle.flushed(seq);
                    }
                    None
                }
                () = self.edge.shutdown.begun() => Some(self.go_away()),
                () = self.handle.ready() => self.frames(),
                () = tokio::time::sleep_until(deadline) => self.on_time(),
            };
            if let Some(chunk) = chunk {
                return Some(chunk);
            }
            if self.stage == Stage::Over {
                return None;
            }
        }
    }

    /// How long to wait before reconnecting, drawn per connection so that clients do not come back at once.
    fn retry(&self) -> Bytes {
        let settings = &self.edge.settings;
        let range = settings.retry_min_ms.as_millis()..=settings.retry_max_ms.as_millis();
        Bytes::from(format!("retry: {}\n\n", rand::rng().random_range(range)))
    }

    fn frames(&mut self) -> Option<Bytes> {
        if self.handle.closing().is_some() {
            return Some(self.go_away());
        }
        if self.handle.state() == State::Closed {
            self.stage = Stage::Over;
            return None;
        }
        // Whether the client lives is the socket's to find out here: there is nothing that a client could answer.
        let probed = self.handle.take_probe();
        let mut chunk = String::new();
        for _frame in 0..self.edge.settings.batch {
            let taken = self.handle.take(1);
            let Some(frame) = taken.first() else { break };
            if let Frame::Notification { seq, .. } | Frame::Gap { seq, .. } = frame {
                self.unflushed = Some((*seq, self.outflow.flushes()));
            }
            encode::event(frame, &self.opened, &mut chunk);
            if chunk.len() >= self.edge.settings.batch_bytes {
                break;
            }
        }
        if chunk.is_empty() {
            return probed.then(|| Bytes::from_static(encode::HEARTBEAT));
        }
        Some(Bytes::from(chunk))
    }

    fn on_time(&mut self) -> Option<Bytes> {
        let now = Instant::now();
        if self.expires <= now {
            self.stage = Stage::Over;
            let mistake = Mistake::new(Code::TokenExpired, "the token has expired");
            return Some(encode::named("error", &protocol::encode_error(&mistake)));
        }
        match self.heartbeat.beat(now.into_std()) {
            Beat::Ping => Some(Bytes::from_static(encode::HEARTBEAT)),
            Beat::Wait | Beat::Lost => None,
        }
    }

    fn go_away(&mut self) -> Bytes {
        self.stage = Stage::Over;
        let (after_ms, reason) = self
            .handle
            .closing()
            .map_or((0, "shutdown"), |closing| (closing.after_ms(), closing.reason.as_str()));
        // A bare `EventSource` obeys only this.
        let mut chunk = format!("retry: {after_ms}\n").into_bytes();
        chunk.extend_from_slice(&encode::named("goaway", &protocol::encode_goaway(after_ms, reason)));
        Bytes::from(chunk)
    }
}
