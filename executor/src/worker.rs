//! The worker of one partition of one group: a lane for each key, so that what is asked for one recipient is done in order,
//! and lanes beside each other. A record's offset is finished only when what became of it is durable.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt as _};
use shared::group::offsets::{Ticket, Tracker};
use shared::group::{Assignment, Crew};
use shared::log::Fetched;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::metrics;
use crate::routing::{Ask, Asked, Routed, Source, route};

/// How often gauges are set.
const ROUND: Duration = Duration::from_secs(1);
/// Most records taken before something else is looked at.
const STEP: usize = 256;

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Its effect is durable: it is not to be seen again.
    Done,
    /// The partition is given up; whoever has it next begins with this record.
    Left,
}

/// What is done with records.
pub(crate) trait Work<A>: Send + Sync + 'static {
    /// Does what `asked` asks for, until it is durable. Once `drain` is cancelled what has not begun is left.
    fn act(self: Arc<Self>, asked: Box<Asked<A>>, drain: CancellationToken) -> BoxFuture<'static, Ended>;

    /// Makes dead letters of what cannot be understood, until they are durable.
    fn bury(self: Arc<Self>, letter: Box<shared::record::dead::Letter>) -> BoxFuture<'static, Ended>;
}

/// Makes a worker for each partition of a group.
pub(crate) struct Workers<A, W> {
    /// The group, for metrics.
    pub(crate) group: &'static str,
    /// What is fetched.
    pub(crate) source: Source,
    /// What is done.
    pub(crate) work: Arc<W>,
    /// With which records.
    pub(crate) asks: std::marker::PhantomData<fn() -> A>,
}

impl<A: Ask, W: Work<A>> Crew for Workers<A, W> {
    fn work(&self, assignment: Assignment) -> BoxFuture<'static, ()> {
        let worker: Worker<A, W> = Worker {
            group: self.group,
            source: self.source,
            work: Arc::clone(&self.work),
            tracker: Tracker::new(assignment.from),
            lanes: HashMap::new(),
            acting: JoinSet::new(),
            assignment,
        };
        worker.run().boxed()
    }
}

/// A record in its lane.
struct Waiting<A> {
    ticket: Ticket,
    size_bytes: usize,
    routed: Routed<A>,
}

/// A record that ended.
struct Done {
    key: Bytes,
    ticket: Ticket,
    size_bytes: usize,
    ended: Ended,
}

struct Worker<A, W> {
    group: &'static str,
    source: Source,
    work: Arc<W>,
    assignment: Assignment,
    tracker: Tracker,
    /// What waits behind the record of the same key that is being acted on. A key has an entry while there is one.
    lanes: HashMap<Bytes, VecDeque<Waiting<A>>>,
    acting: JoinSet<Done>,
}

impl<A: Ask, W: Work<A>> Worker<A, W> {
    async fn run(mut self) {
        let (drain, intake) = (self.assignment.drain.clone(), Arc::clone(&self.assignment.intake));
        let mut round = Instant::now() + ROUND;
        while !drain.is_cancelled() || !self.acting.is_empty() {
            let draining = drain.is_cancelled();
            tokio::select! {
                () = drain.cancelled(), if !draining => {}
                Some(done) = self.acting.join_next(), if !self.acting.is_empty() => match done {
                    Ok(done) => self.done(done, draining),
                    Err(error) => {
                        // The group finds this worker gone and stops; the record is redelivered.
                        tracing::error!(%error, group = self.group, "a task of the executor itself failed");
                        return;
                    }
                },
                () = intake.arrival(), if !draining => {
                    for fetched in intake.take(STEP) {
                        self.take(fetched);
                    }
                }
                () = tokio::time::sleep_until(round) => {
                    round = Instant::now() + ROUND;
                    let (records, bytes) = intake.weight();
                    metrics::in_flight(self.group, self.assignment.partition, records, bytes);
                }
            }
        }
    }

    fn take(&mut self, fetched: Fetched) {
        let (key, size_bytes) = (fetched.entry.key.clone(), fetched.entry.size_bytes());
        let Some(ticket) = self.tracker.take(fetched.offset) else {
            return self.assignment.intake.ended(1, size_bytes);
        };
        let waiting = Waiting { ticket, size_bytes, routed: route(fetched, self.source) };
        if matches!(waiting.routed, Routed::Elsewhere) {
            return self.finish(ticket, size_bytes);
        }
        match self.lanes.get_mut(&key) {
            Some(lane) => lane.push_back(waiting),
            None => {
                self.lanes.insert(key.clone(), VecDeque::new());
                self.start(key, waiting);
            }
        }
    }

    fn start(&mut self, key: Bytes, Waiting { ticket, size_bytes, routed }: Waiting<A>) {
        let work = Arc::clone(&self.work);
        let acting = match routed {
            Routed::Elsewhere => return self.finish(ticket, size_bytes),
            Routed::Bury(letter) => work.bury(letter),
            Routed::Act(asked) => work.act(asked, self.assignment.drain.clone()),
        };
        self.acting.spawn(async move { Done { key, ticket, size_bytes, ended: acting.await } });
    }

    fn done(&mut self, Done { key, ticket, size_bytes, ended }: Done, draining: bool) {
        match ended {
            Ended::Done => self.finish(ticket, size_bytes),
            // Nothing of this key may go on before it.
            Ended::Left => return,
        }
        if draining {
            return;
        }
        let next = self.lanes.get_mut(&key).and_then(VecDeque::pop_front);
        match next {
            Some(waiting) => self.start(key, waiting),
            None => {
                self.lanes.remove(&key);
            }
        }
    }

    fn finish(&mut self, ticket: Ticket, size_bytes: usize) {
        self.assignment.intake.ended(1, size_bytes);
        if let Some(next) = self.tracker.finish(ticket) {
            self.assignment.progress.finish(self.assignment.partition, next);
        }
    }
}

impl<A, W> Drop for Worker<A, W> {
    fn drop(&mut self) {
        metrics::in_flight(self.group, self.assignment.partition, 0, 0);
        if !self.tracker.is_empty() {
            metrics::gave_up(self.group, self.tracker.len());
        }
    }
}
