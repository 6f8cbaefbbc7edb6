//! Requests of guests to the outside: only where an allow-list says so, only to addresses that are everybody's, never
//! along a redirect, never without a limit. The port through which names become addresses is here, too.

mod address;
mod body;
mod send;

use std::io;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use http::Method;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

pub use self::address::{InvalidNetwork, Network};
use self::send::Way;
use super::failure::Failure;
use crate::config::EgressSettings;
pub use shared::task::origins::{AllowList, InvalidOrigin};

/// Finds the addresses of a host.
#[async_trait]
pub trait Resolver: Send + Sync {
    /// The addresses of `host`, a name without port. Asked once for each request: what it answers is checked, and
    /// connected to, without asking again.
    ///
    /// # Errors
    /// When there are none, or nobody knows now.
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>>;
}

/// The machine's own resolver.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemResolver;

#[async_trait]
impl Resolver for SystemResolver {
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        let found = tokio::net::lookup_host((host, 0)).await?;
        Ok(found.map(|address| address.ip()).collect())
    }
}

/// What all requests of this process have in common. Cloning shares it.
#[derive(Clone)]
pub(super) struct Outside {
    resolver: Arc<dyn Resolver>,
    settings: Arc<EgressSettings>,
    tls: Arc<rustls::ClientConfig>,
}

impl Outside {
    /// # Errors
    /// When the TLS library has no protocol to speak.
    pub(super) fn new(resolver: Arc<dyn Resolver>, settings: EgressSettings) -> Result<Self, rustls::Error> {
        let roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { resolver, settings: Arc::new(settings), tls: Arc::new(tls) })
    }

    pub(super) fn header_bytes(&self) -> usize {
        self.settings.header_bytes
    }

    /// The requests of one attempt.
    pub(super) fn attempt(&self, allow: Option<Arc<AllowList>>) -> Egress {
        Egress { outside: self.clone(), allow, left: self.settings.requests, denied: Denied::default() }
    }
}

/// The requests of one attempt.
pub(super) struct Egress {
    outside: Outside,
    allow: Option<Arc<AllowList>>,
    left: u32,
    denied: Denied,
}

/// The first thing that was denied. An attempt that asked for it fails, whatever it answers: a module that reaches where
/// it may not is looked at by somebody.
#[derive(Clone, Debug, Default)]
struct Denied(Arc<OnceLock<String>>);

impl Denied {
    fn note(&self, what: impl FnOnce() -> String) {
        self.0.get_or_init(what);
    }
}

impl Egress {
    /// Why the attempt fails, if it asked for what it may not have.
    pub(super) fn denied(&self) -> Option<Failure> {
        self.denied.0.get().cloned().map(Failure::Denied)
    }

    fn way(&mut self, request: &http::Request<WasiBody>) -> Result<Way, Error> {
        let way = Way::of(request.uri()).ok_or(Error::HttpRequestUriInvalid)?;
        if !self.allow.as_ref().is_some_and(|allow| allow.allows(way.scheme, &way.host, way.port)) {
            self.denied.note(|| format!("http request to {way}"));
            return Err(Error::HttpRequestDenied);
        }
        if request.method() == Method::CONNECT {
            return Err(Error::HttpRequestMethodInvalid);
        }
        self.left = self.left.checked_sub(1).ok_or(Error::ConnectionLimitReached)?;
        Ok(way)
    }
}

/// A response on its way, and what drives its connection.
type Sent = (http::Response<WasiBody>, Box<dyn Future<Output = Result<(), Error>> + Send>);

impl WasiHttpHooks for Egress {
    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        _options: Option<RequestOptions>,
        _processed: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Result<Sent, Error>> + Send> {
        // The guest's own wishes for time limits are dropped: ours hold, and its deadline ends everything.
        let way = self.way(&request);
        let (outside, denied) = (self.outside.clone(), self.denied.clone());
        Box::new(async move { send::send(&outside, &denied, way?, request).await })
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::sync::Arc;

    use http_body_util::{BodyExt, Full};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    struct Here;

    #[async_trait]
    impl Resolver for Here {
        async fn resolve(&self, _host: &str) -> io::Result<Vec<IpAddr>> {
            Ok(vec![IpAddr::from([127, 0, 0, 1])])
        }
    }

    /// Posts `bytes`; how it ended.
    async fn post(bytes: usize, most: usize) -> Result<u16, Error> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://service.test:{}", listener.local_addr().unwrap().port());
        let settings = EgressSettings {
            request_bytes: most,
            networks: vec!["127.0.0.0/8".parse().unwrap()],
            ..EgressSettings::default()
        };
        let outside = Outside::new(Arc::new(Here), settings).unwrap();
        let mut egress = outside.attempt(Some(Arc::new(AllowList::parse([origin.as_str()]).unwrap())));
        let body = Full::new(vec![b'x'; bytes].into()).map_err(|never| match never {}).boxed_unsync();
        let request = http::Request::post(format!("{origin}/path?query")).body(body).unwrap();
        let sending = Pin::from(egress.send_request(request, None, Box::new(async { Ok(()) })));
        let serving = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = Vec::new();
            let sent = |asked: &[u8]| asked.iter().rev().take_while(|byte| **byte == b'x').count();
            while sent(&asked) < bytes && stream.read_buf(&mut asked).await.unwrap_or_default() > 0 {}
            assert!(asked.is_empty() || asked.starts_with(b"POST /path?query HTTP/1.1\r\n"));
            stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap_or_default();
        };
        let (sent, ()) = tokio::join!(sending, serving);
        sent.map(|(response, _connection)| response.status().as_u16())
    }

    #[tokio::test]
    async fn https_is_spoken_in_tls_to_the_name_and_to_nothing_else() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("https://service.test:{}", listener.local_addr().unwrap().port());
        let networks = vec!["127.0.0.0/8".parse().unwrap()];
        let outside = Outside::new(Arc::new(Here), EgressSettings { networks, ..EgressSettings::default() });
        let allow = AllowList::parse([origin.as_str()]).unwrap();
        let mut egress = outside.unwrap().attempt(Some(Arc::new(allow)));
        let body = Full::new("secret".into()).map_err(|never| match never {}).boxed_unsync();
        let request = http::Request::post(&origin).body(body).unwrap();
        let sending = Pin::from(egress.send_request(request, None, Box::new(async { Ok(()) })));
        let serving = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut hello = vec![0; 4096];
            let read = stream.read(&mut hello).await.unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap_or_default();
            hello.truncate(read);
            hello
        };
        let (sent, hello) = tokio::join!(sending, serving);
        assert!(matches!(sent.map(|_sent| ()), Err(Error::Tls(_))));
        // A handshake record (RFC 8446, section 5.1) that names the host (RFC 6066, section 3).
        assert!(hello.starts_with(&[22, 3]) && hello.windows(12).any(|text| text == b"service.test"));
    }

    #[tokio::test]
    async fn a_request_body_at_its_limit_is_sent_and_a_longer_one_is_not() {
        assert_eq!(post(1000, 1000).await.unwrap(), 204);
        let refused = post(1001, 1000).await;
        assert!(matches!(refused, Err(Error::HttpRequestBodySize(Some(1000)))), "{refused:?}");
    }
}
