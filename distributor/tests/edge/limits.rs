//! Caps and deadlines: clients that stall are let go of within the stated limits, and a full node says so.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::node::{Node, problem, soon, token};

const HANDSHAKE: &str = "GET /v1/ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

#[tokio::test]
async fn stalled_handshakes_and_heads_are_freed_within_their_limits() {
    let short = Duration::from_millis(200);
    let node = Node::with(|config| {
        config.http.first_byte_ms = short;
        config.http.head_ms = short;
        config.edge.body_ms = short;
    })
    .await;
    assert_eq!(node.raw("").await, "", "a silent connection");
    node.raw(HANDSHAKE).await;
    node.raw("GET / HTTP/1.1\r\nHo").await;
    let body = format!(
        "POST /v1/ack HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Length: 100\r\n\r\n{{",
        token("alice")
    );
    assert!(node.raw(&body).await.starts_with("HTTP/1.1 408"));
}

#[tokio::test]
async fn heads_and_bodies_that_trickle_are_cut_off_however_steadily_they_come() {
    let limit = Duration::from_millis(300);
    let node = Node::with(|config| {
        config.http.head_ms = limit;
        config.edge.body_ms = limit;
    })
    .await;
    let head = "GET / HTTP/1.1\r\nHost: x\r\n".to_owned();
    let body = format!(
        "POST /v1/ack HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Length: 4000\r\n\r\n{{",
        token("alice")
    );
    for (first, piece, answered) in [(head, "x-slow: 1\r\n", ""), (body, " ", "HTTP/1.1 408")] {
        let mut stream = TcpStream::connect(node.address).await.unwrap();
        stream.write_all(first.as_bytes()).await.unwrap();
        let (mut incoming, mut outgoing) = stream.into_split();
        let trickling = async {
            while outgoing.write_all(piece.as_bytes()).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let mut answer = Vec::new();
        let reading = async {
            // Cut off while it still sends: the network may report a reset after the answer.
            let _reset = incoming.read_to_end(&mut answer).await.is_err();
        };
        soon("the trickle to be cut off", async { tokio::join!(trickling, reading) }).await;
        assert!(answer.starts_with(answered.as_bytes()), "{}", String::from_utf8_lossy(&answer));
    }
}

#[tokio::test]
async fn a_stream_of_events_that_nobody_reads_is_ended_and_what_it_held_stays_stored() {
    let node = Node::with(|config| {
        config.http.write_ms = Duration::from_millis(400);
        config.edge.write_ms = Duration::from_millis(300);
        config.caps.per_recipient = 1;
    })
    .await;
    let content = "x".repeat(1024 * 1024);
    for _notification in 0..32 {
        node.stored.put("alice", &content);
    }
    let mut stream = TcpStream::connect(node.address).await.unwrap();
    let request =
        format!("GET /v1/sse HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\r\n", token("alice"));
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut first = [0; 12];
    soon("the stream", stream.read_exact(&mut first)).await.unwrap();
    // The recipient may have one session: the next one opens when this one has ended.
    let freed = async {
        while node.get("/v1/poll?wait=1").bearer_auth(token("alice")).send().await.unwrap().status() != 200 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    soon("the session to end", freed).await;
    assert_eq!(node.stored.count("alice"), 32);
}

#[tokio::test]
async fn a_websocket_without_hello_is_closed_at_its_deadline() {
    let node = Node::with(|config| config.edge.hello_ms = Duration::from_millis(100)).await;
    let mut client = node.dial("/v1/ws", &[]).await.unwrap();
    assert_eq!(client.closed().await, Some(4005));
}

#[tokio::test]
async fn a_websocket_that_answers_no_heartbeat_is_closed() {
    let node = Node::with(|config| config.edge.ping_ms = Duration::from_millis(100)).await;
    let mut stream = TcpStream::connect(node.address).await.unwrap();
    let request = format!("{HANDSHAKE}Authorization: Bearer {}\r\n\r\n", token("alice"));
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut all = Vec::new();
    soon("the end", stream.read_to_end(&mut all)).await.unwrap();
    assert!(all.windows(4).any(|bytes| bytes == [0x0f, 0xa2, b'h', b'e']), "no close frame with 4002");
}

#[tokio::test]
async fn a_client_that_never_reads_is_closed_and_keeps_what_is_stored() {
    let node = Node::with(|config| config.edge.write_ms = Duration::from_millis(300)).await;
    let content = "x".repeat(1024 * 1024);
    for _notification in 0..32 {
        node.stored.put("alice", &content);
    }
    let mut stream = TcpStream::connect(node.address).await.unwrap();
    let request = format!("{HANDSHAKE}Authorization: Bearer {}\r\n\r\n", token("alice"));
    stream.write_all(request.as_bytes()).await.unwrap();
    // Its session ends: nothing is left to acknowledge on.
    let cursor =
        shared::position::Cursor::start(shared::position::Epoch(0), shared::position::PartitionId(0));
    let sessions = async |expected: usize| {
        loop {
            let page = node.get("/v1/poll?wait=1").bearer_auth(token("bob")).send().await.unwrap();
            assert_eq!(page.status(), 200);
            let body = serde_json::json!({"cursor": own_cursor(cursor).encode()});
            let answer = node.post("/v1/ack").bearer_auth(token("alice")).json(&body).send().await.unwrap();
            let answer: serde_json::Value = answer.json().await.unwrap();
            if answer["sessions"] == expected {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    soon("the session to open", sessions(1)).await;
    soon("the session to end", sessions(0)).await;
    assert_eq!(node.stored.count("alice"), 32);
}

fn own_cursor(cursor: shared::position::Cursor) -> shared::position::Cursor {
    shared::position::Cursor { partition: shared::topic::partition_of(b"acme/alice", 3), ..cursor }
}

#[tokio::test]
async fn a_full_node_refuses_before_the_upgrade_and_says_when_to_come_back() {
    let node = Node::with(|config| config.caps.sessions = 1).await;
    let mut first = node.connect("alice", "").await;
    for path in ["/v1/sse", "/v1/poll?wait=1"] {
        let answer = node.get(path).bearer_auth(token("bob")).send().await.unwrap();
        let after: u64 = answer.headers()["retry-after"].to_str().unwrap().parse().unwrap();
        assert!((2..=8).contains(&after));
        assert_eq!(problem(answer).await, (503, "overloaded".to_owned()), "{path}");
    }
    let bearer = format!("Bearer {}", token("bob"));
    let refused = node.dial("/v1/ws?window=1", &[("authorization", &bearer)]).await.err().unwrap();
    let tokio_tungstenite::tungstenite::Error::Http(answer) = refused else { panic!("{refused}") };
    assert_eq!(answer.status(), 503);
    let mut late = node.dial("/v1/ws", &[]).await.unwrap();
    late.say(&format!(r#"{{"frame":"hello","token":"{}"}}"#, token("bob"))).await;
    let error = late.frame().await;
    assert_eq!((error["code"].as_str(), error["temporary"].as_bool()), (Some("overloaded"), Some(true)));
    assert_eq!(late.closed().await, Some(4008));
    first.say(r#"{"frame":"ping"}"#).await;
    first.named("pong").await;
}

#[tokio::test]
async fn a_recipient_has_a_cap_of_its_own() {
    let node = Node::with(|config| config.caps.per_recipient = 1).await;
    let _first = node.connect("alice", "").await;
    let answer = node.get("/v1/sse").bearer_auth(token("alice")).send().await.unwrap();
    assert_eq!(problem(answer).await, (503, "recipient-overloaded".to_owned()));
    let _other = node.connect("bob", "").await;
}

#[tokio::test]
async fn what_is_not_here_is_a_problem_and_the_page_says_what_this_is() {
    let node = Node::start().await;
    assert_eq!(problem(node.get("/nothing").send().await.unwrap()).await, (404, "not-found".to_owned()));
    let wrong = node.post("/v1/ws").send().await.unwrap();
    assert_eq!(wrong.headers()["allow"], "GET,HEAD");
    assert_eq!(problem(wrong).await, (405, "method-not-allowed".to_owned()));
    let plain = node.get("/v1/ws").bearer_auth(token("alice")).send().await.unwrap();
    assert_eq!(problem(plain).await, (400, "handshake-invalid".to_owned()));
    let page = node.get("/").send().await.unwrap();
    assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
    assert!(page.text().await.unwrap().contains("/v1/poll"));
}
