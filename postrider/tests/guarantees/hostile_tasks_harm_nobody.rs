//! Whatever a module does, its task ends with a reason, and nobody else notices.

use std::time::Instant;

use serde_json::json;

use crate::stack::clients::WebSocket;
use crate::stack::tasks::command;
use crate::stack::{Column, Part, Stack};

mod on_both {
    crate::on_both_columns!(
        each_hostile_task_ends_with_its_reason_and_its_neighbours_with_their_answers,
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
    let mut asked = Vec::new();
    for round in 0..4 {
        for (name, _, codes) in &hostile {
            let id = stack.run_task(name, &format!("victim-{name}"), &json!(round), json!({})).await;
            asked.push((id, *codes));
        }
        let begun = Instant::now();
        stack.run_task("echo", "neighbour", &json!(round), json!({})).await;
        assert_eq!(neighbour.take(1).await[0].content, json!(round));
        stack.says(&format!(
            "a neighbour's answer came in {:?} beside {} hostile tasks",
            begun.elapsed(),
            hostile.len()
        ));
    }
    for (id, codes) in asked {
        let task = stack.ended_task(&id).await;
        assert_eq!(task["state"], "failed", "{task}");
        assert!(codes.contains(&task["failure"].as_str().unwrap()), "{codes:?}: {task}");
        assert!(!task["reason"].as_str().unwrap().is_empty(), "{task}");
    }
    let (status, page) = stack.get("/v1/dead-letters?limit=100").await;
    assert_eq!(status, 200, "{page}");
    let grown = stack.resident_bytes(part).saturating_sub(before) / 1024;
    stack.says(&format!("the process grew by {grown} KiB"));
}

async fn a_module_that_is_none_is_refused_before_anything_is_stored(stack: Stack) {
    for (body, code) in [
        (&b"\0asm\x01\0\0\0garbage"[..], "module-invalid"),
        (b"{\"grants\":{\"root\":true}}\0asm", "settings-invalid"),
    ] {
        let request = stack.producer().put("/v1/modules/bad@1").header("content-type", "application/wasm");
        let answer = request.body(body).send().await.unwrap();
        assert_eq!(answer.status(), 422);
        let problem: serde_json::Value = answer.json().await.unwrap();
        assert!(problem["code"].is_string(), "{code}: {problem}");
    }
    assert_eq!(stack.get("/v1/modules/bad@1").await.0, 404);
}
