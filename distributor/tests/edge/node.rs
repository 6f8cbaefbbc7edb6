//! A distributor on a free port with a registry in the process and a store of a few lines, and clients for it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use postrider_distributor::auth::{Claims, mint};
use postrider_distributor::{Config, Ports, Service};
use serde_json::Value;
use shared::admin::Readiness;
use shared::clock::{Clock, SystemClock, Timestamp};
use shared::config::Secret;
use shared::delivery::{NodeId, SessionId};
use shared::log::{Appender, Ends, Entry, Placed};
use shared::notification::{ContentType, Notification, NotificationId, NotificationType, Trace, Urgency};
use shared::position::{Cursor, Epoch, PartitionId, Position};
use shared::recipient::Recipient;
use shared::registry::memory::Registry;
use shared::registry::{Node as RegisteredNode, Nodes as _, Route, Routes as _};
use shared::shutdown::Shutdown;
use shared::store::{Error, GapCause, Inbox, Page, PageRequest, StoredRow};
use shared::topic::Topic;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
pub(crate) const SECRET: &str = "a secret of these tests, long enough";

/// What is awaited comes within [`PATIENCE`], or the test fails.
pub(crate) async fn soon<T>(what: &str, wait: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, wait)
        .await
        .unwrap_or_else(|_late| panic!("waited {PATIENCE:?} for {what}"))
}

/// Stored notifications, and nothing else: `parked` ends where they do.
#[derive(Debug, Default)]
pub(crate) struct Stored(Mutex<BTreeMap<Recipient, Vec<StoredRow>>>, AtomicU64);

const PARTITIONS: u32 = 3;

impl Stored {
    /// Stores a notification with this content for `recipient` of tenant `acme`.
    pub(crate) fn put(&self, recipient: &str, content: &str) {
        let recipient = Recipient::parse_key(&format!("acme/{recipient}")).unwrap();
        let mut stored = self.0.lock().unwrap();
        let offset = self.1.fetch_add(1, Ordering::SeqCst);
        let partition = shared::topic::partition_of(recipient.key().as_bytes(), PARTITIONS);
        let notification = Notification {
            id: NotificationId::parse(&format!("n-{offset}")).unwrap(),
            recipient: recipient.clone(),
            source: "/tests".to_owned(),
            kind: NotificationType::parse("test").unwrap(),
            time: SystemClock.now(),
            expires: SystemClock.now().after(Duration::from_secs(600)),
            urgency: Urgency::Normal,
            content_type: ContentType::parse("text/plain").unwrap(),
            metadata: None,
            trace: Trace::default(),
            content: Bytes::copy_from_slice(content.as_bytes()),
        };
        let position = Position { epoch: Epoch(1), partition, offset };
        stored.entry(recipient).or_default().push(StoredRow { position, notification });
    }

    /// How many are stored for `recipient`.
    pub(crate) fn count(&self, recipient: &str) -> usize {
        let recipient = Recipient::parse_key(&format!("acme/{recipient}")).unwrap();
        self.0.lock().unwrap().get(&recipient).map_or(0, Vec::len)
    }
}

#[async_trait]
impl Inbox for Stored {
    async fn archived_upto(&self, _partition: PartitionId) -> Result<u64, Error> {
        Ok(1)
    }
    async fn archive(
        &self,
        _partition: PartitionId,
        _from: u64,
        _to: u64,
        _rows: &[StoredRow],
        _now: Timestamp,
    ) -> Result<Vec<(GapCause, u64)>, Error> {
        Err(Error::Conflict)
    }
    async fn pages(&self, requests: &[PageRequest]) -> Result<Vec<Page>, Error> {
        let stored = self.0.lock().unwrap();
        let page = |request: &PageRequest| {
            let rows = stored.get(&request.recipient).into_iter().flatten();
            let mut rows: Vec<_> = rows.filter(|row| !request.from.covers(row.position)).cloned().collect();
            let more = rows.len() > request.limit as usize;
            rows.truncate(request.limit as usize);
            Page { rows, more, gaps: Vec::new(), archived_upto: 1 }
        };
        Ok(requests.iter().map(page).collect())
    }
    async fn delete(&self, acknowledged: &[(Recipient, Cursor)]) -> Result<(), Error> {
        let mut stored = self.0.lock().unwrap();
        for (recipient, cursor) in acknowledged {
            if let Some(rows) = stored.get_mut(recipient) {
                rows.retain(|row| !cursor.covers(row.position));
            }
        }
        Ok(())
    }
    async fn expire(&self, _now: Timestamp, _limit: u32) -> Result<u64, Error> {
        Ok(0)
    }
    async fn recipients(
        &self,
        _partition: PartitionId,
        _after: Option<&Recipient>,
        _limit: u32,
    ) -> Result<Vec<Recipient>, Error> {
        Ok(Vec::new())
    }
}

/// A log on which one record was parked in every partition, and dead letters are welcome.
#[derive(Debug)]
struct Log;

#[async_trait]
impl Ends for Log {
    async fn end(&self, _topic: Topic, _partition: PartitionId) -> Result<u64, shared::log::Error> {
        Ok(1)
    }
    fn partitions(&self) -> u32 {
        PARTITIONS
    }
    fn epoch(&self) -> Epoch {
        Epoch(1)
    }
    fn max_record_bytes(&self) -> usize {
        usize::MAX
    }
}

#[async_trait]
impl Appender for Log {
    async fn append(&self, _topic: Topic, entries: Vec<Entry>) -> Vec<Result<Placed, shared::log::Error>> {
        entries.iter().map(|_entry| Err(shared::log::Error::Closed)).collect()
    }
}

/// A running distributor. Dropping it stops it.
pub(crate) struct Node {
    pub(crate) address: SocketAddr,
    pub(crate) stored: Arc<Stored>,
    pub(crate) readiness: Readiness,
    pub(crate) service: tokio::task::JoinHandle<Result<(), postrider_distributor::Error>>,
    registry: Arc<Registry>,
    shutdown: Shutdown,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.shutdown.begin();
    }
}

impl Node {
    pub(crate) async fn start() -> Self {
        Self::with(|_defaults| ()).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let registry = Registry::new(Arc::new(SystemClock));
        Self::among(registry, Arc::default(), change).await
    }

    /// Another node of the same cluster.
    pub(crate) async fn beside(&self, change: impl FnOnce(&mut Config)) -> Self {
        Self::among(Arc::clone(&self.registry), Arc::clone(&self.stored), change).await
    }

    async fn among(registry: Arc<Registry>, stored: Arc<Stored>, change: impl FnOnce(&mut Config)) -> Self {
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut config = Config { listen, ..Config::default() };
        config.auth.secret = Secret::new(SECRET.to_owned());
        config.auth.leeway_s = 0;
        config.http.announce_ms = Duration::ZERO;
        config.leave.spread_ms = Duration::from_millis(50);
        config.leave.after_ms = Duration::from_millis(50);
        change(&mut config);
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let ports = Ports {
            inbox: stored.clone(),
            routes: registry.clone(),
            nodes: registry.clone(),
            flags: registry.clone(),
            ends: Arc::new(Log),
            appender: Arc::new(Log),
            clock,
        };
        let service = Service::bind(config, ports).await.unwrap();
        let (address, readiness, shutdown) = (service.address(), service.readiness(), Shutdown::new());
        let service = tokio::spawn(service.run(shutdown.clone()));
        Self { address, stored, readiness, service, registry, shutdown }
    }

    /// Enters a session of `recipient` at a node at `address`, and that node's lease. Answers the session's id.
    pub(crate) async fn claims_a_session(&self, recipient: &str, address: SocketAddr) -> String {
        let (node, session) = (NodeId::random(), SessionId::random());
        let holder = RegisteredNode { id: node, address: address.to_string() };
        self.registry.renew(&holder, Duration::from_secs(600)).await.unwrap();
        let recipient = Recipient::parse_key(&format!("acme/{recipient}")).unwrap();
        self.registry.register(&[(recipient, Route { session, node })]).await.unwrap();
        session.to_string()
    }

    /// Where the records of `recipient` stand.
    pub(crate) fn partition_of(&self, recipient: &str) -> PartitionId {
        shared::topic::partition_of(format!("acme/{recipient}").as_bytes(), PARTITIONS)
    }

    pub(crate) fn stop(&self) {
        self.shutdown.begin();
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn get(&self, path: &str) -> reqwest::RequestBuilder {
        http().get(self.url(path))
    }

    pub(crate) fn post(&self, path: &str) -> reqwest::RequestBuilder {
        http().post(self.url(path))
    }

    /// A WebSocket handshake with these headers beside those of the RFC.
    pub(crate) async fn dial(
        &self,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Result<Client, tungstenite::Error> {
        let mut request = format!("ws://{}{path}", self.address).into_client_request().unwrap();
        for (name, value) in headers {
            let name: http::HeaderName = name.parse().unwrap();
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        let (socket, response) =
            soon("the handshake", Box::pin(tokio_tungstenite::connect_async(request))).await?;
        Ok(Client { socket, response: response.into_parts().0 })
    }

    /// An open session of `recipient`; its `welcome` was read.
    pub(crate) async fn connect(&self, recipient: &str, query: &str) -> Client {
        let bearer = format!("Bearer {}", token(recipient));
        let path = format!("/v1/ws?window=64{query}");
        let mut client = self.dial(&path, &[("authorization", &bearer)]).await.unwrap();
        assert_eq!(client.frame().await["frame"], "welcome");
        client
    }

    /// Sends raw bytes and answers everything that comes back until the connection closes.
    pub(crate) async fn raw(&self, bytes: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(bytes.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        soon("the end of a connection", stream.read_to_end(&mut answer)).await.unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }
}

/// A client of the WebSocket.
pub(crate) struct Client {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    pub(crate) response: http::response::Parts,
}

impl Client {
    pub(crate) async fn say(&mut self, text: &str) {
        self.socket.send(Message::text(text)).await.unwrap();
    }

    pub(crate) async fn send(&mut self, frame: Message) {
        self.socket.send(frame).await.unwrap();
    }

    /// The next text frame.
    pub(crate) async fn frame(&mut self) -> Value {
        match self.next().await {
            Ok(frame) => frame,
            Err(code) => panic!("closed with {code:?}"),
        }
    }

    /// The next text frame, or the code with which the connection was closed.
    pub(crate) async fn next(&mut self) -> Result<Value, Option<u16>> {
        loop {
            match soon("a frame", self.socket.next()).await {
                Some(Ok(Message::Text(text))) => return Ok(serde_json::from_str(&text).unwrap()),
                Some(Ok(Message::Close(close))) => return Err(close.map(|close| u16::from(close.code))),
                Some(Ok(_control)) => {}
                Some(Err(_)) | None => return Err(None),
            }
        }
    }

    /// The next frame of this name; others are passed over.
    pub(crate) async fn named(&mut self, name: &str) -> Value {
        loop {
            let frame = self.frame().await;
            if frame["frame"] == name {
                return frame;
            }
        }
    }

    /// The code with which the connection is closed; frames before are passed over.
    pub(crate) async fn closed(&mut self) -> Option<u16> {
        loop {
            if let Err(code) = self.next().await {
                return code;
            }
        }
    }
}

/// A token of `recipient` that is good for ten minutes.
pub(crate) fn token(recipient: &str) -> String {
    token_for(recipient, 600)
}

/// A token of `recipient` that expires in so many seconds.
pub(crate) fn token_for(recipient: &str, seconds: i64) -> String {
    token_in("acme", recipient, seconds)
}

/// A token of `recipient` of `tenant` that expires in so many seconds.
pub(crate) fn token_in(tenant: &str, recipient: &str, seconds: i64) -> String {
    let now = i64::try_from(SystemClock.now().as_millis() / 1000).unwrap();
    let exp = u64::try_from(now + seconds).unwrap();
    let claims = Claims { sub: recipient.to_owned(), tenant: tenant.to_owned(), exp, ..Claims::default() };
    mint(&claims, &Secret::new(SECRET.to_owned())).unwrap()
}

pub(crate) fn http() -> reqwest::Client {
    // A second installation (another test of this process) is refused, and the first one is as good.
    drop(rustls::crypto::ring::default_provider().install_default());
    reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap()
}

/// Status and problem code of an answer.
pub(crate) async fn problem(answer: reqwest::Response) -> (u16, String) {
    let status = answer.status().as_u16();
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
    let problem: Value = answer.json().await.unwrap();
    assert_eq!(problem["status"], status);
    (status, problem["code"].as_str().unwrap().to_owned())
}
