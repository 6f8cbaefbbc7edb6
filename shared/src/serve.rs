//! Our own accept loop on hyper, because limits that hold against a hostile peer are needed before any handler runs:
//! a deadline for the first byte, one for the request head, a cap on connections, a back-off when descriptors run out.

mod metrics;
mod outflow;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::{Deserialize, Serialize};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::TaskTracker;

use self::outflow::Watched;
use crate::config::{Mistakes, millis};
use crate::shutdown::Shutdown;

pub use self::outflow::Outflow;

/// Limits of an HTTP edge against slow and numerous peers.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpLimits {
    /// Most connections at a time; one more waits in the kernel's queue.
    pub connections: usize,
    /// How long a new connection may take to send its first byte.
    #[serde(with = "millis")]
    pub first_byte_ms: Duration,
    /// How long a request head may take from its first byte; also how long a connection may idle between requests.
    #[serde(with = "millis")]
    pub head_ms: Duration,
    /// How long a request body may take.
    #[serde(with = "millis")]
    pub body_ms: Duration,
    /// How long what was sent may stay unconfirmed by the peer's kernel before its connection is dead
    /// (`TCP_USER_TIMEOUT`).
    #[serde(with = "millis")]
    pub unconfirmed_ms: Duration,
    /// How long open requests may take once shutdown began.
    #[serde(with = "millis")]
    pub drain_ms: Duration,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            connections: 20_000,
            first_byte_ms: Duration::from_secs(10),
            head_ms: Duration::from_secs(10),
            body_ms: Duration::from_secs(15),
            unconfirmed_ms: Duration::from_secs(30),
            drain_ms: Duration::from_secs(10),
        }
    }
}

impl HttpLimits {
    /// Refuses values that cannot work.
    pub fn check(&self, mistakes: &mut Mistakes) {
        mistakes.within("http.connections", self.connections, 1..=10_000_000);
        for (key, value) in [
            ("http.first_byte_ms", self.first_byte_ms),
            ("http.head_ms", self.head_ms),
            ("http.body_ms", self.body_ms),
            ("http.unconfirmed_ms", self.unconfirmed_ms),
        ] {
            if value.is_zero() {
                mistakes.report(key, "must be above zero");
            }
        }
    }
}

/// The peer's address, in every request's extensions.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

/// Holds a connection's place under the cap. In every request's extensions, so that an upgraded connection can keep it.
#[derive(Clone, Debug)]
pub struct Place(
    #[expect(dead_code, reason = "held to be dropped")] Arc<(OwnedSemaphorePermit, metrics::Open)>,
);

/// Accepts and serves HTTP/1.1 connections with upgrades until `shutdown`, then lets open requests finish within the
/// drain limit. What is upgraded or streams for long must listen to `shutdown` itself.
pub async fn serve(listener: TcpListener, app: axum::Router, limits: HttpLimits, shutdown: Shutdown) {
    let places = Arc::new(Semaphore::new(limits.connections.min(Semaphore::MAX_PERMITS)));
    let connections = TaskTracker::new();
    loop {
        if places.available_permits() == 0 {
            metrics::full();
        }
        let place = tokio::select! {
            () = shutdown.begun() => break,
            place = Arc::clone(&places).acquire_owned() => match place { Ok(place) => place, Err(_closed) => break },
        };
        let accepted = tokio::select! {
            () = shutdown.begun() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let place = Place(Arc::new((place, metrics::Open::count())));
                let connection = Connection { peer, place, limits: limits.clone() };
                connections.spawn(connection.run(stream, app.clone(), shutdown.clone()));
            }
            Err(error) => {
                // Out of descriptors, most likely: accepting at once again would only spin.
                tracing::warn!(%error, "accept failed");
                metrics::accept_failed();
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    drop(listener);
    connections.close();
    if tokio::time::timeout(limits.drain_ms, connections.wait()).await.is_err() {
        tracing::warn!(open = connections.len(), "connections still open after the drain limit");
    }
}

struct Connection {
    peer: SocketAddr,
    place: Place,
    limits: HttpLimits,
}

impl Connection {
    async fn run(self, stream: TcpStream, app: axum::Router, shutdown: Shutdown) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "no TCP_NODELAY");
        }
        let mut byte = [0_u8; 1];
        let first = tokio::select! {
            () = shutdown.begun() => return,
            first = tokio::time::timeout(self.limits.first_byte_ms, stream.peek(&mut byte)) => first,
        };
        if !matches!(first, Ok(Ok(1..))) {
            metrics::timed_out("first_byte");
            return;
        }
        let outflow = Outflow::default();
        outflow.limit_unconfirmed(self.limits.unconfirmed_ms);
        let stream = Watched::new(stream, outflow.clone());
        let (peer, place) = (Peer(self.peer), self.place);
        let service = hyper::service::service_fn(move |mut request: http::Request<Incoming>| {
            request.extensions_mut().insert(peer);
            request.extensions_mut().insert(place.clone());
            request.extensions_mut().insert(outflow.clone());
            tower::ServiceExt::oneshot(app.clone(), request)
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.head_ms)
            .max_headers(64)
            .max_buf_size(32 * 1024)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        let mut connection = std::pin::pin!(connection);
        let served = tokio::select! {
            served = connection.as_mut() => served,
            () = shutdown.begun() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = served {
            tracing::debug!(%error, peer = %peer.0, "connection ended");
        }
    }
}

#[cfg(test)]
mod tests {
    use ::metrics::with_local_recorder;
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;

    #[test]
    fn open_connections_and_a_reached_cap_are_counted() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let shown = recorder.handle();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let until = async |wanted: &str| {
            let seen = async {
                while !shown.render().lines().any(|line| line == wanted) {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            };
            let seen = tokio::time::timeout(Duration::from_secs(10), seen).await;
            assert!(seen.is_ok(), "{wanted} is not in\n{}", shown.render());
        };
        with_local_recorder(&recorder, || {
            runtime.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                let address = listener.local_addr().unwrap();
                let limits = HttpLimits { connections: 1, ..HttpLimits::default() };
                let shutdown = Shutdown::new();
                let serving = tokio::spawn(serve(listener, axum::Router::new(), limits, shutdown.clone()));
                let connection = TcpStream::connect(address).await.unwrap();
                until("postrider_connections_open 1").await;
                until("postrider_connections_full 1").await;
                drop(connection);
                until("postrider_connections_open 0").await;
                shutdown.begin();
                serving.await.unwrap();
            });
        });
    }
}
