//! A director whose registry fails, stays silent, and comes back; and routes that are out of date.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use shared::recipient::Recipient;
use shared::registry::memory::Registry;
use shared::registry::{Entered, Error, Mark, Route, Routes};

use super::ALICE;
use super::node::{Mood, Node};
use super::stage::{Stage, eventually};

/// A registry that answers, or only says at its deadline that it cannot.
struct Wavering {
    registry: Arc<Registry>,
    away: AtomicBool,
    asked: AtomicUsize,
}

const DEADLINE: Duration = Duration::from_millis(50);

impl Wavering {
    fn in_front_of(stage: &mut Stage) -> Arc<Self> {
        let registry = Arc::clone(&stage.registry);
        let wavering = Arc::new(Self { registry, away: AtomicBool::new(false), asked: AtomicUsize::new(0) });
        stage.routes = Arc::clone(&wavering) as _;
        wavering
    }

    async fn reach(&self) -> Result<(), Error> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if self.away.load(Ordering::SeqCst) {
            tokio::time::sleep(DEADLINE).await;
            return Err(Error::Unavailable(None));
        }
        Ok(())
    }
}

#[async_trait]
impl Routes for Wavering {
    async fn register(&self, routes: &[(Recipient, Route)]) -> Result<(), Error> {
        self.registry.register(routes).await
    }

    async fn remove(&self, routes: &[(Recipient, Route)]) -> Result<(), Error> {
        self.reach().await?;
        self.registry.remove(routes).await
    }

    async fn lookup(&self, recipients: &[Recipient]) -> Result<Vec<Vec<Route>>, Error> {
        self.reach().await?;
        self.registry.lookup(recipients).await
    }

    async fn entered(&self, since: &Mark) -> Result<(Entered, Mark), Error> {
        self.reach().await?;
        self.registry.entered(since).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_is_away_is_left_alone_and_what_comes_is_parked_at_once_in_order() {
    const FAILURES: u32 = 3;
    let mut stage = Stage::open().await;
    stage.config.lookups.breaker_failures = FAILURES;
    let long = Duration::from_secs(3600);
    (stage.config.lookups.breaker.base_ms, stage.config.lookups.breaker.cap_ms) = (long, long);
    let registry = Wavering::in_front_of(&mut stage);
    let node = Node::start(&stage.registry).await;
    let alice = node.session(&stage.registry, ALICE, Mood::Acknowledge).await;
    let director = stage.direct();
    stage.publish(ALICE, 0..1).await;
    eventually("delivered", async || node.records(alice).len() == 1).await;
    registry.away.store(true, Ordering::SeqCst);
    let asked = registry.asked.load(Ordering::SeqCst);
    let mut parked = Vec::new();
    for number in 1..40 {
        parked.extend(stage.publish(ALICE, number..number + 1).await);
        eventually("parked and stored", async || stage.stored(ALICE).await == parked).await;
    }
    // One for news may be under way beside the last one for routes.
    let asked = registry.asked.load(Ordering::SeqCst) - asked;
    assert!((FAILURES..=FAILURES + 1).contains(&u32::try_from(asked).unwrap()), "{asked}");
    // One may have been sent by what was remembered; it is stored all the same, for nobody can say that there is no other
    // device.
    assert!(node.records(alice).len() <= 2);
    director.stop().await;
    assert_eq!(stage.committed(ALICE).await, parked[38] + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_is_back_is_found_by_one_question_and_delivery_goes_on_behind_what_was_parked() {
    let mut stage = Stage::open().await;
    let short = Duration::from_millis(100);
    (stage.config.lookups.breaker.base_ms, stage.config.lookups.breaker.cap_ms) = (short, short);
    let registry = Wavering::in_front_of(&mut stage);
    registry.away.store(true, Ordering::SeqCst);
    let node = Node::start(&stage.registry).await;
    let alice = node.session(&stage.registry, ALICE, Mood::Acknowledge).await;
    let director = stage.direct();
    let mut parked = stage.publish(ALICE, 0..5).await;
    eventually("parked and stored", async || stage.stored(ALICE).await == parked).await;
    registry.away.store(false, Ordering::SeqCst);
    let mut published = 5;
    eventually("delivered again", async || {
        let offsets = stage.publish(ALICE, published..published + 1).await;
        published += 1;
        eventually("an end", async || {
            stage.stored(ALICE).await.contains(&offsets[0]) || !node.records(alice).is_empty()
        })
        .await;
        if node.records(alice).is_empty() {
            parked.extend(offsets);
        }
        !node.records(alice).is_empty()
    })
    .await;
    assert_eq!(stage.stored(ALICE).await, parked);
    assert_eq!(node.records(alice)[0].parked_upto, stage.parked_end(ALICE).await);
    director.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_route_beside_a_live_one_is_removed_alone_and_costs_no_delivery() {
    let stage = Stage::open().await;
    let (dead, live) = (Node::start(&stage.registry).await, Node::start(&stage.registry).await);
    dead.session(&stage.registry, ALICE, Mood::Gone).await;
    let alice = live.session(&stage.registry, ALICE, Mood::Silent).await;
    let director = stage.direct();
    let offsets = stage.publish(ALICE, 0..5).await;
    eventually("delivered", async || live.records(alice).len() == 5).await;
    eventually("the stale route removed", async || stage.routes(ALICE).await.len() == 1).await;
    assert_eq!(stage.routes(ALICE).await[0].session, alice);
    live.release(alice);
    eventually("acknowledged", async || live.most_open(alice).0 == 0).await;
    director.stop().await;
    assert_eq!(stage.committed(ALICE).await, offsets[4] + 1);
    assert!(stage.stored(ALICE).await.is_empty());
}
