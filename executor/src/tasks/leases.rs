//! The leases of attempts under way: prolonged in batches at a third of their time, so that two calls may fail; and who is
//! told when somebody cancels the task or another instance has it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use shared::clock::Clock;
use shared::retry::Backoff;
use shared::store::{Hold, Renewed, TaskKey, TaskRuns};
use tokio::sync::watch;

use crate::metrics;

/// Why an attempt is to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Somebody asked to cancel the task.
    Cancel,
    /// Another instance has it, or it is at an end.
    Lost,
}

/// See the module.
pub(crate) struct Leases {
    runs: Arc<dyn TaskRuns>,
    clock: Arc<dyn Clock>,
    lease: Duration,
    /// Most in one call.
    page: usize,
    backoff: Backoff,
    held: Mutex<HashMap<TaskKey, Held>>,
}

/// A lease that is prolonged, and where its holder hears of it.
struct Held {
    fence: u64,
    stop: watch::Sender<Option<Stop>>,
}

/// A lease that is prolonged for as long as this is there.
pub(crate) struct Kept {
    leases: Arc<Leases>,
    hold: Hold,
    stop: watch::Receiver<Option<Stop>>,
}

impl Leases {
    pub(crate) fn new(
        runs: Arc<dyn TaskRuns>,
        clock: Arc<dyn Clock>,
        lease: Duration,
        page: usize,
        backoff: Backoff,
    ) -> Self {
        Self { runs, clock, lease, page, backoff, held: Mutex::default() }
    }

    /// Keeps the lease of `hold` from now on.
    pub(crate) fn keep(self: &Arc<Self>, hold: Hold) -> Kept {
        let (sender, stop) = watch::channel(None);
        self.held().insert(hold.key.clone(), Held { fence: hold.fence, stop: sender });
        Kept { leases: Arc::clone(self), hold, stop }
    }

    /// Prolongs what is held, for ever.
    pub(crate) async fn run(&self) {
        let mut ticks = tokio::time::interval(self.lease / 3);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let hold = |(key, held): (&TaskKey, &Held)| Hold { key: key.clone(), fence: held.fence };
            let holds: Vec<Hold> = self.held().iter().map(hold).collect();
            for page in holds.chunks(self.page) {
                self.renew(page).await;
            }
        }
    }

    /// Tried again within a third of the lease; then the next round does.
    async fn renew(&self, holds: &[Hold]) {
        let tries = async {
            let mut attempt = 0;
            loop {
                match self.runs.renew(holds, self.clock.now().after(self.lease)).await {
                    Ok(renewed) => return renewed,
                    Err(error) => {
                        metrics::engine_failure("store");
                        if attempt == 0 {
                            let error = &error as &dyn std::error::Error;
                            tracing::warn!(leases = holds.len(), error, "leases are not prolonged yet");
                        }
                        tokio::time::sleep(self.backoff.delay(attempt, rand::random())).await;
                        attempt = attempt.saturating_add(1);
                    }
                }
            }
        };
        let Ok(renewed) = tokio::time::timeout(self.lease / 3, tries).await else { return };
        let held = self.held();
        for (hold, renewed) in holds.iter().zip(renewed) {
            let stop = match renewed {
                Renewed::Held => continue,
                Renewed::CancelAsked => Stop::Cancel,
                Renewed::Lost => Stop::Lost,
            };
            if let Some(held) = held.get(&hold.key).filter(|held| held.fence == hold.fence) {
                held.stop.send_replace(Some(stop));
            }
        }
    }

    fn held(&self) -> MutexGuard<'_, HashMap<TaskKey, Held>> {
        // Nothing panics while it is held.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    /// What it is the lease of.
    pub(crate) fn hold(&self) -> &Hold {
        &self.hold
    }

    /// Waits until the attempt is to stop.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(crate) async fn stopped(&mut self) -> Stop {
        match self.stop.wait_for(Option::is_some).await.map(|stop| *stop) {
            Ok(Some(stop)) => stop,
            // A newer hold of the same task took its place.
            Ok(None) | Err(_) => Stop::Lost,
        }
    }

    /// Whether it is known that the lease is another's.
    pub(crate) fn is_lost(&self) -> bool {
        *self.stop.borrow() == Some(Stop::Lost)
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let mut held = self.leases.held();
        if held.get(&self.hold.key).is_some_and(|held| held.fence == self.hold.fence) {
            held.remove(&self.hold.key);
        }
    }
}
