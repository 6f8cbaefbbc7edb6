//! The trace collector away, silent or slow: spans are lost and counted, and nothing else happens. Everything is sampled,
//! and few spans may wait, so that the bound is reached within a second of load.

use std::time::Duration;

use serde_json::json;
use tokio::net::TcpListener;

use crate::stack::clients::WebSocket;
use crate::stack::{Collector, Column, Fault, PATIENCE, Part, Plan, Scale, Stack, http};

/// Most spans that may wait.
const MOST_WAITING: f64 = 32.0;

/// Variables of a service that sends its spans to `endpoint`, and a call to it may take `timeout`.
fn environment(endpoint: &str, timeout: Duration) -> Vec<(String, String)> {
    let more = [
        ("POSTRIDER_TELEMETRY__TRACES_FLUSH_MS", "300".to_owned()),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "32".to_owned()),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "8".to_owned()),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", timeout.as_millis().to_string()),
    ];
    let own = Collector::environment_of(endpoint).into_iter();
    own.chain(more.map(|(name, value)| (name.to_owned(), value))).collect()
}

async fn traced(column: Column, environment: Vec<(String, String)>) -> Stack {
    Stack::start(Plan { column, environment, ..Plan::default() }).await
}

/// Everything that is sent is delivered, in order, and acknowledged.
async fn deliver(stack: &Stack, count: usize) {
    let mut alice = WebSocket::connect(stack, "alice", json!({})).await;
    let mut sent = Vec::new();
    for number in 0..count {
        sent.push(stack.send("alice", &json!(number)).await);
    }
    let received: Vec<String> = alice.take(count).await.into_iter().map(|one| one.id).collect();
    assert_eq!(received, sent);
}

/// The sum of a metric over every process, of the series whose labels contain `label`.
async fn metric(stack: &Stack, name: &str, label: &str) -> Vec<f64> {
    let mut values = Vec::new();
    for (_, admin) in stack.admin() {
        let text = http().get(format!("{admin}/metrics")).send().await.unwrap().text().await.unwrap();
        let series = text.lines().filter(|line| line.starts_with(name) && line.contains(label));
        values.extend(series.map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap()));
    }
    values
}

/// Waits until spans had this outcome in some process; at no time do more wait than may.
async fn until_spans_are(stack: &Stack, outcome: &str) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let waiting = metric(stack, "postrider_trace_spans_waiting", "").await;
        assert!(!waiting.is_empty() && waiting.iter().all(|spans| *spans <= MOST_WAITING), "{waiting:?}");
        let label = format!("outcome=\"{outcome}\"");
        if metric(stack, "postrider_trace_spans_total", &label).await.iter().any(|spans| *spans > 0.0) {
            return;
        }
        assert!(tokio::time::Instant::now() < deadline, "no span is {outcome}\n{}", stack.logs());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Every service ends in good order, within the harness's patience.
async fn stop(stack: &mut Stack) {
    let parts: Vec<Part> = stack.admin().into_iter().map(|(part, _)| part).collect();
    for part in parts {
        stack.fault(part, Fault::Terminated).await;
    }
}

async fn a_collector_that_is_away_costs_spans_only(column: Column) {
    // A port that was free a moment ago.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let stack = traced(column, environment(&endpoint, Duration::from_secs(1))).await;
    deliver(&stack, Scale::of_this_run().of(200, 20_000)).await;
    until_spans_are(&stack, "failed").await;
    // Said once, not for every batch.
    let logs = stack.all_logs();
    let said = logs.lines().filter(|line| line.contains("the trace collector does not take spans")).count();
    assert!((1..=stack.admin().len()).contains(&said), "said {said} times");
}

/// A collector that takes connections and never says a word.
async fn silent() -> (String, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let holding = tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((connection, _)) = listener.accept().await {
            held.push(connection);
        }
    });
    (endpoint, holding)
}

/// Longer than any test waits.
const NEVER: Duration = Duration::from_secs(600);

async fn a_silent_collector_costs_spans_only(column: Column) {
    let (endpoint, holding) = silent().await;
    let stack = traced(column, environment(&endpoint, NEVER)).await;
    deliver(&stack, Scale::of_this_run().of(200, 20_000)).await;
    until_spans_are(&stack, "dropped").await;
    holding.abort();
}

async fn stopping_waits_for_the_collector_no_longer_than_it_may(column: Column) {
    let (endpoint, holding) = silent().await;
    let mut stack = traced(column, environment(&endpoint, NEVER)).await;
    deliver(&stack, 20).await;
    stop(&mut stack).await;
    let logs = stack.all_logs();
    assert!(logs.contains("the collector did not take all spans in time"), "{logs}");
    holding.abort();
}

async fn stopping_sends_what_the_collector_has_not_got(column: Column) {
    let collector = Collector::start().await;
    let mut variables = collector.environment();
    // Nothing would be sent before the test is over.
    variables.iter_mut().filter(|(name, _)| name.ends_with("DELAY")).for_each(|(_, value)| {
        *value = NEVER.as_millis().to_string();
    });
    let mut stack = traced(column, variables).await;
    let body = json!({"to": {"recipient": "alice"}, "type": "test", "content": 1});
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let request = stack.producer().post("/v1/notifications").json(&body).header("traceparent", parent);
    assert_eq!(request.send().await.unwrap().status(), 202);
    WebSocket::connect(&stack, "alice", json!({})).await.take(1).await;
    assert!(collector.trace(&parent[3..35]).is_empty());
    stop(&mut stack).await;
    collector.whole_trace(&parent[3..35], 4).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_is_away_costs_spans_only_embedded() {
    a_collector_that_is_away_costs_spans_only(Column::Embedded).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_is_away_costs_spans_only_distributed() {
    a_collector_that_is_away_costs_spans_only(Column::Distributed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_collector_costs_spans_only_embedded() {
    a_silent_collector_costs_spans_only(Column::Embedded).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_collector_costs_spans_only_distributed() {
    a_silent_collector_costs_spans_only(Column::Distributed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopping_waits_for_the_collector_no_longer_than_it_may_embedded() {
    stopping_waits_for_the_collector_no_longer_than_it_may(Column::Embedded).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopping_waits_for_the_collector_no_longer_than_it_may_distributed() {
    stopping_waits_for_the_collector_no_longer_than_it_may(Column::Distributed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopping_sends_what_the_collector_has_not_got_embedded() {
    stopping_sends_what_the_collector_has_not_got(Column::Embedded).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopping_sends_what_the_collector_has_not_got_distributed() {
    stopping_sends_what_the_collector_has_not_got(Column::Distributed).await;
}
