//! Output edge to the registry's routes, with one breaker for the whole director: while the registry is away nobody waits
//! for it, what would be looked up is parked at once, and one question now and then finds out whether it is back.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use shared::recipient::Recipient;
use shared::registry::{Error, Route, Routes};
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

/// See the module.
pub(crate) struct Lookups {
    routes: Arc<dyn Routes>,
    settings: LookupSettings,
    breaker: Mutex<Breaker>,
}

impl Lookups {
    pub(crate) fn new(routes: Arc<dyn Routes>, settings: LookupSettings) -> Self {
        Self { routes, settings, breaker: Mutex::default() }
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
