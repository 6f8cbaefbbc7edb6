//! A distributor node as directors see it: a link service whose sessions answer by script.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{Stream, StreamExt as _};
use shared::config::Secret;
use shared::delivery::{NodeId, Rejection, SessionId, Verdict};
use shared::link::{Forwarded, shows_secret, verdict, wire};
use shared::position::Position;
use shared::recipient::Recipient;
use shared::registry::memory::Registry;
use shared::registry::{Node as Registered, Nodes as _, Route, Routes as _};
use tokio::net::TcpListener;
use tokio::sync::{broadcast, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status, Streaming};

/// How a session answers records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    Acknowledge,
    Spill,
    Gone,
    Refuse,
    Silent,
}

/// A record that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Arrived {
    pub(crate) offset: u64,
    pub(crate) parked_upto: u64,
}

#[derive(Default)]
struct Sessions {
    moods: HashMap<SessionId, Mood>,
    records: HashMap<SessionId, Vec<Arrived>>,
    pokes: HashMap<SessionId, u64>,
    open: HashMap<SessionId, VecDeque<Open>>,
    /// The most that were ever open.
    most_open: HashMap<SessionId, usize>,
}

/// A record without an answer, and where that would go.
type Open = (Position, mpsc::Sender<wire::VerdictFrame>);

#[derive(Clone)]
struct Link {
    sessions: Arc<Mutex<Sessions>>,
    secret: Secret,
    cut: broadcast::Sender<()>,
}

/// The node.
pub(crate) struct Node {
    id: NodeId,
    link: Link,
    registry: Arc<Registry>,
    stop: CancellationToken,
}

const LEASE: Duration = Duration::from_secs(600);

impl Node {
    /// Starts it and takes its lease.
    pub(crate) async fn start(registry: &Arc<Registry>) -> Self {
        Self::start_asking(registry, Secret::default()).await
    }

    /// Starts it with a secret that directors must show.
    pub(crate) async fn start_asking(registry: &Arc<Registry>, secret: Secret) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let id = NodeId::random();
        registry.renew(&Registered { id, address }, LEASE).await.unwrap();
        let link = Link { sessions: Arc::default(), secret, cut: broadcast::channel(4).0 };
        let stop = CancellationToken::new();
        let server = tonic::transport::Server::builder()
            .add_service(wire::link_server::LinkServer::new(link.clone()))
            .serve_with_incoming(TcpIncoming::from(listener));
        let stopped = stop.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = stopped.cancelled() => {}
                served = server => served.unwrap(),
            }
        });
        Self { id, link, registry: Arc::clone(registry), stop }
    }

    /// One whose address is somebody else's.
    pub(crate) async fn elsewhere(registry: &Arc<Registry>, address: SocketAddr) -> Self {
        let id = NodeId::random();
        registry.renew(&Registered { id, address: address.to_string() }, LEASE).await.unwrap();
        let link = Link { sessions: Arc::default(), secret: Secret::default(), cut: broadcast::channel(4).0 };
        Self { id, link, registry: Arc::clone(registry), stop: CancellationToken::new() }
    }

    /// Opens a session and registers it.
    pub(crate) async fn session(&self, registry: &Registry, recipient: &str, mood: Mood) -> SessionId {
        let session = SessionId::random();
        self.script(session, mood);
        let route = Route { session, node: self.id };
        registry.register(&[(Recipient::parse_key(recipient).unwrap(), route)]).await.unwrap();
        session
    }

    pub(crate) fn script(&self, session: SessionId, mood: Mood) {
        self.link.sessions.lock().unwrap().moods.insert(session, mood);
    }

    /// Acknowledges what the session kept silent about, and everything from now on.
    pub(crate) fn release(&self, session: SessionId) {
        let mut sessions = self.link.sessions.lock().unwrap();
        sessions.moods.insert(session, Mood::Acknowledge);
        let open = sessions.open.remove(&session).unwrap_or_default();
        // A director that is gone hears nothing.
        for (position, answers) in open.into_iter().filter(|(_, answers)| !answers.is_closed()) {
            answers.try_send(verdict(session, position, &Verdict::Acknowledged)).unwrap();
        }
    }

    /// Acknowledges the oldest record the session kept silent about, and stays silent.
    pub(crate) fn acknowledge_oldest(&self, session: SessionId) {
        let oldest = self.link.sessions.lock().unwrap().open.get_mut(&session).and_then(VecDeque::pop_front);
        let (position, answers) = oldest.unwrap();
        answers.try_send(verdict(session, position, &Verdict::Acknowledged)).unwrap();
    }

    /// How many records the session keeps silent about, and the most there ever were.
    pub(crate) fn most_open(&self, session: SessionId) -> (usize, usize) {
        let sessions = self.link.sessions.lock().unwrap();
        let open = sessions.open.get(&session).map_or(0, VecDeque::len);
        (open, sessions.most_open.get(&session).copied().unwrap_or_default())
    }

    /// What has come for a session, in order.
    pub(crate) fn records(&self, session: SessionId) -> Vec<Arrived> {
        self.link.sessions.lock().unwrap().records.get(&session).cloned().unwrap_or_default()
    }

    pub(crate) fn poked_upto(&self, session: SessionId) -> Option<u64> {
        self.link.sessions.lock().unwrap().pokes.get(&session).copied()
    }

    /// Ends every stream; directors may open new ones.
    pub(crate) fn cut_streams(&self) {
        self.link.cut.send(()).unwrap();
    }

    /// Gone, with its lease.
    pub(crate) async fn die(&self) {
        self.stop.cancel();
        self.registry.release(self.id).await.unwrap();
        self.cut_streams();
    }
}

impl Link {
    fn take(&self, frame: wire::Frame, answers: &mpsc::Sender<wire::VerdictFrame>) {
        let session = SessionId(frame.session);
        let mut sessions = self.sessions.lock().unwrap();
        match frame.body.unwrap() {
            wire::frame::Body::Record(record) => {
                let record = Forwarded::try_from(record).unwrap();
                let arrived = Arrived { offset: record.position.offset, parked_upto: record.parked_upto };
                sessions.records.entry(session).or_default().push(arrived);
                let answer = match sessions.moods.get(&session).copied().unwrap_or(Mood::Gone) {
                    Mood::Acknowledge => Verdict::Acknowledged,
                    Mood::Spill => Verdict::Spilled,
                    Mood::Gone => Verdict::Gone,
                    Mood::Refuse => Verdict::Rejected(Rejection::Refused),
                    Mood::Silent => {
                        let open = sessions.open.entry(session).or_default();
                        open.push_back((record.position, answers.clone()));
                        let count = open.len();
                        let most = sessions.most_open.entry(session).or_default();
                        *most = count.max(*most);
                        return;
                    }
                };
                answers.try_send(verdict(session, record.position, &answer)).unwrap();
            }
            wire::frame::Body::Poke(poke) => {
                let upto = sessions.pokes.entry(session).or_default();
                *upto = poke.parked_upto.max(*upto);
            }
            wire::frame::Body::Resume(_) => {}
        }
    }
}

#[tonic::async_trait]
impl wire::link_server::Link for Link {
    async fn acknowledge(
        &self,
        _request: Request<wire::Acknowledgement>,
    ) -> Result<Response<wire::Acknowledged>, Status> {
        Err(Status::unimplemented("directors pass nothing on"))
    }

    type DeliverStream = Pin<Box<dyn Stream<Item = Result<wire::ToDirector, Status>> + Send>>;

    async fn deliver(
        &self,
        request: Request<Streaming<wire::ToNode>>,
    ) -> Result<Response<Self::DeliverStream>, Status> {
        if !shows_secret(&request, &self.secret) {
            return Err(Status::unauthenticated("another secret"));
        }
        let mut inbound = request.into_inner();
        let (answers, verdicts) = mpsc::channel(10_000);
        let (link, mut cut) = (self.clone(), self.cut.subscribe());
        let ended = CancellationToken::new();
        let end = ended.clone();
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = cut.recv() => break,
                    batch = inbound.message() => {
                        let Ok(Some(batch)) = batch else { break };
                        batch.frames.into_iter().for_each(|frame| link.take(frame, &answers));
                    }
                }
            }
            end.cancel();
        });
        let batches = ReceiverStream::new(verdicts)
            .ready_chunks(100)
            .map(|verdicts| Ok(wire::ToDirector { verdicts }))
            .take_until(ended.cancelled_owned());
        Ok(Response::new(Box::pin(batches)))
    }
}
