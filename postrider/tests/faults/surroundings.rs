//! What the harness puts around engines, links and clocks: each does what its name says while it is wrong, and is gone once
//! healed.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::stack::clients::WebSocket;
use crate::stack::{Engines, Fault, Line, Links, Part, Plan, Proxy, Stack, Weather, http};

/// Answers what it is told.
async fn echo() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _from)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut read, mut write) = stream.split();
                tokio::io::copy(&mut read, &mut write).await
            });
        }
    });
    address
}

async fn exchange(stream: &mut TcpStream, bytes: usize) -> std::io::Result<Duration> {
    let started = Instant::now();
    let sent = vec![7; bytes];
    let mut answer = vec![0; bytes];
    let (mut read, mut write) = stream.split();
    tokio::try_join!(write.write_all(&sent), read.read_exact(&mut answer))?;
    assert_eq!(sent, answer);
    Ok(started.elapsed())
}

#[tokio::test]
async fn the_proxy_slows_swallows_and_resets() {
    let proxy = Proxy::start(echo().await).await;
    let mut stream = TcpStream::connect(proxy.address).await.unwrap();
    exchange(&mut stream, 100_000).await.unwrap();

    let latency = Duration::from_millis(60);
    proxy.set(Weather::Slow(Line { latency, jitter: Duration::from_millis(10), bytes_per_second: 100_000 }));
    assert!(exchange(&mut stream, 1).await.unwrap() >= 2 * latency);
    assert!(exchange(&mut stream, 50_000).await.unwrap() >= Duration::from_millis(500));

    proxy.set(Weather::BlackHole);
    let mut new = TcpStream::connect(proxy.address).await.unwrap();
    for stream in [&mut stream, &mut new] {
        let patience = Duration::from_millis(200);
        assert!(tokio::time::timeout(patience, exchange(stream, 3)).await.is_err(), "it answers");
    }
    proxy.set(Weather::Clear);
    let mut late = [0; 3];
    stream.read_exact(&mut late).await.unwrap();
    assert_eq!(late, [7; 3]);

    proxy.set(Weather::Reset);
    let error = stream.read(&mut late).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    proxy.set(Weather::Clear);
    let mut again = TcpStream::connect(proxy.address).await.unwrap();
    exchange(&mut again, 100).await.unwrap();
}

/// How long Redis takes to answer somebody who does not wait longer than half a second.
async fn asked(address: std::net::SocketAddr) -> Option<Duration> {
    let asking = async {
        let mut stream = TcpStream::connect(address).await.ok()?;
        stream.write_all(b"PING\r\n").await.ok()?;
        let started = Instant::now();
        stream.read_exact(&mut [0; 7]).await.ok()?;
        Some(started.elapsed())
    };
    tokio::time::timeout(Duration::from_millis(500), asking).await.ok().flatten()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fence_drops_packets_and_lets_them_pass_again() {
    let plan = Plan { redis: Engines::Fenced, ..Plan::default() };
    let mut stack = Stack::start(plan).await;
    let address = stack.address_of(Part::Redis);
    assert!(asked(address).await.is_some());
    stack.fault(Part::Redis, Fault::BlackHoled).await;
    // Neither refused nor reset: nothing.
    let connecting = tokio::time::timeout(Duration::from_millis(500), TcpStream::connect(address)).await;
    assert!(connecting.is_err(), "{connecting:?}");
    stack.heal(Part::Redis).await;
    assert!(asked(address).await.is_some());
    let id = stack.send("alice", &json!(1)).await;
    let mut alice = WebSocket::connect(&stack, "alice", json!({})).await;
    assert_eq!(alice.take(1).await[0].id, id);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_small_disk_fills_and_is_freed() {
    let disk = Engines::SmallDisk { size_mib: 160 };
    let mut stack = Stack::start(Plan { postgres: disk, ..Plan::default() }).await;
    stack.fault(Part::Postgres, Fault::DiskFull).await;
    let on_it = stack.dir().join("postgres/postgres/more");
    let full = std::fs::write(&on_it, [1; 4096]).unwrap_err();
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    stack.heal(Part::Postgres).await;
    std::fs::write(&on_it, [1; 4096]).unwrap();
    std::fs::remove_file(on_it).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_forgets_refuses_and_is_replaced() {
    let mut stack = Stack::start(Plan { redis: Engines::PROXIED, ..Plan::default() }).await;
    let address = stack.address_of(Part::Redis);
    let run = redis_says(&mut stack, "INFO server", "run_id:").await;
    assert_ne!(redis_says(&mut stack, "DBSIZE", ":").await, "0", "services keep leases there");
    stack.fault(Part::Redis, Fault::Wiped).await;
    stack.fault(Part::Redis, Fault::OutOfMemory).await;
    assert!(redis_says(&mut stack, "SET a b", "-OOM").await.contains("command not allowed"));
    stack.heal(Part::Redis).await;
    assert_eq!(redis_says(&mut stack, "SET a b", "+").await, "OK");
    stack.fault(Part::Redis, Fault::FailedOver).await;
    assert_ne!(redis_says(&mut stack, "INFO server", "run_id:").await, run);
    assert_eq!(redis_says(&mut stack, "EXISTS a", ":").await, "0");
    assert_eq!(stack.address_of(Part::Redis), address);
}

/// What follows `word` in Redis's answer.
async fn redis_says(stack: &mut Stack, command: &str, word: &str) -> String {
    let mut stream = TcpStream::connect(stack.address_of(Part::Redis)).await.unwrap();
    stream.write_all(format!("{command}\r\nQUIT\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let found = answer.split_once(word).unwrap_or_else(|| panic!("no {word} in {answer}"));
    found.1.lines().next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_is_slowed_and_cut() {
    let mut stack = Stack::start(Plan { links: Links::Proxied, ..Plan::default() }).await;
    let mut alice = WebSocket::connect(&stack, "alice", json!({})).await;
    alice.next_named("drained").await;
    let first = stack.send("alice", &json!(1)).await;
    assert_eq!(alice.take(1).await[0].id, first);
    let latency = Duration::from_millis(300);
    let line = Line { latency, jitter: Duration::ZERO, bytes_per_second: 1_000_000 };
    stack.fault(Part::Link(0), Fault::Slow(line)).await;
    let started = Instant::now();
    let second = stack.send("alice", &json!(2)).await;
    assert_eq!(alice.take(1).await[0].id, second);
    assert!(started.elapsed() >= latency);
    stack.fault(Part::Link(0), Fault::Reset).await;
    let third = stack.send("alice", &json!(3)).await;
    stack.heal(Part::Link(0)).await;
    assert_eq!(alice.take(1).await[0].id, third);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_is_off_by_what_was_asked() {
    let clocks = vec![(Part::Distributor(1), 300), (Part::Director(0), -300)];
    let stack = Stack::start(Plan { distributors: 2, clocks, ..Plan::default() }).await;
    for (part, expected_s) in
        [(Part::Distributor(0), 0), (Part::Distributor(1), 300), (Part::Director(0), -300)]
    {
        let answer = http().get(format!("{}/livez", stack.admin_of(part))).send().await.unwrap();
        let date = answer.headers()["date"].to_str().unwrap();
        let said = jiff::fmt::rfc2822::parse(date).unwrap().timestamp().as_second();
        let off_by = said - jiff::Timestamp::now().as_second();
        assert!((off_by - expected_s).abs() <= 5, "{part} is off by {off_by} s");
    }
}
