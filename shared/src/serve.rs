//! Our own accept loop on hyper, because limits that hold against a hostile peer are needed before any handler runs:
//! deadlines for the first byte, the request head and every write, caps on connections and on those of an address, a rate
//! at which they are let in, a back-off when descriptors run out.

mod addresses;
mod connection;
mod door;
mod metrics;
mod outflow;
mod rate;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;

use self::connection::{Connection, Shared, turn_away};
use self::door::Door;
use crate::config::{Mistakes, millis};
use crate::shutdown::Shutdown;

pub use self::connection::into_stream;
pub use self::door::{Place, TurnedAway};
pub use self::outflow::Outflow;

/// Limits of an HTTP edge against slow and numerous peers.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpLimits {
    /// Most connections at a time; one more waits in the kernel's queue.
    pub connections: usize,
    /// Most connections of one client address at a time, the /64 of an IPv6 address counting as one; one more is
    /// answered 503. Zero: no such cap, as behind a proxy or a NAT that makes many clients one address.
    pub per_address: usize,
    /// How many proxies stand before this edge, each of which appends to `X-Forwarded-For` whom it serves. With any,
    /// `per_address` counts requests under way of the client that the outermost of them names; without, the header
    /// means nothing.
    pub trusted_proxies: usize,
    /// Most connections let in per second, and at once; one more is answered 503. Zero: no such limit.
    pub accepts_per_second: u32,
    /// Shortest `Retry-After` of those answers, in seconds; up to three times of it is added at random.
    pub retry_after_s: u64,
    /// How long a new connection may take to send its first byte.
    #[serde(with = "millis")]
    pub first_byte_ms: Duration,
    /// How long a request head may take from its first byte; also how long a connection may idle between requests.
    #[serde(with = "millis")]
    pub head_ms: Duration,
    /// How long a request body may take.
    #[serde(with = "millis")]
    pub body_ms: Duration,
    /// How long a peer may take none of what is written to it.
    #[serde(with = "millis")]
    pub write_ms: Duration,
    /// How long what was sent may stay unconfirmed by the peer's kernel before its connection is dead
    /// (`TCP_USER_TIMEOUT`).
    #[serde(with = "millis")]
    pub unconfirmed_ms: Duration,
    /// How long everything is served as before once shutdown began and `/readyz` says so: time for load balancers to
    /// look elsewhere. Answers end their connection meanwhile.
    #[serde(with = "millis")]
    pub announce_ms: Duration,
    /// How long open requests may take after that; new ones are answered 503.
    #[serde(with = "millis")]
    pub drain_ms: Duration,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            connections: 20_000,
            per_address: 0,
            trusted_proxies: 0,
            accepts_per_second: 0,
            retry_after_s: 1,
            first_byte_ms: Duration::from_secs(10),
            head_ms: Duration::from_secs(10),
            body_ms: Duration::from_secs(15),
            write_ms: Duration::from_secs(15),
            unconfirmed_ms: Duration::from_secs(30),
            announce_ms: Duration::from_secs(1),
            drain_ms: Duration::from_secs(10),
        }
    }
}

impl HttpLimits {
    /// Refuses values that cannot work.
    pub fn check(&self, mistakes: &mut Mistakes) {
        mistakes.within("http.connections", self.connections, 1..=10_000_000);
        mistakes.within("http.trusted_proxies", self.trusted_proxies, 0..=16);
        mistakes.within("http.retry_after_s", self.retry_after_s, 1..=3600);
        for (key, value) in [
            ("http.first_byte_ms", self.first_byte_ms),
            ("http.head_ms", self.head_ms),
            ("http.body_ms", self.body_ms),
            ("http.write_ms", self.write_ms),
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

/// How an edge goes: first it only says so, then it closes.
#[derive(Clone, Debug, Default)]
pub struct Leaving {
    /// Everything is served, and each answer ends its connection, so that the next request is made elsewhere.
    pub announced: Shutdown,
    /// Open requests finish; new ones are turned away; then the listener is closed.
    pub closing: Shutdown,
}

impl From<Shutdown> for Leaving {
    /// Without an announcement.
    fn from(shutdown: Shutdown) -> Self {
        Self { announced: shutdown.clone(), closing: shutdown }
    }
}

/// How long nothing is accepted after accepting failed: out of descriptors, most likely, and trying again at once would
/// only spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Accepts and serves HTTP/1.1 connections with upgrades until `leaving` closes, then lets open requests finish within
/// the drain limit. What is upgraded or streams for long must listen to its own shutdown.
pub async fn serve(
    listener: TcpListener,
    app: axum::Router,
    limits: HttpLimits,
    leaving: impl Into<Leaving>,
) {
    metrics::show();
    let (door, limits) = (Arc::new(Door::new(&limits)), Arc::new(limits));
    let shared = Shared { app, limits: Arc::clone(&limits), door, leaving: leaving.into() };
    let (connections, turned) = (TaskTracker::new(), TaskTracker::new());
    tokio::select! {
        () = shared.leaving.closing.begun() => {}
        () = let_in(&listener, &shared, &connections, &turned) => {}
    }
    connections.close();
    tokio::select! {
        () = connections.wait() => {}
        () = turn_all_away(&listener, &shared, &turned) => {}
        () = tokio::time::sleep(limits.drain_ms) => {
            tracing::warn!(open = connections.len(), "connections still open after the drain limit");
        }
    }
    drop(listener);
    turned.close();
    if tokio::time::timeout(limits.head_ms.min(limits.drain_ms), turned.wait()).await.is_err() {
        tracing::debug!(open = turned.len(), "connections that are turned away take too long");
    }
}

/// Accepts until there is nothing to accept with.
async fn let_in(listener: &TcpListener, shared: &Shared, connections: &TaskTracker, turned: &TaskTracker) {
    while let Some(permit) = shared.door.place().await {
        let Some((stream, peer)) = accept(listener).await else { continue };
        match shared.door.admit(permit, peer.ip()) {
            Ok(place) => {
                connections.spawn(Connection { peer, place, shared: shared.clone() }.run(stream));
            }
            Err(why) => {
                turned.spawn(turn_away(stream, why, shared.clone()));
            }
        }
    }
}

/// Tells everybody who still comes that this edge closes.
async fn turn_all_away(listener: &TcpListener, shared: &Shared, turned: &TaskTracker) {
    loop {
        if let Some((stream, _peer)) = accept(listener).await {
            turned.spawn(turn_away(stream, TurnedAway::Draining, shared.clone()));
        }
    }
}

/// One connection, or a pause.
async fn accept(listener: &TcpListener) -> Option<(tokio::net::TcpStream, SocketAddr)> {
    match listener.accept().await {
        Ok(accepted) => Some(accepted),
        Err(error) => {
            tracing::warn!(%error, "accept failed");
            metrics::accept_failed();
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use ::metrics::with_local_recorder;
    use metrics_exporter_prometheus::PrometheusBuilder;
    use tokio::net::TcpStream;

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
