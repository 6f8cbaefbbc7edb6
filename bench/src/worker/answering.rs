//! A server that answers every POST 202 once it read it, and does nothing else: what HTTP alone costs.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::AsyncReadExt as _;

use super::report;
use crate::control::Report;

/// As an accepted notification is answered.
const BODY: &[u8] = br#"{"id":"00000000-0000-7000-8000-000000000000"}"#;

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let _body = request.into_body().collect().await?;
    let mut response = Response::new(Full::new(Bytes::from_static(BODY)));
    *response.status_mut() = StatusCode::ACCEPTED;
    Ok(response)
}

/// Serves until its input ends.
pub(super) fn run() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
        report(&Report::Ready(Some(listener.local_addr()?)))?;
        tokio::select! {
            served = serve(&listener) => served?,
            over = ended() => over?,
        }
        Ok(())
    })
}

async fn serve(listener: &tokio::net::TcpListener) -> std::io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(async move {
            let connection = hyper::server::conn::http1::Builder::new();
            // The generator ended it.
            let _over = connection.serve_connection(TokioIo::new(stream), service_fn(answer)).await;
        });
    }
}

/// Once the input ends.
async fn ended() -> std::io::Result<()> {
    let mut input = tokio::io::stdin();
    let mut bytes = [0; 64];
    while input.read(&mut bytes).await? > 0 {}
    Ok(())
}
