//! One notification, one trace: from the POST through director and distributor to the frame that the client gets, received
//! over OTLP from running processes; and nothing of what the sampler left out.

use serde_json::{Value, json};

use crate::stack::clients::WebSocket;
use crate::stack::{Collector, Column, Plan, Seen, Stack};

/// A stack that is traced, a client of it that is live, and where the spans go.
struct Traced {
    stack: Stack,
    alice: WebSocket,
    collector: Collector,
}

impl Traced {
    async fn on(column: Column) -> Self {
        let collector = Collector::start().await;
        let environment = collector.environment();
        let stack = Stack::start(Plan { column, environment, ..Plan::default() }).await;
        let mut alice = WebSocket::connect(&stack, "alice", json!({})).await;
        // Whoever has got one is live from now on.
        publish(&stack, "alice", Some(&parent(0xff, "00"))).await;
        alice.take(1).await;
        Self { stack, alice, collector }
    }
}

/// A `traceparent` of a trace that ends with `trace`.
fn parent(trace: u8, flags: &str) -> String {
    format!("00-0af7651916cd43dd8448eb211c8031{trace:02x}-b7ad6b7169203331-{flags}")
}

/// POSTs a notification whose producer says this of its trace.
async fn publish(stack: &Stack, recipient: &str, traceparent: Option<&str>) {
    let body = json!({"to": {"recipient": recipient}, "type": "test", "content": 1});
    let mut request = stack.producer().post("/v1/notifications").json(&body);
    if let Some(traceparent) = traceparent {
        request = request.header("traceparent", traceparent).header("tracestate", "vendor=7");
    }
    assert_eq!(request.send().await.unwrap().status(), 202);
}

/// The next notification's frame, acknowledged.
async fn frame(client: &mut WebSocket) -> Value {
    loop {
        let frame = client.next_frame().await.unwrap();
        if frame["frame"] == "notification" {
            client.acknowledge(frame["seq"].as_u64().unwrap()).await;
            return frame;
        }
    }
}

/// Trace and span of a frame's `traceparent`.
fn told(frame: &Value) -> (String, String) {
    let parts: Vec<&str> = frame["traceparent"].as_str().unwrap().split('-').collect();
    assert_eq!((parts.len(), parts[0], parts[3]), (4, "00", "01"), "{frame}");
    (parts[1].to_owned(), parts[2].to_owned())
}

/// The one span of this name.
fn one<'a>(spans: &'a [Seen], name: &str) -> &'a Seen {
    let named: Vec<&Seen> = spans.iter().filter(|span| span.name == name).collect();
    assert_eq!(named.len(), 1, "{name} in {spans:#?}");
    named[0]
}

const STEPS: [&str; 4] =
    ["POST /v1/notifications", "send notifications", "process notifications", "deliver ws"];

/// Asserts that each of the four steps stands below the one before, the first below `root`.
fn assert_chain<'a>(spans: &'a [Seen], root: &str) -> [&'a Seen; 4] {
    let steps = STEPS.map(|name| one(spans, name));
    let above = [root, &steps[0].id, &steps[1].id, &steps[2].id];
    for (step, above) in steps.iter().zip(above) {
        assert_eq!(step.parent, above, "{}: {spans:#?}", step.name);
    }
    assert_eq!(spans.len(), 4, "{spans:#?}");
    steps
}

async fn a_notification_is_one_trace(column: Column) {
    let Traced { stack, mut alice, collector } = Traced::on(column).await;

    publish(&stack, "alice", Some(&parent(1, "01"))).await;
    let received = frame(&mut alice).await;
    let (trace, span) = told(&received);
    assert_eq!(received["tracestate"], "vendor=7");
    assert!(parent(1, "01").contains(&trace));
    let spans = collector.whole_trace(&trace, 4).await;
    let steps = assert_chain(&spans, "b7ad6b7169203331");
    assert_eq!(steps[3].id, span, "the client is told another span than the one that was sent to it");
    let id = received["id"].as_str().unwrap();
    for step in &steps[1..] {
        assert_eq!(step.says["messaging.message.id"], id);
    }
    for step in &steps[2..] {
        assert_eq!(step.says["postrider.end"], "acknowledged", "{step:?}");
    }
    let services = match column {
        Column::Embedded => ["postrider"; 4],
        Column::Distributed => {
            ["postrider-receiver", "postrider-receiver", "postrider-director", "postrider-distributor"]
        }
    };
    assert_eq!(steps.map(|step| step.service.as_str()), services);
    // Whoever holds the trace finds the lines of every service.
    let logs = stack.all_logs();
    let lines = logs.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let lines: Vec<Value> = lines.filter(|line| line.to_string().contains(&trace)).collect();
    for said in ["appended", "ended", "acknowledged"] {
        assert!(lines.iter().any(|line| line["message"] == said), "no line {said:?} in {lines:#?}");
    }

    // Without a producer's word, and with one that cannot be read, it is a trace of its own.
    let zeros = format!("00-{}-b7ad6b7169203331-01", "0".repeat(32));
    for unreadable in [None, Some("nonsense"), Some(zeros.as_str())] {
        publish(&stack, "alice", unreadable).await;
        let (trace, _) = told(&frame(&mut alice).await);
        assert_chain(&collector.whole_trace(&trace, 4).await, "");
    }
}

async fn a_task_and_what_it_answers_are_one_trace(column: Column) {
    let Traced { stack, mut alice, collector } = Traced::on(column).await;
    let body = json!({"module": "echo", "to": {"recipient": "alice"}, "content": 7});
    let asked = stack.producer().post("/v1/tasks").json(&body).header("traceparent", parent(5, "01"));
    assert_eq!(asked.send().await.unwrap().status(), 202);
    let received = frame(&mut alice).await;
    assert_eq!(received["content"], 7, "{received}");
    let (trace, span) = told(&received);
    assert!(parent(5, "01").contains(&trace));
    let spans = collector.whole_trace(&trace, 6).await;
    let (asked, sent, run) =
        (one(&spans, "POST /v1/tasks"), one(&spans, "send notifications"), one(&spans, "run task"));
    assert_eq!((&sent.parent, &run.parent), (&asked.id, &sent.id), "{spans:#?}");
    assert_eq!((&run.says["postrider.end"], &run.says["postrider.attempt"]), (&"done".into(), &"1".into()));
    assert!(run.says["postrider.module"].starts_with("echo"), "{run:?}");
    let mut processed: Vec<&Seen> =
        spans.iter().filter(|span| span.name == "process notifications").collect();
    processed.sort_by_key(|span| span.parent == run.id);
    let [handed_over, delivered] = processed[..] else { panic!("{spans:#?}") };
    assert_eq!((&handed_over.parent, &delivered.parent), (&sent.id, &run.id));
    assert_eq!(handed_over.says["postrider.end"], "handed_over");
    assert_eq!(delivered.says["postrider.end"], "acknowledged");
    let shown = one(&spans, "deliver ws");
    assert_eq!((&shown.parent, &shown.id), (&delivered.id, &span));
}

async fn what_was_stored_is_in_the_trace_too(column: Column) {
    let Traced { stack, collector, .. } = Traced::on(column).await;
    publish(&stack, "bob", Some(&parent(2, "01"))).await;
    let trace = parent(2, "01")[3..35].to_owned();
    // Its director is done with it before there is anybody to deliver it to.
    let parked = collector.whole_trace(&trace, 3).await;
    assert_eq!(one(&parked, "process notifications").says["postrider.end"], "parked");
    let mut bob = WebSocket::connect(&stack, "bob", json!({})).await;
    let (told, span) = told(&frame(&mut bob).await);
    assert_eq!(told, trace);
    let spans = collector.whole_trace(&trace, 4).await;
    let delivered = one(&spans, "deliver ws");
    assert_eq!((&delivered.id, &delivered.parent), (&span, &one(&spans, "send notifications").id));
    assert_eq!(delivered.says["postrider.end"], "acknowledged");
}

async fn what_the_producer_does_not_sample_is_carried_and_not_recorded(column: Column) {
    let Traced { stack, mut alice, collector } = Traced::on(column).await;
    publish(&stack, "alice", Some(&parent(3, "00"))).await;
    assert_eq!(frame(&mut alice).await["traceparent"], parent(3, "00"));
    // Spans leave in order: once a later one is there, an earlier one would be.
    publish(&stack, "alice", Some(&parent(4, "01"))).await;
    let (trace, _) = told(&frame(&mut alice).await);
    collector.whole_trace(&trace, 4).await;
    assert!(collector.trace(&parent(3, "00")[3..35]).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_notification_is_one_trace_embedded() {
    a_notification_is_one_trace(Column::Embedded).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_notification_is_one_trace_distributed() {
    a_notification_is_one_trace(Column::Distributed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_and_what_it_answers_are_one_trace_embedded() {
    a_task_and_what_it_answers_are_one_trace(Column::Embedded).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_and_what_it_answers_are_one_trace_distributed() {
    a_task_and_what_it_answers_are_one_trace(Column::Distributed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_stored_is_in_the_trace_too_embedded() {
    what_was_stored_is_in_the_trace_too(Column::Embedded).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_stored_is_in_the_trace_too_distributed() {
    what_was_stored_is_in_the_trace_too(Column::Distributed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_producer_does_not_sample_is_carried_and_not_recorded_embedded() {
    what_the_producer_does_not_sample_is_carried_and_not_recorded(Column::Embedded).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_producer_does_not_sample_is_carried_and_not_recorded_distributed() {
    what_the_producer_does_not_sample_is_carried_and_not_recorded(Column::Distributed).await;
}
