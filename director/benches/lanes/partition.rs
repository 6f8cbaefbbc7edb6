//! A partition whose records are acknowledged, or parked, once a number of later ones are in flight.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use postrider_director::lane::{Input, Lanes, Output, Settings};
use postrider_director::routing::{Record, Routed, Source, route};
use shared::delivery::{NodeId, SessionId, Verdict};
use shared::group::offsets::{Ticket, Tracker};
use shared::log::Fetched;
use shared::outcome::End;
use shared::position::Epoch;
use shared::registry::Route;

use super::sample;

/// One partition, so that every key is at home in it.
pub(crate) const SOURCE: Source = Source { epoch: Epoch(1), partitions: 1, max_record_bytes: 1 << 20 };

/// Everybody has one session, spread over eight nodes.
pub(crate) fn session_of(recipient: u64) -> Route {
    Route { session: SessionId(recipient), node: NodeId(recipient % 8) }
}

/// The record of a fetched one.
pub(crate) fn deliverable(fetched: Fetched, ticket: Ticket) -> Arc<Record> {
    let Routed::Deliver(record) = route(fetched, ticket, SOURCE) else { panic!("not deliverable") };
    record
}

/// The `number`-th record, for one of `recipients` who take turns.
pub(crate) fn record(number: u64, recipients: u64) -> Arc<Record> {
    let notification = sample::notification(sample::recipient(number % recipients), number);
    let ticket = Tracker::new(number).take(number).unwrap();
    deliverable(sample::fetched(&notification, number), ticket)
}

/// See the file.
pub(crate) struct Partition {
    lanes: Lanes,
    now: Instant,
    outputs: Vec<Output>,
    forwarded: VecDeque<(Route, u64)>,
    parked: u64,
}

impl Partition {
    /// The first `depth` records are in flight.
    pub(crate) fn new(settings: Settings, recipients: u64, depth: u64) -> Self {
        let mut partition = Self {
            lanes: Lanes::new(settings, 7, 1),
            now: Instant::now(),
            outputs: Vec::with_capacity(16),
            forwarded: VecDeque::with_capacity(depth as usize + 2),
            parked: 7,
        };
        (0..depth).for_each(|number| partition.forward(record(number, recipients), number % recipients));
        partition
    }

    fn step(&mut self, input: Input) -> Vec<Output> {
        let mut outputs = std::mem::take(&mut self.outputs);
        self.lanes.step(input, self.now, &mut outputs);
        outputs
    }

    /// Takes a record of a recipient who is connected, as far as its being forwarded.
    pub(crate) fn forward(&mut self, record: Arc<Record>, recipient: u64) {
        let mut outputs = self.step(Input::Taken(record));
        for output in outputs.drain(..) {
            match output {
                Output::Lookup(asked) => {
                    let mut outputs = Vec::new();
                    let routed = Input::Routed(asked, Some(vec![session_of(recipient)]));
                    self.lanes.step(routed, self.now, &mut outputs);
                    outputs.into_iter().for_each(|output| self.forwarded(&output));
                }
                output => self.forwarded(&output),
            }
        }
        self.outputs = outputs;
    }

    fn forwarded(&mut self, output: &Output) {
        let Output::Forward { route, record, .. } = output else { panic!("{output:?}") };
        self.forwarded.push_back((*route, record.position.offset));
    }

    /// The oldest in flight is acknowledged, and with the proof that nobody was left out it ends.
    pub(crate) fn acknowledge(&mut self) {
        let Some((route, offset)) = self.forwarded.pop_front() else { return };
        let mut outputs = self.step(Input::Verdict(route, offset, Verdict::Acknowledged));
        self.lanes.step(Input::Proved(offset), self.now, &mut outputs);
        let ended = outputs.drain(..).filter(|output| matches!(output, Output::Ended(_, End::Acknowledged)));
        assert_eq!(ended.count(), 1);
        self.outputs = outputs;
    }

    /// Takes a record of a recipient who is away, to its end on `parked`.
    pub(crate) fn park(&mut self, record: Arc<Record>) {
        let mut inputs = vec![Input::Taken(record)];
        while let Some(input) = inputs.pop() {
            let mut outputs = self.step(input);
            for output in outputs.drain(..) {
                match output {
                    Output::Lookup(asked) => inputs.push(Input::Routed(asked, Some(Vec::new()))),
                    Output::Look(asked) => inputs.push(Input::Looked(asked, Some(Vec::new()))),
                    Output::Park(run) => {
                        self.parked += 1;
                        let parked = self.parked;
                        let offset = run[0].0.position.offset;
                        inputs.push(Input::Parked { offset, parked });
                    }
                    Output::Ended(_, End::Parked) | Output::Retry => {}
                    other => panic!("{other:?}"),
                }
            }
            self.outputs = outputs;
        }
        assert!(self.lanes.is_empty());
    }
}
