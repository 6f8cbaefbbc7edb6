//! `/v1/bindings`, and notifications that are enriched before they are delivered.

use std::time::Duration;

use postrider_receiver::{Config, ModuleSettings};
use serde_json::{Value, json};
use shared::record::{self, Kind};
use shared::task::{Enrichment, OnTimeout};

use super::client::{Answer, Call};
use super::fakes::Stage;
use super::modules::put;

async fn bind(stage: &Stage, name: &str, binding: Value) -> Answer {
    Call::put(&format!("/v1/bindings/{name}"), &binding).send(stage).await
}

async fn bound(stage: &Stage, name: &str, binding: Value) {
    let answer = bind(stage, name, binding).await;
    assert_eq!(answer.status, 200, "{}", answer.json());
}

async fn publish(stage: &Stage, kind: &str, more: Value) -> Answer {
    let mut item = json!({"to": {"recipient": "alice"}, "type": kind, "content": {"order": 7}});
    for (name, value) in more.as_object().unwrap() {
        item[name] = value.clone();
    }
    Call::json("/v1/notifications", item.to_string()).send(stage).await
}

/// How the newest record is to be enriched.
fn newest(stage: &Stage) -> Option<Enrichment> {
    let record = stage.log.records().pop().unwrap();
    match record::decode(&record).unwrap().0 {
        Kind::Enrichment => Some(record::task::enrichment(&record.headers).unwrap()),
        Kind::Notification => None,
        Kind::Task => panic!("a task"),
    }
}

async fn module_of(stage: &Stage, kind: &str, more: Value) -> Option<String> {
    let answer = publish(stage, kind, more).await;
    assert_eq!(answer.status, 202, "{}", answer.json());
    newest(stage).map(|enrichment| enrichment.module.to_string())
}

#[tokio::test]
async fn a_notification_is_enriched_as_its_producer_says() {
    let stage = Stage::start().await;
    let task = json!({"task": {"module": "enrich", "deadline_ms": 60_000, "on_timeout": "retry"}});
    assert_eq!(module_of(&stage, "t", task).await.as_deref(), Some("enrich"));
    let how = newest(&stage).unwrap();
    assert_eq!((how.deadline, how.on_timeout), (Duration::from_secs(60), OnTimeout::Retry));
    assert_eq!(module_of(&stage, "t", json!({"task": null})).await, None);
    let to =
        Call::new("POST", "/v1/to/alice").header("postrider-task", "template").body("hi").send(&stage).await;
    assert_eq!((to.status, newest(&stage).unwrap().module.to_string().as_str()), (202, "template"));
    let query = Call::new("POST", "/v1/to/alice?task=filter").body("hi").send(&stage).await;
    assert_eq!((query.status, newest(&stage).unwrap().deadline), (202, Enrichment::DEFAULT_DEADLINE));
    let lines = "{\"to\":{\"recipient\":\"a\"},\"type\":\"t\",\"content\":1,\"task\":{\"module\":\"echo\"}}\n\
                 {\"to\":{\"recipient\":\"a\"},\"type\":\"t\",\"content\":1,\"task\":{\"module\":\"none\"}}\n\
                 {\"to\":{\"recipient\":\"a\"},\"type\":\"t\",\"content\":1}\n";
    let batch = Call::new("POST", "/v1/notifications/batch").header("content-type", "application/x-ndjson");
    let answer = batch.body(lines).send(&stage).await.json();
    assert_eq!((&answer["accepted"], &answer["failed"]), (&json!(2), &json!(1)));
    assert_eq!(answer["results"][1]["problem"]["code"], "module-unknown");
    assert_eq!(newest(&stage), None);
}

#[tokio::test]
async fn what_is_said_of_it_wrongly_is_refused_at_its_place() {
    let stage = Stage::start().await;
    for (task, status, code, pointer) in [
        (json!({}), 400, "field-missing", "/task/module"),
        (json!({"module": "A"}), 422, "task-invalid", "/task/module"),
        (json!({"module": "none"}), 422, "module-unknown", "/task/module"),
        (json!({"module": "echo", "deadline_ms": 60_001}), 422, "task-invalid", "/task/deadline_ms"),
        (json!({"module": "echo", "deadline_ms": 0}), 422, "task-invalid", "/task/deadline_ms"),
        (json!({"module": "echo", "deadline_ms": -1}), 400, "field-type", "/task/deadline_ms"),
        (json!({"module": "echo", "on_timeout": "x"}), 422, "task-invalid", "/task/on_timeout"),
        (json!({"module": "echo", "colour": 1}), 400, "field-unknown", "/task/colour"),
        (json!("echo"), 400, "field-type", "/task"),
    ] {
        let answer = publish(&stage, "t", json!({"task": task})).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{task}");
        assert_eq!(answer.json()["pointer"], pointer, "{task}");
    }
    assert!(stage.log.records().is_empty());
}

#[tokio::test]
async fn a_binding_enriches_what_names_no_module_itself() {
    let stage = Stage::start().await;
    bound(&stage, "orders", json!({"type": "order.*", "module": "enrich", "deadline_ms": 500})).await;
    bound(
        &stage,
        "shipped",
        json!({"type": "order.shipped", "module": "template", "on_timeout": "dead_letter"}),
    )
    .await;
    for (kind, more, expected) in [
        ("order.paid", json!({}), Some("enrich")),
        ("order.shipped", json!({}), Some("template")),
        ("order.shipped", json!({"task": {"module": "echo"}}), Some("echo")),
        ("invoice", json!({}), None),
    ] {
        assert_eq!(module_of(&stage, kind, more).await.as_deref(), expected, "{kind}");
    }
    let (_id, other) = stage.new_key("globex", None).await;
    let foreign = json!({"to": {"recipient": "a"}, "type": "order.paid", "content": 1}).to_string();
    assert_eq!(Call::json("/v1/notifications", foreign).send_as(&other, &stage).await.status, 202);
    assert_eq!(newest(&stage), None);
    let deleted = Call::new("DELETE", "/v1/bindings/orders").send(&stage).await;
    assert_eq!(deleted.status, 204);
    assert_eq!(module_of(&stage, "order.paid", json!({})).await, None);
}

#[tokio::test]
async fn a_content_that_the_module_does_not_take_is_refused_and_nothing_is_enqueued() {
    let stage = Stage::start().await;
    let schema = json!({"input_schema": {"required": ["total"]}});
    assert_eq!(put(&stage, "m@1", &schema).await.status, 201);
    bound(&stage, "orders", json!({"type": "order.*", "module": "m"})).await;
    for more in [json!({}), json!({"task": {"module": "m@1"}})] {
        let answer = publish(&stage, "order.paid", more).await;
        assert_eq!((answer.status, answer.code().as_str()), (422, "input-mismatch"));
        assert_eq!(answer.json()["violations"][0]["pointer"], "/content");
    }
    assert!(stage.log.records().is_empty());
    assert_eq!(module_of(&stage, "order.paid", json!({"content": {"total": 1}})).await.as_deref(), Some("m"));
}

#[tokio::test]
async fn bindings_go_on_as_last_known_while_the_store_is_away() {
    let stage = Stage::start().await;
    bound(&stage, "orders", json!({"type": "order.*", "module": "echo"})).await;
    assert_eq!(module_of(&stage, "order.paid", json!({})).await.as_deref(), Some("echo"));
    let (_id, other) = stage.new_key("globex", None).await;
    stage.store.close().await;
    stage.clock.advance(Duration::from_secs(3600));
    assert_eq!(module_of(&stage, "order.paid", json!({})).await.as_deref(), Some("echo"));
    let unknown = Call::json("/v1/notifications", r#"{"to":{"recipient":"a"},"type":"t","content":1}"#);
    let answer = unknown.send_as(&other, &stage).await;
    assert_eq!((answer.status, answer.code().as_str()), (503, "store-unavailable"));
}

#[tokio::test]
async fn bindings_are_listed_replaced_and_kept_within_their_number() {
    let modules = ModuleSettings { bindings: 2, ..ModuleSettings::default() };
    let stage = Stage::with(Config { modules, ..Config::default() }).await;
    bound(&stage, "b", json!({"type": "b", "module": "echo"})).await;
    bound(&stage, "a", json!({"type": "a.*", "module": "echo@builtin"})).await;
    bound(&stage, "b", json!({"type": "b", "module": "sum", "deadline_ms": 1})).await;
    let listed = Call::new("GET", "/v1/bindings").send(&stage).await.json();
    let names: Vec<_> = listed["bindings"].as_array().unwrap().iter().map(|one| &one["name"]).collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(
        (&listed["bindings"][1]["module"], &listed["bindings"][1]["deadline_ms"]),
        (&json!("sum"), &json!(1))
    );
    for (name, binding, status, code) in [
        ("c", json!({"type": "c", "module": "echo"}), 422, "bindings-too-many"),
        ("a", json!({"type": "b", "module": "echo"}), 409, "binding-taken"),
        ("a", json!({"type": "a b", "module": "echo"}), 422, "type-invalid"),
        ("a", json!({"type": "a", "module": "none"}), 422, "module-unknown"),
        ("a", json!({"type": "a", "module": "echo", "deadline_ms": 60_001}), 422, "task-invalid"),
        ("a", json!({"type": "a"}), 400, "field-missing"),
        ("a", json!({"type": "a", "module": "echo", "colour": 1}), 400, "field-unknown"),
        ("a%2F", json!({"type": "a", "module": "echo"}), 422, "name-invalid"),
    ] {
        let answer = bind(&stage, name, binding.clone()).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{binding}");
    }
    let (_id, other) = stage.new_key("globex", None).await;
    let foreign = Call::new("DELETE", "/v1/bindings/a").send_as(&other, &stage).await;
    assert_eq!((foreign.status, foreign.code().as_str()), (404, "binding-not-found"));
    assert_eq!(Call::new("GET", "/v1/bindings").send(&stage).await.json(), listed);
}
