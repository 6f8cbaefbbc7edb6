//! Makes good the poke that never came: reads the flags of this node's own sessions, again and again, at a bounded rate,
//! and pokes those that may have something stored. While the registry is away, what the archiver has stored is the poke,
//! for the sessions that have not drained as far. A live session with a backlog had its poke lost, or its route, as a
//! registry that fails over can lose what it was told last: the route is entered again.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use shared::delivery::SessionId;
use shared::position::PartitionId;
use shared::registry::{Flag, Flags};
use shared::shutdown::Shutdown;
use shared::store::Inbox;
use tokio::time::Instant;

use super::flags::note;
use super::owed::{Owed, owed};
use crate::config::SweepSettings;
use crate::hub::{Cell, Hub};
use crate::metrics;
use crate::session::{Input, State};

/// The loop that sweeps.
pub(crate) struct Sweeper {
    pub(crate) hub: Arc<Hub>,
    pub(crate) flags: Arc<dyn Flags>,
    pub(crate) inbox: Arc<dyn Inbox>,
    pub(crate) settings: SweepSettings,
}

/// How the registry answered in one round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Registry {
    There,
    Away,
}

/// How far each partition is archived, read at most once a round; `None`: the store is away.
type Archived = HashMap<PartitionId, Option<u64>>;

impl Sweeper {
    /// Sweeps until `shutdown`.
    pub(crate) async fn run(self, shutdown: Shutdown) {
        loop {
            let began = Instant::now();
            let registry = tokio::select! {
                () = shutdown.begun() => return,
                registry = self.round() => registry,
            };
            let period = match registry {
                Registry::There => self.settings.period_ms,
                Registry::Away => self.settings.outage_period_ms,
            };
            tokio::select! {
                () = shutdown.begun() => return,
                () = tokio::time::sleep_until(began + period) => {}
            }
        }
    }

    /// Looks at every session once.
    async fn round(&self) -> Registry {
        let mut archived = Archived::new();
        let mut registry = Registry::There;
        let sessions = self.hub.ids();
        for batch in sessions.chunks(self.settings.batch.max(1)) {
            if self.batch(batch, &mut archived).await == Registry::Away {
                registry = Registry::Away;
            }
            let share = batch.len() as f64 / f64::from(self.settings.per_second.max(1));
            tokio::time::sleep(Duration::from_secs_f64(share)).await;
        }
        registry
    }

    async fn batch(&self, sessions: &[SessionId], archived: &mut Archived) -> Registry {
        let cells: Vec<Arc<Cell>> = sessions.iter().filter_map(|session| self.hub.cell(*session)).collect();
        // One that drains already learns what is stored by itself.
        let cells: Vec<Arc<Cell>> =
            cells.into_iter().filter(|cell| cell.state() != State::Draining).collect();
        if cells.is_empty() {
            return Registry::There;
        }
        let asked: Vec<_> = cells.iter().map(|cell| (cell.recipient().clone(), cell.partition())).collect();
        let (registry, readings) = match self.flags.read(&asked).await {
            Ok(readings) => (Registry::There, readings.into_iter().map(Some).collect()),
            Err(error) => {
                note(&error);
                (Registry::Away, vec![None; cells.len()])
            }
        };
        let mut poked = 0;
        for (cell, reading) in cells.iter().zip(readings) {
            let parked_upto = match owed(reading) {
                Owed::Nothing => continue,
                Owed::Poke { parked_upto } => parked_upto,
                Owed::WhatIsArchived => match self.archived(cell.partition(), archived).await {
                    Some(upto) if upto > cell.drained_upto() => upto,
                    Some(_) | None => continue,
                },
            };
            if reading.is_some_and(|reading| reading.flag == Flag::Backlog) {
                self.hub.presence.register(cell.id());
            }
            self.hub.input(cell.id(), Input::Poke { parked_upto });
            poked += 1;
        }
        metrics::poked_by_sweep(poked);
        registry
    }

    /// How far a partition is archived: what a session can drain now, so a poke up to there never makes it wait for an
    /// engine that is away.
    async fn archived(&self, partition: PartitionId, known: &mut Archived) -> Option<u64> {
        if let Some(known) = known.get(&partition) {
            return *known;
        }
        let upto = match self.inbox.archived_upto(partition).await {
            Ok(upto) => Some(upto),
            Err(error) => {
                crate::drain::note(&error);
                None
            }
        };
        known.insert(partition, upto);
        upto
    }
}
