//! The node's lease, and what follows when the registry lost its content or the node lost its lease: every session is
//! announced again, at a bounded rate, and drains once more, since directors may have parked meanwhile.

use std::sync::Arc;
use std::time::Duration;

use rand::Rng as _;
use shared::clock::Timestamp;
use shared::registry::{Node, Nodes, RegistryEpoch};
use shared::shutdown::Shutdown;
use tokio::sync::watch;
use tokio::time::Instant;

use super::flags::note;
use crate::config::LeaseSettings;
use crate::hub::Hub;
use crate::metrics;
use crate::session::Input;

/// Whether directors see this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lease {
    /// Not, or nobody knows.
    Lost,
    /// It does.
    Held,
}

/// When a lease was last asked for with success. By two clocks: one stands still while the machine sleeps, the other
/// may be set back.
#[derive(Clone, Copy, Debug)]
struct Renewed {
    epoch: RegistryEpoch,
    instant: Instant,
    time: Timestamp,
}

impl Renewed {
    fn age(&self, now: Timestamp) -> Duration {
        self.instant.elapsed().max(now.since(self.time))
    }
}

/// The loop that renews.
pub(crate) struct Keeper {
    pub(crate) hub: Arc<Hub>,
    pub(crate) nodes: Arc<dyn Nodes>,
    pub(crate) node: Node,
    pub(crate) settings: LeaseSettings,
    /// Where the others learn of it.
    pub(crate) lease: watch::Sender<Lease>,
}

impl Keeper {
    /// Renews until `shutdown`, then gives the lease up.
    pub(crate) async fn run(self, shutdown: Shutdown) {
        let period = self.settings.ttl_ms / 3;
        let mut last: Option<Renewed> = None;
        let mut announcing = None;
        loop {
            let asked = (Instant::now(), self.hub.clock().now());
            let pause = match self.nodes.renew(&self.node, self.settings.ttl_ms).await {
                Ok(epoch) => {
                    let lapsed = last.is_some_and(|last| self.lapsed(last, epoch));
                    last = Some(Renewed { epoch, instant: asked.0, time: asked.1 });
                    self.lease.send_replace(Lease::Held);
                    if lapsed {
                        let (hub, rate) = (Arc::clone(&self.hub), self.settings.announce_per_second);
                        // A loss during an announcement starts it over.
                        announcing = Some(tokio_util::task::AbortOnDropHandle::new(tokio::spawn(
                            announce_again(hub, rate),
                        )));
                    }
                    period
                }
                Err(error) => {
                    note(&error);
                    if last.is_none_or(|last| last.age(self.hub.clock().now()) > self.settings.ttl_ms) {
                        self.lease.send_replace(Lease::Lost);
                    }
                    // Jitter, so that the nodes of a registry that comes back do not come at once.
                    period.mul_f64(rand::rng().random_range(0.25..0.75))
                }
            };
            tokio::select! {
                () = shutdown.begun() => break,
                () = tokio::time::sleep(pause) => {}
            }
        }
        drop(announcing);
        if let Err(error) = self.nodes.release(self.node.id).await {
            note(&error);
        }
    }

    /// Whether directors may have been without this node's routes since `last`.
    fn lapsed(&self, last: Renewed, epoch: RegistryEpoch) -> bool {
        let age = last.age(self.hub.clock().now());
        let (other, late) = (epoch != last.epoch, age > self.settings.ttl_ms);
        if other || late {
            tracing::warn!(registry_lost = other, lease_lost = late, ?age, "announcing every session again");
        }
        other || late
    }
}

/// Has every session registered again, `per_second` of them a second.
async fn announce_again(hub: Arc<Hub>, per_second: u32) {
    /// Few enough that the rate is even, enough for few round trips.
    const BATCHES_PER_SECOND: u32 = 10;
    let sessions = hub.ids();
    let size = (per_second / BATCHES_PER_SECOND).max(1) as usize;
    for batch in sessions.chunks(size) {
        for session in batch {
            hub.input(*session, Input::RegistryLost);
            hub.presence.register(*session);
        }
        metrics::announced(batch.len());
        let share = batch.len() as f64 / f64::from(per_second.max(1));
        tokio::time::sleep(Duration::from_secs_f64(share)).await;
    }
}
