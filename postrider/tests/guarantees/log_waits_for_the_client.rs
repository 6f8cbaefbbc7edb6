//! Promise 2: an offset is committed only when every record up to it has reached an end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;

use crate::ledger::Seen;
use crate::stack::clients::WebSocket;
use crate::stack::{Fault, Part, Producer, Stack};

mod on_both {
    crate::on_both_columns!(
        what_was_sent_but_not_acknowledged_comes_again,
        killing_any_part_under_load_loses_nothing,
    );
}

async fn what_was_sent_but_not_acknowledged_comes_again(mut pipeline: Stack) {
    let mut alice = WebSocket::connect(&pipeline, "alice", json!({})).await;
    alice.next_named("drained").await;
    let id = pipeline.send("alice", &json!("precious")).await;
    let first = alice.next().await;
    assert_eq!(first.id, id);

    // Neither director nor distributor may know it any more; only the log does.
    pipeline.fault(Part::Director(0), Fault::Killed).await;
    pipeline.fault(Part::Distributor(0), Fault::Killed).await;
    drop(alice);
    pipeline.heal(Part::Distributor(0)).await;
    pipeline.heal(Part::Director(0)).await;
    let mut alice = WebSocket::connect(&pipeline, "alice", json!({})).await;
    let again = alice.next().await;
    assert_eq!((again.id.as_str(), again.position()), (first.id.as_str(), first.position()));
}

/// Produces for `recipient` until told to stop; answers what was accepted and how many got no answer.
async fn produce(producer: Producer, recipient: &str, stop: Arc<AtomicBool>) -> (Vec<String>, usize) {
    let (mut accepted, mut unanswered) = (Vec::new(), 0);
    while !stop.load(Ordering::SeqCst) {
        match producer.try_send(recipient, &json!(accepted.len()), None).await {
            Ok(id) => accepted.push(id),
            Err(_no_answer) => {
                unanswered += 1;
                // The receiver is down: asking it without a pause would only heat the machine.
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
    (accepted, unanswered)
}

async fn reconnect(pipeline: &Stack, recipient: &str, seen: &Seen) -> WebSocket {
    let hello = seen.cursor().map_or(json!({}), |cursor| json!({"cursor": cursor}));
    WebSocket::connect(pipeline, recipient, hello).await
}

async fn killing_any_part_under_load_loses_nothing(mut pipeline: Stack) {
    const RECIPIENTS: [&str; 3] = ["alice", "bob", "carol"];
    let stop = Arc::new(AtomicBool::new(false));
    let producing =
        RECIPIENTS.map(|name| tokio::spawn(produce(pipeline.producer(), name, Arc::clone(&stop))));
    let mut seen = RECIPIENTS.map(|_| Seen::default());
    for part in [Part::Distributor(0), Part::Director(0), Part::Receiver(0)] {
        for (name, seen) in RECIPIENTS.iter().zip(&mut seen) {
            // Thirty more each, half of them acknowledged; the producers go on through the kill.
            let mut client = reconnect(&pipeline, name, seen).await;
            let target = seen.len() + 30;
            while seen.len() < target {
                let received = client.next().await;
                let seq = received.seq;
                seen.take(received);
                if seq % 2 == 0 {
                    client.acknowledge(seq).await;
                }
            }
        }
        pipeline.fault(part, Fault::Killed).await;
        pipeline.heal(part).await;
    }
    stop.store(true, Ordering::SeqCst);
    for ((name, seen), producing) in RECIPIENTS.iter().zip(&mut seen).zip(producing) {
        let (accepted, unanswered) = producing.await.unwrap();
        let mut client = reconnect(&pipeline, name, seen).await;
        while !accepted.iter().all(|id| seen.has(id)) {
            let received = client.next().await;
            client.acknowledge(received.seq).await;
            seen.take(received);
        }
        seen.balance(&accepted, unanswered);
    }
}
