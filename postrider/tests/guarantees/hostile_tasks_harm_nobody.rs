//! Whatever a module does, its task ends with a reason, and nobody else notices.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::gets::gets;
use crate::stack::clients::WebSocket;
use crate::stack::tasks::command;
use crate::stack::{Column, PATIENCE, Part, Stack};

mod on_both {
    crate::on_both_columns!(
        each_hostile_task_ends_with_its_reason_and_its_neighbours_with_their_answers,
        a_task_reaches_no_inner_address_by_number_by_name_or_unasked,
        a_module_that_is_none_is_refused_before_anything_is_stored,
    );
}

/// What is wrong with a module, and the code that its task fails with.
fn hostile() -> Vec<(&'static str, Vec<u8>, &'static [&'static str])> {
    let flood = "(loop $again (call $say) (br $again))";
    vec![
        ("loop", command("", "(loop $again (br $again))"), &["fuel", "deadline"]),
        (
            "bomb",
            command(
                "",
                "(loop $again (br_if $again (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) (unreachable)",
            ),
            &["memory"],
        ),
        ("recursion", command("", "(drop (call $deeper (i32.const 0)))"), &["stack"]),
        ("flood", command(&"x".repeat(4096), flood), &["output_too_large"]),
        ("trap", command("", "(drop (i32.div_s (i32.const 1) (i32.const 0)))"), &["trap"]),
        ("babble", command("no JSON", "(call $say)"), &["invalid_output"]),
        ("refuses", command(r#"{"reject":{"reason":"not today"}}"#, "(call $say)"), &["rejected"]),
    ]
}

async fn each_hostile_task_ends_with_its_reason_and_its_neighbours_with_their_answers(stack: Stack) {
    let mut neighbour = WebSocket::connect(&stack, "neighbour", json!({})).await;
    let hostile = hostile();
    for (name, bytes, _) in &hostile {
        stack.put_module(&format!("{name}@1"), &json!({"limits": {"deadline_ms": 2000}}), bytes).await;
    }
    // Compiles it, so that what follows measures running.
    stack.run_task("echo", "neighbour", &json!("warm"), json!({})).await;
    neighbour.take(1).await;
    let part = if stack.column == Column::Embedded { Part::Receiver(0) } else { Part::Executor(0) };
    let before = stack.resident_bytes(part);
    let alone = answered(&stack, &mut neighbour, 20).await;
    let mut asked = Vec::new();
    let mut beside = Vec::new();
    for round in 0..4 {
        for (name, _, codes) in &hostile {
            let id = stack.run_task(name, &format!("victim-{name}"), &json!(round), json!({})).await;
            asked.push((id, *codes));
        }
        beside.extend(answered(&stack, &mut neighbour, 5).await);
    }
    let (alone, beside) = (median(alone), median(beside));
    stack.says(&format!(
        "a neighbour's answers came in {alone:?} alone and in {beside:?} beside {} hostile tasks: {:.2} times as long (medians)",
        hostile.len(),
        beside.as_secs_f64() / alone.as_secs_f64()
    ));
    let mut failed = BTreeMap::new();
    for (id, codes) in asked {
        let task = stack.ended_task(&id).await;
        assert_eq!(task["state"], "failed", "{task}");
        assert!(codes.contains(&task["failure"].as_str().unwrap()), "{codes:?}: {task}");
        assert!(!task["reason"].as_str().unwrap().is_empty(), "{task}");
        failed.insert(id, task["failure"].as_str().unwrap().to_owned());
    }
    // One for each of them, with the same reason, and none for anybody else.
    assert_eq!(dead_letters(&stack, failed.len()).await, failed);
    let grown = stack.resident_bytes(part).saturating_sub(before) / 1024;
    stack.says(&format!("the process grew by {grown} KiB"));
}

/// How long the answers of `count` tasks took to come to `neighbour`, one after the other.
async fn answered(stack: &Stack, neighbour: &mut WebSocket, count: u32) -> Vec<Duration> {
    let mut took = Vec::new();
    for round in 0..count {
        let begun = Instant::now();
        stack.run_task("echo", "neighbour", &json!(round), json!({})).await;
        assert_eq!(neighbour.take(1).await[0].content, json!(round));
        took.push(begun.elapsed());
    }
    took
}

fn median(mut of: Vec<Duration>) -> Duration {
    of.sort_unstable();
    of[of.len() / 2]
}

/// The codes of all dead letters by the task that each is of, once there are `count` at least.
async fn dead_letters(stack: &Stack, count: usize) -> BTreeMap<String, String> {
    let waiting = async {
        loop {
            let (status, page) = stack.get("/v1/dead-letters?limit=100").await;
            assert_eq!(status, 200, "{page}");
            let letters = page["dead_letters"].as_array().unwrap().clone();
            if letters.len() >= count {
                return letters;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let letters = tokio::time::timeout(PATIENCE, waiting).await.unwrap();
    let said = |letter: &Value, name: &str| letter[name].as_str().unwrap().to_owned();
    let codes: BTreeMap<_, _> =
        letters.iter().map(|letter| (said(letter, "notification"), said(letter, "code"))).collect();
    assert_eq!(codes.len(), letters.len(), "two of one task");
    codes
}

/// What the allow-list says does not open what is inside: the address counts, not how it was asked for.
async fn a_task_reaches_no_inner_address_by_number_by_name_or_unasked(stack: Stack) {
    let inner = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = inner.local_addr().unwrap().port();
    let module = gets();
    let mut failed = BTreeMap::new();
    for (at, (authority, allowed)) in [
        (format!("127.0.0.1:{port}"), true),
        (format!("localhost:{port}"), true),
        // Another spelling of the same.
        (format!("2130706433:{port}"), true),
        (format!("[::ffff:127.0.0.1]:{port}"), true),
        (format!("10.0.0.1:{port}"), true),
        ("169.254.169.254".to_owned(), true),
        ("[fd00:ec2::254]".to_owned(), true),
        ("api.example.com".to_owned(), false),
    ]
    .into_iter()
    .enumerate()
    {
        let allow = if allowed { format!("http://{authority}") } else { "http://*.example.org".to_owned() };
        let settings = json!({"grants": {"http": [allow]}});
        stack.put_module(&format!("reach{at}@1"), &settings, &module).await;
        let text = json!({"content_type": "text/plain"});
        let id = stack.run_task(&format!("reach{at}"), "alice", &json!(authority), text).await;
        let task = stack.ended_task(&id).await;
        assert_eq!(
            (&task["state"], &task["failure"]),
            (&json!("failed"), &json!("denied")),
            "{authority}: {task}"
        );
        assert!(task["reason"].as_str().unwrap().contains(&authority), "{task}");
        failed.insert(id, "denied".to_owned());
    }
    assert_eq!(dead_letters(&stack, failed.len()).await, failed);
    // Not asynchronous: who is waiting is told at once.
    let came = inner.into_std().unwrap().accept();
    assert_eq!(came.unwrap_err().kind(), std::io::ErrorKind::WouldBlock, "somebody connected");
}

async fn a_module_that_is_none_is_refused_before_anything_is_stored(stack: Stack) {
    for (body, code) in [
        (&b"\0asm\x01\0\0\0garbage"[..], "module-unfit"),
        (b"{\"grants\":{\"root\":true}}\0asm", "module-settings-invalid"),
    ] {
        let request = stack.producer().put("/v1/modules/bad@1").header("content-type", "application/wasm");
        let answer = request.body(body).send().await.unwrap();
        assert_eq!(answer.status(), 422);
        let problem: serde_json::Value = answer.json().await.unwrap();
        assert_eq!(problem["code"], code, "{problem}");
    }
    assert_eq!(stack.get("/v1/modules/bad@1").await.0, 404);
}
