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
    gone(&node, "alice").await;
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
    gone(&node, "alice").await;
    let elsewhere = ack(json!({"cursor": cursor, "session": "0000000000000000"})).await.unwrap();
    assert_eq!(elsewhere.json::<Value>().await.unwrap(), json!({"sessions": 0}));
}

#[tokio::test]
async fn what_a_client_that_promised_to_acknowledge_was_sent_outlives_no_grace() {
    let node = Node::with(|config| config.session.grace_ms = Duration::from_millis(200)).await;
    node.stored.put("alice", "one");
    let stream = node.get("/v1/sse?ack=explicit").bearer_auth(token("alice")).send().await.unwrap();
    let mut alice = Events::new(stream);
    let cursor = alice.named("notification").await.id.unwrap();
    // Bob's, flushed later to a stream that never acknowledges, tells when the grace of both is over.
    node.stored.put("bob", "two");
    let mut bob = Events::new(node.get("/v1/sse").bearer_auth(token("bob")).send().await.unwrap());
    bob.named("notification").await;
    gone(&node, "bob").await;
    assert_eq!(node.stored.count("alice"), 1);
    let answer = node.post("/v1/ack").bearer_auth(token("alice")).json(&json!({"cursor": cursor}));
    assert_eq!(answer.send().await.unwrap().json::<Value>().await.unwrap(), json!({"sessions": 1}));
    gone(&node, "alice").await;
}

#[tokio::test]
async fn an_acknowledgement_finds_its_session_at_another_node() {
    let node = Node::start().await;
    let other = node.beside(|config| config.relay.within_ms = Duration::from_millis(500)).await;
    node.stored.put("alice", "one");
    let stream = node.get("/v1/sse?ack=explicit").bearer_auth(token("alice")).send().await.unwrap();
    let mut events = Events::new(stream);
    let session = events.named("welcome").await.data["session"].clone();
    let cursor = events.named("notification").await.id.unwrap();
    let ack = |token: String, body: Value| other.post("/v1/ack").bearer_auth(token).json(&body).send();
    // By its whole name the session is found without the registry's knowing it; by its id alone once the registry does.
    let name = session.as_str().unwrap();
    for name in [name, name.split_once('-').unwrap().0] {
        let body = json!({"cursor": cursor, "session": name});
        soon("the session to be found", async {
            while ack(token("alice"), body.clone()).await.unwrap().json::<Value>().await.unwrap()["sessions"]
                == 0
            {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
    }
    gone(&node, "alice").await;
    let strange = json!({"cursor": cursor, "session": session});
    let answer = ack(token("bob"), strange).await.unwrap().json::<Value>().await.unwrap();
    assert_eq!(answer, json!({"sessions": 0}), "another recipient's session");
    let own = shared::position::Cursor::decode(&cursor).unwrap();
    let foreign = shared::position::Cursor { epoch: shared::position::Epoch(9), ..own };
    let answer = ack(token("alice"), json!({"cursor": foreign.encode(), "session": session})).await.unwrap();
    assert_eq!(problem(answer).await, (400, "cursor-invalid".to_owned()));
}

#[tokio::test]
async fn an_acknowledgement_whose_node_does_not_answer_is_to_be_sent_again() {
    let node = Node::start().await;
    let other = node.beside(|config| config.relay.within_ms = Duration::from_millis(300)).await;
    // A node that holds a lease, takes connections and says nothing.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let session = other.claims_a_session("alice", silent.local_addr().unwrap()).await;
    let cursor = shared::position::Cursor::start(shared::position::Epoch(1), other.partition_of("alice"));
    let body = json!({"cursor": cursor.encode(), "session": session});
    let answer = other.post("/v1/ack").bearer_auth(token("alice")).json(&body).send().await.unwrap();
    assert_eq!(answer.headers()["retry-after"], "1");
    assert_eq!(problem(answer).await, (503, "session-unreachable".to_owned()));
}

/// Waits until nothing is stored for `recipient`.
async fn gone(node: &Node, recipient: &str) {
    soon("the deletion", async {
        while node.stored.count(recipient) > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
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
