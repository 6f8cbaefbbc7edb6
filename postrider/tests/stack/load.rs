//! A load with a ledger: producers in an open loop, clients on all three transports, and at the end the account.
//!
//! ```no_run
//! let load = Load::start(&stack, Mix::default()).await;
//! load.steady().await;
//! stack.fault(Part::Postgres, Fault::Killed).await;
//! scale.outage().await;
//! stack.heal(Part::Postgres).await;
//! load.settle().await.must_balance();
//! ```

mod at_rest;
pub mod balancer;
mod clients;
mod copies;
mod memory;
mod mix;
mod producers;
mod wire;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::account::delays::{self, Outage};
use super::account::report::{Report, Setting};
use super::account::{Account, AtRest};
use super::ledger::book::{Book, Try};
use super::ledger::entry::Answer;
use super::ledger::{Ledger, Reader};
use super::{Addresses, PATIENCE, Scale, Stack, seed};
use at_rest::Store;
use balancer::Balancer;
use clients::{Client, Stage};
use copies::Copies;
use memory::Memory;
pub use mix::{Manner, Mix};
use producers::Producers;

/// How often a wait looks again.
const LOOK: Duration = Duration::from_millis(250);

/// What clients and producers know of a stack.
#[derive(Clone)]
struct Places {
    addresses: Addresses,
    api_key: String,
    balancer: Arc<Balancer>,
}

impl Places {
    fn receiver(&self, attempt: u64) -> String {
        self.addresses.receiver(usize::try_from(attempt).unwrap())
    }

    fn distributor(&self, at: usize) -> String {
        self.addresses.distributor(at)
    }

    /// One address for all distributors.
    fn front(&self) -> String {
        self.balancer.url()
    }
}

/// The name of a load's recipient.
pub fn name(recipient: u32) -> String {
    format!("r{recipient}")
}

/// A load under way.
pub struct Load {
    mix: Mix,
    seed: u64,
    ledger: Ledger,
    addresses: Addresses,
    store: Store,
    copies: Copies,
    memory: Memory,
    next: Arc<Producers>,
    producing: JoinSet<()>,
    listening: JoinSet<()>,
    stage: watch::Sender<Stage>,
    reader: Reader,
    book: Book,
    /// From when on it flows.
    steady_at: Duration,
}

impl Load {
    /// Starts producers and clients against `stack`.
    pub async fn start(stack: &Stack, mix: Mix) -> Self {
        let seed = mix.seed.unwrap_or_else(seed);
        let ledger = Ledger::create(stack.dir());
        let addresses = stack.addresses();
        let balancer = Arc::new(Balancer::start(addresses.clone()).await);
        let api_key = stack.producer().api_key;
        let places = Places { addresses: addresses.clone(), api_key, balancer };
        let producers = Arc::new(Producers {
            mix: mix.clone(),
            places: places.clone(),
            ledger: ledger.clone(),
            http: super::http(),
            next: AtomicU64::new(0),
            held_back: AtomicU64::new(0),
            stop: CancellationToken::new(),
        });
        let (stage, staged) = watch::channel(Stage::Load);
        let http = super::http();
        let mut listening = JoinSet::new();
        for recipient in 0..mix.recipients {
            let shared = (http.clone(), staged.clone(), seed);
            let client = Client::new(recipient, mix.clone(), places.clone(), ledger.clone(), shared);
            listening.spawn(client.listen());
        }
        let mut producing = JoinSet::new();
        for number in 0..mix.producers {
            producing.spawn(Arc::clone(&producers).produce(number, seed));
        }
        Self {
            seed,
            store: Store::of(stack),
            copies: Copies::of(stack),
            memory: Memory::watch(stack.dir()),
            reader: ledger.read(),
            book: Book::default(),
            steady_at: Duration::ZERO,
            addresses,
            mix,
            ledger,
            next: producers,
            producing,
            listening,
            stage,
        }
    }

    /// Reads what was written since.
    fn catch_up(&mut self) {
        let Self { reader, book, .. } = self;
        reader.each(|line| book.take(line));
        assert!(!self.is_broken(), "a producer or a client of the load failed");
    }

    /// Whether a task of the load panicked; its own words are printed where it did.
    fn is_broken(&mut self) -> bool {
        let producing = std::iter::from_fn(|| self.producing.try_join_next()).any(|ended| ended.is_err());
        let listening = std::iter::from_fn(|| self.listening.try_join_next()).any(|ended| ended.is_err());
        producing || listening
    }

    fn acknowledged(&self) -> usize {
        self.book.tries.iter().filter(|known| known.acknowledged.is_some()).count()
    }

    /// Waits until the load flows, and then for a while, in which the figures are what they are without a fault.
    pub async fn steady(&mut self) {
        self.more(self.mix.rate as usize).await;
        self.steady_at = self.ledger.now();
        let healthy = Scale::of_this_run().of(2, 30);
        self.more(healthy * self.mix.rate as usize).await;
    }

    /// Waits until `count` more are acknowledged than now.
    pub async fn more(&mut self, count: usize) {
        self.catch_up();
        let (from, deadline) = (self.acknowledged(), Instant::now() + PATIENCE);
        while self.acknowledged() < from + count {
            let came = self.acknowledged() - from;
            assert!(Instant::now() < deadline, "{came} of {count} were acknowledged in {PATIENCE:?}");
            tokio::time::sleep(LOOK).await;
            self.catch_up();
        }
    }

    /// Waits until those who stay connected have processed or refused everything that was accepted for them by now.
    pub async fn nobody_online_waits(&mut self) {
        let (by, deadline) = (self.ledger.now(), Instant::now() + PATIENCE);
        let waiting = |load: &Self| {
            let is_online = |one: &&Try| load.mix.manner(one.recipient) == Manner::Steady;
            let accepted = |one: &&Try| matches!(one.answer, Some(Answer::Accepted(_))) && one.answered <= by;
            let waits = |one: &&Try| one.acknowledged.is_none() && one.refused_on.is_none();
            load.book.tries.iter().filter(is_online).filter(accepted).filter(waits).count()
        };
        self.catch_up();
        while waiting(self) > 0 {
            assert!(Instant::now() < deadline, "{} wait for {PATIENCE:?}", waiting(self));
            tokio::time::sleep(LOOK).await;
            self.catch_up();
        }
    }

    /// Waits until everybody who stays connected has processed something: whose session is the first that a recipient ever
    /// had needs the store to be live.
    pub async fn everybody_online_is_live(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        let online = |mix: &Mix| (0..mix.recipients).filter(|one| mix.manner(*one) == Manner::Steady).count();
        let live = |load: &Self| {
            let processed = load.book.tries.iter().filter(|one| one.acknowledged.is_some());
            let processed = processed.map(|one| one.recipient).collect::<HashSet<u32>>();
            processed.into_iter().filter(|one| load.mix.manner(*one) == Manner::Steady).count()
        };
        self.catch_up();
        while live(self) < online(&self.mix) {
            assert!(Instant::now() < deadline, "{} are live in {PATIENCE:?}", live(self));
            tokio::time::sleep(LOOK).await;
            self.catch_up();
        }
    }

    /// From each fault of the stack to its healing, in the ledger's time.
    fn outages(&self) -> Vec<Outage> {
        let now = Instant::now();
        let faults = self.addresses.faults();
        faults.iter().map(|(from, to)| (self.ledger.at(*from), self.ledger.at(to.unwrap_or(now)))).collect()
    }

    fn delays(&self) -> delays::Delays {
        delays::measure(&self.book, self.steady_at, &self.outages(), |one| {
            self.mix.manner(one) == Manner::Steady
        })
    }

    /// Goes on until the figures are again what they were, or for a while; then stops producing, brings every recipient
    /// online but the absent ones, and waits until every accepted notification has its end or nothing moves any more.
    pub async fn settle(mut self) -> Report {
        self.recover().await;
        self.next.stop.cancel();
        while let Some(ended) = self.producing.join_next().await {
            ended.unwrap();
        }
        let _nobody_listens = self.stage.send(Stage::Settling);
        let at_rest = self.until_it_balances().await;
        let _nobody_listens = self.stage.send(Stage::Over);
        let unaccounted = self.addresses.unaccounted().await;
        let mut account = Account::of(&self.book, &at_rest);
        account.delays = self.delays();
        let setting = Setting {
            seed: self.seed,
            rate: self.mix.rate,
            recipients: self.mix.recipients,
            held_back: self.next.held_back.load(Ordering::Relaxed),
            memory_bytes: self.memory.peaks(),
            unaccounted,
        };
        while let Some(ended) = self.listening.join_next().await {
            ended.unwrap();
        }
        Report::new(account, setting, &self.ledger)
    }

    async fn recover(&mut self) {
        let begun = Instant::now();
        let limit = Scale::of_this_run().of(Duration::from_secs(8), Duration::from_secs(300));
        self.catch_up();
        while !self.outages().is_empty() && begun.elapsed() < limit {
            tokio::time::sleep(LOOK).await;
            self.catch_up();
            if begun.elapsed() > 2 * delays::WINDOW && self.delays().recovered_in.is_some() {
                return;
            }
        }
    }

    /// Asks the log whether it has some more than once, which would explain what is objected to.
    async fn find_copies(&mut self, at_rest: &mut AtRest) {
        match self.copies.read().await {
            Ok(copies) => at_rest.copies = copies,
            // Asked again when it is looked at again.
            Err(error) => eprintln!("the log cannot be read: {error}"),
        }
    }

    /// What is at rest when the account balances, or when nothing has moved for too long.
    async fn until_it_balances(&mut self) -> AtRest {
        let patience = Scale::of_this_run().of(PATIENCE, 5 * PATIENCE);
        let (mut moved, mut before) = (Instant::now(), (0, 0));
        loop {
            self.catch_up();
            let mut at_rest = self.store.read().await;
            if let Ok(at_rest) = &mut at_rest
                && !Account::of(&self.book, at_rest).balances()
            {
                self.find_copies(at_rest).await;
            }
            if let Ok(at_rest) = &at_rest
                && Account::of(&self.book, at_rest).balances()
                && self.addresses.unaccounted().await.unwrap_or_default() == 0.0
            {
                return at_rest.clone();
            }
            let now =
                (self.acknowledged(), at_rest.as_ref().map_or(0, |rest| rest.stored.len() + rest.dead.len()));
            if now != before {
                (moved, before) = (Instant::now(), now);
            }
            if moved.elapsed() > patience {
                return at_rest.unwrap_or_else(|error| panic!("the store cannot be read: {error}"));
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}
