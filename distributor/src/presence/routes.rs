//! Registers and removes routes, one batch at a time: a removal never overtakes the registration of the same session.

use std::collections::HashSet;
use std::sync::Arc;

use rand::Rng as _;
use shared::delivery::{NodeId, SessionId};
use shared::recipient::Recipient;
use shared::registry::{Route, Routes};
use shared::retry::Backoff;
use shared::shutdown::Shutdown;
use tokio::sync::watch;

use super::flags::note;
use super::lease::Lease;
use crate::config::RegistryLimits;
use crate::hub::{Hub, Pending};
use crate::metrics;
use crate::session::Input;

/// A route to remove.
#[derive(Clone, Debug)]
pub(super) struct Removal {
    pub(super) recipient: Recipient,
    pub(super) session: SessionId,
    pub(super) attempts: u32,
}

/// The loop that registers and removes.
pub(crate) struct Registrar {
    pub(crate) hub: Arc<Hub>,
    pub(crate) routes: Arc<dyn Routes>,
    pub(crate) node: NodeId,
    pub(crate) limits: RegistryLimits,
    /// Routes of a node without a lease are no routes: nothing is registered before the first one.
    pub(crate) lease: watch::Receiver<Lease>,
}

impl Registrar {
    /// Until `shutdown`; then what is left to be removed is tried once more.
    pub(crate) async fn run(mut self, shutdown: Shutdown) {
        let backoff = Backoff { base: self.limits.backoff_ms, cap: self.limits.backoff_cap_ms };
        let mut failures = 0_u32;
        if self.first_lease(&shutdown).await.is_none() {
            return;
        }
        let hub = Arc::clone(&self.hub);
        loop {
            tokio::select! {
                () = shutdown.begun() => break,
                () = hub.presence.registrations.filled() => {}
                () = hub.presence.removals.filled() => {}
            }
            if self.register().await & self.remove().await {
                failures = 0;
                continue;
            }
            prune(&hub);
            let pause = backoff.delay(failures, rand::rng().random());
            failures = failures.saturating_add(1);
            tokio::select! {
                () = shutdown.begun() => break,
                () = tokio::time::sleep(pause) => {}
            }
        }
        while hub.presence.removals.len() > 0 && self.remove().await {}
    }

    /// Waits for the node's first lease; `None`: not any more.
    async fn first_lease(&mut self, shutdown: &Shutdown) -> Option<()> {
        let hub = Arc::clone(&self.hub);
        let mut held = std::pin::pin!(self.lease.wait_for(|lease| *lease == Lease::Held));
        loop {
            tokio::select! {
                () = shutdown.begun() => return None,
                held = &mut held => return held.ok().map(drop),
                () = tokio::time::sleep(self.limits.backoff_cap_ms) => prune(&hub),
            }
        }
    }

    /// Registers one batch; answers whether the registry did it.
    async fn register(&self) -> bool {
        let waiting: &Pending<SessionId> = &self.hub.presence.registrations;
        let mut seen = HashSet::new();
        let mut sessions = waiting.take(self.limits.batch);
        let mut batch = Vec::with_capacity(sessions.len());
        sessions.retain(|session| {
            let cell = if seen.insert(*session) { self.hub.cell(*session) } else { None };
            let route = Route { session: *session, node: self.node };
            batch.extend(cell.iter().map(|cell| (cell.recipient().clone(), route)));
            cell.is_some()
        });
        if batch.is_empty() {
            return true;
        }
        match self.routes.register(&batch).await {
            Ok(()) => {
                for session in sessions {
                    self.hub.input(session, Input::Registered);
                }
                true
            }
            Err(error) => {
                note(&error);
                waiting.extend(sessions);
                false
            }
        }
    }

    /// Removes one batch; answers whether the registry did it.
    async fn remove(&self) -> bool {
        let waiting: &Pending<Removal> = &self.hub.presence.removals;
        let removals = waiting.take(self.limits.batch);
        if removals.is_empty() {
            return true;
        }
        let route = |removal: &Removal| {
            (removal.recipient.clone(), Route { session: removal.session, node: self.node })
        };
        let batch: Vec<_> = removals.iter().map(route).collect();
        let Err(error) = self.routes.remove(&batch).await else { return true };
        note(&error);
        let again = |removal: Removal| Removal { attempts: removal.attempts + 1, ..removal };
        let (again, spent): (Vec<_>, Vec<_>) =
            removals.into_iter().map(again).partition(|removal| removal.attempts < self.limits.attempts);
        // A director that still finds the route is told `gone` by this node, and removes it.
        metrics::given_up("removal", spent.len());
        waiting.extend(again);
        false
    }
}

/// Forgets registrations of sessions that are over, or that wait twice.
fn prune(hub: &Hub) {
    let mut seen = HashSet::new();
    let wanted = |session: &SessionId| seen.insert(*session) && hub.cell(*session).is_some();
    hub.presence.registrations.prune(hub.most_waiting(), wanted);
}
