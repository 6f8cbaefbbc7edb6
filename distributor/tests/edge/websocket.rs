//! The WebSocket: the session's frames, bad frames, and every close code that a client can bring about.

use std::time::Duration;

use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use crate::node::{Node, soon, token};

#[tokio::test]
async fn stored_notifications_come_in_order_and_acknowledging_deletes_them() {
    let node = Node::start().await;
    for content in ["one", "two", "three"] {
        node.stored.put("alice", content);
    }
    let mut client = node.connect("alice", "").await;
    for (seq, content) in [(1, "one"), (2, "two"), (3, "three")] {
        let frame = client.named("notification").await;
        assert_eq!((&frame["seq"], &frame["content"]), (&json!(seq), &json!(content)));
    }
    client.say(r#"{"frame":"ack","seq":2}"#).await;
    soon("the deletion", async {
        while node.stored.count("alice") > 1 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    client.say(r#"{"frame":"ack","seq":3}"#).await;
    assert_eq!(client.named("drained").await["count"], 3);
}

#[tokio::test]
async fn one_cursor_goes_on_across_all_three_transports() {
    let node = Node::start().await;
    for content in ["one", "two", "three"] {
        node.stored.put("alice", content);
    }
    let mut socket = node.connect("alice", "").await;
    let one = socket.named("notification").await;
    assert_eq!(one["content"], "one");
    drop(socket);
    let path = format!("/v1/sse?cursor={}", one["cursor"].as_str().unwrap());
    let stream = node.get(&path).bearer_auth(token("alice")).send().await.unwrap();
    let mut events = crate::sse::Events::new(stream);
    let two = events.named("notification").await;
    assert_eq!(two.data["content"], "two");
    drop(events);
    let path = format!("/v1/poll?wait=20000&cursor={}", two.id.unwrap());
    let answer = node.get(&path).bearer_auth(token("alice")).send().await.unwrap();
    let answer: serde_json::Value = answer.json().await.unwrap();
    assert_eq!(answer["notifications"][0]["content"], "three");
    assert_eq!(answer["notifications"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn hello_brings_the_cursor_when_the_handshake_brought_only_a_token() {
    let node = Node::start().await;
    node.stored.put("alice", "one");
    node.stored.put("alice", "two");
    let mut first = node.connect("alice", "").await;
    let cursor = first.named("notification").await["cursor"].as_str().unwrap().to_owned();
    drop(first);
    let bearer = format!("Bearer {}", token("alice"));
    let mut second = node.dial("/v1/ws", &[("authorization", &bearer)]).await.unwrap();
    second.say(&format!(r#"{{"frame":"hello","cursor":"{cursor}"}}"#)).await;
    assert_eq!(second.frame().await["cursor"], cursor.as_str());
    assert_eq!(second.named("notification").await["content"], "two");
}

#[tokio::test]
async fn a_late_hello_still_says_where_the_client_stands() {
    let node = Node::with(|config| config.edge.hello_wait_ms = Duration::ZERO).await;
    node.stored.put("alice", "one");
    let bearer = format!("Bearer {}", token("alice"));
    let mut client = node.dial("/v1/ws", &[("authorization", &bearer)]).await.unwrap();
    let cursor = client.named("notification").await["cursor"].as_str().unwrap().to_owned();
    let hello = format!(r#"{{"frame":"hello","cursor":"{cursor}","ref":"h"}}"#);
    client.say(&hello).await;
    soon("the deletion", async {
        while node.stored.count("alice") > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    client.say(&hello).await;
    assert_eq!(client.named("error").await["code"], "already-open");
}

#[tokio::test]
async fn every_bad_frame_on_an_open_session_is_answered_and_the_session_goes_on() {
    let node = Node::start().await;
    let mut client = node.connect("alice", "").await;
    let rows = [
        ("{", "json-invalid"),
        ("[1]", "frame-not-object"),
        ("{}", "frame-missing"),
        (r#"{"frame":"publish"}"#, "frame-unknown"),
        (r#"{"frame":"ack"}"#, "field-missing"),
        (r#"{"frame":"ack","seq":"1"}"#, "field-invalid"),
        (r#"{"frame":"ack","seq":1,"x":1}"#, "field-unknown"),
        (r#"{"frame":"ack","seq":1}"#, "ack-out-of-range"),
        (r#"{"frame":"nack","seq":9,"code":"retry"}"#, "ack-out-of-range"),
        (r#"{"frame":"nack","seq":9,"code":"maybe"}"#, "field-invalid"),
        (r#"{"frame":"hello"}"#, "already-open"),
        (r#"{"frame":"hello","cursor":"x"}"#, "cursor-invalid"),
        (r#"{"frame":"subscribe","topic":"t"}"#, "not-supported"),
        (r#"{"frame":"unsubscribe","topic":"t"}"#, "not-supported"),
    ];
    for (text, code) in rows {
        client.say(text).await;
        let error = client.named("error").await;
        assert_eq!((&error["code"], &error["temporary"]), (&json!(code), &json!(false)), "{text}");
    }
    client.say(r#"{"frame":"ping","ref":"p"}"#).await;
    assert_eq!(client.named("pong").await["ref"], "p");
}

#[tokio::test]
async fn too_many_bad_frames_close_for_good() {
    let node = Node::with(|config| config.edge.bad_frames = 3).await;
    let mut client = node.connect("alice", "").await;
    for _frame in 0..4 {
        client.say("nonsense").await;
    }
    assert_eq!(client.closed().await, Some(4504));
}

#[tokio::test]
async fn what_breaks_the_protocol_closes_with_its_code() {
    let node = Node::start().await;
    let rows = [(Message::binary(vec![1, 2]), 1003), (Message::text("x".repeat(70_000)), 4503)];
    for (frame, code) in rows {
        let mut client = node.connect("alice", "").await;
        client.send(frame.clone()).await;
        assert_eq!(client.closed().await, Some(code));
        let mut unauthenticated = node.dial("/v1/ws", &[]).await.unwrap();
        unauthenticated.send(frame).await;
        assert_eq!(unauthenticated.closed().await, Some(code));
    }
    let mut early = node.dial("/v1/ws", &[]).await.unwrap();
    early.say(r#"{"frame":"ack","seq":1}"#).await;
    assert_eq!(early.frame().await["code"], "hello-expected");
    assert_eq!(early.closed().await, Some(4500));
}

#[tokio::test]
async fn a_node_that_leaves_says_so_and_asks_to_reconnect() {
    let mut node = Node::start().await;
    let mut client = node.connect("alice", "").await;
    node.stop();
    let goaway = client.named("goaway").await;
    assert_eq!(goaway["reason"], "shutdown");
    assert!(goaway["after_ms"].is_u64());
    assert_eq!(client.closed().await, Some(4000));
    soon("the service to end", &mut node.service).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_client_that_closes_is_answered() {
    let node = Node::start().await;
    let mut client = node.connect("alice", "").await;
    client.send(Message::Close(None)).await;
    assert_eq!(client.closed().await, None);
}
