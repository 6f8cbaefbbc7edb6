//! Promise 6, its last sentence: `postrider_unaccounted` is 0, and whoever reads it knows how far that was looked at.

use serde_json::json;
use tokio::time::Instant;

use crate::stack::clients::WebSocket;
use crate::stack::{Fault, PATIENCE, Part, Stack, http};

mod on_both {
    crate::on_both_columns!(every_record_is_accounted_for_whichever_part_was_killed);
}

/// What all processes together show under `name`, and how many show it.
async fn shown(pipeline: &Stack, name: &str) -> (f64, usize) {
    let mut values = Vec::new();
    for (_, admin) in pipeline.admin() {
        let text = http().get(format!("{admin}/metrics")).send().await.unwrap().text().await.unwrap();
        let of_this_name =
            |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{']));
        let numbers =
            text.lines().filter(of_this_name).filter_map(|line| line.rsplit(' ').next()?.parse().ok());
        values.extend(numbers.collect::<Vec<f64>>());
    }
    (values.iter().sum(), values.len())
}

/// Waits until every position of `records` records was compared, and answers how many are unaccounted.
async fn compared(pipeline: &Stack, records: usize) -> f64 {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let (upto, _) = shown(pipeline, "postrider_reconciler_position").await;
        let (unaccounted, shows) = shown(pipeline, "postrider_unaccounted").await;
        assert_eq!(shows, 1, "shown by the one director from its start");
        if upto >= records as f64 {
            return unaccounted;
        }
        assert!(Instant::now() < deadline, "compared {upto} of {records}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

async fn every_record_is_accounted_for_whichever_part_was_killed(mut pipeline: Stack) {
    let mut accepted = 0;
    for part in [Part::Director(0), Part::Distributor(0), Part::Director(0)] {
        let mut alice = WebSocket::connect(&pipeline, "alice", json!({})).await;
        for number in 0..20 {
            pipeline.send("alice", &json!(number)).await;
            pipeline.send("nobody", &json!(number)).await;
            accepted += 2;
        }
        for _ in 0..10 {
            let received = alice.next().await;
            alice.acknowledge(received.seq).await;
        }
        pipeline.fault(part, Fault::Killed).await;
        pipeline.heal(part).await;
    }
    let mut alice = WebSocket::connect(&pipeline, "alice", json!({})).await;
    let acknowledging = async {
        loop {
            let received = alice.next().await;
            alice.acknowledge(received.seq).await;
        }
    };
    let unaccounted = tokio::select! {
        unaccounted = compared(&pipeline, accepted) => unaccounted,
        () = acknowledging => unreachable!("it goes on"),
    };
    assert_eq!(unaccounted, 0.0);
}
