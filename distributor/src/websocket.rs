//! The WebSocket transport: `GET /v1/ws`. [`accept`] checks the handshake and the client's credentials before anything
//! is upgraded; the connection then runs as a task of its own.

mod client;
mod codec;
mod conformance;
mod connection;
mod first;
pub(crate) mod handshake;
mod wire;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use hyper::upgrade::OnUpgrade;
use shared::serve::Place;

use self::client::Client;
use self::connection::Connection;
use self::first::{Expected, Opening};
use self::wire::Wire;
use crate::auth::Use;
use crate::http::Edge;
use crate::http::problem::Refusal;
use crate::http::query::Asked;

pub use self::conformance::echo;
pub(crate) use self::wire::Ended;

/// Serves the handshake.
pub(crate) async fn accept(
    State(edge): State<Arc<Edge>>,
    mut request: Request,
) -> Result<Response<Body>, Refusal> {
    let handshake = handshake::read(request.headers(), request.version())?;
    edge.check_origin(request.headers())?;
    let asked = Asked::read(request.uri())?;
    let (cursor, window) = (asked.cursor()?, asked.window()?);
    let usage = if cursor.is_some() { Use::Reconnect } else { Use::Connect };
    let identity = match (edge.bearer(request.headers())?, &handshake.token, asked.ticket()) {
        (Some(identity), _, _) => Some(identity),
        (None, Some(token), _) => Some(edge.token(token)?),
        (None, None, Some(ticket)) => Some(edge.ticket(ticket, usage)?),
        (None, None, None) => None,
    };
    let expected = match identity {
        // Opened before the upgrade, so that a full node can still say so in HTTP.
        Some(identity) if cursor.is_some() || window.is_some() => {
            let opening = Opening { identity, cursor, window };
            Expected::Nothing(Box::new(opening.open(&edge)?))
        }
        Some(identity) => Expected::MaybeHello(identity),
        None => Expected::Hello { cursor, window },
    };
    let response = handshake::response(&handshake);
    let upgrade = hyper::upgrade::on(&mut request);
    let place = request.extensions().get::<Place>().cloned();
    let running = run(Arc::clone(&edge), upgrade, expected, place);
    edge.connections.spawn(Box::pin(running));
    Ok(response)
}

/// Opens the session and leaves the connection to a task of its own, which needs far less memory than this one. `place`
/// keeps it under the cap of connections.
async fn run(edge: Arc<Edge>, upgrade: OnUpgrade, expected: Expected, place: Option<Place>) {
    let upgraded = tokio::select! {
        upgraded = tokio::time::timeout(edge.settings.hello_ms, upgrade) => upgraded,
        () = edge.shutdown.begun() => return,
    };
    let Some((stream, early)) = upgraded.ok().and_then(Result::ok).and_then(shared::serve::into_stream)
    else {
        tracing::debug!("upgrade did not come about");
        return;
    };
    let mut wire = Wire::new(stream, &early);
    let begun = match first::session(&edge, &mut wire, expected).await {
        Ok(open) => Client::begin(&edge, &mut wire, open),
        Err(ended) => Err(ended),
    };
    match begun {
        Ok(client) => {
            edge.connections.spawn(Connection { client, wire, place }.run());
        }
        Err(ended) => {
            crate::metrics::websocket_ended(&ended);
            wire.finish(ended, &edge.settings, drop).await;
            drop(place);
        }
    }
}
