//! Probes while engines are away: an engine that does not answer makes no process dead and none unready, for a restart
//! brings no engine back, and every process leaving the balancer at once would take the clients with it.

use serde_json::json;

use crate::stack::clients::WebSocket;
use crate::stack::{Engines, Fault, Part, Plan, Scale, Stack, http};

/// Every process is alive and ready.
pub async fn must_be_well(stack: &Stack) {
    for (part, admin) in stack.admin() {
        for probe in ["livez", "readyz"] {
            let answer = http().get(format!("{admin}/{probe}")).send().await.unwrap();
            assert_eq!(answer.status(), 200, "{part} {probe}: {}", answer.text().await.unwrap());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_engine_away_makes_a_process_dead_or_unready() {
    let own = Engines::OWN;
    let mut stack = Stack::start(Plan { kafka: own, redis: own, postgres: own, ..Plan::default() }).await;
    stack.send("alice", &json!("before")).await;
    must_be_well(&stack).await;
    let engines = [Part::Postgres, Part::Redis, Part::Kafka];
    for engine in engines {
        stack.fault(engine, Fault::Frozen).await;
    }
    // The receiver has noticed: it says so to whoever asks it for something.
    let refused = stack.producer().try_send("alice", &json!("meanwhile"), None).await;
    assert!(refused.as_ref().is_err_and(|answer| answer.starts_with("503")), "{refused:?}");
    Scale::of_this_run().outage().await;
    must_be_well(&stack).await;
    for engine in engines {
        stack.heal(engine).await;
    }
    must_be_well(&stack).await;
    let after = stack.send("alice", &json!("after")).await;
    let mut alice = WebSocket::connect(&stack, "alice", json!({})).await;
    // What was refused may have been accepted all the same; order holds.
    while alice.take(1).await[0].id != after {}
}
