//! The worker of one partition: feeds the [lanes](crate::lane) and does what they say. It never waits for anything in
//! particular: every question to the registry, append, and batch for a node is a call beside the loop, at most one of
//! each kind (one for each node) at a time, and what comes up meanwhile makes the next batch.

mod calls;
mod endings;
mod outbox;
mod spans;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::future::{BoxFuture, FutureExt as _};
use futures_util::stream::FuturesUnordered;
use shared::clock::Clock;
use shared::delivery::{NodeId, Verdict};
use shared::group::offsets::{Ticket, Tracker};
use shared::group::{Assignment, Crew};
use shared::link::outgoing::Outgoing;
use shared::log::{Ends, Fetched};
use shared::notification::{NotificationId, Urgency};
use shared::outcome::End;
use shared::recipient::Recipient;
use shared::record::dead::Letter;
use shared::record::outcomes::Outcome;
use shared::registry::Route;
use shared::topic::{Topic, key_of, partition_of};
use tokio::time::Instant;

use crate::calls::persist;
use crate::config::Config;
use crate::forward::{Attachment, Forwarder, Inbound};
use crate::lane::{Input, Lanes, Output, Run};
use crate::lookups::{Lookups, Round};
use crate::metrics;
use crate::park::Parker;
use crate::ranked::Ranked;
use crate::routing::{self, Record, Routed, Source, Undeliverable};
use calls::{Done, Question};
use endings::{Ending, Endings, Haste};
use outbox::Outbox;
use spans::Spans;

/// How often verdicts that never come are looked for, and gauges set.
const ROUND: Duration = Duration::from_secs(1);

/// What all workers of the director share.
pub(crate) struct Desk {
    pub(crate) config: Config,
    pub(crate) ends: Arc<dyn Ends>,
    pub(crate) lookups: Arc<Lookups>,
    pub(crate) parker: Parker,
    pub(crate) forwarder: Arc<Forwarder>,
    pub(crate) clock: Arc<dyn Clock>,
}

/// Makes a worker for each partition.
pub(crate) struct Workers(pub(crate) Arc<Desk>);

impl Crew for Workers {
    fn work(&self, assignment: Assignment) -> BoxFuture<'static, ()> {
        run(Arc::clone(&self.0), assignment).boxed()
    }
}

async fn run(desk: Arc<Desk>, assignment: Assignment) {
    // Everything parked by whoever had the partition before lies below this: its appends were answered, or are fenced
    // by nothing and may still land; then their records are redelivered here.
    let base = persist(desk.config.backoff.into(), "reading the end of parked", || {
        desk.ends.end(Topic::Parked, assignment.partition)
    });
    let base = tokio::select! {
        () = assignment.drain.cancelled() => return,
        base = base => match base {
            Ok(base) => base,
            Err(_never_for_the_log) => return,
        },
    };
    Worker::new(desk, assignment, base).run().await;
}

struct Worker {
    desk: Arc<Desk>,
    assignment: Assignment,
    attachment: Attachment,
    source: Source,
    lanes: Lanes,
    tracker: Tracker,
    spans: Spans,
    metrics: metrics::Ends,
    outboxes: HashMap<NodeId, Outbox>,
    questions: Ranked<Question>,
    /// How far the news of routes are heard.
    heard: Round,
    parking: Ranked<Run>,
    burying: Vec<Undeliverable>,
    endings: Endings,
    /// Of this partition on `outcomes`.
    outcomes_key: Bytes,
    unregistering: Vec<(Recipient, Route)>,
    busy: calls::Busy,
    calls: FuturesUnordered<BoxFuture<'static, Done>>,
    outputs: Vec<Output>,
    commit: Option<u64>,
    /// When the commit moved, or there was nothing to move it past.
    moved: Instant,
    round: Instant,
}

impl Worker {
    fn new(desk: Arc<Desk>, assignment: Assignment, base: u64) -> Self {
        let attachment = desk.forwarder.attach(assignment.partition);
        let partitions = desk.ends.partitions();
        Self {
            attachment,
            source: Source {
                epoch: desk.ends.epoch(),
                partitions,
                max_record_bytes: desk.ends.max_record_bytes(),
            },
            lanes: Lanes::new(desk.config.lanes(), base, rand::random()),
            tracker: Tracker::new(assignment.from),
            spans: Spans::default(),
            metrics: metrics::Ends::new(),
            outboxes: HashMap::new(),
            questions: Ranked::new(desk.config.fairness.urgent_turns),
            heard: Round::default(),
            parking: Ranked::new(desk.config.fairness.urgent_turns),
            burying: Vec::new(),
            endings: Endings::default(),
            outcomes_key: key_of(assignment.partition, partitions).into(),
            unregistering: Vec::new(),
            busy: calls::Busy::default(),
            calls: FuturesUnordered::new(),
            outputs: Vec::new(),
            commit: None,
            moved: Instant::now(),
            round: Instant::now() + ROUND,
            desk,
            assignment,
        }
    }

    async fn run(mut self) {
        let (drain, intake) = (self.assignment.drain.clone(), Arc::clone(&self.assignment.intake));
        let mut draining = false;
        loop {
            self.start_calls(if draining { Haste::Now } else { Haste::Fill });
            if draining && self.is_idle() {
                return;
            }
            let wake = self.wake();
            let has_room = self.endings.len() < self.desk.config.outcomes.waiting;
            tokio::select! {
                () = drain.cancelled(), if !draining => draining = true,
                Some(inbound) = self.attachment.inbound.recv() => self.hear(inbound),
                Some(done) = self.calls.next(), if !self.calls.is_empty() => self.done(done),
                () = intake.arrival(), if !draining && has_room => {
                    for fetched in intake.take(self.desk.config.batch_records) {
                        self.take(fetched);
                    }
                }
                () = tokio::time::sleep_until(wake) => {
                    self.step(Input::Tick);
                    if Instant::now() >= self.round {
                        self.round = Instant::now() + ROUND;
                        self.measure();
                    }
                }
            }
            self.tell_progress();
        }
    }

    /// When there is something to do that nobody will tell.
    fn wake(&self) -> Instant {
        let lanes = self.lanes.due().map(Instant::from);
        let endings = self.endings.due(self.desk.config.outcomes.age_ms);
        [lanes, endings].into_iter().flatten().fold(self.round, Instant::min)
    }

    fn is_idle(&self) -> bool {
        self.tracker.is_empty()
            && self.lanes.is_empty()
            && self.calls.is_empty()
            && self.outboxes.values().all(Outbox::is_empty)
    }

    fn take(&mut self, fetched: Fetched) {
        let size_bytes = fetched.entry.size_bytes();
        let Some(ticket) = self.tracker.take(fetched.offset) else {
            self.assignment.intake.ended(1, size_bytes);
            return;
        };
        match routing::route(fetched, ticket, self.source) {
            Routed::Deliver(mut record) => {
                if let Some(record) = Arc::get_mut(&mut record) {
                    self.spans.begin(record);
                }
                self.step(Input::Taken(record));
            }
            Routed::HandOver(mut record) => {
                self.spans.begin(&mut record);
                self.spans.ended(&record, End::HandedOver);
                self.record_ended(&record, End::HandedOver);
            }
            Routed::Bury(letter) => self.burying.push(*letter),
        }
    }

    fn hear(&mut self, inbound: Inbound) {
        match inbound {
            Inbound::Verdicts { node, stream, verdicts } => {
                let current = self.outboxes.get(&node).is_some_and(|outbox| outbox.is_on(stream));
                for (session, offset, verdict) in verdicts {
                    // What a client has it has; anything else said on a stream that is over is out of date.
                    if current || matches!(verdict, Verdict::Acknowledged | Verdict::Expired) {
                        self.step(Input::Verdict(Route { session, node }, offset, verdict));
                    }
                }
            }
            Inbound::Lost { node, stream } => {
                if self.outboxes.get(&node).is_some_and(|outbox| outbox.is_on(stream)) {
                    self.lose(node);
                }
            }
        }
    }

    /// The way to a node is gone: what waits for it is not sent, the lanes decide anew.
    fn lose(&mut self, node: NodeId) {
        if let Some(outbox) = self.outboxes.get_mut(&node) {
            outbox.lose();
        }
        self.step(Input::StreamLost(node));
    }

    fn step(&mut self, input: Input) {
        let mut outputs = std::mem::take(&mut self.outputs);
        self.lanes.step(input, Instant::now().into_std(), &mut outputs);
        for output in outputs.drain(..) {
            self.act(output);
        }
        self.outputs = outputs;
    }

    fn act(&mut self, output: Output) {
        match output {
            Output::Lookup(recipient) => {
                let urgency = self.lanes.urgency(&recipient);
                self.questions.push(Question::Lookup(recipient), urgency);
            }
            Output::Look(recipient) => self.questions.push(Question::Look(recipient), Urgency::Normal),
            Output::Forward { route, record, parked_upto } => {
                self.spans.forwarded(&record, route.node);
                let (size_bytes, urgency) = (record.size_bytes, record.notification.urgency);
                let frame = Outgoing::record(route.session, record.position, parked_upto, record);
                self.outbox(route.node).push(frame, size_bytes, urgency);
            }
            Output::Poke(route, parked_upto) => {
                let frame = Outgoing::poke(route.session, parked_upto);
                self.outbox(route.node).push(frame, 0, Urgency::Normal);
            }
            Output::Resume(route) => {
                self.outbox(route.node).push(Outgoing::resume(route.session), 0, Urgency::Normal);
            }
            Output::Park(run) => {
                self.spans.parking(&run);
                let urgency = run.iter().map(|(record, _)| record.notification.urgency).max();
                self.parking.push(run, urgency.unwrap_or_default());
            }
            Output::Bury(record, reason) => {
                self.spans.buried(&record, &reason);
                self.burying.push(Undeliverable::of(&record, reason));
            }
            Output::Ended(record, end) => {
                self.spans.ended(&record, end);
                self.record_ended(&record, end);
            }
            Output::Unregister(recipient, route) => self.unregistering.push((recipient, route)),
            Output::Retry => metrics::retry(),
            Output::GaveWay(sharer) => metrics::gave_way(sharer),
        }
    }

    fn outbox(&mut self, node: NodeId) -> &mut Outbox {
        self.outboxes.entry(node).or_insert_with(|| Outbox::new(&self.desk.config.fairness))
    }

    fn record_ended(&mut self, record: &Record, end: End) {
        let now = self.desk.clock.now();
        self.metrics.ended(end, now.since(record.notification.time));
        self.assignment.intake.ended(1, record.size_bytes);
        match end {
            // Its copy on another topic says where it stood.
            End::Parked | End::DeadLettered => self.finish(record.ticket),
            End::Acknowledged | End::Expired | End::HandedOver => {
                let (offset, id) = (record.position.offset, record.notification.id.clone());
                let ending =
                    Ending { ticket: record.ticket, outcome: Outcome { offset, id, end, time: now } };
                self.endings.push(ending, Instant::now());
            }
        }
    }

    fn buried(&mut self, record: &Undeliverable) {
        let Letter { entry, position, .. } = &record.letter;
        // A letter stands where its key belongs. Who looks for ends in this partition would not find it elsewhere.
        let home = (!entry.key.is_empty()).then(|| partition_of(&entry.key, self.source.partitions));
        if home == Some(self.assignment.partition) {
            return self.finish(record.ticket);
        }
        let id = shared::record::id(entry).and_then(|id| NotificationId::parse(id).ok());
        let Some(id) = id.or_else(|| NotificationId::parse("-").ok()) else {
            return self.finish(record.ticket);
        };
        let (offset, end, time) = (position.offset, End::DeadLettered, self.desk.clock.now());
        let ending = Ending { ticket: record.ticket, outcome: Outcome { offset, id, end, time } };
        self.endings.push(ending, Instant::now());
    }

    /// What ended has left its trace on the log.
    fn finish(&mut self, ticket: Ticket) {
        if let Some(next) = self.tracker.finish(ticket) {
            self.commit = Some(next);
        }
    }

    fn tell_progress(&mut self) {
        if let Some(next) = self.commit.take() {
            self.moved = Instant::now();
            self.assignment.progress.finish(self.assignment.partition, next);
        }
    }

    fn measure(&mut self) {
        let (records, bytes) = self.assignment.intake.weight();
        metrics::in_flight(self.assignment.partition, records, bytes);
        metrics::commit(self.assignment.partition, self.tracker.commit());
        if self.tracker.is_empty() {
            self.moved = Instant::now();
        }
        metrics::commit_stalled(self.assignment.partition, self.moved.elapsed());
        self.outboxes.retain(|_, outbox| !outbox.is_forgettable());
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        metrics::in_flight(self.assignment.partition, 0, 0);
        metrics::commit_stalled(self.assignment.partition, Duration::ZERO);
        if !self.tracker.is_empty() {
            tracing::warn!(
                partition = %self.assignment.partition,
                records = self.tracker.len(),
                "partition given up with records in flight; they are redelivered"
            );
            metrics::gave_up(self.tracker.len());
        }
    }
}
