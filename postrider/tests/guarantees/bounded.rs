//! Promise 7: every buffer has a limit, and hitting it has a stated effect: a slow client costs itself time, nobody else
//! anything, and loses nothing.

use std::time::Duration;

use serde_json::json;

use crate::stack::clients::WebSocket;
use crate::stack::ledger::seen::Seen;
use crate::stack::{Column, Stack};

const SMALL_GATE: &str =
    "[distributor.session]\nwindow = 4\ngate_records = 4\nack_deadline_ms = 1500\ngrace_ms = 1000\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_overflowing_gate_loses_nothing_embedded() {
    an_overflowing_gate_loses_nothing(Stack::on(Column::Embedded, SMALL_GATE).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_overflowing_gate_loses_nothing_distributed() {
    an_overflowing_gate_loses_nothing(Stack::on(Column::Distributed, SMALL_GATE).await).await;
}

async fn an_overflowing_gate_loses_nothing(pipeline: Stack) {
    let mut alice = WebSocket::connect(&pipeline, "alice", json!({})).await;
    alice.next_named("drained").await;
    let mut ids = Vec::new();
    // Far more than window and gate hold, while alice does not acknowledge.
    for number in 0..60 {
        ids.push(pipeline.send("alice", &json!(number)).await);
    }
    let mut seen = Seen::default();
    while seen.len() < 60 {
        let received = alice.next().await;
        alice.acknowledge(received.seq).await;
        seen.take(received);
    }
    seen.balance(&ids, 0);
    assert_eq!(seen.duplicates_on_the_wire, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_client_costs_its_neighbours_nothing_embedded() {
    a_slow_client_costs_its_neighbours_nothing(Stack::on(Column::Embedded, SMALL_GATE).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_client_costs_its_neighbours_nothing_distributed() {
    a_slow_client_costs_its_neighbours_nothing(Stack::on(Column::Distributed, SMALL_GATE).await).await;
}

async fn a_slow_client_costs_its_neighbours_nothing(pipeline: Stack) {
    const EACH: usize = 12;
    let mut slow = WebSocket::connect(&pipeline, "slow", json!({})).await;
    let mut fast = Vec::new();
    for number in 0..5 {
        fast.push((format!("fast{number}"), Seen::default()));
    }
    let mut sockets = Vec::new();
    for (name, _) in &fast {
        sockets.push(WebSocket::connect(&pipeline, name, json!({})).await);
    }
    let mut slow_ids = Vec::new();
    let mut fast_ids = vec![Vec::new(); fast.len()];
    for number in 0..EACH {
        slow_ids.push(pipeline.send("slow", &json!(number)).await);
        for (index, (name, _)) in fast.iter().enumerate() {
            fast_ids[index].push(pipeline.send(name, &json!(number)).await);
        }
    }
    // The slow one has read nothing yet; the others get all of theirs all the same.
    for (index, (_, seen)) in fast.iter_mut().enumerate() {
        sockets[index].take(EACH).await.into_iter().for_each(|received| assert!(seen.take(received)));
        seen.balance(&fast_ids[index], 0);
    }
    // One frame a second: the pace is the scenario, nothing is awaited by it.
    let mut seen = Seen::default();
    let mut pace = tokio::time::interval(Duration::from_secs(1));
    while seen.len() < EACH {
        pace.tick().await;
        let received = slow.next().await;
        slow.acknowledge(received.seq).await;
        seen.take(received);
    }
    seen.balance(&slow_ids, 0);
    assert_eq!(seen.duplicates_on_the_wire, 0);
}
