//! The sum over the partitions of this director, as operators see it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use shared::clock::{Clock, Timestamp};
use shared::position::PartitionId;

use crate::metrics;

/// How often it is shown: it grows also while nobody can look.
const ROUND: Duration = Duration::from_secs(1);

/// See the module.
pub(super) struct Tally {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    standings: BTreeMap<PartitionId, Standing>,
    /// Since when there is no reconciler, when there should be one.
    still: Option<Timestamp>,
}

#[derive(Clone, Copy)]
struct Standing {
    unaccounted: usize,
    /// Everything committed before this was looked at.
    since: Timestamp,
}

/// A partition's place in the tally; leaves it when dropped, for the partition is another director's then.
pub(super) struct Seat {
    tally: Arc<Tally>,
    partition: PartitionId,
}

impl Tally {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn enter(self: &Arc<Self>, partition: PartitionId) -> Seat {
        let standing = Standing { unaccounted: 0, since: self.clock.now() };
        self.state().standings.insert(partition, standing);
        Seat { tally: Arc::clone(self), partition }
    }

    pub(super) fn stands_still(&self) {
        self.state().still.get_or_insert(self.clock.now());
    }

    pub(super) fn goes_on(&self) {
        self.state().still = None;
    }

    /// Shows it, again and again.
    pub(super) async fn show(&self) {
        loop {
            let (unaccounted, since) = {
                let state = self.state();
                let unaccounted: usize = state.standings.values().map(|standing| standing.unaccounted).sum();
                let since = state.standings.values().map(|standing| standing.since).chain(state.still).min();
                (unaccounted, since)
            };
            let behind = since.map_or(Duration::ZERO, |since| self.clock.now().since(since));
            metrics::unaccounted(unaccounted);
            metrics::reconciler_behind(behind);
            tokio::time::sleep(ROUND).await;
        }
    }
}

impl Seat {
    /// Everything committed before `since` was looked at.
    pub(super) fn looked(&self, since: Timestamp) {
        if let Some(standing) = self.tally.state().standings.get_mut(&self.partition) {
            standing.since = since;
        }
    }

    pub(super) fn unaccounted(&self, count: usize) {
        if let Some(standing) = self.tally.state().standings.get_mut(&self.partition) {
            standing.unaccounted = count;
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.tally.state().standings.remove(&self.partition);
    }
}
