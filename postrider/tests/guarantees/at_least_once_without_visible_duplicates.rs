//! Promise 4: a redelivery carries the same id and position, and nobody is shown it twice.

use serde_json::json;

use crate::stack::Stack;
use crate::stack::clients::WebSocket;
use crate::stack::ledger::seen::Seen;

mod on_both {
    crate::on_both_columns!(
        two_sessions_of_one_recipient_each_get_everything,
        coming_back_with_a_cursor_repeats_nothing,
    );
}

async fn two_sessions_of_one_recipient_each_get_everything(pipeline: Stack) {
    let mut phone = WebSocket::connect(&pipeline, "alice", json!({})).await;
    let mut laptop = WebSocket::connect(&pipeline, "alice", json!({})).await;
    phone.next_named("drained").await;
    laptop.next_named("drained").await;
    let mut ids = Vec::new();
    for number in 0..40 {
        ids.push(pipeline.send("alice", &json!(number)).await);
    }
    let (mut on_phone, mut on_laptop) = (Seen::default(), Seen::default());
    for client in [(&mut phone, &mut on_phone), (&mut laptop, &mut on_laptop)] {
        let (socket, seen) = client;
        socket.take(40).await.into_iter().for_each(|received| {
            seen.take(received);
        });
        seen.balance(&ids, 0);
    }
}

async fn coming_back_with_a_cursor_repeats_nothing(pipeline: Stack) {
    let mut seen = Seen::default();
    let mut ids = Vec::new();
    for round in 0..4 {
        ids.push(pipeline.send("alice", &json!([round, "stored"])).await);
        let hello = seen.cursor().map_or(json!({}), |cursor| json!({"cursor": cursor}));
        let mut alice = WebSocket::connect(&pipeline, "alice", hello).await;
        assert!(seen.take(alice.next().await));
        ids.push(pipeline.send("alice", &json!([round, "live"])).await);
        // Seen, and not acknowledged: the cursor alone says that it was processed.
        assert!(seen.take(alice.next().await));
    }
    assert_eq!(seen.duplicates_on_the_wire, 0);
    seen.balance(&ids, 0);
}
