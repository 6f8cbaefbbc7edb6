//! Promise 1: 202 means durable. The process that answered is killed the moment it answered.

use std::time::Duration;

use serde_json::json;

use crate::stack::clients::WebSocket;
use crate::stack::ledger::seen::Seen;
use crate::stack::{Fault, Part, Stack};

mod on_both {
    crate::on_both_columns!(every_202_survives_the_receivers_death);
}

async fn every_202_survives_the_receivers_death(mut pipeline: Stack) {
    let mut accepted = Vec::new();
    let mut unanswered = 0;
    for round in 0..3 {
        // Thirty at once, and the kill in the middle of them.
        let producer = pipeline.producer();
        let send = async |number| producer.try_send("alice", &json!([round, number]), None).await;
        let mut sends: futures_util::stream::FuturesUnordered<_> = (0..30).map(send).collect();
        let mut answered = 0;
        while answered < 15 {
            match futures_util::StreamExt::next(&mut sends).await.expect("thirty were sent") {
                Ok(id) => accepted.push(id),
                Err(_no_answer) => unanswered += 1,
            }
            answered += 1;
        }
        unanswered += sends.len();
        drop(sends);
        pipeline.fault(Part::Receiver(0), Fault::Killed).await;
        pipeline.heal(Part::Receiver(0)).await;
    }
    let mut alice = WebSocket::connect(&pipeline, "alice", json!({})).await;
    let mut seen = Seen::default();
    while !accepted.iter().all(|id| seen.has(id)) {
        let received = alice.next().await;
        alice.acknowledge(received.seq).await;
        seen.take(received);
    }
    seen.balance(&accepted, unanswered);

    // And what is not answered 202 says so in a way a producer can act on.
    let refused = pipeline
        .producer()
        .post("/v1/notifications")
        .json(&json!({"to": {"recipient": "no/such"}, "type": "t", "content": 1}))
        .timeout(Duration::from_secs(15))
        .send()
        .await
        .unwrap();
    assert_eq!(refused.headers()["content-type"], "application/problem+json");
    let problem: serde_json::Value = refused.json().await.unwrap();
    assert_eq!(problem["retryable"], false, "{problem}");
}
