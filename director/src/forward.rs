//! Output edge to the nodes: one bidirectional stream for each node, shared by the workers of all partitions. A worker
//! [attaches](Forwarder::attach) to hear verdicts and losses, and [opens](Forwarder::open) the way to a node to send.
//!
//! What is on a stream when it ends is lost, and each attached worker is told; nothing of one stream is ever sent on the
//! next, for a record must not come before those that were lost ahead of it.

mod directory;
mod stream;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use shared::config::Secret;
use shared::delivery::{NodeId, SessionId, Verdict};
use shared::link::outgoing::Batch;
use shared::position::{Epoch, PartitionId};
use shared::registry::Nodes;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::breaker::Breaker;
use crate::config::LinkSettings;
use crate::metrics;
use crate::routing::Record;
use directory::Directory;

/// What a worker hears from the streams.
#[derive(Debug)]
pub(crate) enum Inbound {
    /// Sessions of `node` say what became of records at these offsets.
    Verdicts { node: NodeId, stream: StreamId, verdicts: Vec<(SessionId, u64, Verdict)> },
    /// The stream has ended; what was on it and not answered is lost.
    Lost { node: NodeId, stream: StreamId },
}

/// One stream, from its start to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StreamId(u64);

/// The node cannot be reached now.
#[derive(Debug)]
pub(crate) struct Unreachable;

/// A way to a node, as long as its stream lives.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    stream: StreamId,
    sender: mpsc::Sender<Batch<Record>>,
    ended: CancellationToken,
}

impl Link {
    pub(crate) fn stream(&self) -> StreamId {
        self.stream
    }

    /// Whether the stream is over. True before any worker hears [`Inbound::Lost`].
    pub(crate) fn is_over(&self) -> bool {
        self.ended.is_cancelled() || self.sender.is_closed()
    }

    /// Hands a batch to the stream, waiting while its buffer is full.
    ///
    /// # Errors
    /// When the stream is over; what was sent on it is lost or soon said to be.
    pub(crate) async fn send(&self, batch: Batch<Record>) -> Result<(), Unreachable> {
        let sent = tokio::select! {
            () = self.ended.cancelled() => return Err(Unreachable),
            sent = self.sender.send(batch) => sent,
        };
        if sent.is_err() || self.is_over() { Err(Unreachable) } else { Ok(()) }
    }
}

#[derive(Debug, Default)]
struct Slot {
    link: Option<Link>,
    breaker: Breaker,
}

/// All streams of this director.
pub(crate) struct Forwarder {
    settings: LinkSettings,
    secret: Secret,
    epoch: Epoch,
    directory: Directory,
    slots: Mutex<HashMap<NodeId, Arc<tokio::sync::Mutex<Slot>>>>,
    attached: Mutex<HashMap<PartitionId, (u64, mpsc::Sender<Inbound>)>>,
    serial: AtomicU64,
    open: AtomicUsize,
    closing: CancellationToken,
}

/// A worker's place among those that hear the streams; dropped, it hears no more.
pub(crate) struct Attachment {
    partition: PartitionId,
    serial: u64,
    forwarder: Arc<Forwarder>,
    /// What comes in.
    pub(crate) inbound: mpsc::Receiver<Inbound>,
}

impl Drop for Attachment {
    fn drop(&mut self) {
        let mut attached = lock(&self.forwarder.attached);
        // A worker of the same partition that came later keeps its place.
        if attached.get(&self.partition).is_some_and(|(serial, _)| *serial == self.serial) {
            attached.remove(&self.partition);
        }
    }
}

impl Forwarder {
    pub(crate) fn new(
        settings: LinkSettings,
        secret: Secret,
        epoch: Epoch,
        nodes: Arc<dyn Nodes>,
    ) -> Arc<Self> {
        Arc::new(Self {
            settings,
            secret,
            epoch,
            directory: Directory::new(nodes),
            slots: Mutex::default(),
            attached: Mutex::default(),
            serial: AtomicU64::new(0),
            open: AtomicUsize::new(0),
            closing: CancellationToken::new(),
        })
    }

    /// Ends every stream once the guard is dropped.
    pub(crate) fn close_on_drop(&self) -> DropGuard {
        self.closing.clone().drop_guard()
    }

    /// Keeps the addresses of the nodes fresh until closed.
    pub(crate) async fn refresh(&self) {
        let mut tick = tokio::time::interval(self.settings.refresh_ms);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.closing.cancelled() => return,
                _ = tick.tick() => {}
            }
            self.directory.refresh().await;
            self.tidy();
        }
    }

    /// Lets the worker of `partition` hear verdicts and losses from now on.
    pub(crate) fn attach(self: &Arc<Self>, partition: PartitionId) -> Attachment {
        let (sender, inbound) = mpsc::channel(self.settings.verdict_batches);
        let serial = self.serial.fetch_add(1, Ordering::Relaxed);
        lock(&self.attached).insert(partition, (serial, sender));
        Attachment { partition, serial, forwarder: Arc::clone(self), inbound }
    }

    /// The stream to `node`, made if there is none.
    ///
    /// # Errors
    /// When it cannot be made within the deadline, or failed so often that the node is left alone for a while.
    pub(crate) async fn open(self: &Arc<Self>, node: NodeId) -> Result<Link, Unreachable> {
        let slot = Arc::clone(lock(&self.slots).entry(node).or_default());
        let mut slot = slot.lock().await;
        if let Some(link) = slot.link.as_ref().filter(|link| !link.is_over()) {
            return Ok(link.clone());
        }
        slot.link = None;
        if !slot.breaker.allows(Instant::now().into_std()) {
            return Err(Unreachable);
        }
        match self.connect(node).await {
            Ok(link) => {
                slot.breaker.succeeded();
                slot.link = Some(link.clone());
                Ok(link)
            }
            Err(error) => {
                tracing::warn!(%node, error = &error as &dyn std::error::Error, "node unreachable");
                let now = Instant::now().into_std();
                let backoff = self.settings.breaker.into();
                slot.breaker.failed(now, self.settings.breaker_failures, backoff, rand::random());
                Err(Unreachable)
            }
        }
    }

    async fn connect(self: &Arc<Self>, node: NodeId) -> Result<Link, stream::ConnectError> {
        let Some(address) = self.directory.address(node).await else {
            return Err(stream::ConnectError::Unknown);
        };
        let stream = StreamId(self.serial.fetch_add(1, Ordering::Relaxed));
        let (sender, receiver) = mpsc::channel(self.settings.batches);
        let ended = self.closing.child_token();
        let limit: Duration = self.settings.connect_ms;
        let connecting = stream::connect(&address, &self.settings, &self.secret, receiver, ended.clone());
        let verdicts =
            tokio::time::timeout(limit, connecting).await.map_err(|_late| stream::ConnectError::Late)??;
        tracing::info!(%node, address, "stream open");
        metrics::streams(self.open.fetch_add(1, Ordering::Relaxed) + 1);
        let forwarder = Arc::clone(self);
        let link = Link { stream, sender, ended };
        let ended = link.ended.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = ended.cancelled() => {}
                () = stream::read(&forwarder, node, stream, verdicts) => {}
            }
            // First this, then the news: a worker that has not heard yet sees it by `Link::is_over`.
            ended.cancel();
            metrics::streams(forwarder.open.fetch_sub(1, Ordering::Relaxed) - 1);
            metrics::stream_lost();
            for worker in forwarder.workers() {
                // A worker that is gone needs no news.
                drop(worker.send(Inbound::Lost { node, stream }).await);
            }
        });
        Ok(link)
    }

    fn workers(&self) -> Vec<mpsc::Sender<Inbound>> {
        lock(&self.attached).values().map(|(_, sender)| sender.clone()).collect()
    }

    fn worker(&self, partition: PartitionId) -> Option<mpsc::Sender<Inbound>> {
        lock(&self.attached).get(&partition).map(|(_, sender)| sender.clone())
    }

    /// Forgets nodes that have no stream and are not in the registry any more.
    fn tidy(&self) {
        let mut breakers_open = 0;
        let now = Instant::now().into_std();
        lock(&self.slots).retain(|node, slot| match slot.try_lock() {
            Ok(slot) => {
                let alive = slot.link.as_ref().is_some_and(|link| !link.is_over());
                breakers_open += usize::from(!slot.breaker.allows(now));
                alive || self.directory.knows(*node)
            }
            Err(_in_use) => true,
        });
        metrics::breakers_open(breakers_open);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics while one of these is held.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
