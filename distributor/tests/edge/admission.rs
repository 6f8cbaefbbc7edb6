//! Who is let in: each cap and rate at the door, obeyed by those within it, and answered with a time to come back
//! beyond it.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::node::{Node, http, problem, soon, token, token_in};

/// An open connection that was served once.
async fn served(node: &Node) -> TcpStream {
    let mut stream = TcpStream::connect(node.address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut first = [0; 12];
    soon("an answer", stream.read_exact(&mut first)).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    stream
}

#[tokio::test]
async fn an_address_has_as_many_connections_as_it_may_and_one_more_is_told_to_come_again() {
    let node = Node::with(|config| config.http.per_address = 2).await;
    let (first, _second) = (served(&node).await, served(&node).await);
    let refused = http().get(node.url("/")).send().await.unwrap();
    let after: u64 = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=4).contains(&after), "{after}");
    assert_eq!(refused.headers()["connection"], "close");
    assert_eq!(problem(refused).await, (503, "address-overloaded".to_owned()));
    drop(first);
    let again = async {
        while http().get(node.url("/")).send().await.unwrap().status() != 200 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    soon("a place of the address", again).await;
}

/// Asks for a stream of events as a proxy does that names these addresses.
async fn stream(node: &Node, forwarded: &str) -> reqwest::Response {
    let request = node.get("/v1/sse").header("x-forwarded-for", forwarded);
    request.bearer_auth(token(&forwarded.replace([' ', ','], "-"))).send().await.unwrap()
}

#[tokio::test]
async fn behind_a_trusted_proxy_a_client_is_whom_the_proxy_names_and_cannot_name_itself() {
    let node = Node::with(|config| {
        config.http.per_address = 1;
        config.http.trusted_proxies = 1;
    })
    .await;
    let first = stream(&node, "192.0.2.1").await;
    assert_eq!(first.status(), 200);
    for claimed in ["192.0.2.1", "203.0.113.5, 192.0.2.1"] {
        let refused = problem(stream(&node, claimed).await).await;
        assert_eq!(refused, (503, "address-overloaded".to_owned()), "{claimed}");
    }
    let bearer = format!("Bearer {}", token("socket"));
    let headers = [("authorization", bearer.as_str()), ("x-forwarded-for", "192.0.2.2")];
    let socket = node.dial("/v1/ws?window=1", &headers).await.unwrap();
    assert_eq!(stream(&node, "192.0.2.2").await.status(), 503, "a WebSocket keeps its client's place");
    drop((first, socket));
    for address in ["192.0.2.1", "192.0.2.2"] {
        let again = async {
            while stream(&node, address).await.status() != 200 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        soon("the place of a client that left", again).await;
    }
}

#[tokio::test]
async fn without_trusted_proxies_nobody_is_believed_to_be_another() {
    let node = Node::with(|config| config.http.per_address = 1).await;
    let _first = stream(&node, "192.0.2.1").await;
    let refused = problem(stream(&node, "192.0.2.2").await).await;
    assert_eq!(refused, (503, "address-overloaded".to_owned()));
}

#[tokio::test]
async fn no_more_are_let_in_per_second_than_may_be_and_the_others_come_again_later() {
    const RATE: u32 = 10;
    let node = Node::with(|config| config.http.accepts_per_second = RATE).await;
    let begun = Instant::now();
    let connects = (0..40).map(|_| async { http().get(node.url("/")).send().await.unwrap() });
    let (mut let_in, mut waits) = (0, Vec::new());
    for answer in futures_util::future::join_all(connects).await {
        if answer.status() == 200 {
            let_in += 1;
            continue;
        }
        waits.push(answer.headers()["retry-after"].clone());
        assert_eq!(problem(answer).await, (503, "connecting-too-fast".to_owned()));
    }
    let allowed = f64::from(RATE) * (1.0 + begun.elapsed().as_secs_f64());
    assert!(let_in >= RATE && f64::from(let_in) <= allowed, "{let_in} let in, {allowed} allowed");
    waits.dedup();
    assert!(let_in == 40 || waits.len() > 1, "all were told the same time");
    let later = async {
        while http().get(node.url("/")).send().await.unwrap().status() != 200 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    soon("the rate to let another in", later).await;
}

#[tokio::test]
async fn a_tenant_has_a_cap_of_its_own() {
    let node = Node::with(|config| config.caps.per_tenant = 2).await;
    let (first, _second) = (node.connect("alice", "").await, node.connect("bob", "").await);
    let ask = async |tenant: &str| {
        let bearer = token_in(tenant, "carol", 600);
        node.get("/v1/poll?wait=1").bearer_auth(bearer).send().await.unwrap()
    };
    assert_eq!(problem(ask("acme").await).await, (503, "tenant-overloaded".to_owned()));
    assert_eq!(ask("other").await.status(), 200, "a neighbour pays for it");
    drop(first);
    let again = async {
        while ask("acme").await.status() != 200 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    soon("a place of the tenant", again).await;
}
