//! Who is let in, by which way, from which origin.

use shared::config::Secret;

use crate::node::{Node, SECRET, problem, soon, token, token_for};

const WRONG_ALGORITHM: &str =
    "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIiwidGVuYW50IjoiYWNtZSIsImV4cCI6OTk5OTk5OTk5OX0.";

fn forged() -> String {
    let claims = postrider_distributor::auth::Claims {
        sub: "alice".to_owned(),
        tenant: "acme".to_owned(),
        exp: 9_999_999_999,
        ..Default::default()
    };
    postrider_distributor::auth::mint(&claims, &Secret::new(format!("{SECRET}, but another"))).unwrap()
}

#[tokio::test]
async fn every_bad_token_is_refused_alike_on_every_endpoint() {
    let node = Node::start().await;
    let rows = [
        (None, "token-missing"),
        (Some("Bearer".to_owned()), "token-invalid"),
        (Some("Basic YTpi".to_owned()), "token-invalid"),
        (Some("Bearer nonsense".to_owned()), "token-invalid"),
        (Some(format!("Bearer {WRONG_ALGORITHM}")), "token-invalid"),
        (Some(format!("Bearer {}", forged())), "token-invalid"),
        (Some(format!("Bearer {}", token("with/slash"))), "token-invalid"),
        (Some(format!("Bearer {}", token_for("alice", -1))), "token-expired"),
    ];
    for (header, code) in rows {
        for path in ["/v1/sse", "/v1/poll", "/v1/ack", "/v1/tickets"] {
            let posts = matches!(path, "/v1/ack" | "/v1/tickets");
            let mut request = if posts { node.post(path) } else { node.get(path) };
            if let Some(header) = &header {
                request = request.header("authorization", header);
            }
            let answer = request.send().await.unwrap();
            assert_eq!(answer.headers()["www-authenticate"], "Bearer");
            assert_eq!(problem(answer).await, (401, code.to_owned()), "{path} {header:?}");
        }
    }
}

#[tokio::test]
async fn a_websocket_lets_in_by_header_subprotocol_and_hello() {
    let node = Node::start().await;
    let bearer = format!("Bearer {}", token("alice"));
    let subprotocol = format!("postrider.v1.json, bearer.{}", token("alice"));
    let mut by_header = node.dial("/v1/ws?window=1", &[("authorization", &bearer)]).await.unwrap();
    assert_eq!(by_header.frame().await["frame"], "welcome");
    let mut by_subprotocol =
        node.dial("/v1/ws?window=1", &[("sec-websocket-protocol", &subprotocol)]).await.unwrap();
    assert_eq!(by_subprotocol.response.headers["sec-websocket-protocol"], "postrider.v1.json");
    assert_eq!(by_subprotocol.frame().await["frame"], "welcome");
    let mut by_hello = node.dial("/v1/ws", &[]).await.unwrap();
    by_hello.say(&format!(r#"{{"frame":"hello","token":"{}","window":9}}"#, token("alice"))).await;
    let welcome = by_hello.frame().await;
    assert_eq!((&welcome["frame"], &welcome["window"]), (&"welcome".into(), &9.into()));
}

#[tokio::test]
async fn a_bad_token_in_hello_is_explained_and_closes_for_good() {
    let node = Node::start().await;
    let rows = [
        (format!(r#""token":"{}""#, forged()), "unauthenticated", 4501),
        (format!(r#""token":"{}""#, token_for("alice", -1)), "token-expired", 4502),
        (r#""ref":"r""#.to_owned(), "unauthenticated", 4501),
    ];
    for (fields, code, close) in rows {
        let mut client = node.dial("/v1/ws", &[]).await.unwrap();
        client.say(&format!(r#"{{"frame":"hello",{fields}}}"#)).await;
        assert_eq!(client.frame().await["code"], code);
        assert_eq!(client.closed().await, Some(close), "{code}");
    }
}

#[tokio::test]
async fn a_bad_token_in_the_handshake_is_refused_before_the_upgrade() {
    let node = Node::start().await;
    for (name, value) in [
        ("authorization", format!("Bearer {}", forged())),
        ("sec-websocket-protocol", format!("postrider.v1.json, bearer.{}", forged())),
    ] {
        let refused = node.dial("/v1/ws", &[(name, &value)]).await.err().unwrap();
        let tokio_tungstenite::tungstenite::Error::Http(answer) = refused else { panic!("{refused}") };
        assert_eq!(answer.status(), 401);
    }
}

#[tokio::test]
async fn only_listed_origins_and_our_own_host_come_in() {
    let node =
        Node::with(|config| config.auth.allowed_origins = vec!["https://app.example".to_owned()]).await;
    let own = format!("http://{}", node.address);
    for (origin, accepted) in [
        ("https://app.example", true),
        (own.as_str(), true),
        ("https://evil.example", false),
        ("null", false),
        ("https://app.example.evil.example", false),
    ] {
        let bearer = format!("Bearer {}", token("alice"));
        let headers = [("authorization", bearer.as_str()), ("origin", origin)];
        assert_eq!(node.dial("/v1/ws?window=1", &headers).await.is_ok(), accepted, "{origin}");
        let answer = node.get("/v1/poll?wait=1").bearer_auth(token("bob")).header("origin", origin);
        let answer = answer.send().await.unwrap();
        let shared = answer.headers().get("access-control-allow-origin").is_some();
        assert_eq!(shared, origin == "https://app.example", "{origin}");
        if !accepted {
            assert_eq!(problem(answer).await, (403, "origin-refused".to_owned()), "{origin}");
        }
    }
}

#[tokio::test]
async fn a_ticket_opens_one_stream_then_only_reconnects_and_stops_with_its_token() {
    let node = Node::start().await;
    let made = node.post("/v1/tickets").bearer_auth(token_for("alice", 3)).send().await.unwrap();
    let made: serde_json::Value = made.json().await.unwrap();
    assert!(made["expires_in"].as_u64().unwrap() <= 3);
    let ticket = made["ticket"].as_str().unwrap();
    let path = format!("/v1/sse?ticket={ticket}");
    let first = node.get(&path).send().await.unwrap();
    assert_eq!(first.status(), 200);
    let again = node.get(&path).send().await.unwrap();
    assert_eq!(problem(again).await, (401, "ticket-invalid".to_owned()));
    let cursor = crate::sse::Events::new(first).named("welcome").await.id.unwrap();
    let reconnect = || node.get(&path).header("last-event-id", &cursor).send();
    assert_eq!(reconnect().await.unwrap().status(), 200);
    soon("204", async {
        while reconnect().await.unwrap().status() != 204 {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_connection_ends_when_its_token_does() {
    let node = Node::start().await;
    let bearer = format!("Bearer {}", token_for("alice", 2));
    let mut socket = node.dial("/v1/ws?window=1", &[("authorization", &bearer)]).await.unwrap();
    let stream = node.get("/v1/sse").bearer_auth(token_for("alice", 2)).send().await.unwrap();
    assert_eq!(socket.named("error").await["code"], "token-expired");
    assert_eq!(socket.closed().await, Some(4502));
    let mut events = crate::sse::Events::new(stream);
    assert_eq!(events.named("error").await.data["code"], "token-expired");
    assert!(events.next().await.is_none());
}
