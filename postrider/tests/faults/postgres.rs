//! Postgres goes away, in each of the ways it can: who is online goes on receiving in order, who has nothing stored goes
//! live at once, who has waits and then gets it before what is new, and what is parked meanwhile is stored once it is back.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::probes::must_be_well;
use crate::stack::clients::WebSocket;
use crate::stack::load::{Load, Mix};
use crate::stack::{Engines, Fault, Part, Plan, Scale, Stack};
use crate::watch::{metric, metric_with, until};

const DIRECTORS: usize = 2;
const DISTRIBUTORS: usize = 2;
/// Often enough that several rounds fall into the shortest outage.
const SWEEP: &str = "[distributor.sweep]\nperiod_ms = 1000\noutage_period_ms = 1000\n";
/// `postgres.timeout_ms` and a machine that has other things to do, as a bucket of the histogram. TCP would take minutes.
const TOLD_WITHIN: &str = "le=\"10\"";
/// One for each partition, or nearly.
const CLEAN: [&str; 4] = ["clean-0", "clean-1", "clean-2", "clean-3"];

async fn of_directors(stack: &Stack, name: &str, label: &str) -> f64 {
    let mut sum = 0.0;
    for index in 0..DIRECTORS {
        sum += metric(stack, Part::Director(index), name, label).await;
    }
    sum
}

async fn parked(stack: &Stack) -> f64 {
    of_directors(stack, "postrider_director_parked", "").await
}

/// Sends so many to who is not there and waits until they are stored. Answers their ids.
async fn store(stack: &Stack, recipient: &str, count: u32) -> Vec<String> {
    let stored = async || of_directors(stack, "postrider_archiver_records", "stage=\"rows\"").await;
    let before = stored().await;
    let ids = send(stack, recipient, count).await;
    until("they are stored", async || stored().await >= before + f64::from(count)).await;
    ids
}

async fn send(stack: &Stack, recipient: &str, count: u32) -> Vec<String> {
    let mut ids = Vec::new();
    for number in 0..count {
        ids.push(stack.send(recipient, &json!(number)).await);
    }
    ids
}

async fn take(client: &mut WebSocket, count: usize) -> Vec<String> {
    let ids = client.take(count).await.into_iter().map(|received| received.id).collect();
    // Answered after the acknowledgement was taken.
    client.say(&json!({"frame": "ping"})).await;
    client.next_named("pong").await;
    ids
}

/// Whoever had something stored, took it, and is known to the registry to have nothing any more.
async fn make_clean(stack: &Stack, recipient: &str) {
    let ids = store(stack, recipient, 1).await;
    let mut client = WebSocket::connect(stack, recipient, json!({})).await;
    assert_eq!(take(&mut client, 1).await, ids);
    until("the registry says so", async || {
        let client = WebSocket::connect(stack, recipient, json!({})).await;
        client.welcome["stored"] == false
    })
    .await;
}

/// Comes back, is live, is sent one, and goes. Answers how long it took to be live.
async fn visit(stack: &Stack, recipient: &str) -> Duration {
    let from = Instant::now();
    let mut client = WebSocket::connect(stack, recipient, json!({})).await;
    client.next_named("drained").await;
    let live_in = from.elapsed();
    let ids = send(stack, recipient, 1).await;
    assert_eq!(take(&mut client, 1).await, ids);
    live_in
}

/// There were calls that Postgres did not answer, and each was given up at its deadline.
async fn deadlines_were_kept(stack: &Stack) {
    const CALLS: &str = "postrider_store_call_seconds";
    until("directors miss Postgres", async || {
        of_directors(stack, &format!("{CALLS}_count"), "outcome=\"unavailable\"").await > 0.0
    })
    .await;
    let parts = (0..DIRECTORS).map(Part::Director).chain((0..DISTRIBUTORS).map(Part::Distributor));
    for part in parts {
        for operation in ["archive", "archived_upto", "pages", "delete"] {
            let operation = format!("operation=\"{operation}\"");
            let count = metric(stack, part, &format!("{CALLS}_count"), &operation).await;
            let told = metric_with(stack, part, &format!("{CALLS}_bucket"), &[&operation, TOLD_WITHIN]).await;
            assert!(told >= count, "{part} {operation}: {told} of {count}");
        }
    }
}

async fn away(postgres: Engines, fault: Fault) {
    let outage = Scale::of_this_run().outage_duration();
    let (directors, distributors) = (DIRECTORS, DISTRIBUTORS);
    let plan = Plan { directors, distributors, postgres, settings: SWEEP.to_owned(), ..Plan::default() };
    let mut stack = Stack::start(plan).await;
    for recipient in CLEAN {
        make_clean(&stack, recipient).await;
    }
    let mut behind = store(&stack, "behind", 2).await;
    let mut load = Load::start(&stack, Mix::default()).await;
    load.steady().await;
    let mut online = WebSocket::connect(&stack, "online", json!({})).await;
    online.next_named("drained").await;
    load.everybody_online_is_live().await;
    load.nobody_online_waits().await;

    stack.fault(Part::Postgres, fault).await;
    let (from, parked_before) = (Instant::now(), parked(&stack).await);
    behind.extend(send(&stack, "behind", 2).await);
    let mut live_in = Duration::ZERO;
    for clean in CLEAN.iter().cycle() {
        let ids = send(&stack, "online", 2).await;
        assert_eq!(take(&mut online, 2).await, ids);
        live_in = live_in.max(visit(&stack, clean).await);
        if from.elapsed() > outage {
            break;
        }
    }
    load.nobody_online_waits().await;
    until("what is for others is parked", async || parked(&stack).await > parked_before + 50.0).await;
    must_be_well(&stack).await;
    deadlines_were_kept(&stack).await;
    let mut waiting = WebSocket::connect(&stack, "behind", json!({})).await;
    behind.extend(send(&stack, "behind", 2).await);
    stack.says(&format!("who had nothing stored was live in {live_in:.0?} at most"));
    stack.heal(Part::Postgres).await;

    behind.extend(send(&stack, "behind", 2).await);
    assert_eq!(take(&mut waiting, behind.len()).await, behind, "the stored before the new");
    load.settle().await.must_balance();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_postgres_is_noticed_by_nobody_online() {
    away(Engines::OWN, Fault::Killed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_postgres_is_noticed_by_nobody_online() {
    away(Engines::OWN, Fault::Frozen).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_postgres_whose_packets_are_dropped_is_noticed_by_nobody_online() {
    away(Engines::Fenced, Fault::BlackHoled).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_postgres_without_disk_is_noticed_by_nobody_online() {
    away(Engines::SmallDisk { size_mib: 160 }, Fault::DiskFull).await;
}
