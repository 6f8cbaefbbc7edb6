//! Server-sent events: ids, reconnecting, the grace rule, heartbeats, going away.

use std::time::Duration;

use futures_util::StreamExt as _;
use serde_json::{Value, json};

use crate::node::{Node, problem, soon, token};

/// One event.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) id: Option<String>,
    pub(crate) name: String,
    pub(crate) data: Value,
}

/// A stream of events, read as the standard says.
pub(crate) struct Events {
    response: futures_util::stream::BoxStream<'static, reqwest::Result<bytes::Bytes>>,
    buffer: String,
    pub(crate) comments: usize,
    pub(crate) retry: Option<u64>,
}

impl Events {
    pub(crate) fn new(response: reqwest::Response) -> Self {
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["cache-control"], "no-store");
        Self { response: response.bytes_stream().boxed(), buffer: String::new(), comments: 0, retry: None }
    }

    /// The next event; `None` when the stream has ended.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        loop {
            while let Some((block, rest)) = self.buffer.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.buffer = rest;
                if let Some(event) = self.read(&block) {
                    return Some(event);
                }
            }
            let chunk = soon("an event", self.response.next()).await?.unwrap();
            self.buffer.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    fn read(&mut self, block: &str) -> Option<Event> {
        let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
        if block.starts_with(':') {
            self.comments += 1;
        }
        if let Some(retry) = field("retry: ") {
            self.retry = Some(retry.parse().unwrap());
        }
        let data: Vec<&str> = block.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
        let name = field("event: ")?;
        Some(Event { id: field("id: "), name, data: serde_json::from_str(&data.join("\n")).unwrap() })
    }

    pub(crate) async fn named(&mut self, name: &str) -> Event {
        loop {
            let event = self.next().await.expect("open");
            if event.name == name {
                return event;
            }
        }
    }
}

async fn open(node: &Node, last_event_id: Option<&str>) -> Events {
    let mut request = node.get("/v1/sse").bearer_auth(token("alice"));
    if let Some(id) = last_event_id {
        request = request.header("last-event-id", id);
    }
    Events::new(request.send().await.unwrap())
}

#[tokio::test]
async fn reconnecting_with_the_last_event_id_goes_on_behind_it() {
    let node = Node::start().await;
    for content in ["one", "two", "three"] {
        node.stored.put("alice", content);
    }
    let mut first = open(&node, None).await;
    assert!(first.named("welcome").await.id.is_some());
    assert!((1000..=5000).contains(&first.retry.unwrap()));
    let one = first.named("notification").await;
    assert_eq!((&one.data["content"], &one.data["seq"]), (&json!("one"), &json!(1)));
    assert_eq!(one.id.as_deref(), one.data["cursor"].as_str());
    drop(first);
    let mut second = open(&node, one.id.as_deref()).await;
    assert_eq!(second.named("welcome").await.id, one.id);
    assert_eq!(second.named("notification").await.data["content"], "two");
    assert_eq!(second.named("notification").await.data["content"], "three");
    drop(second);
    let path = format!("/v1/sse?last_event_id={}", one.id.unwrap());
    let third = node.get(&path).bearer_auth(token("alice")).send().await.unwrap();
    assert_eq!(Events::new(third).named("notification").await.data["content"], "two");
}

#[tokio::test]
async fn what_was_flushed_on_a_connection_that_lives_counts_as_acknowledged() {
    let node = Node::with(|config| config.session.grace_ms = Duration::from_millis(300)).await;
    node.stored.put("alice", "one");
    let mut events = open(&node, None).await;
    events.named("notification").await;
    soon("the grace to pass", async {
        while node.stored.count("alice") > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn what_was_flushed_on_a_connection_that_died_within_the_grace_comes_again() {
    let node = Node::start().await;
    node.stored.put("alice", "one");
    let mut events = open(&node, None).await;
    events.named("notification").await;
    drop(events);
    let mut again = open(&node, None).await;
    assert_eq!(again.named("notification").await.data["content"], "one");
    assert_eq!(node.stored.count("alice"), 1);
}

#[tokio::test]
async fn an_acknowledgement_by_cursor_finishes_what_a_stream_sent() {
    let node = Node::start().await;
    node.stored.put("alice", "one");
    let mut events = open(&node, None).await;
    let cursor = events.named("notification").await.id.unwrap();
    let ack = |body: Value| node.post("/v1/ack").bearer_auth(token("alice")).json(&body).send();
    let answer: Value = ack(json!({"cursor": cursor})).await.unwrap().json().await.unwrap();
    assert_eq!(answer, json!({"sessions": 1}));
    soon("the deletion", async {
        while node.stored.count("alice") > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    let elsewhere = ack(json!({"cursor": cursor, "session": "0000000000000000"})).await.unwrap();
    assert_eq!(elsewhere.json::<Value>().await.unwrap(), json!({"sessions": 0}));
}

#[tokio::test]
async fn every_bad_acknowledgement_is_refused() {
    let node = Node::start().await;
    let cursor =
        shared::position::Cursor::start(shared::position::Epoch(1), shared::position::PartitionId(0));
    let rows = [
        (String::new(), 400, "body-invalid"),
        ("[]".to_owned(), 400, "body-invalid"),
        ("{}".to_owned(), 400, "body-invalid"),
        (r#"{"cursor":7}"#.to_owned(), 400, "body-invalid"),
        (r#"{"cursor":"nonsense"}"#.to_owned(), 400, "cursor-invalid"),
        (format!(r#"{{"cursor":"{cursor}","more":1}}"#), 400, "body-invalid"),
        (format!(r#"{{"cursor":"{cursor}","session":"x"}}"#), 400, "body-invalid"),
        (format!(r#"{{"cursor":"{}"}}"#, "a".repeat(5000)), 413, "body-too-large"),
    ];
    for (body, status, code) in rows {
        let answer =
            node.post("/v1/ack").bearer_auth(token("alice")).body(body.clone()).send().await.unwrap();
        assert_eq!(problem(answer).await, (status, code.to_owned()), "{body:.60}");
    }
}

#[tokio::test]
async fn a_bad_position_is_refused() {
    let node = Node::start().await;
    for path in ["/v1/sse?last_event_id=nonsense", "/v1/sse?cursor=nonsense"] {
        let answer = node.get(path).bearer_auth(token("alice")).send().await.unwrap();
        assert_eq!(problem(answer).await, (400, "cursor-invalid".to_owned()));
    }
    let answer = node.get("/v1/sse").bearer_auth(token("alice")).header("last-event-id", "x y").send().await;
    assert_eq!(problem(answer.unwrap()).await, (400, "cursor-invalid".to_owned()));
}

#[tokio::test]
async fn a_quiet_stream_has_heartbeats_and_a_node_that_leaves_says_so() {
    let node = Node::with(|config| config.edge.ping_ms = Duration::from_millis(50)).await;
    let mut events = open(&node, None).await;
    events.named("welcome").await;
    let chunks = async {
        while events.comments < 3 {
            let chunk = events.response.next().await.unwrap().unwrap();
            events.comments += std::str::from_utf8(&chunk).unwrap().matches(":\n\n").count();
        }
    };
    soon("heartbeats", chunks).await;
    node.stop();
    let goaway = events.named("goaway").await;
    assert_eq!((&goaway.data["reason"], goaway.id), (&json!("shutdown"), None));
    assert!(events.next().await.is_none());
}
