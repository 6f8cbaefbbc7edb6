//! Promise 2: an offset is committed only when every record up to it has reached an end.

use serde_json::json;

use crate::stack::clients::WebSocket;
use crate::stack::load::{Load, Mix};
use crate::stack::{Fault, Part, Stack};

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

async fn killing_any_part_under_load_loses_nothing(mut pipeline: Stack) {
    let mut load = Load::start(&pipeline, Mix { rate: 50, ..Mix::default() }).await;
    load.steady().await;
    for part in [Part::Distributor(0), Part::Director(0), Part::Receiver(0)] {
        pipeline.fault(part, Fault::Killed).await;
        pipeline.heal(part).await;
        load.more(30).await;
    }
    load.settle().await.must_balance();
}
