//! A node dies and everybody it held comes to the others at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use shared::descriptors::Descriptors;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::stack::load::{Load, Mix};
use crate::stack::{Addresses, Fault, Part, Plan, Scale, Stack};
use crate::watch::{bare_websocket, metric, until};

const PER_SECOND: f64 = 100.0;
const SETTINGS: &str = "[distributor.http]\naccepts_per_second = 100\n[distributor.edge]\nping_ms = 600000\n\
                        [distributor.lease]\nttl_ms = 3000\n";

#[derive(Default)]
struct Storm {
    open: AtomicUsize,
    refused: AtomicUsize,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everybody_comes_back_at_the_rate_that_the_others_accept() {
    let clients = Scale::of_this_run().of(400, 8000);
    assert!(Descriptors::provide(clients + 1000).suffice(), "too few open files for {clients} clients");
    let stack = Stack::start(Plan { distributors: 2, settings: SETTINGS.into(), ..Plan::default() });
    let mut stack = stack.await;
    let storm = Arc::new(Storm::default());
    let mut coming = JoinSet::new();
    for number in 0..clients {
        coming.spawn(come(stack.addresses(), number, Arc::clone(&storm)));
    }
    let all_are_there = async || storm.open.load(Ordering::SeqCst) == clients;
    until("every client is there", all_are_there).await;
    let mut load = Load::start(&stack, Mix::default()).await;
    load.steady().await;
    let other = Part::Distributor(1);
    let opened = metric(&stack, other, "postrider_sessions_opened", "").await;
    let resident = stack.resident_bytes(other);
    let (refused, begun) = (storm.refused.load(Ordering::SeqCst), Instant::now());
    stack.fault(Part::Distributor(0), Fault::Killed).await;
    until("clients have noticed", async || storm.open.load(Ordering::SeqCst) < clients).await;
    until("every client is back", all_are_there).await;
    let (elapsed, refused) = (begun.elapsed(), storm.refused.load(Ordering::SeqCst) - refused);
    let opened = metric(&stack, other, "postrider_sessions_opened", "").await - opened;
    eprintln!(
        "{clients} clients, half of them on the node that died: all back in {elapsed:?}, {refused} were told to come \
         again, {opened} sessions opened; the other node went from {resident} to {} resident bytes",
        stack.resident_bytes(other)
    );
    assert!(opened <= PER_SECOND * (elapsed.as_secs_f64() + 1.0), "{opened} in {elapsed:?}");
    assert!(refused > 0, "nobody had to wait: no storm");
    let announced = metric(&stack, other, "postrider_sessions_announced_again", "").await;
    assert!(announced < 1.0, "the storm cost the other node its lease");
    stack.heal(Part::Distributor(0)).await;
    load.settle().await.must_balance();
}

/// A client that stays as long as it may, and comes back when it is told to, at the next node.
async fn come(addresses: Addresses, number: usize, storm: Arc<Storm>) {
    let mut attempt = number;
    loop {
        let url = addresses.distributor(attempt);
        let wait = match bare_websocket(&url, &format!("s{number}")).await {
            Ok(stream) => stay(stream, &storm).await,
            Err(_nobody_there) => Duration::ZERO,
        };
        attempt += 1;
        tokio::time::sleep(wait + Duration::from_millis(rand::random_range(0..250))).await;
    }
}

/// Until the connection ends; answers how long to stay away.
async fn stay(mut stream: TcpStream, storm: &Storm) -> Duration {
    let mut bytes = [0; 2048];
    let Ok(count) = stream.read(&mut bytes).await else { return Duration::ZERO };
    let head = String::from_utf8_lossy(&bytes[..count]).into_owned();
    if head.starts_with("HTTP/1.1 101") {
        storm.open.fetch_add(1, Ordering::SeqCst);
        while stream.read(&mut bytes).await.is_ok_and(|count| count > 0) {}
        storm.open.fetch_sub(1, Ordering::SeqCst);
        return Duration::ZERO;
    }
    storm.refused.fetch_add(1, Ordering::SeqCst);
    let after = head.lines().find_map(|line| line.strip_prefix("retry-after: "));
    Duration::from_secs(after.and_then(|seconds| seconds.trim().parse().ok()).unwrap_or(0))
}
