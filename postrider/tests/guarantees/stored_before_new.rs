//! Promise 3: for one recipient positions arrive strictly increasing, the stored before the new, whatever the transport.

use serde_json::json;

use crate::stack::Stack;
use crate::stack::clients::{Sse, WebSocket, acknowledge, poll};
use crate::stack::ledger::seen::Seen;

mod on_both {
    crate::on_both_columns!(
        offline_then_live_by_websocket,
        offline_then_live_by_sse,
        offline_then_live_by_long_poll,
        producers_keep_publishing_during_the_drain,
        hopping_between_transports_loses_and_repeats_nothing,
    );
}

async fn send_numbers(pipeline: &Stack, recipient: &str, numbers: std::ops::Range<u64>) -> Vec<String> {
    let mut ids = Vec::new();
    for number in numbers {
        ids.push(pipeline.send(recipient, &json!(number)).await);
    }
    ids
}

async fn offline_then_live_by_websocket(pipeline: Stack) {
    let mut ids = send_numbers(&pipeline, "alice", 0..3).await;
    let mut alice = WebSocket::connect(&pipeline, "alice", json!({})).await;
    let mut seen = Seen::default();
    for received in alice.take(3).await {
        seen.take(received);
    }
    assert!(alice.next_named("drained").await["count"].as_u64().is_some());
    ids.extend(send_numbers(&pipeline, "alice", 3..4).await);
    seen.take(alice.next().await);
    assert_eq!(seen.contents(), [json!(0), json!(1), json!(2), json!(3)]);
    seen.balance(&ids, 0);
}

async fn offline_then_live_by_sse(pipeline: Stack) {
    let mut ids = send_numbers(&pipeline, "alice", 0..3).await;
    let mut alice = Sse::connect(&pipeline, "alice", None).await;
    let mut seen = Seen::default();
    for received in alice.take(2).await {
        seen.take(received);
    }
    // The connection is lost after the second: what was seen is not sent again, what was not is.
    drop(alice);
    let cursor = seen.cursor().unwrap().to_owned();
    let mut alice = Sse::connect(&pipeline, "alice", Some(&cursor)).await;
    assert!(seen.take(alice.next().await));
    ids.extend(send_numbers(&pipeline, "alice", 3..4).await);
    assert!(seen.take(alice.next().await));
    assert_eq!(seen.contents(), [json!(0), json!(1), json!(2), json!(3)]);
    seen.balance(&ids, 0);
}

async fn offline_then_live_by_long_poll(pipeline: Stack) {
    let mut ids = send_numbers(&pipeline, "alice", 0..3).await;
    let mut seen = Seen::default();
    let mut cursor = None;
    while seen.len() < 3 {
        let (received, next) = poll(&pipeline, "alice", cursor.as_deref()).await;
        received.into_iter().for_each(|one| assert!(seen.take(one)));
        cursor = Some(next);
    }
    ids.extend(send_numbers(&pipeline, "alice", 3..4).await);
    while seen.len() < 4 {
        let (received, next) = poll(&pipeline, "alice", cursor.as_deref()).await;
        received.into_iter().for_each(|one| assert!(seen.take(one)));
        cursor = Some(next);
    }
    assert_eq!(seen.contents(), [json!(0), json!(1), json!(2), json!(3)]);
    seen.balance(&ids, 0);
}

async fn producers_keep_publishing_during_the_drain(pipeline: Stack) {
    let mut ids = send_numbers(&pipeline, "alice", 0..150).await;
    let mut alice = WebSocket::connect(&pipeline, "alice", json!({"window": 8})).await;
    let mut seen = Seen::default();
    let (more, ()) = tokio::join!(send_numbers(&pipeline, "alice", 150..300), async {
        while seen.len() < 300 {
            let received = alice.next().await;
            let seq = received.seq;
            seen.take(received);
            alice.acknowledge(seq).await;
        }
    });
    ids.extend(more);
    let expected: Vec<_> = (0..300).map(|number| json!(number)).collect();
    assert_eq!(seen.contents(), expected);
    seen.balance(&ids, 0);
}

async fn hopping_between_transports_loses_and_repeats_nothing(pipeline: Stack) {
    let mut ids = send_numbers(&pipeline, "alice", 0..12).await;
    let mut seen = Seen::default();

    let mut websocket = WebSocket::connect(&pipeline, "alice", json!({})).await;
    websocket.take(4).await.into_iter().for_each(|received| assert!(seen.take(received)));
    drop(websocket);

    let cursor = seen.cursor().unwrap().to_owned();
    let mut sse = Sse::connect(&pipeline, "alice", Some(&cursor)).await;
    sse.take(3).await.into_iter().for_each(|received| assert!(seen.take(received)));
    acknowledge(&pipeline, "alice", seen.cursor().unwrap()).await;
    drop(sse);

    let mut cursor = seen.cursor().unwrap().to_owned();
    while seen.len() < 12 {
        let (received, next) = poll(&pipeline, "alice", Some(&cursor)).await;
        received.into_iter().for_each(|one| assert!(seen.take(one)));
        cursor = next;
    }
    ids.extend(send_numbers(&pipeline, "alice", 12..14).await);
    let mut websocket = WebSocket::connect(&pipeline, "alice", json!({"cursor": cursor})).await;
    websocket.take(2).await.into_iter().for_each(|received| assert!(seen.take(received)));

    assert_eq!(seen.duplicates_on_the_wire, 0);
    seen.balance(&ids, 0);
}
