//! The worker of one partition around the product's lanes, tracker and routing: what `director/src/worker.rs` does with
//! tasks and channels, done step by step here. One call of each kind is under way at a time.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use postrider_director::lane::{Input, Lanes, Output, Run};
use postrider_director::routing::{self, Routed, Source, Undeliverable};
use rand::Rng as _;
use shared::clock::Timestamp;
use shared::delivery::{NodeId, SessionId, Verdict};
use shared::group::offsets::{Ticket, Tracker};
use shared::log::Fetched;
use shared::outcome::End;
use shared::recipient::Recipient;
use shared::registry::{Mark, Route};

use super::engines::Engine;
use super::fixture::{EPOCH, PARTITIONS, partition_id};
use super::link::{Frame, Outbox};
use super::schedule::At;
use super::world::World;

/// How often verdicts that never come are looked for, in milliseconds.
const ROUND_MS: u64 = 1_000;

/// Far above what is published here.
const MAX_RECORD_BYTES: usize = 1 << 20;

/// Most records taken, asked about or parked at a time.
pub(crate) const BATCH: usize = 3;

#[derive(Clone, Debug)]
pub(crate) enum Question {
    Lookup(Recipient),
    Look(Recipient),
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) director: usize,
    pub(crate) partition: usize,
    pub(crate) draining: bool,
    pub(crate) over: bool,
    /// Made once the end of `parked` is known.
    pub(crate) lanes: Option<Lanes>,
    pub(crate) tracker: Tracker,
    pub(crate) next: u64,
    pub(crate) outboxes: BTreeMap<NodeId, Outbox>,
    pub(crate) questions: Vec<Question>,
    pub(crate) parking: VecDeque<Run>,
    pub(crate) burying: Vec<Undeliverable>,
    pub(crate) unregistering: Vec<(Recipient, Route)>,
    pub(crate) busy: [bool; 5],
    /// How far the news of routes are heard.
    pub(crate) heard: Mark,
    pub(crate) commit: Option<u64>,
    pub(crate) ticks_at: Option<u64>,
    pub(crate) pumped_at: Option<u64>,
}

impl Worker {
    pub(crate) fn is_idle(&self) -> bool {
        self.tracker.is_empty()
            && self.lanes.as_ref().is_none_or(Lanes::is_empty)
            && self.busy == [false; 5]
            && self.outboxes.values().all(Outbox::is_empty)
    }
}

impl World {
    pub(crate) fn start_worker(&mut self, director: usize, partition: usize) -> usize {
        // A process never has two workers of one partition.
        if let Some(before) = self.directors[director].attached.get(&partition).copied() {
            self.drop_worker(before);
        }
        let (index, from) = (self.workers.len(), self.log.partitions[partition].committed);
        self.workers.push(Worker {
            director,
            partition,
            draining: false,
            over: false,
            lanes: None,
            tracker: Tracker::new(from),
            next: from,
            outboxes: BTreeMap::new(),
            questions: Vec::new(),
            parking: VecDeque::new(),
            burying: Vec::new(),
            unregistering: Vec::new(),
            busy: [false; 5],
            heard: Mark::default(),
            commit: None,
            ticks_at: None,
            pumped_at: None,
        });
        self.directors[director].attached.insert(partition, index);
        self.say(|| format!("worker {index} of director {director} has partition {partition} from {from}"));
        let at = At::Socket(self.directors[director].pid);
        let end = move |world: &mut World| world.log.partitions[partition].parked.end;
        self.persist(at, Engine::Log, self.while_working(index), Rc::new(end), move |world, base| {
            world.say(|| format!("worker {index} reads the end of parked: {base}"));
            let (settings, seed) = (world.settings.lanes(), world.random.random());
            world.workers[index].lanes = Some(Lanes::new(settings, base, seed));
            world.pump(index);
        });
        index
    }

    pub(crate) fn while_working(&self, worker: usize) -> Rc<dyn Fn(&World) -> bool> {
        Rc::new(move |world| !world.workers[worker].over)
    }

    pub(crate) fn worker_at(&self, worker: usize) -> At {
        At::Socket(self.directors[self.workers[worker].director].pid)
    }

    /// The worker is gone: what it holds comes again with whoever has the partition.
    pub(crate) fn drop_worker(&mut self, worker: usize) {
        let (partition, director) = (self.workers[worker].partition, self.workers[worker].director);
        if std::mem::replace(&mut self.workers[worker].over, true) {
            return;
        }
        self.say(|| format!("worker {worker} is dropped"));
        let attached = &mut self.directors[director].attached;
        if attached.get(&partition) == Some(&worker) {
            attached.remove(&partition);
        }
    }

    /// There may be something to take soon.
    pub(crate) fn pump_soon(&mut self, worker: usize) {
        let pause = self.hop();
        let time = self.schedule.now + pause;
        let state = &mut self.workers[worker];
        if state.over || state.pumped_at.is_some_and(|at| at <= time) {
            return;
        }
        state.pumped_at = Some(time);
        let at = self.worker_at(worker);
        self.after(pause, at, move |world| world.pump(worker));
    }

    fn pump(&mut self, worker: usize) {
        let limit = self.settings.in_flight;
        for _record in 0..BATCH {
            let state = &mut self.workers[worker];
            state.pumped_at = None;
            if state.over || state.draining || state.lanes.is_none() || state.tracker.len() >= limit {
                return;
            }
            let (partition, next) = (state.partition, state.next);
            let mut found = self.log.partitions[partition].notifications.entries.range(next..);
            let Some((offset, entry)) = found.next() else { return };
            let (offset, entry) = (*offset, entry.clone());
            self.take(worker, offset, entry);
        }
        self.pump_soon(worker);
    }

    fn take(&mut self, worker: usize, offset: u64, entry: shared::log::Entry) {
        let state = &mut self.workers[worker];
        state.next = offset + 1;
        let Some(ticket) = state.tracker.take(offset) else { return };
        let timestamp = Timestamp::from_millis(self.schedule.now);
        let fetched = Fetched { partition: partition_id(state.partition), offset, timestamp, entry };
        let source =
            Source { epoch: EPOCH, partitions: PARTITIONS as u32, max_record_bytes: MAX_RECORD_BYTES };
        match routing::route(fetched, ticket, source) {
            Routed::Deliver(record) => self.step_lanes(worker, Input::Taken(record)),
            Routed::HandOver(record) => unreachable!("nobody asks for a task here: {record:?}"),
            Routed::Bury(letter) => {
                state.burying.push(*letter);
                self.start_calls(worker);
            }
        }
    }

    /// Lets the lanes take one input, and does what they say.
    pub(crate) fn step_lanes(&mut self, worker: usize, input: Input) {
        let now = self.instant();
        self.say(|| format!("worker {worker} <- {}", brief_input(&input)));
        let state = &mut self.workers[worker];
        let Some(lanes) = state.lanes.as_mut().filter(|_| !state.over) else { return };
        let mut outputs = Vec::new();
        lanes.step(input, now, &mut outputs);
        for output in outputs {
            self.say(|| format!("    worker {worker} -> {}", brief_output(&output)));
            self.act(worker, output);
        }
        self.arm_worker(worker);
        self.start_calls(worker);
    }

    fn act(&mut self, worker: usize, output: Output) {
        let state = &mut self.workers[worker];
        match output {
            Output::Lookup(recipient) => state.questions.push(Question::Lookup(recipient)),
            Output::Look(recipient) => state.questions.push(Question::Look(recipient)),
            Output::Forward { route, record, parked_upto } => {
                let (session, position) = (route.session, record.position);
                let notification = Arc::new(record.notification.clone());
                let frame = Frame::Record { session, position, parked_upto, notification };
                state.outboxes.entry(route.node).or_default().push(frame);
            }
            Output::Poke(route, parked_upto) => {
                let frame = Frame::Poke { session: route.session, parked_upto };
                state.outboxes.entry(route.node).or_default().push(frame);
            }
            Output::Resume(route) => {
                let frame = Frame::Resume { session: route.session };
                state.outboxes.entry(route.node).or_default().push(frame);
            }
            Output::Park(run) => state.parking.push_back(run),
            Output::Bury(record, reason) => state.burying.push(Undeliverable::of(&record, reason)),
            Output::Ended(record, end) => self.ended(worker, record.ticket, record.position.offset, end),
            Output::Unregister(recipient, route) => state.unregistering.push((recipient, route)),
            Output::Retry | Output::GaveWay(_) => {}
        }
    }

    pub(crate) fn ended(&mut self, worker: usize, ticket: Ticket, offset: u64, end: End) {
        let state = &mut self.workers[worker];
        if let Some(next) = state.tracker.finish(ticket) {
            state.commit = Some(next);
        }
        let partition = state.partition;
        self.judge_end(partition, offset, end);
        // It is committed soon after.
        let (pause, at) = (self.hop(), self.worker_at(worker));
        self.after(pause, at, move |world| world.commit_now(worker));
        self.pump_soon(worker);
    }

    /// Commits what is finished; the group believes only the partition's owner.
    pub(crate) fn commit_now(&mut self, worker: usize) {
        let Some(next) = self.workers[worker].commit.take() else { return };
        let partition = self.workers[worker].partition;
        let log = &mut self.log.partitions[partition];
        if log.owner == Some(worker) && next > log.committed {
            let from = std::mem::replace(&mut log.committed, next);
            self.say(|| format!("partition {partition} committed at {next}"));
            self.judge_commit(partition, from, next);
        }
    }

    fn arm_worker(&mut self, worker: usize) {
        let (now, begin) = (self.schedule.now, self.begin);
        let state = &mut self.workers[worker];
        let Some(lanes) = state.lanes.as_ref().filter(|lanes| !lanes.is_empty()) else { return };
        let due = lanes.due().map(|due| due.duration_since(begin).as_millis() as u64);
        let time = due.map_or(now + ROUND_MS, |due| due.clamp(now + 1, now + ROUND_MS));
        if state.ticks_at.is_some_and(|at| at > now && at <= time) {
            return;
        }
        state.ticks_at = Some(time);
        let at = At::Timer(self.directors[state.director].pid);
        self.after(time - now, at, move |world| {
            world.workers[worker].ticks_at = None;
            world.step_lanes(worker, Input::Tick);
        });
    }

    /// A verdict came on `stream`.
    pub(crate) fn hear_verdict(
        &mut self,
        worker: usize,
        (stream, route): (usize, Route),
        offset: u64,
        verdict: Verdict,
    ) {
        let current =
            self.workers[worker].outboxes.get(&route.node).is_some_and(|outbox| outbox.is_on(stream));
        // What a client has it has; anything else said on a stream that is over is out of date.
        if current || matches!(verdict, Verdict::Acknowledged | Verdict::Expired) {
            self.step_lanes(worker, Input::Verdict(route, offset, verdict));
        }
    }

    /// The way to a node is gone.
    pub(crate) fn lose_way(&mut self, worker: usize, node: NodeId) {
        if let Some(outbox) = self.workers[worker].outboxes.get_mut(&node) {
            outbox.lose();
        }
        self.step_lanes(worker, Input::StreamLost(node));
    }
}

fn brief_input(input: &Input) -> String {
    match input {
        Input::Taken(record) => {
            format!("taken {} for {}", record.position.offset, record.notification.recipient)
        }
        Input::Routed(..)
        | Input::Away(_)
        | Input::Looked(..)
        | Input::Verdict(..)
        | Input::StreamLost(_)
        | Input::Parked { .. }
        | Input::Unparkable(..)
        | Input::Buried(_)
        | Input::Entered(_)
        | Input::Proved(_)
        | Input::Unprovable
        | Input::Tick => format!("{input:?}"),
    }
}

fn brief_output(output: &Output) -> String {
    let session = |session: SessionId| session.0;
    match output {
        Output::Forward { route, record, parked_upto } => {
            let offset = record.position.offset;
            format!("forward {offset} to session {} after parked {parked_upto}", session(route.session))
        }
        Output::Park(run) => {
            let offsets: Vec<u64> = run.iter().map(|(record, _)| record.position.offset).collect();
            format!("park {offsets:?}")
        }
        Output::Bury(record, reason) => format!("bury {} {reason:?}", record.position.offset),
        Output::Ended(record, end) => format!("ended {} {end:?}", record.position.offset),
        Output::Lookup(_)
        | Output::Look(_)
        | Output::Poke(..)
        | Output::Resume(_)
        | Output::Unregister(..)
        | Output::GaveWay(_)
        | Output::Retry => format!("{output:?}"),
    }
}
