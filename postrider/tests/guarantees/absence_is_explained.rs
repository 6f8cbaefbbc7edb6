//! Promise 5: where a position will never come, the client is told how many and why.

use serde_json::json;

use crate::stack::Stack;
use crate::stack::clients::WebSocket;

mod on_both {
    crate::on_both_columns!(what_expired_before_its_recipient_came_is_a_gap);
}

async fn what_expired_before_its_recipient_came_is_a_gap(pipeline: Stack) {
    for number in 0..3 {
        pipeline.producer().try_send("alice", &json!(number), Some(1)).await.unwrap();
    }
    // Time itself is what is waited for: the second in which they live.
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    let kept = pipeline.send("alice", &json!("kept")).await;
    let mut alice = WebSocket::connect(&pipeline, "alice", json!({})).await;
    let mut expired = 0;
    let received = loop {
        let frame = alice.next_frame().await.unwrap();
        match frame["frame"].as_str() {
            Some("gap") => {
                let causes = frame["causes"].as_object().unwrap();
                assert!(causes.keys().eq(["expired"]), "{frame}");
                expired += causes["expired"].as_u64().unwrap();
            }
            Some("notification") => break frame,
            _ => {}
        }
    };
    assert_eq!(expired, 3);
    assert_eq!(received["id"], kept);
}
