//! Kafka is killed, swallowed, slow, full, or loses one broker of three, while producers and clients go on: producers are
//! told within our deadlines, memory stays bounded, connections stay open, nothing accepted is lost.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::stack::clients::WebSocket;
use crate::stack::load::{Load, Mix};
use crate::stack::{Engines, Fault, Line, PATIENCE, Part, Plan, Producer, Scale, Stack, http};

/// The receiver's own deadline (`receiver.deadline_ms`), and a machine that has other things to do. TCP would take minutes.
const TOLD_WITHIN: Duration = Duration::from_secs(15);
/// What the receiver may hold for requests under way (`receiver.in_flight_bytes`), by default.
const IN_FLIGHT_BYTES: u64 = 64 << 20;
/// What its driver may hold for records not yet acknowledged (`kafka.queue_kbytes`), by default.
const QUEUE_BYTES: u64 = 64 << 20;
/// Connections, parsed requests, allocator.
const SLACK_BYTES: u64 = 64 << 20;

fn plan(kafka: Engines) -> Plan {
    Plan { kafka, directors: 2, distributors: 2, ..Plan::default() }
}

/// A client that was there before the fault and reads on the same connection to the end.
struct Witness {
    reading: JoinHandle<Vec<String>>,
}

impl Witness {
    const NAME: &'static str = "witness";

    async fn connect(stack: &Stack) -> Self {
        let mut client = WebSocket::connect(stack, Self::NAME, json!({})).await;
        client.next_named("drained").await;
        let reading = tokio::spawn(async move {
            let mut ids = Vec::new();
            loop {
                // Nothing comes for as long as the outage lasts.
                let received = client.whenever().await;
                client.acknowledge(received.seq).await;
                ids.push(received.id);
                if received.content == "the last" {
                    return ids;
                }
            }
        });
        Self { reading }
    }

    /// Sends until one is accepted, which must come on the connection that has been open all the time.
    async fn must_be_connected(self, stack: &Stack) {
        let producer = stack.producer();
        let deadline = Instant::now() + PATIENCE;
        let id = loop {
            match producer.try_send(Self::NAME, &json!("the last"), None).await {
                Ok(id) => break id,
                Err(why) => assert!(Instant::now() < deadline, "not accepted: {why}"),
            }
        };
        let read = tokio::time::timeout(PATIENCE, self.reading).await.expect("it arrives");
        let ids = read.expect("the connection stays open");
        assert!(ids.contains(&id), "{id} is not among {ids:?}");
    }
}

/// A producer that asks now hears 503, that it may come again, and when, within the receiver's deadline.
async fn a_producer_is_told(producer: &Producer) {
    let asked = Instant::now();
    let body = json!({"to": {"recipient": "nobody"}, "type": "test", "content": 1, "ttl": 1});
    let request = producer.post("/v1/notifications").json(&body).timeout(PATIENCE);
    let answer = request.send().await.expect("the receiver answers");
    let took = asked.elapsed();
    assert!(took < TOLD_WITHIN, "told after {took:?}");
    assert_eq!(answer.status(), 503);
    let after: u64 = answer.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&after), "retry-after: {after}");
    let problem: Value = answer.json().await.unwrap();
    assert_eq!(problem["retryable"], true, "{problem}");
}

/// Producers that do not hear: as many large notifications as the receiver takes, again and again. Answers its highest
/// resident memory in bytes.
async fn flooded(stack: &Stack, duration: Duration) -> u64 {
    let (producer, until) = (stack.producer(), Instant::now() + duration);
    // One client for all: making one for each request would cost more than the requests.
    let (client, url) = (http(), format!("{}/v1/notifications", producer.receiver()));
    let body =
        json!({"to": {"recipient": "flooded"}, "type": "test", "content": "x".repeat(64 << 10), "ttl": 1});
    let body = bytes::Bytes::from(body.to_string());
    let flood = async |_: usize| {
        while Instant::now() < until {
            let request = client.post(&url).bearer_auth(&producer.api_key).body(body.clone());
            let request = request.header("content-type", "application/json").timeout(TOLD_WITHIN);
            // Told to come again or not at all: the flood does not listen.
            let _refused = request.send().await;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let watch = async {
        let mut peak = 0;
        while Instant::now() < until {
            peak = peak.max(stack.resident_bytes(Part::Receiver(0)));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        peak
    };
    tokio::join!(futures_util::future::join_all((0..64).map(flood)), watch).1
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_kafka_is_told_of_bounds_memory_and_loses_nothing() {
    let mut stack = Stack::start(plan(Engines::OWN)).await;
    let witness = Witness::connect(&stack).await;
    let mut load = Load::start(&stack, Mix::default()).await;
    load.steady().await;
    let before = stack.resident_bytes(Part::Receiver(0));
    stack.fault(Part::Kafka, Fault::Killed).await;
    let producer = stack.producer();
    let outage = Scale::of_this_run().outage_duration();
    let (peak, ()) = tokio::join!(flooded(&stack, outage), a_producer_is_told(&producer));
    let grown = peak.saturating_sub(before);
    stack.says(&format!("the receiver grew from {before} to {peak} bytes"));
    assert!(grown < IN_FLIGHT_BYTES + QUEUE_BYTES + SLACK_BYTES, "the receiver grew by {grown} bytes");
    stack.heal(Part::Kafka).await;
    witness.must_be_connected(&stack).await;
    load.settle().await.must_balance();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kafka_whose_packets_are_dropped_is_told_by_our_deadline() {
    swallowed(Engines::Fenced).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kafka_that_accepts_and_reads_nothing_is_told_by_our_deadline() {
    swallowed(Engines::PROXIED).await;
}

async fn swallowed(kafka: Engines) {
    let mut stack = Stack::start(plan(kafka)).await;
    let witness = Witness::connect(&stack).await;
    let mut load = Load::start(&stack, Mix::default()).await;
    load.steady().await;
    stack.fault(Part::Kafka, Fault::BlackHoled).await;
    let producer = stack.producer();
    tokio::join!(Scale::of_this_run().outage(), a_producer_is_told(&producer));
    stack.heal(Part::Kafka).await;
    witness.must_be_connected(&stack).await;
    load.settle().await.must_balance();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_kafka_slows_and_loses_nothing() {
    let mut stack = Stack::start(plan(Engines::PROXIED)).await;
    let witness = Witness::connect(&stack).await;
    let mut load = Load::start(&stack, Mix::default()).await;
    load.steady().await;
    // As over a bad line between continents.
    let line = Line {
        latency: Duration::from_millis(150),
        jitter: Duration::from_millis(100),
        bytes_per_second: 100_000,
    };
    stack.fault(Part::Kafka, Fault::Slow(line)).await;
    Scale::of_this_run().outage().await;
    // Slow is not away: it goes on meanwhile.
    load.more(10).await;
    stack.heal(Part::Kafka).await;
    witness.must_be_connected(&stack).await;
    load.settle().await.must_balance();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_log_directory_is_told_and_loses_nothing_once_freed() {
    let mut stack = Stack::start(plan(Engines::SmallDisk { size_mib: 128 })).await;
    let witness = Witness::connect(&stack).await;
    let mut load = Load::start(&stack, Mix::default()).await;
    load.steady().await;
    stack.fault(Part::Kafka, Fault::DiskFull).await;
    let producer = stack.producer();
    let told = async {
        // The broker takes what fits into pages it has already, then gives up.
        let deadline = Instant::now() + PATIENCE;
        while producer.try_send("nobody", &json!("x".repeat(16 << 10)), Some(1)).await.is_ok() {
            assert!(Instant::now() < deadline, "a full disk takes everything");
        }
        a_producer_is_told(&producer).await;
    };
    tokio::join!(Scale::of_this_run().outage(), told);
    stack.heal(Part::Kafka).await;
    witness.must_be_connected(&stack).await;
    load.settle().await.must_balance();
}

/// Each of three brokers dies in its turn: the leader of every partition and the coordinator of every group among them. The
/// first is away for long.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn losing_any_one_of_three_brokers_loses_nothing_and_goes_on() {
    let mut stack = Stack::start(plan(Engines::Own { brokers: 3 })).await;
    let witness = Witness::connect(&stack).await;
    let mut load = Load::start(&stack, Mix::default()).await;
    load.steady().await;
    for (broker, scale) in (0..).zip([Scale::of_this_run(), Scale::Short, Scale::Short]) {
        stack.fault(Part::Broker(broker), Fault::Killed).await;
        scale.outage().await;
        // While it is away.
        load.more(100).await;
        stack.heal(Part::Broker(broker)).await;
        load.more(100).await;
    }
    witness.must_be_connected(&stack).await;
    load.settle().await.must_balance();
}
