//! One that floods a partition, or never answers, beside others that want little: they are served, and what floods arrives
//! by way of the store. Nothing here is judged by the clock: verdicts that are missing would hold others up for ever.

use std::time::{Duration, Instant};

use shared::delivery::SessionId;
use tokio::net::TcpListener;

use super::ALICE;
use super::node::{Mood, Node};
use super::stage::{Stage, eventually};

/// What a partition may have in flight.
const LIMIT: usize = 100;

async fn stage() -> Stage {
    let mut stage = Stage::open().await;
    stage.config.in_flight_records = LIMIT;
    // Nothing is parked because a verdict is late, but under pressure.
    stage.config.verdict_deadline_ms = Duration::from_secs(3600);
    stage.config.fairness.verdict_deadline_ms = Duration::from_millis(100);
    stage
}

/// Recipients, each with a session, and what was published to them.
struct Clients {
    recipients: Vec<String>,
    sessions: Vec<SessionId>,
    offsets: Vec<Vec<u64>>,
}

impl Clients {
    async fn connect(stage: &Stage, node: &Node, recipients: Vec<String>, mood: Mood) -> Self {
        let mut sessions = Vec::new();
        for recipient in &recipients {
            sessions.push(node.session(&stage.registry, recipient, mood).await);
        }
        let offsets = vec![Vec::new(); recipients.len()];
        Self { recipients, sessions, offsets }
    }

    async fn publish(&mut self, stage: &Stage, each: u64) {
        for (recipient, offsets) in self.recipients.iter().zip(&mut self.offsets) {
            let from = offsets.len() as u64;
            offsets.extend(stage.publish(recipient, from..from + each).await);
        }
    }

    /// Whether every one was sent what was published to it, in order, and none of it by way of the store.
    async fn are_served(&self, stage: &Stage, node: &Node) -> bool {
        for (index, recipient) in self.recipients.iter().enumerate() {
            let arrived: Vec<u64> =
                node.records(self.sessions[index]).iter().map(|record| record.offset).collect();
            if arrived != self.offsets[index] || !stage.stored(recipient).await.is_empty() {
                return false;
            }
        }
        true
    }

    async fn are_stored(&self, stage: &Stage) -> bool {
        for (recipient, offsets) in self.recipients.iter().zip(&self.offsets) {
            if stage.stored(recipient).await != *offsets {
                return false;
            }
        }
        true
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_floods_keeps_no_other_from_its_clients() {
    let stage = stage().await;
    let node = Node::start(&stage.registry).await;
    let mut flood =
        Clients::connect(&stage, &node, stage.neighbours_of(ALICE, "flood", 50), Mood::Silent).await;
    let mut others =
        Clients::connect(&stage, &node, stage.neighbours_of(ALICE, "acme", 5), Mood::Acknowledge).await;
    // Ten times what may be in flight, before and behind the others.
    flood.publish(&stage, 20).await;
    others.publish(&stage, 2).await;
    flood.publish(&stage, 20).await;
    let director = stage.direct();
    eventually("the others served", async || others.are_served(&stage, &node).await).await;
    others.publish(&stage, 2).await;
    eventually("the others served again", async || others.are_served(&stage, &node).await).await;
    eventually("the flood stored", async || {
        let parked_or_sent = flood.sessions.iter().map(|session| node.records(*session).len()).sum::<usize>();
        parked_or_sent > 0 && stored_upto(&stage, &flood).await
    })
    .await;
    director.stop().await;
}

/// All but what is below the pressure and may be in flight for ever is stored.
async fn stored_upto(stage: &Stage, clients: &Clients) -> bool {
    let (mut stored, mut published) = (0, 0);
    for (recipient, offsets) in clients.recipients.iter().zip(&clients.offsets) {
        let rows = stage.stored(recipient).await;
        if rows[..] != offsets[..rows.len()] {
            return false;
        }
        (stored, published) = (stored + rows.len(), published + offsets.len());
    }
    stored + LIMIT >= published
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recipient_that_floods_keeps_no_neighbour_from_its_client() {
    let stage = stage().await;
    let node = Node::start(&stage.registry).await;
    let mut flood = Clients::connect(&stage, &node, vec![ALICE.into()], Mood::Silent).await;
    let mut neighbours =
        Clients::connect(&stage, &node, stage.neighbours_of(ALICE, "acme", 10), Mood::Acknowledge).await;
    flood.publish(&stage, 1000).await;
    neighbours.publish(&stage, 5).await;
    let director = stage.direct();
    eventually("the neighbours served", async || neighbours.are_served(&stage, &node).await).await;
    eventually("the flood stored", async || stored_upto(&stage, &flood).await).await;
    director.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_never_answers_does_not_move_the_others() {
    let stage = stage().await;
    let (silent, sound) = (Node::start(&stage.registry).await, Node::start(&stage.registry).await);
    let keys = stage.neighbours_of(ALICE, "acme", 60);
    let mut stuck = Clients::connect(&stage, &silent, keys[..50].to_vec(), Mood::Silent).await;
    let mut others = Clients::connect(&stage, &sound, keys[50..].to_vec(), Mood::Acknowledge).await;
    let director = stage.direct();
    for _ in 0..5 {
        stuck.publish(&stage, 10).await;
        others.publish(&stage, 2).await;
        eventually("the others served", async || others.are_served(&stage, &sound).await).await;
    }
    eventually("the stuck ones' stored", async || stored_upto(&stage, &stuck).await).await;
    director.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_cannot_be_reached_trips_its_own_breaker_only() {
    let mut stage = stage().await;
    stage.config.link.connect_ms = Duration::from_millis(100);
    stage.config.link.breaker.base_ms = Duration::from_secs(3600);
    stage.config.link.breaker.cap_ms = Duration::from_secs(3600);
    // It takes connections and never says a word.
    let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let lost = Node::elsewhere(&stage.registry, mute.local_addr().unwrap()).await;
    let sound = Node::start(&stage.registry).await;
    let keys = stage.neighbours_of(ALICE, "acme", 20);
    let mut away = Clients::connect(&stage, &lost, keys[..10].to_vec(), Mood::Silent).await;
    let mut others = Clients::connect(&stage, &sound, keys[10..].to_vec(), Mood::Acknowledge).await;
    let director = stage.direct();
    for _ in 0..5 {
        away.publish(&stage, 2).await;
        others.publish(&stage, 2).await;
        eventually("the others served", async || others.are_served(&stage, &sound).await).await;
        eventually("what is for the lost node parked", async || away.are_stored(&stage).await).await;
    }
    director.stop().await;
    let mut tries = 0;
    while tokio::time::timeout(Duration::ZERO, mute.accept()).await.is_ok() {
        tries += 1;
    }
    assert_eq!(tries, stage.config.link.breaker_failures, "it is left alone after so many");
}

/// Prints how long one recipient's records take to arrive, alone and beside a tenant that floods: figures to be read,
/// not judged.
#[tokio::test(flavor = "multi_thread")]
async fn how_far_a_flood_moves_a_neighbour_is_reported() {
    const PUBLISHED: u64 = 150;
    let stage = stage().await;
    let node = Node::start(&stage.registry).await;
    let alice = node.session(&stage.registry, ALICE, Mood::Acknowledge).await;
    let mut flood =
        Clients::connect(&stage, &node, stage.neighbours_of(ALICE, "flood", 20), Mood::Silent).await;
    let director = stage.direct();
    let mut number = 0;
    let mut percentiles = async |flooded: bool| {
        let mut took = Vec::new();
        for _ in 0..PUBLISHED {
            if flooded {
                flood.publish(&stage, 1).await;
            }
            let start = Instant::now();
            stage.publish(ALICE, number..number + 1).await;
            number += 1;
            while (node.records(alice).len() as u64) < number {
                tokio::time::sleep(Duration::from_micros(500)).await;
            }
            took.push(start.elapsed());
        }
        took.sort();
        (took[took.len() / 2], took[took.len() * 99 / 100])
    };
    let (alone, flooded) = (percentiles(false).await, percentiles(true).await);
    println!(
        "half within {:?} alone, {:?} beside a flood of twenty times as much; 99 in 100 within {:?} and {:?}: {:.1} times",
        alone.0,
        flooded.0,
        alone.1,
        flooded.1,
        flooded.1.as_secs_f64() / alone.1.as_secs_f64(),
    );
    assert!(stage.stored(ALICE).await.is_empty());
    director.stop().await;
}
