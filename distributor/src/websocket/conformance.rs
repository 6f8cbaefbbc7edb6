//! The transport's own handshake and socket with an echo behind them: what a conformance suite talks to
//! (`examples/echo.rs`). No service serves it.

use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use axum::routing::get;
use futures_util::{SinkExt as _, StreamExt as _};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::handshake;
use crate::http::problem::Refusal;
use crate::http::settings::EdgeSettings;

/// An application that sends back every text and binary frame, at any path, with `client_frame_bytes` as the largest.
pub fn echo(client_frame_bytes: usize) -> Router {
    let settings = EdgeSettings {
        client_frame_bytes,
        server_frame_bytes: client_frame_bytes,
        ..EdgeSettings::default()
    };
    Router::new().fallback(get(move |request| accept(settings, request)))
}

async fn accept(settings: EdgeSettings, mut request: Request) -> Result<Response, Refusal> {
    let shaken = handshake::read(request.headers(), request.version())?;
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let Ok(upgraded) = upgrade.await else { return };
        let config = handshake::limits(&settings);
        let io = TokioIo::new(upgraded);
        let mut socket = WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await;
        while let Some(Ok(frame)) = socket.next().await {
            let echoed = frame.is_text() || frame.is_binary();
            if echoed && socket.send(frame).await.is_err() {
                break;
            }
        }
    });
    Ok(handshake::response(&shaken))
}
