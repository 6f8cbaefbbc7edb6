//! The harness itself: each fault does what its name says, and is gone once healed.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::stack::clients::WebSocket;
use crate::stack::{Engines, Fault, PATIENCE, Part, Plan, Stack, http};

/// Asks until it is accepted.
async fn accepted(stack: &Stack, recipient: &str, content: &Value) -> String {
    let producer = stack.producer();
    let deadline = Instant::now() + PATIENCE;
    loop {
        match producer.try_send(recipient, content, None).await {
            Ok(id) => return id,
            Err(why) => assert!(Instant::now() < deadline, "not accepted: {why}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_service_dies_freezes_and_ends_alone() {
    let mut stack =
        Stack::start(Plan { receivers: 2, directors: 2, distributors: 2, ..Plan::default() }).await;
    let parts = [Part::Receiver(1), Part::Director(1), Part::Distributor(1), Part::Executor(0)];
    for part in parts {
        stack.fault(part, Fault::Frozen).await;
        let livez = format!("{}/livez", stack.admin_of(part));
        let asked = http().get(&livez).timeout(Duration::from_millis(300)).send().await;
        assert!(asked.is_err_and(|error| error.is_timeout()), "{part} answers");
        stack.heal(part).await;
        assert_eq!(http().get(&livez).send().await.unwrap().status(), 200, "{part}");
        let frozen = stack.id_of(part);
        for fault in [Fault::Killed, Fault::Terminated] {
            stack.fault(part, fault).await;
            stack.heal(part).await;
        }
        assert_ne!(stack.id_of(part), frozen, "{part} is the same process");
    }
    let id = stack.send("alice", &json!(1)).await;
    let mut alice = WebSocket::connect(&stack, "alice", json!({})).await;
    assert_eq!(alice.take(1).await[0].id, id);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_engine_comes_back_in_place_with_its_disk() {
    let own = Engines::OWN;
    let mut stack = Stack::start(Plan { kafka: own, redis: own, postgres: own, ..Plan::default() }).await;
    let before = stack.send("alice", &json!("before")).await;
    for fault in [Fault::Frozen, Fault::Killed] {
        for part in [Part::Postgres, Part::Redis, Part::Kafka] {
            stack.fault(part, fault).await;
        }
        for part in [Part::Postgres, Part::Redis, Part::Kafka] {
            stack.heal(part).await;
        }
    }
    let after = accepted(&stack, "alice", &json!("after")).await;
    let mut alice = WebSocket::connect(&stack, "alice", json!({})).await;
    let taken: Vec<String> = alice.take(2).await.into_iter().map(|received| received.id).collect();
    assert_eq!(taken, [before, after]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_brokers_serve_with_one_dead() {
    let mut stack = Stack::start(Plan { kafka: Engines::Own { brokers: 3 }, ..Plan::default() }).await;
    let first = stack.send("alice", &json!(1)).await;
    stack.fault(Part::Broker(0), Fault::Killed).await;
    let second = accepted(&stack, "alice", &json!(2)).await;
    stack.says("accepted again");
    let mut alice = WebSocket::connect(&stack, "alice", json!({})).await;
    let taken: Vec<String> = alice.take(2).await.into_iter().map(|received| received.id).collect();
    stack.says("delivered");
    assert_eq!(taken, [first, second]);
    stack.heal(Part::Broker(0)).await;
}
