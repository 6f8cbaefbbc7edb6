//! Output edge to the registry's routes, with one breaker for the whole director: while the registry is away nobody waits
//! for it, what would be looked up is parked at once, and one question now and then finds out whether it is back.
//!
//! News of routes are read once for all workers that wait for some, and not more often than every so often.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use shared::recipient::Recipient;
use shared::registry::{Entered, Error, Mark, Route, Routes};
use tokio::time::Instant;

use crate::breaker::Breaker;
use crate::config::LookupSettings;
use crate::metrics;

/// What a question came to.
#[derive(Debug)]
pub(crate) enum Answer {
    /// The routes of each recipient, in the order asked.
    Routes(Vec<Vec<Route>>),
    /// No answer; another time may be better.
    Failed,
    /// The registry is left alone for now.
    Away,
}

/// What asking for news came to.
#[derive(Debug)]
pub(crate) enum Heard {
    /// All news behind the round that was asked with, and the round to ask with next.
    News(Vec<Arc<Entered>>, Round),
    /// No answer; another time may be better.
    Failed,
    /// The registry is left alone for now.
    Away,
}

/// How many times news were read. Before the first time nothing is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Round(u64);

/// Reads of news that are remembered, for workers that ask seldom.
const REMEMBERED: usize = 256;

/// The news that were read.
#[derive(Default)]
struct News {
    mark: Mark,
    round: u64,
    recent: VecDeque<Arc<Entered>>,
    /// Who asked before this many others did was answered by the last read.
    answered: u64,
    read_at: Option<Instant>,
}

impl News {
    fn add(&mut self, entered: Entered, mark: Mark) {
        (self.mark, self.round) = (mark, self.round + 1);
        self.recent.push_back(Arc::new(entered));
        if self.recent.len() > REMEMBERED {
            self.recent.pop_front();
        }
    }

    fn since(&self, round: Round) -> Heard {
        let missed = usize::try_from(self.round - round.0).unwrap_or(usize::MAX);
        let news = match self.recent.len().checked_sub(missed) {
            Some(known) if round > Round::default() => self.recent.iter().skip(known).cloned().collect(),
            Some(_) | None => vec![Arc::new(Entered::Any)],
        };
        Heard::News(news, Round(self.round))
    }
}

/// See the module.
pub(crate) struct Lookups {
    routes: Arc<dyn Routes>,
    settings: LookupSettings,
    breaker: Mutex<Breaker>,
    news: tokio::sync::Mutex<News>,
    /// How many asked for news.
    asked: AtomicU64,
}

impl Lookups {
    pub(crate) fn new(routes: Arc<dyn Routes>, settings: LookupSettings) -> Self {
        let (news, asked) = (tokio::sync::Mutex::default(), AtomicU64::new(0));
        Self { routes, settings, breaker: Mutex::default(), news, asked }
    }

    /// Whose routes were entered behind `round`, and before this call. Returns within the registry's deadline and the
    /// pause between two reads, for each that asks at the same time and fails.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing: what it would have answered is answered to who asks next.
    pub(crate) async fn news(&self, round: Round) -> Heard {
        let turn = self.asked.fetch_add(1, Ordering::SeqCst);
        let mut news = self.news.lock().await;
        if news.answered > turn {
            return news.since(round);
        }
        if let Some(read_at) = news.read_at {
            tokio::time::sleep_until(read_at + self.settings.news_ms).await;
        }
        if !self.admits() {
            return Heard::Away;
        }
        news.read_at = Some(Instant::now());
        let asked = self.asked.load(Ordering::SeqCst);
        let answer = self.routes.entered(&news.mark).await;
        self.learn(answer.as_ref().err());
        let Ok((entered, mark)) = answer else { return Heard::Failed };
        news.answered = asked;
        news.add(entered, mark);
        news.since(round)
    }

    /// Where the recipients are. Returns within the registry's deadline.
    pub(crate) async fn ask(&self, recipients: &[Recipient]) -> Answer {
        if !self.admits() {
            metrics::lookups_spared(recipients.len());
            return Answer::Away;
        }
        let start = Instant::now();
        let answer = self.routes.lookup(recipients).await;
        metrics::lookup(start.elapsed());
        self.learn(answer.as_ref().err());
        match answer {
            Ok(routes) if routes.len() == recipients.len() => Answer::Routes(routes),
            Ok(_) | Err(_) => Answer::Failed,
        }
    }

    /// Removes exactly these routes, if the registry can be reached. Not repeated: who finds one again is told `gone`
    /// again.
    pub(crate) async fn remove(&self, routes: &[(Recipient, Route)]) {
        if self.admits() {
            self.learn(self.routes.remove(routes).await.as_ref().err());
        }
    }

    fn admits(&self) -> bool {
        self.breaker().admits(Instant::now().into_std(), self.settings.breaker.cap_ms)
    }

    fn learn(&self, error: Option<&Error>) {
        let Some(error) = error else {
            self.breaker().succeeded();
            return metrics::registry_away(false);
        };
        metrics::engine_failure("registry");
        tracing::debug!(error = error as &dyn std::error::Error, "the registry did not answer");
        let (now, backoff) = (Instant::now().into_std(), self.settings.breaker.into());
        let mut breaker = self.breaker();
        breaker.failed(now, self.settings.breaker_failures, backoff, rand::random());
        if !breaker.allows(now) {
            metrics::registry_away(true);
        }
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        // Nothing panics while it is held.
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
