//! Promise 2: an offset is committed only when every record up to it has reached an end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use crate::clients::WebSocket;
use crate::ledger::Seen;
use crate::pipeline::Pipeline;

mod on_both {
    crate::on_both_columns!(
        what_was_sent_but_not_acknowledged_comes_again,
        killing_the_delivery_under_load_loses_nothing,
    );
}

async fn what_was_sent_but_not_acknowledged_comes_again(mut pipeline: Pipeline) {
    let mut alice = WebSocket::connect(&pipeline, "alice", json!({})).await;
    alice.next_named("drained").await;
    let id = pipeline.send("alice", &json!("precious")).await;
    let first = alice.next().await;
    assert_eq!(first.id, id);

    // Neither director nor distributor may know it any more; only the log does.
    pipeline.kill_9("director");
    pipeline.kill_9("distributor");
    drop(alice);
    pipeline.start_again("distributor").await;
    if pipeline.column == crate::pipeline::Column::Distributed {
        pipeline.start_again("director").await;
    }
    let mut alice = WebSocket::connect(&pipeline, "alice", json!({})).await;
    let again = alice.next().await;
    assert_eq!((again.id.as_str(), again.position()), (first.id.as_str(), first.position()));
}

/// Produces until told to stop; answers what was accepted and how many got no answer.
async fn produce(
    pipeline: &Pipeline,
    recipient: &str,
    stop: &AtomicBool,
    most: usize,
) -> (Vec<String>, usize) {
    let (mut accepted, mut unanswered) = (Vec::new(), 0);
    while !stop.load(Ordering::SeqCst) && accepted.len() < most {
        match pipeline.try_send(recipient, &json!(accepted.len()), None).await {
            Ok(id) => accepted.push(id),
            Err(_no_answer) => unanswered += 1,
        }
    }
    (accepted, unanswered)
}

async fn killing_the_delivery_under_load_loses_nothing(mut pipeline: Pipeline) {
    let mut seen = Seen::default();
    let mut alice = WebSocket::connect(&pipeline, "alice", json!({})).await;
    let stop = Arc::new(AtomicBool::new(false));
    let (mut accepted, mut unanswered) = (Vec::new(), 0);
    for role in ["distributor", "director"] {
        // Under load: a hundred in the air, half of them acknowledged.
        let (more, failed) = {
            let reading = async {
                let target = seen.len() + 40;
                while seen.len() < target {
                    let received = alice.next().await;
                    let seq = received.seq;
                    seen.take(received);
                    if seq % 2 == 0 {
                        alice.acknowledge(seq).await;
                    }
                }
            };
            let (produced, ()) = tokio::join!(produce(&pipeline, "alice", &stop, 80), reading);
            produced
        };
        accepted.extend(more);
        unanswered += failed;
        pipeline.kill_9(role);
        pipeline.start_again(role).await;
        let hello = seen.cursor().map_or(json!({}), |cursor| json!({"cursor": cursor}));
        alice = WebSocket::connect(&pipeline, "alice", hello).await;
    }
    while seen.len() < accepted.len() {
        let received = alice.next().await;
        alice.acknowledge(received.seq).await;
        seen.take(received);
    }
    seen.balance(&accepted, unanswered);
}
