//! `/v1/schedules`.

use std::time::Duration;

use postrider_receiver::{Config, ScheduleSettings};
use serde_json::{Value, json};
use shared::record;
use shared::store::Schedules as _;
use shared::task::Origin;

use super::client::{Answer, Call};
use super::fakes::{START, Stage};
use super::modules::put as put_module;

fn every(ms: u64) -> Value {
    json!({"every_ms": ms, "task": {"module": "sum", "to": {"recipient": "alice"}, "content": [1, 2], "ttl": 60}})
}

async fn put(stage: &Stage, name: &str, schedule: &Value) -> Answer {
    Call::put(&format!("/v1/schedules/{name}"), schedule).send(stage).await
}

async fn call(stage: &Stage, method: &str, path: &str) -> Answer {
    Call::new(method, &format!("/v1/schedules{path}")).send(stage).await
}

#[tokio::test]
async fn a_schedule_says_when_it_fires_and_what_it_asks_for() {
    let stage = Stage::start().await;
    let answer = put(&stage, "minutely", &every(60_000)).await;
    assert_eq!(answer.status, 200, "{}", answer.json());
    let shown = answer.json();
    let next = START.as_millis() / 60_000 * 60_000 + 60_000;
    assert_eq!(shown["next"], shared::clock::Timestamp::from_millis(next).to_string());
    assert_eq!((&shown["enabled"], &shown["when"]["every_ms"]), (&json!(true), &json!(60_000)));
    assert_eq!((&shown["task"]["content"], &shown["task"]["ttl"]), (&json!([1, 2]), &json!(60)));
    assert_eq!(call(&stage, "GET", "/minutely").await.json(), shown);
    let (tenant, name) = ("acme".parse().unwrap(), "minutely".parse().unwrap());
    let row = stage.store.get_schedule(&tenant, &name).await.unwrap().unwrap();
    let order = record::task::order(&row.record.headers).unwrap();
    assert_eq!((order.module.to_string().as_str(), order.origin), ("sum", Origin::Schedule));
    assert_eq!(order.schedule.as_deref(), Some("minutely"));
    assert!(stage.log.records().is_empty());
}

#[tokio::test]
async fn a_schedule_that_is_off_has_no_next_time_and_makes_up_for_nothing() {
    let stage = Stage::start().await;
    let first = put(&stage, "s", &every(60_000)).await.json();
    let off = call(&stage, "POST", "/s/disable").await;
    assert_eq!((off.status, &off.json()["enabled"], off.json().get("next")), (200, &json!(false), None));
    stage.clock.advance(Duration::from_secs(3600));
    let on = call(&stage, "POST", "/s/enable").await.json();
    assert_ne!(on["next"], first["next"]);
    assert_eq!(call(&stage, "POST", "/s/enable").await.json()["next"], on["next"]);
    let mut disabled = every(60_000);
    disabled["enabled"] = json!(false);
    assert_eq!(put(&stage, "s", &disabled).await.json()["enabled"], false);
}

#[tokio::test]
async fn a_change_keeps_what_the_schedule_has_done() {
    let stage = Stage::start().await;
    put(&stage, "s", &every(60_000)).await;
    let (tenant, name) = ("acme".parse().unwrap(), "s".parse().unwrap());
    let row = stage.store.get_schedule(&tenant, &name).await.unwrap().unwrap();
    stage
        .store
        .advance_schedule(&row, row.next, 1, row.next.map(|next| next.after(Duration::from_secs(60))))
        .await
        .unwrap();
    let changed = put(&stage, "s", &every(30_000)).await.json();
    assert_eq!((&changed["count"], changed.get("fired").is_some()), (&json!(1), true));
    assert_eq!(call(&stage, "GET", "/s").await.json(), changed);
}

#[tokio::test]
async fn what_is_asked_wrongly_is_refused_at_its_place() {
    let stage = Stage::with(Config {
        schedules: ScheduleSettings { most: 2, ..ScheduleSettings::default() },
        ..Config::default()
    })
    .await;
    let with = |name: &str, value: Value| {
        let mut schedule = every(60_000);
        schedule[name] = value;
        schedule
    };
    let task = |name: &str, value: Value| {
        let mut schedule = every(60_000);
        schedule["task"][name] = value;
        schedule
    };
    let schema = json!({"input_schema": {"type": "object"}});
    assert_eq!(put_module(&stage, "m@1", &schema).await.status, 201);
    for (schedule, status, code, pointer) in [
        (with("every_ms", json!(999)), 422, "schedule-invalid", None),
        (with("every_ms", Value::Null), 422, "schedule-invalid", None),
        (with("cron", json!("0 3 * * *")), 422, "schedule-invalid", None),
        (json!({"cron": "no", "task": every(1)["task"]}), 422, "schedule-invalid", None),
        (json!({"at": "2001-01-01T00:00:00Z", "task": every(1)["task"]}), 422, "schedule-invalid", None),
        (with("misfire", json!("x")), 422, "schedule-invalid", None),
        (with("task", Value::Null), 400, "field-type", Some("/task")),
        (with("colour", json!(1)), 400, "field-unknown", Some("/colour")),
        (task("module", json!("none")), 422, "module-unknown", Some("/task/module")),
        (task("module", json!("m")), 422, "input-mismatch", Some("/task/content")),
        (task("to", json!({"recipient": "a b"})), 422, "recipient-invalid", Some("/task/to/recipient")),
        (task("colour", json!(1)), 400, "field-unknown", Some("/task/colour")),
    ] {
        let answer = put(&stage, "s", &schedule).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{schedule}");
        assert_eq!(answer.json().get("pointer").and_then(Value::as_str), pointer, "{schedule}");
    }
    assert_eq!(call(&stage, "GET", "").await.json()["schedules"], json!([]));
    assert_eq!(put(&stage, "s", &every(1000)).await.status, 200);
    assert_eq!(put(&stage, "t", &every(1000)).await.status, 200);
    let beyond = put(&stage, "u", &every(1000)).await;
    assert_eq!((beyond.status, beyond.code().as_str()), (422, "schedules-too-many"));
    assert_eq!(put(&stage, "a%2Fb", &every(1000)).await.code(), "name-invalid");
    assert_eq!(put(&stage, "t", &every(2000)).await.status, 200);
}

#[tokio::test]
async fn a_list_goes_page_by_page_and_shows_nothing_of_another_tenant() {
    let stage = Stage::start().await;
    let (_id, other) = stage.new_key("globex", None).await;
    for name in ["b", "a", "c"] {
        assert_eq!(put(&stage, name, &every(1000)).await.status, 200);
    }
    let names = |page: &Value| -> Vec<String> {
        let name = |one: &Value| one["name"].as_str().unwrap().to_owned();
        page["schedules"].as_array().unwrap().iter().map(name).collect()
    };
    let first = call(&stage, "GET", "?limit=2").await.json();
    assert_eq!(names(&first), ["a", "b"]);
    let cursor = first["cursor"].as_str().unwrap();
    assert_eq!(names(&call(&stage, "GET", &format!("?limit=2&cursor={cursor}")).await.json()), ["c"]);
    for query in ["?limit=0", "?limit=51", "?cursor=%ff", "?name=a"] {
        assert_eq!(call(&stage, "GET", query).await.code(), "query-invalid", "{query}");
    }
    for (method, path) in [("GET", "/a"), ("DELETE", "/a"), ("POST", "/a/enable"), ("POST", "/a/disable")] {
        let answer = Call::new(method, &format!("/v1/schedules{path}")).send_as(&other, &stage).await;
        assert_eq!((answer.status, answer.code().as_str()), (404, "schedule-not-found"), "{method} {path}");
    }
    let listed = Call::new("GET", "/v1/schedules").send_as(&other, &stage).await.json();
    assert_eq!(listed["schedules"], json!([]));
    assert_eq!(call(&stage, "DELETE", "/a").await.status, 204);
    assert_eq!(call(&stage, "DELETE", "/a").await.code(), "schedule-not-found");
}
