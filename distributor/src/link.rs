//! Input edge from directors: one bidirectional stream each, batches of frames in, batches of verdicts out. What comes in
//! goes straight into the sessions; what goes out is what they said, see `verdicts.rs`. Other nodes bring acknowledgements
//! here that clients sent to them.

use std::collections::HashSet;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::Stream;
use futures_util::stream;
use shared::delivery::SessionId;
use shared::link::{Forwarded, InvalidFrame, wire};
use shared::shutdown::Shutdown;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, oneshot};
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status, Streaming};

use crate::config::LinkSettings;
use crate::drain::Causes;
use crate::hub::Hub;
use crate::metrics;
use crate::session::{Input, StreamId};
use crate::verdicts::Outbox;

/// HTTP/2 flow-control windows, in bytes: enough to keep a director's batches flowing over a long round trip.
const STREAM_WINDOW_BYTES: u32 = 4 * 1024 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 8 * 1024 * 1024;

/// Serves directors until `shutdown`, then ends their streams.
///
/// # Errors
/// When the server cannot go on.
pub(crate) async fn run(
    hub: Arc<Hub>,
    listener: TcpListener,
    settings: LinkSettings,
    shutdown: Shutdown,
) -> Result<(), tonic::transport::Error> {
    let streams = Arc::new(Semaphore::new(settings.streams.min(Semaphore::MAX_PERMITS)));
    let link = Link {
        hub,
        streams,
        settings: settings.clone(),
        next: AtomicU64::new(1),
        shutdown: shutdown.clone(),
    };
    tonic::transport::Server::builder()
        .http2_keepalive_interval(Some(settings.keepalive_ms))
        .http2_keepalive_timeout(Some(settings.keepalive_timeout_ms))
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_concurrent_streams(u32::try_from(settings.streams).unwrap_or(u32::MAX))
        .add_service(wire::link_server::LinkServer::new(link).max_decoding_message_size(settings.batch_bytes))
        .serve_with_incoming_shutdown(TcpIncoming::from(listener).with_nodelay(Some(true)), async move {
            shutdown.begun().await
        })
        .await
}

struct Link {
    hub: Arc<Hub>,
    streams: Arc<Semaphore>,
    settings: LinkSettings,
    next: AtomicU64,
    shutdown: Shutdown,
}

#[tonic::async_trait]
impl wire::link_server::Link for Link {
    type DeliverStream = Pin<Box<dyn Stream<Item = Result<wire::ToDirector, Status>> + Send>>;

    async fn deliver(
        &self,
        request: Request<Streaming<wire::ToNode>>,
    ) -> Result<Response<Self::DeliverStream>, Status> {
        if !shared::link::shows_secret(&request, &self.settings.secret) {
            return Err(Status::unauthenticated("the secret is not this node's"));
        }
        let place = Arc::clone(&self.streams)
            .try_acquire_owned()
            .map_err(|_full| Status::resource_exhausted("this node has as many streams as it may"))?;
        let id = StreamId(self.next.fetch_add(1, Ordering::Relaxed));
        let outbox = self.hub.verdicts.open(id);
        let (finished, finish) = oneshot::channel();
        let dropped = CancellationToken::new();
        let reader = Reader {
            hub: Arc::clone(&self.hub),
            id,
            outbox: Arc::clone(&outbox),
            touched: Touched::default(),
            verdicts_waiting: self.settings.verdicts_waiting,
        };
        let answers = Answers {
            outbox,
            finish: Some(finish),
            last: None,
            batch: self.settings.verdict_batch,
            _dropped: dropped.clone().drop_guard(),
        };
        metrics::stream_opened();
        let (inbound, shutdown) = (request.into_inner(), self.shutdown.clone());
        tokio::spawn(async move {
            let end = reader.run(inbound, dropped, shutdown).await;
            // Only now: what came on the stream has been given back.
            drop(place);
            if finished.send(end).is_err() {
                tracing::debug!("the director left before its stream ended");
            }
        });
        Ok(Response::new(Box::pin(stream::unfold(answers, Answers::next))))
    }

    async fn acknowledge(
        &self,
        request: Request<wire::Acknowledgement>,
    ) -> Result<Response<wire::Acknowledged>, Status> {
        if !shared::link::shows_secret(&request, &self.settings.secret) {
            return Err(Status::unauthenticated("the secret is not this node's"));
        }
        let (recipient, session, cursor) = shared::link::read_acknowledgement(&request.into_inner())
            .map_err(|error| Status::invalid_argument(error.to_string()))?;
        let handle = self.hub.session(session).filter(|handle| *handle.recipient() == recipient);
        let handle = handle.ok_or_else(|| Status::not_found("no such session of this recipient"))?;
        handle.acknowledge_cursor(cursor).map_err(|foreign| Status::invalid_argument(foreign.to_string()))?;
        Ok(Response::new(wire::Acknowledged {}))
    }
}

/// The way in of one stream.
struct Reader {
    hub: Arc<Hub>,
    id: StreamId,
    outbox: Arc<Outbox>,
    touched: Touched,
    verdicts_waiting: usize,
}

impl Reader {
    /// Reads until the stream ends, for whatever reason, and gives back what came on it. Answers what to tell the
    /// director, if it is still there.
    async fn run(
        mut self,
        mut inbound: Streaming<wire::ToNode>,
        dropped: CancellationToken,
        shutdown: Shutdown,
    ) -> Result<(), Status> {
        let end = loop {
            let batch = tokio::select! {
                () = dropped.cancelled() => break Ok(()),
                () = shutdown.begun() => break Err(Status::unavailable("this node goes away")),
                batch = self.next(&mut inbound) => batch,
            };
            match batch {
                Ok(Some(batch)) => {
                    if let Err(error) = self.enter(batch) {
                        tracing::warn!(error = %Causes(&error), "a director sent an invalid frame");
                        break Err(Status::invalid_argument(error.to_string()));
                    }
                }
                Ok(None) => break Ok(()),
                Err(status) => {
                    tracing::debug!(%status, "a director's stream broke");
                    break Ok(());
                }
            }
        };
        for session in self.touched.sessions {
            self.hub.input(session, Input::StreamLost(self.id));
        }
        self.hub.verdicts.close(self.id);
        metrics::stream_ended();
        end
    }

    /// The next batch, once there is room for its verdicts.
    async fn next(&self, inbound: &mut Streaming<wire::ToNode>) -> Result<Option<wire::ToNode>, Status> {
        self.outbox.room(self.verdicts_waiting).await;
        inbound.message().await
    }

    fn enter(&mut self, batch: wire::ToNode) -> Result<(), InvalidFrame> {
        metrics::frames(batch.frames.len());
        for frame in batch.frames {
            let session = SessionId(frame.session);
            match frame.body.ok_or(InvalidFrame::Missing("body"))? {
                wire::frame::Body::Record(record) => {
                    self.touched.add(&self.hub, session);
                    self.hub.forward(self.id, session, Forwarded::try_from(record)?);
                }
                wire::frame::Body::Poke(poke) => {
                    self.hub.input(session, Input::Poke { parked_upto: poke.parked_upto });
                }
                wire::frame::Body::Resume(_) => self.hub.input(session, Input::Resume(self.id)),
            }
        }
        Ok(())
    }
}

/// Sessions that got something on a stream. Those that are over are forgotten now and then, so that it stays within
/// twice the sessions there are.
#[derive(Default)]
struct Touched {
    sessions: HashSet<SessionId>,
    prune_at: usize,
}

impl Touched {
    const PRUNE_FROM: usize = 4096;

    fn add(&mut self, hub: &Hub, session: SessionId) {
        if self.sessions.insert(session) && self.sessions.len() > self.prune_at.max(Self::PRUNE_FROM) {
            self.sessions.retain(|session| hub.cell(*session).is_some());
            self.prune_at = self.sessions.len() * 2;
        }
    }
}

/// The way out of one stream. Dropping it ends the way in.
struct Answers {
    outbox: Arc<Outbox>,
    /// How the way in ended; taken when it did.
    finish: Option<oneshot::Receiver<Result<(), Status>>>,
    /// What to say after the last verdict.
    last: Option<Status>,
    batch: usize,
    _dropped: DropGuard,
}

impl Answers {
    async fn next(mut self) -> Option<(Result<wire::ToDirector, Status>, Self)> {
        if let Some(finish) = &mut self.finish {
            let ended = tokio::select! {
                biased;
                verdicts = self.outbox.next(self.batch) => {
                    return Some((Ok(wire::ToDirector { verdicts }), self));
                }
                ended = finish => ended,
            };
            self.finish = None;
            self.last = match ended {
                Ok(end) => end.err(),
                Err(_the_reader_broke) => Some(Status::internal("the stream broke")),
            };
        }
        let verdicts = self.outbox.take(self.batch);
        if !verdicts.is_empty() {
            return Some((Ok(wire::ToDirector { verdicts }), self));
        }
        self.last.take().map(|status| (Err(status), self))
    }
}
