//! The registry contract, on the map in the process.

use std::sync::Arc;
use std::time::Duration;

use shared::clock::{ManualClock, Timestamp};
use shared::registry::contract::wipe::Wipe;
use shared::registry::contract::{self, Pass};
use shared::registry::memory::Registry;

struct Moved(Arc<ManualClock>);

#[async_trait::async_trait]
impl Pass for Moved {
    async fn pass(&self, time: Duration) {
        self.0.advance(time);
    }
}

struct Forgets(Arc<Registry>);

#[async_trait::async_trait]
impl Wipe for Forgets {
    async fn wipe(&self) {
        self.0.forget();
    }
}

fn registry() -> (Arc<Registry>, Moved) {
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_000_000)));
    (Registry::new(clock.clone()), Moved(clock))
}

#[tokio::test]
async fn routes_keep_the_contract() {
    let (registry, _clock) = registry();
    contract::routes::all(&*registry, &*registry).await;
}

#[tokio::test]
async fn nodes_keep_the_contract() {
    let (registry, clock) = registry();
    contract::nodes::all(&*registry, &*registry, &clock).await;
}

#[tokio::test]
async fn flags_keep_the_contract() {
    let (registry, _clock) = registry();
    contract::flags::all(&*registry, &*registry, &*registry).await;
}

#[tokio::test]
async fn a_wiped_registry_keeps_the_contract() {
    let (registry, _clock) = registry();
    contract::wipe::all(&*registry, &*registry, &*registry, &Forgets(registry.clone())).await;
}
