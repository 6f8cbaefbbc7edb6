//! A node that stops: what it announces, whom it still serves, what it tells each transport, and what still counts.

use std::time::Duration;

use serde_json::Value;
use tokio_tungstenite::tungstenite::Message;

use crate::node::{Node, http, problem, soon, token};
use crate::sse::Events;

async fn until_unready(node: &Node) {
    soon("the node to be unready", async {
        while node.readiness.missing().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn while_it_is_announced_everybody_is_served_and_afterwards_new_clients_are_turned_away() {
    let mut node = Node::with(|config| {
        config.http.announce_ms = Duration::from_secs(3);
        // A client that does not answer the close keeps the node leaving for as long as this test needs it.
        config.edge.close_ms = Duration::from_secs(10);
    })
    .await;
    let _deaf = node.connect("deaf", "").await;
    let kept = http();
    assert_eq!(kept.get(node.url("/")).send().await.unwrap().headers().get("connection"), None);
    node.stop();
    until_unready(&node).await;
    let answer = kept.get(node.url("/v1/poll?wait=1")).bearer_auth(token("late")).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), &answer.headers()["connection"]), (200, &"close".parse().unwrap()));
    let refused = async {
        loop {
            let answer = node.get("/v1/poll?wait=1").bearer_auth(token("new")).send().await.unwrap();
            if answer.status() != 200 {
                return answer;
            }
        }
    };
    let refused = soon("new clients to be turned away", refused).await;
    let after: u64 = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=2).contains(&after), "{after}");
    assert_eq!(problem(refused).await, (503, "draining".to_owned()));
    soon("the service to end", &mut node.service).await.unwrap().unwrap();
    assert!(http().get(node.url("/")).send().await.is_err(), "still listening");
}

#[tokio::test]
async fn what_a_websocket_acknowledges_before_it_hears_that_it_must_go_counts() {
    let mut node = Node::start().await;
    node.stored.put("alice", "one");
    node.stored.put("alice", "two");
    let mut client = node.connect("alice", "").await;
    while client.named("notification").await["seq"] != 2 {}
    node.stop();
    client.named("goaway").await;
    client.say(r#"{"frame":"ack","seq":2}"#).await;
    client.send(Message::Close(None)).await;
    assert_eq!(client.closed().await, Some(4000));
    soon("the service to end", &mut node.service).await.unwrap().unwrap();
    assert_eq!(node.stored.count("alice"), 0);
}

#[tokio::test]
async fn a_stream_of_events_is_told_when_to_come_back_in_the_field_that_browsers_obey() {
    let mut node = Node::with(|config| config.leave.after_ms = Duration::from_millis(400)).await;
    let stream = node.get("/v1/sse").bearer_auth(token("alice")).send().await.unwrap();
    let mut events = Events::new(stream);
    events.named("welcome").await;
    node.stop();
    let goaway = events.named("goaway").await;
    assert_eq!(events.retry, goaway.data["after_ms"].as_u64());
    assert!(events.retry.unwrap() <= 400);
    assert!(events.next().await.is_none());
    soon("the service to end", &mut node.service).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_poll_that_waits_is_told_to_come_elsewhere_and_its_cursor_still_acknowledges() {
    let mut node = Node::start().await;
    node.stored.put("alice", "one");
    let poll = async |query: String| {
        node.get(&format!("/v1/poll?{query}")).bearer_auth(token("alice")).send().await.unwrap()
    };
    let first: Value = poll("wait=20000".to_owned()).await.json().await.unwrap();
    assert_eq!(first["notifications"][0]["content"], "one");
    let (cursor, session) = (first["cursor"].as_str().unwrap(), first["session"].as_str().unwrap());
    let waiting = poll(format!("wait=60000&cursor={cursor}&session={session}"));
    let leaving = async {
        // The poll waits once what it acknowledged is deleted.
        while node.stored.count("alice") > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        node.stop();
    };
    let (answer, ()) = tokio::join!(soon("the poll's answer", waiting), soon("the deletion", leaving));
    assert_eq!(answer.headers()["retry-after"], "1");
    assert_eq!(problem(answer).await, (503, "draining".to_owned()));
    soon("the service to end", &mut node.service).await.unwrap().unwrap();
}
