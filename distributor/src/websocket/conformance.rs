//! The transport's own handshake and socket with an echo behind them: what a conformance suite talks to
//! (`examples/echo.rs`). No service serves it.

use std::sync::Arc;
use std::task::Poll;

use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use axum::routing::get;
use tokio_tungstenite::tungstenite::protocol::frame::coding::Data;

use super::codec::{self, Event};
use super::handshake;
use super::wire::{Ended, Wire};
use crate::http::problem::Refusal;
use crate::http::settings::EdgeSettings;

/// An application that sends back every text and binary frame, at any path, with `client_frame_bytes` as the largest.
pub fn echo(client_frame_bytes: usize) -> Router {
    let settings = Arc::new(EdgeSettings {
        client_frame_bytes,
        server_frame_bytes: client_frame_bytes,
        ..EdgeSettings::default()
    });
    Router::new().fallback(get(move |request| accept(settings, request)))
}

async fn accept(settings: Arc<EdgeSettings>, mut request: Request) -> Result<Response, Refusal> {
    let shaken = handshake::read(request.headers(), request.version())?;
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let Some((stream, early)) = upgrade.await.ok().and_then(shared::serve::into_stream) else { return };
        let mut wire = Wire::new(stream, &early);
        let ended = serve(&mut wire, &settings).await;
        wire.finish(ended, &settings, drop).await;
    });
    Ok(handshake::response(&shaken))
}

async fn serve(wire: &mut Wire, settings: &EdgeSettings) -> Ended {
    std::future::poll_fn(|context| {
        loop {
            if let Poll::Ready(Err(ended)) = wire.poll_flush(context) {
                return Poll::Ready(ended);
            }
            let heard = wire.poll_events(context, settings, |answers, event| {
                match event {
                    Event::Text(text) => codec::data(answers, Data::Text, |out| out.extend(text.bytes())),
                    Event::Binary(bytes) => codec::data(answers, Data::Binary, |out| out.extend(bytes)),
                    Event::Ping(_) | Event::Pong | Event::Close(_) => {}
                }
                Ok(())
            });
            match heard {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(ended)) => return Poll::Ready(ended),
                Poll::Pending => return Poll::Pending,
            }
        }
    })
    .await
}
