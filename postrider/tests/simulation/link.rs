//! Streams between directors and nodes: in order each way, late, and lost at any moment; each end hears of the loss in
//! its own time. [`Outbox`] is `director/src/worker/outbox.rs`, step by step.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use postrider_distributor::session::StreamId;
use shared::delivery::{NodeId, SessionId, Verdict};
use shared::notification::Notification;
use shared::position::Position;
use shared::registry::Route;

use super::schedule::At;
use super::world::World;

/// Most frames handed to a stream at a time.
const BATCH: usize = 4;

/// What a director sends.
#[derive(Clone, Debug)]
pub(crate) enum Frame {
    Record { session: SessionId, position: Position, parked_upto: u64, notification: Arc<Notification> },
    Poke { session: SessionId, parked_upto: u64 },
    Resume { session: SessionId },
}

/// A stream of one director to one node.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) director: usize,
    pub(crate) node: usize,
    /// Nothing that would arrive later arrives.
    lost_at: Option<u64>,
    /// The director knows that it is over.
    over_there: bool,
    /// The node knows that it is over.
    pub(crate) over_here: bool,
    forth: u64,
    back: u64,
    /// Sessions that got a record on it.
    pub(crate) touched: BTreeSet<SessionId>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Flush {
    #[default]
    Idle,
    Outstanding,
    Outdated,
}

/// What waits in a worker to be sent to one node.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    frames: VecDeque<Frame>,
    link: Option<usize>,
    flush: Flush,
}

impl Outbox {
    pub(crate) fn push(&mut self, frame: Frame) {
        self.frames.push_back(frame);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    pub(crate) fn is_on(&self, stream: usize) -> bool {
        self.link == Some(stream)
    }

    pub(crate) fn lose(&mut self) {
        self.frames.clear();
        self.link = None;
        if self.flush == Flush::Outstanding {
            self.flush = Flush::Outdated;
        }
    }
}

impl World {
    pub(crate) fn flush(&mut self, worker: usize) {
        let ready = |outbox: &Outbox| !outbox.frames.is_empty() && outbox.flush == Flush::Idle;
        let outboxes = &mut self.workers[worker].outboxes;
        let nodes: Vec<NodeId> =
            outboxes.iter().filter(|(_, outbox)| ready(outbox)).map(|(id, _)| *id).collect();
        for node in nodes {
            let Some(outbox) = self.workers[worker].outboxes.get_mut(&node) else { continue };
            outbox.flush = Flush::Outstanding;
            let batch: Vec<Frame> = outbox.frames.drain(..outbox.frames.len().min(BATCH)).collect();
            let link = outbox.link;
            let director = self.workers[worker].director;
            let at = At::Socket(self.directors[director].pid);
            let pause = if link.is_some() { self.random_ms(5) } else { self.hop() };
            let patience = if link.is_none() && !self.is_reachable(node) { 2_000 } else { pause };
            self.after(patience, at, move |world| {
                let link = link.or_else(|| world.open_stream(director, node));
                let link = link.filter(|stream| !world.streams[*stream].over_there);
                if let Some(stream) = link {
                    world.send(stream, batch);
                }
                world.flushed(worker, node, link);
            });
        }
    }

    fn flushed(&mut self, worker: usize, node: NodeId, link: Option<usize>) {
        if self.workers[worker].over {
            return;
        }
        let Some(outbox) = self.workers[worker].outboxes.get_mut(&node) else { return };
        if std::mem::take(&mut outbox.flush) != Flush::Outdated {
            outbox.link = link;
            if link.is_none() {
                self.lose_way(worker, node);
            }
        }
        self.flush(worker);
    }

    fn is_reachable(&self, node: NodeId) -> bool {
        self.node_of(node).is_some_and(|node| self.schedule.is_running(self.nodes[node].pid))
    }

    /// The stream of a director to a node, made if there is none.
    fn open_stream(&mut self, director: usize, node: NodeId) -> Option<usize> {
        let index = self.node_of(node)?;
        let known = self.directors[director].links.get(&index).copied();
        if let Some(stream) = known.filter(|stream| !self.streams[*stream].over_there) {
            return Some(stream);
        }
        if !self.is_reachable(node) {
            return None;
        }
        let now = self.schedule.now;
        self.streams.push(Stream {
            director,
            node: index,
            lost_at: None,
            over_there: false,
            over_here: false,
            forth: now,
            back: now,
            touched: BTreeSet::new(),
        });
        let stream = self.streams.len() - 1;
        self.directors[director].links.insert(index, stream);
        self.say(|| format!("stream {stream} from director {director} to node {index}"));
        Some(stream)
    }

    fn send(&mut self, stream: usize, batch: Vec<Frame>) {
        for frame in batch {
            let hop = self.hop();
            let time = self.streams[stream].forth.max(self.schedule.now + hop);
            self.streams[stream].forth = time;
            let at = At::Socket(self.nodes[self.streams[stream].node].pid);
            self.at(time, at, move |world| {
                let Stream { lost_at, over_here, .. } = world.streams[stream];
                if !over_here && lost_at.is_none_or(|lost| time <= lost) {
                    world.enter_frame(stream, frame);
                }
            });
        }
    }

    /// A verdict goes back on a stream.
    pub(crate) fn answer(&mut self, id: StreamId, session: SessionId, position: Position, verdict: Verdict) {
        let stream = id.0 as usize;
        if self.streams[stream].over_here {
            return;
        }
        let hop = self.hop();
        let time = self.streams[stream].back.max(self.schedule.now + hop);
        self.streams[stream].back = time;
        let (director, node) = (self.streams[stream].director, self.streams[stream].node);
        let route = Route { session, node: self.nodes[node].id };
        self.at(time, At::Socket(self.directors[director].pid), move |world| {
            let Stream { lost_at, over_there, .. } = world.streams[stream];
            let partition = position.partition.0 as usize;
            let worker = world.directors[director].attached.get(&partition).copied();
            if !over_there
                && lost_at.is_none_or(|lost| time <= lost)
                && let Some(worker) = worker
            {
                world.hear_verdict(worker, (stream, route), position.offset, verdict);
            }
        });
    }

    /// A stream breaks; both ends hear of it, each behind what had arrived before.
    pub(crate) fn lose_stream(&mut self, stream: usize) {
        if self.streams[stream].lost_at.is_some() {
            return;
        }
        self.say(|| format!("stream {stream} breaks"));
        let now = self.schedule.now;
        self.streams[stream].lost_at = Some(now);
        let (director, node) = (self.streams[stream].director, self.streams[stream].node);
        let (here, there) = (now + self.hop(), now + self.hop());
        self.at(here, At::Socket(self.nodes[node].pid), move |world| world.stream_lost_here(stream));
        self.at(there, At::Socket(self.directors[director].pid), move |world| {
            world.streams[stream].over_there = true;
            let id = world.nodes[node].id;
            let workers: Vec<usize> = world.directors[director].attached.values().copied().collect();
            for worker in workers {
                if world.workers[worker].outboxes.get(&id).is_some_and(|outbox| outbox.is_on(stream)) {
                    world.lose_way(worker, id);
                }
            }
        });
    }
}
