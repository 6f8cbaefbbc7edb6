//! Output edge to the store: what is written about tasks, in batches. One call of each kind is under way; what comes up
//! meanwhile makes the next. While the store is away callers wait, and nothing is lost.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use shared::clock::Clock;
use shared::retry::Backoff;
use shared::store::{Begun, Effort, Error, Finish, Hold, Lease, NewTask, TaskKey, TaskRuns};
use tokio::sync::{mpsc, oneshot};

use crate::metrics;

/// An attempt's end, on its way.
pub(crate) type End = (Hold, Finish, Effort);

/// The store does not take this one, and took others of the same batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the store takes other tasks and not this one")]
pub(crate) struct Refused;

/// How much one call holds, and how calls are repeated.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Most tasks.
    pub(crate) records: usize,
    /// Most bytes of them, unless a single one is larger.
    pub(crate) bytes: usize,
    /// How long a lease holds.
    pub(crate) lease: Duration,
    /// Between tries.
    pub(crate) backoff: Backoff,
}

/// Where tasks ask. See the module.
pub(crate) struct Ledger {
    begins: mpsc::Sender<Call<NewTask, Begun>>,
    ends: mpsc::Sender<Call<End, bool>>,
    published: mpsc::Sender<Call<Hold, ()>>,
}

struct Call<Q, A> {
    ask: Q,
    answer: oneshot::Sender<Result<A, Refused>>,
}

impl Ledger {
    /// Enters the task and begins an attempt, if it may be run now.
    ///
    /// # Errors
    /// When the store cannot hold it.
    pub(crate) async fn begin(&self, task: NewTask) -> Result<Begun, Refused> {
        ask(&self.begins, task).await
    }

    /// Ends an attempt; answers whether it counted.
    ///
    /// # Errors
    /// When the store cannot hold what it says.
    pub(crate) async fn finish(&self, end: End) -> Result<bool, Refused> {
        ask(&self.ends, end).await
    }

    /// Notes that what a task answered stands on the log. Where the store does not take that, it is published again later.
    pub(crate) async fn published(&self, hold: Hold) {
        if ask(&self.published, hold).await.is_err() {
            tracing::error!("the store does not take that a task's outputs are published");
        }
    }
}

async fn ask<Q, A>(calls: &mpsc::Sender<Call<Q, A>>, ask: Q) -> Result<A, Refused> {
    let (answer, answered) = oneshot::channel();
    if calls.send(Call { ask, answer }).await.is_ok()
        && let Ok(answer) = answered.await
    {
        return answer;
    }
    // Nobody writes any more: the executor is being taken down, and with it whoever waits here.
    std::future::pending().await
}

/// Writes what tasks ask for.
pub(crate) struct Clerk {
    begins: (Begins, mpsc::Receiver<Call<NewTask, Begun>>),
    ends: (Ends, mpsc::Receiver<Call<End, bool>>),
    published: (Published, mpsc::Receiver<Call<Hold, ()>>),
    limits: Limits,
}

/// A ledger, and who writes it.
pub(crate) fn open(
    runs: &Arc<dyn TaskRuns>,
    clock: &Arc<dyn Clock>,
    instance: &str,
    limits: Limits,
) -> (Ledger, Clerk) {
    let (begins, begun) = mpsc::channel(limits.records);
    let (ends, ended) = mpsc::channel(limits.records);
    let (published, noted) = mpsc::channel(limits.records);
    let (runs, clock, instance) = (Arc::clone(runs), Arc::clone(clock), instance.to_owned());
    let clerk = Clerk {
        begins: (
            Begins { runs: Arc::clone(&runs), clock: Arc::clone(&clock), instance, lease: limits.lease },
            begun,
        ),
        ends: (Ends { runs: Arc::clone(&runs), clock }, ended),
        published: (Published { runs }, noted),
        limits,
    };
    (Ledger { begins, ends, published }, clerk)
}

impl Clerk {
    /// Writes until every [`Ledger`] is gone.
    pub(crate) async fn run(self) {
        let Self { begins, ends, published, limits } = self;
        tokio::join!(
            serve(begins.0, begins.1, limits),
            serve(ends.0, ends.1, limits),
            serve(published.0, published.1, limits)
        );
    }
}

/// One kind of call.
#[async_trait]
trait Page: Send + Sync {
    type Ask: Send + Sync;
    type Answer: Send;

    /// For logs.
    const WHAT: &'static str;

    fn key(ask: &Self::Ask) -> &TaskKey;

    fn bytes(ask: &Self::Ask) -> usize;

    async fn write(&self, asks: &[Self::Ask]) -> Result<Vec<Self::Answer>, Error>;
}

struct Begins {
    runs: Arc<dyn TaskRuns>,
    clock: Arc<dyn Clock>,
    instance: String,
    lease: Duration,
}

#[async_trait]
impl Page for Begins {
    type Ask = NewTask;
    type Answer = Begun;

    const WHAT: &'static str = "beginning tasks";

    fn key(ask: &NewTask) -> &TaskKey {
        &ask.key
    }

    fn bytes(ask: &NewTask) -> usize {
        ask.record.size_bytes()
    }

    async fn write(&self, asks: &[NewTask]) -> Result<Vec<Begun>, Error> {
        let now = self.clock.now();
        let lease = Lease { instance: self.instance.clone(), until: now.after(self.lease) };
        self.runs.begin(asks, &lease, now).await
    }
}

struct Ends {
    runs: Arc<dyn TaskRuns>,
    clock: Arc<dyn Clock>,
}

#[async_trait]
impl Page for Ends {
    type Ask = End;
    type Answer = bool;

    const WHAT: &'static str = "ending attempts";

    fn key((hold, ..): &End) -> &TaskKey {
        &hold.key
    }

    fn bytes((_, finish, effort): &End) -> usize {
        let finish = match finish {
            Finish::Completed { outputs, result } => outputs.len() + result.len(),
            Finish::Retrying { reason, .. } | Finish::Failed { reason, .. } => reason.len(),
            Finish::Cancelled => 0,
        };
        finish + effort.log.len()
    }

    async fn write(&self, asks: &[End]) -> Result<Vec<bool>, Error> {
        self.runs.finish(asks, self.clock.now()).await
    }
}

struct Published {
    runs: Arc<dyn TaskRuns>,
}

#[async_trait]
impl Page for Published {
    type Ask = Hold;
    type Answer = ();

    const WHAT: &'static str = "noting what is published";

    fn key(ask: &Hold) -> &TaskKey {
        &ask.key
    }

    fn bytes(_ask: &Hold) -> usize {
        0
    }

    async fn write(&self, asks: &[Hold]) -> Result<Vec<()>, Error> {
        self.runs.published(asks).await?;
        Ok(vec![(); asks.len()])
    }
}

async fn serve<P: Page>(page: P, mut calls: mpsc::Receiver<Call<P::Ask, P::Answer>>, limits: Limits) {
    let mut held = VecDeque::new();
    let mut failures = 0;
    loop {
        if held.is_empty() {
            let Some(call) = calls.recv().await else { return };
            held.push_back(call);
        }
        let (asks, answers) = gather::<P>(&mut held, &mut calls, limits);
        let left = write(&page, asks, answers).await;
        if left.is_empty() {
            failures = 0;
            continue;
        }
        for call in left.into_iter().rev() {
            held.push_front(call);
        }
        if failures % 16 == 0 {
            tracing::warn!(what = P::WHAT, waiting = held.len(), "will be tried again");
        }
        tokio::time::sleep(limits.backoff.delay(failures, rand::random())).await;
        failures = failures.saturating_add(1);
    }
}

type Batch<P> = (Vec<<P as Page>::Ask>, Vec<oneshot::Sender<Result<<P as Page>::Answer, Refused>>>);

/// What is there, as far as one call holds it; of each task at most one. What does not fit is held for the next.
fn gather<P: Page>(
    held: &mut VecDeque<Call<P::Ask, P::Answer>>,
    calls: &mut mpsc::Receiver<Call<P::Ask, P::Answer>>,
    limits: Limits,
) -> Batch<P> {
    while held.len() < limits.records
        && let Ok(call) = calls.try_recv()
    {
        held.push_back(call);
    }
    let (mut asks, mut answers, mut left) = (Vec::new(), Vec::new(), VecDeque::new());
    let (mut keys, mut bytes) = (HashSet::new(), 0);
    for Call { ask, answer } in held.drain(..) {
        let size = P::bytes(&ask);
        let fits = asks.is_empty() || (asks.len() < limits.records && bytes + size <= limits.bytes);
        if fits && keys.insert(P::key(&ask).clone()) {
            bytes += size;
            asks.push(ask);
            answers.push(answer);
        } else {
            left.push_back(Call { ask, answer });
        }
    }
    *held = left;
    (asks, answers)
}

/// Answers whoever can be answered; the others are to be asked again.
async fn write<P: Page>(
    page: &P,
    asks: Vec<P::Ask>,
    answers: Vec<oneshot::Sender<Result<P::Answer, Refused>>>,
) -> Vec<Call<P::Ask, P::Answer>> {
    match page.write(&asks).await {
        Ok(written) if written.len() == asks.len() => {
            for (answer, written) in answers.into_iter().zip(written) {
                // Who does not wait any more finds it in the store.
                drop(answer.send(Ok(written)));
            }
            return Vec::new();
        }
        Ok(_other_number) => tracing::error!(what = P::WHAT, "the store gave another number of answers"),
        Err(error) => {
            metrics::engine_failure("store");
            tracing::debug!(what = P::WHAT, error = &error as &dyn std::error::Error, "not written");
            if matches!(error, Error::Rejected(_)) && asks.len() > 1 {
                return one_by_one(page, asks, answers).await;
            }
        }
    }
    asks.into_iter().zip(answers).map(|(ask, answer)| Call { ask, answer }).collect()
}

/// A batch was refused: if the store takes one of it, it is the others that it cannot hold.
async fn one_by_one<P: Page>(
    page: &P,
    asks: Vec<P::Ask>,
    answers: Vec<oneshot::Sender<Result<P::Answer, Refused>>>,
) -> Vec<Call<P::Ask, P::Answer>> {
    let (mut refused, mut left, mut took) = (Vec::new(), Vec::new(), false);
    for (ask, answer) in asks.into_iter().zip(answers) {
        match page.write(std::slice::from_ref(&ask)).await {
            Ok(mut written) => {
                took = true;
                if let Some(written) = written.pop() {
                    drop(answer.send(Ok(written)));
                }
            }
            Err(Error::Rejected(_)) => refused.push(Call { ask, answer }),
            Err(Error::Unavailable(_) | Error::Conflict) => left.push(Call { ask, answer }),
        }
    }
    for call in refused {
        if took {
            tracing::error!(what = P::WHAT, key = ?P::key(&call.ask), "the store cannot hold this");
            drop(call.answer.send(Err(Refused)));
        } else {
            left.push(call);
        }
    }
    left
}
