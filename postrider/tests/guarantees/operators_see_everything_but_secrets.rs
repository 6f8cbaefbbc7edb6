//! What operators are shown: every process answers on its own port, and log lines are JSON objects with ids in them, never
//! a content, a key or a token, at the most talkative level too.

use std::time::Duration;

use serde_json::{Value, json};

use crate::stack::clients::{Sse, WebSocket, poll};
use crate::stack::{Fault, PATIENCE, Part, Plan, SECRET, Stack, http};

mod on_both {
    crate::on_both_columns!(
        every_process_says_how_it_is,
        log_lines_carry_ids_and_neither_contents_nor_credentials,
    );
}

async fn get(url: &str) -> (u16, String) {
    let answer = http().get(url).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

async fn every_process_says_how_it_is(pipeline: Stack) {
    pipeline.send("alice", &json!(1)).await;
    let mut alice = WebSocket::connect(&pipeline, "alice", json!({})).await;
    alice.take(1).await;
    let mut all_metrics = String::new();
    for (role, admin) in pipeline.admin() {
        assert_eq!(get(&format!("{admin}/livez")).await.0, 200, "{role}");
        assert_eq!(get(&format!("{admin}/readyz")).await.0, 200, "{role}");
        let (status, metrics) = get(&format!("{admin}/metrics")).await;
        assert_eq!(status, 200, "{role}");
        all_metrics.push_str(&metrics);
    }
    for name in [
        "postrider_receiver_accepted_total",
        "postrider_records_ended_total",
        "postrider_sessions_opened_total",
    ] {
        assert!(all_metrics.contains(name), "{name} is not exported:\n{all_metrics}");
    }
}

/// `postrider_log_lag` of the directors' group as the receiver has it.
async fn lag_of_directors(stack: &Stack) -> Option<u64> {
    let (_, metrics) = get(&format!("{}/metrics", stack.admin_of(Part::Receiver(0)))).await;
    let line = metrics.lines().find(|line| line.starts_with(r#"postrider_log_lag{group="director"}"#))?;
    line.rsplit(' ').next()?.parse().ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_whose_members_are_all_dead_has_a_lag() {
    let settings_of = vec![(Part::Receiver(0), "receiver.lag_poll_ms=100")];
    let mut stack = Stack::start(Plan { settings_of, ..Plan::default() }).await;
    let until = async |stack: &Stack, records| {
        let waited = tokio::time::timeout(PATIENCE, async {
            while lag_of_directors(stack).await != Some(records) {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        assert!(waited.await.is_ok(), "never {records}: {:?}", lag_of_directors(stack).await);
    };
    stack.fault(Part::Director(0), Fault::Killed).await;
    for number in 1..=5 {
        stack.send("alice", &json!(number)).await;
    }
    until(&stack, 5).await;
    stack.heal(Part::Director(0)).await;
    until(&stack, 0).await;
}

async fn log_lines_carry_ids_and_neither_contents_nor_credentials(pipeline: Stack) {
    const CONTENT: &str = "what nobody but alice may read";
    for _ in 0..3 {
        pipeline.send("alice", &json!(CONTENT)).await;
    }
    let mut websocket = WebSocket::connect(&pipeline, "alice", json!({})).await;
    let last = websocket.take(2).await.pop().unwrap();
    drop(websocket);
    let (polled, _cursor) = poll(&pipeline, "alice", Some(&last.cursor)).await;
    assert_eq!(polled.len(), 1);
    Sse::connect(&pipeline, "bob", None).await.next_frame().await;
    // A refusal, too, is logged without what it refused.
    let refused = pipeline.producer().post("/v1/notifications").body(format!("{{\"to\": \"{CONTENT}\"}}"));
    assert!(refused.send().await.unwrap().status().is_client_error());

    let logs = pipeline.all_logs();
    let token = pipeline.token("alice");
    let signature = token.rsplit_once('.').unwrap().1;
    let key = pipeline.producer().api_key;
    let key_secret = key.rsplit_once('_').unwrap().1;
    for line in logs.lines().filter(|line| line.starts_with('{')) {
        let read: Result<Value, _> = serde_json::from_str(line);
        assert!(read.is_ok_and(|object| object["level"].is_string()), "no JSON object: {line}");
        for secret in [CONTENT, key_secret, signature, SECRET] {
            assert!(!line.contains(secret), "shows what it may not: {line}");
        }
    }
    assert!(logs.lines().filter(|line| line.starts_with('{')).count() > 5, "{logs}");
}
