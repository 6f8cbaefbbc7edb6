//! A notification bound to a module reaches its client as the module answered, or as the binding says when it did not.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::stack::clients::WebSocket;
use crate::stack::tasks::command;
use crate::stack::{Column, Fault, PATIENCE, Part, Stack};

mod on_both {
    crate::on_both_columns!(
        the_built_in_enriches_and_its_version_is_changed_by_an_alias,
        what_is_bound_to_a_module_comes_as_the_module_answered_with_its_own_id,
        a_module_that_hangs_costs_no_more_than_the_deadline_and_then_counts_what_the_binding_says,
    );
}

async fn bind(stack: &Stack, name: &str, binding: Value) {
    let put = stack.producer().put(&format!("/v1/bindings/{name}")).json(&binding).send().await.unwrap();
    assert!(put.status().is_success(), "{}", put.text().await.unwrap());
}

async fn send(stack: &Stack, kind: &str, recipient: &str, content: Value) -> String {
    let body = json!({"to": {"recipient": recipient}, "type": kind, "content": content});
    let answer = stack.producer().post("/v1/notifications").json(&body).send().await.unwrap();
    let (status, shown) = (answer.status(), answer.json::<Value>().await.unwrap());
    assert_eq!(status, 202, "{shown}");
    shown["id"].as_str().unwrap().to_owned()
}

async fn what_is_bound_to_a_module_comes_as_the_module_answered_with_its_own_id(stack: Stack) {
    let answer = r#"{"ok":[{"type":"order.shown","content":{"enriched":true}}]}"#;
    stack.put_module("shows@1", &json!({}), &command(answer, "(call $say)")).await;
    bind(&stack, "orders", json!({"type": "order.*", "module": "shows", "deadline_ms": 20000})).await;
    let mut alice = WebSocket::connect(&stack, "alice", json!({})).await;
    let id = send(&stack, "order.placed", "alice", json!({"order": 7})).await;
    let came = alice.take(1).await.remove(0);
    assert_eq!((came.id, came.content), (id, json!({"enriched": true})));
    let plain = send(&stack, "other", "alice", json!("as it is")).await;
    let came = alice.take(1).await.remove(0);
    assert_eq!((came.id, came.content), (plain, json!("as it is")));
    // For somebody who is not there, too.
    let stored = send(&stack, "order.placed", "bob", json!({"order": 8})).await;
    let mut bob = WebSocket::connect(&stack, "bob", json!({})).await;
    let came = bob.take(1).await.remove(0);
    assert_eq!((came.id, came.content), (stored, json!({"enriched": true})));
}

/// A tenant's own copy of the built-in, with settings of its own.
async fn the_built_in_enriches_and_its_version_is_changed_by_an_alias(stack: Stack) {
    let wasm = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../modules/dist/enrich.wasm"));
    for (version, shop) in [("1", "first"), ("2", "second")] {
        let fields = json!({"shop": shop}).to_string();
        let settings = json!({"grants": {"config": {"fields": fields}}});
        stack.put_module(&format!("enrich@{version}"), &settings, wasm).await;
    }
    let binding =
        json!({"type": "order", "module": "enrich", "deadline_ms": 60000, "on_timeout": "dead_letter"});
    bind(&stack, "orders", binding).await;
    let mut alice = WebSocket::connect(&stack, "alice", json!({})).await;
    let id = send(&stack, "order", "alice", json!({"order": 7})).await;
    let came = alice.take(1).await.remove(0);
    assert_eq!((came.id, came.content), (id, json!({"order": 7, "shop": "first"})));
    let alias = stack.producer().put("/v1/modules/enrich/aliases/live").json(&json!({"version": "2"}));
    assert_eq!(alias.send().await.unwrap().status(), 200);
    // Executors heed it within the time that what they know of modules is fresh.
    let changed = async {
        loop {
            send(&stack, "order", "alice", json!({"order": 8})).await;
            if alice.take(1).await[0].content == json!({"order": 8, "shop": "second"}) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::time::timeout(PATIENCE, changed).await.expect("the alias is heeded");
}

async fn a_module_that_hangs_costs_no_more_than_the_deadline_and_then_counts_what_the_binding_says(
    stack: Stack,
) {
    stack.put_module("hangs@1", &json!({}), &command("", "(loop $again (br $again))")).await;
    for (name, policy) in [("plain", "deliver_plain"), ("again", "retry"), ("dead", "dead_letter")] {
        let binding = json!({"type": name, "module": "hangs", "deadline_ms": 200, "on_timeout": policy});
        bind(&stack, name, binding).await;
    }
    let mut alice = WebSocket::connect(&stack, "alice", json!({})).await;
    let begun = Instant::now();
    let plain = send(&stack, "plain", "alice", json!("plain")).await;
    let came = alice.take(1).await.remove(0);
    assert_eq!((came.id, came.content), (plain, json!("plain")));
    assert!(begun.elapsed() >= Duration::from_millis(200), "it was not held back at all");
    let dead = send(&stack, "dead", "carol", json!("dead")).await;
    assert_eq!(letter(&stack, "carol").await["notification"], json!(dead));
    let retried = send(&stack, "again", "dave", json!("again")).await;
    assert_eq!(letter(&stack, "dave").await["notification"], json!(retried));
    // Nobody else waited for any of it.
    let after = send(&stack, "unbound", "alice", json!("after")).await;
    assert_eq!(alice.take(1).await[0].id, after);
}

/// The first dead letter for `recipient`, when there is one.
async fn letter(stack: &Stack, recipient: &str) -> Value {
    let waiting = async {
        loop {
            let (_, page) = stack.get(&format!("/v1/dead-letters?recipient={recipient}")).await;
            if let Some(letter) = page["dead_letters"].as_array().and_then(|letters| letters.first()) {
                return letter.clone();
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting)
        .await
        .unwrap_or_else(|_late| panic!("no dead letter for {recipient}"))
}

/// Tasks wait while the store is away; deliveries do not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_bound_is_enriched_while_the_store_is_away() {
    let postgres = crate::stack::Engines::OWN;
    let plan = crate::stack::Plan { column: Column::Distributed, postgres, ..crate::stack::Plan::default() };
    let mut stack = Stack::start(plan).await;
    let answer = r#"{"ok":[{"type":"shown","content":"enriched"}]}"#;
    stack.put_module("shows@1", &json!({}), &command(answer, "(call $say)")).await;
    bind(&stack, "all", json!({"type": "*", "module": "shows", "deadline_ms": 20000})).await;
    let mut alice = WebSocket::connect(&stack, "alice", json!({})).await;
    send(&stack, "test", "alice", json!("before")).await;
    assert_eq!(alice.take(1).await[0].content, json!("enriched"));
    stack.fault(Part::Postgres, Fault::Killed).await;
    for _ in 0..5 {
        send(&stack, "test", "alice", json!("during")).await;
        assert_eq!(alice.take(1).await[0].content, json!("enriched"));
    }
    let waits = stack.run_task("echo@builtin", "alice", &json!("a task"), json!({})).await;
    stack.heal(Part::Postgres).await;
    assert_eq!(stack.ended_task(&waits).await["state"], "completed");
}
