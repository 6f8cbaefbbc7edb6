//! What befalls single nodes and connections: a node that was frozen and wakes, clients that are slow or only half there,
//! one recipient on two nodes with a registry that writes late, a node without descriptors.

use std::time::{Duration, Instant};

use postrider::client::Transport;
use tokio::io::AsyncReadExt as _;
use tokio_util::task::AbortOnDropHandle;

use crate::stack::clients::WebSocket;
use crate::stack::load::{Load, Mix};
use crate::stack::{Engines, Fault, Part, Plan, Scale, Stack};
use crate::watch::{
    Watcher, bare_websocket, limit_open_files, metric, open_files, padding, processor_time, send,
    send_content, until,
};

const SHORT_LEASE: &str = "[distributor.lease]\nttl_ms = 2000\n\
                           [distributor.sweep]\nperiod_ms = 1000\noutage_period_ms = 500\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_frozen_beyond_its_lease_wakes_and_fences_nobody() {
    let plan = Plan { directors: 2, distributors: 2, settings: SHORT_LEASE.into(), ..Plan::default() };
    let mut stack = Stack::start(plan).await;
    let addresses = stack.addresses();
    let frozen = Watcher::start(&addresses.distributor(0), "alice", Transport::WebSocket);
    frozen.opened(1).await;
    let mut load = Load::start(&stack, Mix::default()).await;
    load.steady().await;
    stack.fault(Part::Distributor(0), Fault::Frozen).await;
    let asleep = send(&stack, "alice").await;
    Scale::of_this_run().outage().await;
    let elsewhere = Watcher::start(&addresses.distributor(1), "alice", Transport::WebSocket);
    elsewhere.given(std::slice::from_ref(&asleep)).await;
    stack.heal(Part::Distributor(0)).await;
    let announced =
        async || metric(&stack, Part::Distributor(0), "postrider_sessions_announced_again", "").await > 0.0;
    until("the node that woke announces its sessions again", announced).await;
    let mut sent = vec![asleep];
    let both = async || {
        sent.push(send(&stack, "alice").await);
        tokio::time::sleep(Duration::from_millis(100)).await;
        sent.last().is_some_and(|last| frozen.noted().ids.contains(last))
    };
    until("the session of the node that woke is served again", both).await;
    both_are_served(&stack, &frozen, &elsewhere).await;
    // What was stored meanwhile ended with the first of the two that acknowledged it.
    let given = |id: &String| frozen.noted().ids.contains(id) || elsewhere.noted().ids.contains(id);
    until("nothing is missing", async || sent.iter().all(given)).await;
    assert_eq!(elsewhere.noted().opened.len(), 1, "it was fenced");
    load.settle().await.must_balance();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_and_half_open_clients_cost_their_neighbours_nothing() {
    const EACH: usize = 8;
    let settings = "[distributor.edge]\nping_ms = 1000\nwrite_ms = 2000\n\
                    [distributor.session]\nwindow = 4\ngate_records = 4\nack_deadline_ms = 2000\ngrace_ms = 1000\n";
    let stack = Stack::start(Plan { settings: settings.into(), ..Plan::default() }).await;
    let mut load = Load::start(&stack, Mix::default()).await;
    let url = stack.distributor();
    // One frame a second: five of a hundred recipients.
    let mut slow = Vec::new();
    for number in 0..3 {
        slow.push(WebSocket::connect(&stack, &format!("slow{number}"), serde_json::json!({})).await);
    }
    let slow: Vec<_> = slow
        .into_iter()
        .map(|mut socket| {
            AbortOnDropHandle::new(tokio::spawn(async move {
                let mut ids = Vec::new();
                let mut pace = tokio::time::interval(Duration::from_secs(1));
                while ids.len() < EACH {
                    pace.tick().await;
                    let received = socket.next().await;
                    socket.acknowledge(received.seq).await;
                    ids.push(received.id);
                }
                ids
            }))
        })
        .collect();
    // A byte a second, and one that reads everything and answers nothing.
    let byte = bare_websocket(&url, "byte").await.unwrap();
    let byte = AbortOnDropHandle::new(tokio::spawn(read_slowly(byte)));
    let mute = bare_websocket(&url, "mute").await.unwrap();
    let mute = AbortOnDropHandle::new(tokio::spawn(read_all(mute)));
    load.steady().await;
    let mut slow_sent = vec![Vec::new(); slow.len()];
    let (mut byte_sent, mut mute_sent) = (Vec::new(), Vec::new());
    for _round in 0..EACH {
        for (number, sent) in slow_sent.iter_mut().enumerate() {
            sent.push(send(&stack, &format!("slow{number}")).await);
        }
        byte_sent.push(send_content(&stack, "byte", &padding(200_000)).await);
        mute_sent.push(send(&stack, "mute").await);
    }
    // A byte a second is too slow for our writes where the kernel holds little, else for the ping behind them.
    let ended = async || {
        let of = async |reason: &str| {
            metric(&stack, Part::Distributor(0), "postrider_websockets_ended", reason).await
        };
        of("reason=\"slow\"").await + of("reason=\"heartbeat-lost\"").await
    };
    until("the slowest and the half-open one are closed", async || ended().await >= 2.0).await;
    for (reading, sent) in slow.into_iter().zip(slow_sent) {
        assert_eq!(reading.await.unwrap(), sent);
    }
    drop((byte, mute));
    for (name, sent) in [("byte", byte_sent), ("mute", mute_sent)] {
        Watcher::start(&url, name, Transport::Sse).given(&sent).await;
    }
    load.settle().await.must_balance();
}

async fn read_slowly(mut stream: tokio::net::TcpStream) {
    let mut pace = tokio::time::interval(Duration::from_secs(1));
    loop {
        pace.tick().await;
        if stream.read_u8().await.is_err() {
            return;
        }
    }
}

async fn read_all(mut stream: tokio::net::TcpStream) {
    let mut bytes = [0; 4096];
    while stream.read(&mut bytes).await.is_ok_and(|count| count > 0) {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_recipient_on_two_nodes_is_served_on_both_however_late_the_registry_writes() {
    let plan = Plan { distributors: 2, redis: Engines::OWN, settings: SHORT_LEASE.into(), ..Plan::default() };
    let mut stack = Stack::start(plan).await;
    let (one, two) = (stack.addresses().distributor(0), stack.addresses().distributor(1));
    let first = Watcher::start(&one, "alice", Transport::WebSocket);
    first.opened(1).await;
    stack.fault(Part::Redis, Fault::Frozen).await;
    let second = Watcher::start(&two, "alice", Transport::Sse);
    second.opened(1).await;
    let parked = send(&stack, "alice").await;
    let either = async || first.noted().ids.contains(&parked) || second.noted().ids.contains(&parked);
    until("what was sent meanwhile is polled from the store", either).await;
    stack.heal(Part::Redis).await;
    both_are_served(&stack, &first, &second).await;
    // The goodbye of the first is written late, when its successor on the same node is written too.
    stack.fault(Part::Redis, Fault::Frozen).await;
    drop(first);
    let sessions = async || metric(&stack, Part::Distributor(0), "postrider_sessions", "").await;
    until("the first session is over", async || sessions().await == 0.0).await;
    let successor = Watcher::start(&one, "alice", Transport::WebSocket);
    successor.opened(1).await;
    stack.heal(Part::Redis).await;
    both_are_served(&stack, &successor, &second).await;
}

/// Sends until one that came to both, and once more.
async fn both_are_served(stack: &Stack, one: &Watcher, two: &Watcher) {
    let have = |id: &String| one.noted().ids.contains(id) && two.noted().ids.contains(id);
    until("both sessions have a route", async || {
        let id = send(stack, "alice").await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        have(&id)
    })
    .await;
    let last = send(stack, "alice").await;
    until("both are given the same", async || have(&last)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_without_descriptors_does_not_spin_and_recovers() {
    let stack = Stack::start(Plan { distributors: 2, ..Plan::default() }).await;
    let (part, url) = (Part::Distributor(0), stack.addresses().distributor(0));
    let connected = Watcher::start(&url, "alice", Transport::WebSocket);
    connected.opened(1).await;
    let mut load = Load::start(&stack, Mix::default()).await;
    load.steady().await;
    let id = stack.id_of(part);
    limit_open_files(id, open_files(id));
    let (spent, begun) = (processor_time(id), Instant::now());
    let mut waiting = Vec::new();
    for _client in 0..20 {
        waiting.push(tokio::net::TcpStream::connect(url.trim_start_matches("http://")).await.unwrap());
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    let sent = send(&stack, "alice").await;
    connected.given(&[sent]).await;
    limit_open_files(id, u64::MAX);
    let (spent, elapsed) = (processor_time(id) - spent, begun.elapsed());
    let failed = metric(&stack, part, "postrider_accept_failures", "").await;
    eprintln!(
        "{failed} accepts failed in {elapsed:?}, which cost {spent:?} of processor time, load included"
    );
    assert!(failed > 0.0 && failed <= elapsed.as_secs_f64() * 10.0 + 1.0, "{failed} in {elapsed:?}");
    drop(waiting);
    let newcomer = Watcher::start(&url, "newcomer", Transport::Sse);
    newcomer.opened(1).await;
    load.settle().await.must_balance();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_whose_clocks_are_five_minutes_off_keep_their_leases_and_their_clients() {
    let plan = Plan {
        distributors: 2,
        clocks: vec![(Part::Distributor(0), 300), (Part::Distributor(1), -300)],
        ..Plan::default()
    };
    let stack = Stack::start(plan).await;
    let addresses = stack.addresses();
    let ahead = Watcher::start(&addresses.distributor(0), "ahead", Transport::WebSocket);
    let behind = Watcher::start(&addresses.distributor(1), "behind", Transport::Sse);
    let mut load = Load::start(&stack, Mix::default()).await;
    load.steady().await;
    Scale::of_this_run().outage().await;
    for (watcher, name) in [(&ahead, "ahead"), (&behind, "behind")] {
        watcher.given(&[send(&stack, name).await]).await;
        assert_eq!(watcher.noted().opened.len(), 1, "{name} lost its session");
    }
    for index in 0..2 {
        let part = Part::Distributor(index);
        let announced = metric(&stack, part, "postrider_sessions_announced_again", "").await;
        assert!(announced < 1.0, "{part} took its lease for lost");
    }
    load.settle().await.must_balance();
}
