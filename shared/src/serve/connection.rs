//! One connection: a deadline for its first byte, hyper behind it, and what its requests carry.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::response::Response;
use http::{HeaderValue, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::upgrade::Upgraded;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;

use super::door::{Door, Place, TurnedAway};
use super::outflow::Watched;
use super::{HttpLimits, Leaving, Outflow, Peer, metrics};

/// Most bytes that are read and thrown away of a request that is turned away.
const UNREAD_BYTES: usize = 64 * 1024;

/// What all connections of an edge share.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) app: axum::Router,
    pub(super) limits: Arc<HttpLimits>,
    pub(super) door: Arc<Door>,
    pub(super) leaving: Leaving,
}

/// A connection that was let in.
pub(super) struct Connection {
    pub(super) peer: SocketAddr,
    pub(super) place: Place,
    pub(super) shared: Shared,
}

impl Connection {
    pub(super) async fn run(self, stream: TcpStream) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "no TCP_NODELAY");
        }
        let (limits, closing) = (Arc::clone(&self.shared.limits), self.shared.leaving.closing.clone());
        let mut byte = [0_u8; 1];
        let first = tokio::select! {
            biased;
            first = tokio::time::timeout(limits.first_byte_ms, stream.peek(&mut byte)) => first,
            () = closing.begun() => return,
        };
        if !matches!(first, Ok(Ok(1..))) {
            metrics::timed_out("first_byte");
            return;
        }
        let outflow = Outflow::default();
        outflow.limit_unconfirmed(limits.unconfirmed_ms);
        let stream = Watched::new(stream, outflow.clone(), limits.write_ms);
        let peer = self.peer;
        let service = hyper::service::service_fn(move |request| self.answer(request, outflow.clone()));
        let connection = builder(&limits).serve_connection(TokioIo::new(stream), service).with_upgrades();
        let mut connection = std::pin::pin!(connection);
        let served = tokio::select! {
            served = connection.as_mut() => served,
            () = closing.begun() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = served {
            tracing::debug!(%error, %peer, "connection ended");
        }
    }

    fn answer(
        &self,
        mut request: http::Request<Incoming>,
        outflow: Outflow,
    ) -> impl Future<Output = Result<Response, Infallible>> + use<> {
        let Shared { app, limits, door, leaving } = self.shared.clone();
        let place = door.request(&self.place, request.headers(), self.peer.ip());
        let peer = Peer(self.peer);
        async move {
            let mut response = match place {
                Ok(place) => {
                    let extensions = request.extensions_mut();
                    extensions.insert(peer);
                    extensions.insert(place.clone());
                    extensions.insert(outflow);
                    let response = tower::ServiceExt::oneshot(app, request).await?;
                    if limits.trusted_proxies == 0 {
                        response
                    } else {
                        response.map(|body| Body::new(Placed { body, _place: place }))
                    }
                }
                Err(turned) => {
                    metrics::turned_away(turned);
                    turned.answer(limits.retry_after_s)
                }
            };
            if leaving.announced.has_begun() && response.status() != StatusCode::SWITCHING_PROTOCOLS {
                // The client's next request is better made elsewhere.
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            Ok(response)
        }
    }
}

/// The socket of a connection that [`super::serve`] let in and that was upgraded, with what came behind its request; `None` when
/// it is none of those. Its cap, and how long the peer's kernel may leave bytes unconfirmed, stay with it.
#[must_use]
pub fn into_stream(upgraded: Upgraded) -> Option<(TcpStream, Bytes)> {
    let parts = upgraded.downcast::<TokioIo<Watched>>().ok()?;
    Some((parts.io.into_inner().into_stream(), parts.read_buf))
}

/// Tells a connection why it is not let in, whatever it asks; one for which there is no room is only closed.
pub(super) async fn turn_away(stream: TcpStream, why: TurnedAway, shared: Shared) {
    metrics::turned_away(why);
    let Some(_turning) = shared.door.turning() else { return };
    let limits = shared.limits;
    let retry_after_s = limits.retry_after_s;
    let service = hyper::service::service_fn(move |request: http::Request<Incoming>| async move {
        // Bytes that nobody reads would make the network take the answer back.
        if let Err(error) = Limited::new(request.into_body(), UNREAD_BYTES).collect().await {
            tracing::debug!(error, "turned away with more to say");
        }
        Ok::<_, Infallible>(why.answer(retry_after_s))
    });
    let connection = builder(&limits).keep_alive(false).serve_connection(TokioIo::new(stream), service);
    match tokio::time::timeout(limits.head_ms, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "turned away, and gone before the answer"),
        Err(_elapsed) => metrics::timed_out("turned_away"),
    }
}

fn builder(limits: &HttpLimits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new());
    builder.header_read_timeout(limits.head_ms).max_headers(64).max_buf_size(32 * 1024);
    builder
}

/// A body that holds its request's place until it is written.
struct Placed {
    body: Body,
    _place: Place,
}

impl HttpBody for Placed {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
