//! One request: resolve once, check every address, connect to an address that was checked, send, answer. Nothing resolves
//! a name a second time, so an answer that changes in between changes nothing.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http::Uri;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use shared::task::origins::Scheme;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use wasmtime_wasi_http::{Error, WasiBody};

use super::address::may_reach;
use super::body::Bounded;
use super::{Denied, Outside, Sent};

/// Most addresses of a name that are tried. All that were answered are checked.
const MOST_TRIED: usize = 4;

/// Where a request goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Way {
    pub(super) scheme: Scheme,
    /// In lower case; an IPv6 address in brackets.
    pub(super) host: String,
    pub(super) port: u16,
}

impl Way {
    pub(super) fn of(uri: &Uri) -> Option<Self> {
        let authority = uri.authority()?;
        // Credentials in an address are a way to say one host and mean another.
        if authority.as_str().contains('@') || authority.host().is_empty() {
            return None;
        }
        let scheme = Scheme::of(uri)?;
        let port = authority.port_u16();
        // A port that is written and is none must not become the default one.
        if authority.as_str().len() > authority.host().len() && port.is_none() {
            return None;
        }
        let host = authority.host().to_ascii_lowercase();
        Some(Self { scheme, host, port: port.unwrap_or(scheme.port()) })
    }

    fn address(&self) -> Option<IpAddr> {
        self.host.trim_start_matches('[').trim_end_matches(']').parse().ok()
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}:{}", self.scheme, self.host, self.port)
    }
}

/// Sends `request`, which the allow-list let through.
pub(super) async fn send(
    outside: &Outside,
    denied: &Denied,
    way: Way,
    request: http::Request<WasiBody>,
) -> Result<Sent, Error> {
    let settings = &outside.settings;
    let began = Instant::now();
    let ends = began + settings.request_ms;
    let connecting = timeout_at(ends.min(began + settings.connect_ms), connect(outside, denied, &way));
    let stream = connecting.await.map_err(|_elapsed| Error::ConnectionTimeout)??;
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(settings.header_bytes)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(Error::from)?;
    let request = on_the_wire(request, settings.request_bytes)?;
    let mut connection = Box::pin(connection);
    let answering = async {
        let mut answer = std::pin::pin!(sender.send_request(request));
        tokio::select! {
            biased;
            answer = &mut answer => answer,
            // The connection may be done when the answer is there and nothing follows it.
            closed = &mut connection => match closed {
                Ok(()) => answer.await,
                Err(error) => Err(error),
            },
        }
    };
    let answered = timeout_at(ends, answering).await.map_err(|_elapsed| Error::HttpResponseTimeout)?;
    let response = answered.map_err(|error| explain(error, settings.request_bytes))?;
    let response = response.map(|body| Bounded::new(body, settings.response_bytes, ends).boxed_unsync());
    Ok((response, Box::new(async move { connection.await.map_err(Error::from) })))
}

/// The request without what belongs to the connection, and its body within its limit.
fn on_the_wire(
    request: http::Request<WasiBody>,
    most_bytes: usize,
) -> Result<http::Request<Limited<WasiBody>>, Error> {
    let (mut parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    parts.uri = path.parse().map_err(|_grammar| Error::HttpRequestUriInvalid)?;
    Ok(http::Request::from_parts(parts, Limited::new(body, most_bytes)))
}

fn explain(error: hyper::Error, request_bytes: usize) -> Error {
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        if cause.is::<LengthLimitError>() {
            return Error::HttpRequestBodySize(Some(request_bytes as u64));
        }
        source = cause.source();
    }
    Error::from(error)
}

/// A connection, in the clear or over TLS.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

async fn connect(outside: &Outside, denied: &Denied, way: &Way) -> Result<Box<dyn Stream>, Error> {
    let addresses = match way.address() {
        Some(address) => vec![address],
        None => outside.resolver.resolve(&way.host).await.map_err(|_unknown| Error::DestinationNotFound)?,
    };
    // One that is not everybody's condemns them all: a name that answers both is made to mislead.
    for address in &addresses {
        if !may_reach(*address, &outside.settings.networks) {
            denied.note(|| format!("http request to {way} at {address}"));
            return Err(Error::DestinationIpProhibited);
        }
    }
    let stream = first_reached(&addresses, way.port).await?;
    match way.scheme {
        Scheme::Http => Ok(Box::new(stream)),
        Scheme::Https => {
            let name = match way.address() {
                Some(address) => ServerName::from(address),
                None => {
                    ServerName::try_from(way.host.clone()).map_err(|_name| Error::HttpRequestUriInvalid)?
                }
            };
            let connector = TlsConnector::from(Arc::clone(&outside.tls));
            Ok(Box::new(connector.connect(name, stream).await.map_err(Error::Tls)?))
        }
    }
}

async fn first_reached(addresses: &[IpAddr], port: u16) -> Result<TcpStream, Error> {
    let mut last = Error::DestinationNotFound;
    for address in addresses.iter().take(MOST_TRIED) {
        match TcpStream::connect(SocketAddr::new(*address, port)).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = Error::Connect(error),
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_is_read_as_the_wire_would() {
        let way = |text: &str| Way::of(&text.parse().unwrap()).map(|way| way.to_string());
        assert_eq!(way("https://API.example.com/x").as_deref(), Some("https://api.example.com:443"));
        assert_eq!(way("http://[::1]:8080/").as_deref(), Some("http://[::1]:8080"));
        for wrong in ["https://good.test@evil.test/", "ftp://a.test/", "/path"] {
            assert_eq!(way(wrong), None, "{wrong}");
        }
    }
}
