//! The way of a notification through a director, but for the clients of log, registry and network: what the worker does
//! with a record, in the same order, in batches as they come under load.

use std::collections::VecDeque;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use postrider_director::Config;
use postrider_director::lane::{Input, Lanes, Output};
use postrider_director::routing::Record;
use prost::Message as _;
use shared::clock::Timestamp;
use shared::delivery::Verdict;
use shared::group::offsets::Tracker;
use shared::link::outgoing::{Batch, Outgoing};
use shared::link::{self, wire};
use shared::log::Fetched;
use shared::position::Epoch;
use shared::record::outcomes::{self, Outcome};

use super::partition::{deliverable, session_of};
use super::{BATCH, sample};

/// They take turns, so that their routes are known after the first round.
const PEOPLE: u64 = 10_000;

/// Everything that a worker keeps, and what a node would answer.
struct Way {
    lanes: Lanes,
    tracker: Tracker,
    now: Instant,
    frames: Vec<Outgoing<Record>>,
    stream: BytesMut,
    outcomes: Vec<Outcome>,
    key: Bytes,
}

impl Way {
    fn new() -> Self {
        Self {
            lanes: Lanes::new(Config::default().lanes(), 7, 1),
            tracker: Tracker::new(0),
            now: Instant::now(),
            frames: Vec::new(),
            stream: BytesMut::new(),
            outcomes: Vec::new(),
            key: Bytes::from_static(b"partition-0-1"),
        }
    }

    /// Fetched records, to the bytes that go to the node.
    fn out(&mut self, batch: Vec<Fetched>) {
        let mut questions = VecDeque::new();
        let mut outputs = Vec::new();
        for fetched in batch {
            let ticket = self.tracker.take(fetched.offset).unwrap();
            let person = fetched.offset % PEOPLE;
            self.lanes.step(Input::Taken(deliverable(fetched, ticket)), self.now, &mut outputs);
            for output in outputs.drain(..) {
                match output {
                    Output::Lookup(recipient) => questions.push_back((recipient, person)),
                    output => self.frames.push(frame(output)),
                }
            }
        }
        for (recipient, person) in questions {
            let routes = Some(vec![session_of(person)]);
            self.lanes.step(Input::Routed(recipient, routes), self.now, &mut outputs);
            self.frames.extend(outputs.drain(..).map(frame));
        }
        self.stream.clear();
        Batch(std::mem::take(&mut self.frames)).encode(&mut self.stream).unwrap();
    }

    /// The bytes of the verdicts, to the record on `outcomes` and the commit.
    fn back(&mut self, verdicts: Bytes) {
        let (mut outputs, mut upto) = (Vec::new(), 0);
        for frame in wire::ToDirector::decode(verdicts).unwrap().verdicts {
            let (session, position, verdict) = link::read_verdict(frame).unwrap();
            let route = session_of(session.0);
            self.lanes.step(Input::Verdict(route, position.offset, verdict), self.now, &mut outputs);
            upto = position.offset;
        }
        self.lanes.step(Input::Proved(upto), self.now, &mut outputs);
        for output in outputs {
            let Output::Ended(record, end) = output else { panic!("{output:?}") };
            let (offset, id) = (record.position.offset, record.notification.id.clone());
            let time = Timestamp::from_millis(1_763_700_000_000);
            self.outcomes.push(Outcome { offset, id, end, time });
            black_box(self.tracker.finish(record.ticket));
        }
        black_box(outcomes::encode(self.key.clone(), Epoch(1), sample::PARTITION, &self.outcomes));
        self.outcomes.clear();
    }
}

fn frame(output: Output) -> Outgoing<Record> {
    let Output::Forward { route, record, parked_upto } = output else { panic!("{output:?}") };
    Outgoing::record(route.session, record.position, parked_upto, record)
}

fn fetched(first: u64) -> (Vec<Fetched>, Bytes) {
    let numbers = first..first + BATCH;
    let person = |number| sample::recipient(number % PEOPLE);
    let fetched = |number| sample::fetched(&sample::notification(person(number), number), number);
    let session = |number| session_of(number % PEOPLE).session;
    let verdict = |number| link::verdict(session(number), sample::position(number), &Verdict::Acknowledged);
    let verdicts = wire::ToDirector { verdicts: numbers.clone().map(verdict).collect() };
    (numbers.map(fetched).collect(), verdicts.encode_to_vec().into())
}

#[divan::bench(counters = [ItemsCount::new(BATCH)])]
fn from_log_to_verdict_batch_of_100(bencher: Bencher<'_, '_>) {
    let mut way = Way::new();
    let mut next = 0;
    bencher
        .with_inputs(|| {
            next += BATCH;
            fetched(next - BATCH)
        })
        .bench_local_values(|(batch, verdicts)| {
            way.out(batch);
            way.back(verdicts);
        });
}
