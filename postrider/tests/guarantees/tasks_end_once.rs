//! A task ends once, whoever dies, and what it answers is delivered once.

use std::collections::HashMap;
use std::time::Duration;

use postrider::client::{Incoming, Listener, Options};
use serde_json::{Value, json};

use crate::stack::clients::WebSocket;
use crate::stack::tasks::command_after;
use crate::stack::{Fault, PATIENCE, Part, Plan, Stack};

mod on_both {
    crate::on_both_columns!(
        a_task_runs_and_its_recipient_is_told_of_each_step_and_of_what_it_answers,
        tasks_of_one_recipient_end_in_their_order,
        a_schedule_asks_for_its_task_at_each_of_its_times_once,
    );
}

async fn a_task_runs_and_its_recipient_is_told_of_each_step_and_of_what_it_answers(stack: Stack) {
    let mut alice = WebSocket::connect(&stack, "alice", json!({})).await;
    let told = json!({"progress": true, "code": "first"});
    let id = stack.run_task("sum", "alice", &json!([1, 2, 39]), told).await;
    let task = stack.ended_task(&id).await;
    assert_eq!(
        (&task["state"], &task["origin"], &task["attempt"]),
        (&json!("completed"), &json!("api"), &json!(1))
    );
    assert!(task["instance"].is_string() && task["result"].is_object() | task["result"].is_array(), "{task}");
    assert_eq!(stack.history(&id).await, ["pending", "running", "completed"]);
    let mut told = alice.take(3).await;
    told.retain(|one| one.content["task"] != json!(id));
    assert_eq!(told.len(), 1, "progress and one answer");
    assert!(told[0].content.to_string().contains("42"), "{}", told[0].content);
    let (status, page) = stack.get("/v1/tasks?code=fir&state=completed").await;
    assert_eq!((status, page["tasks"][0]["id"].as_str()), (200, Some(id.as_str())), "{page}");
}

async fn tasks_of_one_recipient_end_in_their_order(stack: Stack) {
    const COUNT: usize = 20;
    let mut bob = WebSocket::connect(&stack, "bob", json!({})).await;
    for number in 0..COUNT {
        stack.run_task("echo", "bob", &json!(number), json!({})).await;
    }
    let numbers: Vec<Value> = bob.take(COUNT).await.into_iter().map(|one| one.content).collect();
    assert_eq!(numbers, (0..COUNT).map(|number| json!(number)).collect::<Vec<_>>());
}

async fn a_schedule_asks_for_its_task_at_each_of_its_times_once(stack: Stack) {
    let mut carol = WebSocket::connect(&stack, "carol", json!({})).await;
    let schedule = json!({"every_ms": 1000, "task": {"module": "echo", "to": {"recipient": "carol"}, "content": "tick"}});
    let put = stack.producer().put("/v1/schedules/ticks").json(&schedule).send().await.unwrap();
    assert!(put.status().is_success(), "{}", put.text().await.unwrap());
    assert_eq!(carol.take(3).await.iter().filter(|one| one.content == json!("tick")).count(), 3);
    let (status, page) = stack.get("/v1/tasks?schedule=ticks&state=completed").await;
    assert_eq!(status, 200, "{page}");
    assert!(page["tasks"].as_array().unwrap().iter().all(|task| task["origin"] == "schedule"), "{page}");
    let shown = stack.get("/v1/schedules/ticks").await.1;
    assert!(shown["count"].as_u64().unwrap() >= 3, "{shown}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn executors_killed_in_the_middle_of_a_thousand_tasks_end_each_once_and_each_answer_is_shown_once() {
    const COUNT: usize = 1000;
    const RECIPIENTS: usize = 25;
    let settings = "[executor.tasks]\nlease_ms = 3000\n".to_owned();
    let mut stack = Stack::start(Plan { executors: 2, settings, ..Plan::default() }).await;
    let module = command_after(5_000_000, r#"{"ok":[{"type":"done","content":"well"}]}"#);
    stack.put_module("slow@1", &json!({}), &module).await;
    let listeners: Vec<Listener> = (0..RECIPIENTS)
        .map(|number| {
            let token = stack.token(&format!("r{number}"));
            Listener::new(Options::new(stack.distributor(), token)).unwrap()
        })
        .collect();
    let shown: Vec<_> =
        listeners.into_iter().map(|listener| tokio::spawn(take(listener, COUNT / RECIPIENTS))).collect();
    let mut ids = Vec::with_capacity(COUNT);
    for number in 0..COUNT {
        ids.push(
            stack.run_task("slow", &format!("r{}", number % RECIPIENTS), &json!(number), json!({})).await,
        );
        // With as many done as not, of what is asked for by then.
        if number == COUNT / 3 || number == 2 * COUNT / 3 {
            let executor = Part::Executor(usize::from(number > COUNT / 2));
            stack.fault(executor, Fault::Killed).await;
            stack.heal(executor).await;
        }
    }
    for id in &ids {
        assert_eq!(stack.ended_task(id).await["state"], "completed");
        let history = stack.history(id).await;
        let ends =
            history.iter().filter(|state| ["completed", "failed", "cancelled"].contains(&state.as_str()));
        assert_eq!(ends.count(), 1, "{id}: {history:?}");
    }
    for shown in shown {
        let (seen, twice) = tokio::time::timeout(PATIENCE, shown).await.expect("every answer comes").unwrap();
        assert_eq!((seen.len(), twice), (COUNT / RECIPIENTS, 0));
    }
}

/// Takes `count` notifications and whatever comes in a second after; answers them by id, and how many were shown twice.
async fn take(mut listener: Listener, count: usize) -> (HashMap<String, usize>, usize) {
    let mut seen: HashMap<String, usize> = HashMap::new();
    loop {
        let patience = if seen.len() < count { PATIENCE } else { Duration::from_secs(1) };
        match tokio::time::timeout(patience, listener.next()).await {
            Ok(incoming) => {
                if let Incoming::Notification(notification) = incoming.unwrap() {
                    listener.acknowledge(&notification.cursor);
                    *seen.entry(notification.id).or_default() += 1;
                }
            }
            Err(_elapsed) => break,
        }
    }
    let twice = seen.values().filter(|times| **times > 1).count();
    (seen, twice)
}
