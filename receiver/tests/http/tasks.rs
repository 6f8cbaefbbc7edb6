//! `/v1/tasks`.

use std::time::Duration;

use postrider_receiver::{Config, TaskSettings};
use serde_json::{Value, json};
use shared::notification::NotificationId;
use shared::recipient::TenantId;
use shared::record::{self, Kind};
use shared::store::{Begun, Effort, Finish, Hold, Lease, NewTask, TaskKey, TaskRuns as _};
use shared::task::{ModuleRef, Origin};

use super::client::{Answer, Call};
use super::fakes::{Mood, START, Stage};
use super::modules::put;

async fn get(stage: &Stage, path: &str) -> Answer {
    Call::new("GET", path).send(stage).await
}

async fn post(stage: &Stage, path: &str) -> Answer {
    Call::new("POST", path).send(stage).await
}

fn wanted(module: &str, content: Value) -> Value {
    json!({"module": module, "to": {"recipient": "alice"}, "content": content})
}

async fn run(stage: &Stage, task: &Value) -> Answer {
    Call::json("/v1/tasks", task.to_string()).send(stage).await
}

/// Has a built-in module run; answers the id.
async fn accepted(stage: &Stage, task: &Value) -> String {
    let answer = run(stage, task).await;
    assert_eq!(answer.status, 202, "{}", answer.json());
    answer.json()["id"].as_str().unwrap().to_owned()
}

fn key(tenant: &str, id: &str) -> TaskKey {
    TaskKey { tenant: TenantId::parse(tenant).unwrap(), id: NotificationId::parse(id).unwrap() }
}

/// Begins an attempt at what `run` entered.
async fn begin(stage: &Stage, id: &str) -> Hold {
    let task = NewTask {
        key: key("acme", id),
        recipient: "alice".parse().unwrap(),
        module: "sum".parse().unwrap(),
        version: None,
        code: None,
        origin: Origin::Api,
        schedule: None,
        record: stage.log.records().pop().unwrap(),
        position: None,
        created: START,
    };
    let lease = Lease { instance: "executor-1".into(), until: START.after(Duration::from_secs(60)) };
    match stage.store.begin(&[task], &lease, START).await.unwrap().remove(0) {
        Begun::Run { hold, .. } => hold,
        other => panic!("{other:?}"),
    }
}

async fn finish(stage: &Stage, hold: Hold, finish: Finish) {
    let ran = Some(("1".parse().unwrap(), [7; 32]));
    let effort =
        Effort { ran, took: Duration::from_millis(12), fuel: 5, memory_bytes: 9, log: "hi\n".into() };
    assert_eq!(stage.store.finish(&[(hold, finish, effort)], START).await.unwrap(), [true]);
}

fn failed(code: &str) -> Finish {
    Finish::Failed { failure: code.into(), reason: "in words".into() }
}

#[tokio::test]
async fn a_task_is_durable_and_pending_when_it_is_answered() {
    let stage = Stage::start().await;
    let mut task = wanted("sum", json!({"numbers": [1, 2]}));
    task["code"] = json!("invoice/7");
    task["progress"] = json!(true);
    let answer = run(&stage, &task).await;
    let (status_url, id) = (answer.json()["status_url"].clone(), answer.json()["id"].clone());
    assert_eq!((answer.status, answer.header("location")), (202, status_url.as_str()));
    let record = stage.log.records().pop().unwrap();
    let (kind, input) = record::decode(&record).unwrap();
    let order = record::task::order(&record.headers).unwrap();
    assert_eq!(
        (kind, input.id.as_str(), &input.content[..]),
        (Kind::Task, id.as_str().unwrap(), &b"{\"numbers\":[1,2]}"[..])
    );
    assert_eq!(
        (order.module.to_string().as_str(), order.origin, order.progress),
        ("sum@builtin", Origin::Api, true)
    );
    assert_eq!(order.code.unwrap().as_str(), "invoice/7");
    let shown = get(&stage, status_url.as_str().unwrap()).await;
    assert_eq!((shown.status, &shown.json()["state"]), (200, &json!("pending")));
    assert_eq!((&shown.json()["module"], &shown.json()["version"]), (&json!("sum"), &json!("builtin")));
}

#[tokio::test]
async fn a_task_runs_the_version_that_was_named_when_it_was_asked_for() {
    let stage = Stage::start().await;
    for version in ["1", "2"] {
        assert_eq!(put(&stage, &format!("m@{version}"), &json!({})).await.status, 201);
    }
    let module = async |asked: &str| {
        accepted(&stage, &wanted(asked, json!(1))).await;
        record::task::order(&stage.log.records().pop().unwrap().headers).unwrap().module
    };
    assert_eq!(module("m").await, ModuleRef::parse("m@1").unwrap());
    let live = Call::put("/v1/modules/m/aliases/live", &json!({"version": "2"})).send(&stage).await;
    assert_eq!(live.status, 200);
    assert_eq!(module("m").await, ModuleRef::parse("m@2").unwrap());
    assert_eq!(module("m@1").await, ModuleRef::parse("m@1").unwrap());
    // A tenant's own module comes before what every executor brings along.
    assert_eq!(put(&stage, "sum@9", &json!({})).await.status, 201);
    assert_eq!(module("sum").await, ModuleRef::parse("sum@9").unwrap());
    assert_eq!(module("sum@builtin").await, ModuleRef::parse("sum@builtin").unwrap());
}

#[tokio::test]
async fn an_input_that_the_module_does_not_take_is_refused_and_nothing_is_enqueued() {
    let stage = Stage::start().await;
    let schema =
        json!({"type": "object", "required": ["order"], "properties": {"order": {"type": "integer"}}});
    assert_eq!(put(&stage, "m@1", &json!({"input_schema": schema})).await.status, 201);
    let answer = run(&stage, &wanted("m", json!({"order": "7"}))).await;
    assert_eq!((answer.status, answer.code().as_str()), (422, "input-mismatch"), "{}", answer.json());
    assert_eq!(answer.json()["pointer"], "/content/order");
    assert_eq!(answer.json()["violations"][0]["pointer"], "/content/order");
    let mut text = wanted("m", json!("order 7"));
    text["content_type"] = json!("text/plain");
    let answer = run(&stage, &text).await;
    assert_eq!(
        (answer.code().as_str(), &answer.json()["pointer"]),
        ("input-mismatch", &json!("/content_type"))
    );
    assert!(stage.log.records().is_empty());
    assert_eq!(get(&stage, "/v1/tasks").await.json()["tasks"], json!([]));
    accepted(&stage, &wanted("m", json!({"order": 7}))).await;
}

#[tokio::test]
async fn what_is_asked_wrongly_is_refused_at_its_place() {
    let stage = Stage::start().await;
    let with = |name: &str, value: Value| {
        let mut task = wanted("sum", json!(1));
        task[name] = value;
        task
    };
    let without = |name: &str| {
        let mut task = wanted("sum", json!(1));
        task.as_object_mut().unwrap().remove(name);
        task
    };
    for (task, status, code, pointer) in [
        (without("module"), 400, "field-missing", "/module"),
        (without("to"), 400, "field-missing", "/to"),
        (without("content"), 400, "field-missing", "/content"),
        (with("to", json!({"recipients": ["a"]})), 400, "field-missing", "/to/recipient"),
        (with("to", json!({"recipient": "a", "topic": "b"})), 400, "field-unknown", "/to/topic"),
        (with("to", json!({"recipient": "a/b"})), 422, "recipient-invalid", "/to/recipient"),
        (with("module", json!("Sum")), 422, "task-invalid", "/module"),
        (with("module", json!("none")), 422, "module-unknown", "/module"),
        (with("module", json!("sum@2")), 422, "module-unknown", "/module"),
        (with("code", json!("a b")), 422, "task-invalid", "/code"),
        (with("code", json!("a".repeat(129))), 422, "task-invalid", "/code"),
        (with("progress", json!(1)), 400, "field-type", "/progress"),
        (with("ttl", json!(2_419_201)), 422, "ttl-invalid", "/ttl"),
        (with("deliver_at", json!("x")), 400, "field-unknown", "/deliver_at"),
    ] {
        let answer = run(&stage, &task).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{task}");
        assert_eq!(answer.json()["pointer"], pointer, "{task}");
    }
    let untyped = Call::new("POST", "/v1/tasks").body("{}").send(&stage).await;
    assert_eq!(untyped.status, 415);
    let keyed = Call::json("/v1/tasks", wanted("sum", json!(1)).to_string()).header("idempotency-key", "k");
    assert_eq!(keyed.send(&stage).await.code(), "idempotency-not-supported");
    assert!(stage.log.records().is_empty());
    accepted(&stage, &with("code", json!("a".repeat(128)))).await;
}

#[tokio::test]
async fn a_list_is_narrowed_and_goes_page_by_page_from_the_newest() {
    let stage = Stage::start().await;
    let mut ids = Vec::new();
    for (module, code) in [("sum", "a/1"), ("echo", "a/2"), ("sum", "b/1")] {
        let mut task = wanted(module, json!(1));
        task["code"] = json!(code);
        ids.push(accepted(&stage, &task).await);
        stage.clock.advance(Duration::from_secs(1));
    }
    let hold = begin(&stage, &ids[0]).await;
    finish(&stage, hold, failed("deadline")).await;
    let listed = async |query: &str| -> Vec<String> {
        let answer = get(&stage, &format!("/v1/tasks{query}")).await;
        assert_eq!(answer.status, 200, "{query}: {}", answer.json());
        let id = |task: &Value| task["id"].as_str().unwrap().to_owned();
        answer.json()["tasks"].as_array().unwrap().iter().map(id).collect()
    };
    let since = START.after(Duration::from_secs(1));
    for (query, expected) in [
        (String::new(), vec![2, 1, 0]),
        ("?code=a/".into(), vec![1, 0]),
        ("?module=sum".into(), vec![2, 0]),
        ("?state=failed".into(), vec![0]),
        ("?failure=dead".into(), vec![0]),
        ("?failure=trap".into(), vec![]),
        ("?origin=api&code=b".into(), vec![2]),
        ("?origin=schedule".into(), vec![]),
        ("?schedule=nightly".into(), vec![]),
        (format!("?from={since}"), vec![2, 1]),
        (format!("?until={since}"), vec![0]),
    ] {
        let expected: Vec<_> = expected.into_iter().map(|at: usize| ids[at].clone()).collect();
        assert_eq!(listed(&query).await, expected, "{query}");
    }
    let first = get(&stage, "/v1/tasks?limit=2").await.json();
    let cursor = first["cursor"].as_str().unwrap();
    assert_eq!(listed(&format!("?limit=2&cursor={cursor}")).await, [ids[0].clone()]);
    for query in [
        "?colour=red",
        "?limit=0",
        "?limit=501",
        "?limit=1&limit=2",
        "?cursor=x",
        "?code=%20",
        "?module=A",
        "?state=dead",
        "?origin=x",
        "?schedule=%2F",
        "?failure=A",
        "?from=yesterday",
    ] {
        let answer = get(&stage, &format!("/v1/tasks{query}")).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "query-invalid"), "{query}");
    }
}

#[tokio::test]
async fn a_history_says_what_each_attempt_took_and_logged() {
    let stage = Stage::start().await;
    let id = accepted(&stage, &wanted("sum", json!(1))).await;
    let hold = begin(&stage, &id).await;
    finish(&stage, hold, failed("trap")).await;
    let history = get(&stage, &format!("/v1/tasks/{id}/events")).await.json();
    let states: Vec<_> =
        history["events"].as_array().unwrap().iter().map(|one| one["state"].clone()).collect();
    assert_eq!(states.last(), Some(&json!("failed")), "{history}");
    let last = history["events"].as_array().unwrap().last().unwrap();
    assert_eq!((&last["log"], &last["took_ms"], &last["fuel"]), (&json!("hi\n"), &json!(12), &json!(5)));
    assert_eq!(
        (&last["failure"], &last["reason"], &last["by"]),
        (&json!("trap"), &json!("in words"), &json!("executor-1"))
    );
    assert_eq!(last["digest"], "07".repeat(32));
    assert_eq!(history["more"], false);
    let behind = get(&stage, &format!("/v1/tasks/{id}/events?after=1&limit=1")).await.json();
    assert_eq!((&behind["events"][0]["number"], &behind["more"]), (&json!(2), &json!(true)));
    for query in ["?after=x", "?limit=0", "?limit=61", "?colour=red"] {
        assert_eq!(get(&stage, &format!("/v1/tasks/{id}/events{query}")).await.code(), "query-invalid");
    }
}

#[tokio::test]
async fn what_is_at_an_end_is_not_cancelled_and_only_that_is_tried_again() {
    let stage = Stage::start().await;
    let change = async |id: &str, what: &str| post(&stage, &format!("/v1/tasks/{id}/{what}")).await;
    let conflict = |answer: &Answer, code: &str| {
        assert_eq!((answer.status, answer.code().as_str()), (409, code));
    };
    let id = accepted(&stage, &wanted("sum", json!(1))).await;
    assert_eq!(change(&id, "retry").await.json()["state"], "pending");
    for _ in 0..2 {
        let cancelled = change(&id, "cancel").await;
        assert_eq!((cancelled.status, &cancelled.json()["state"]), (202, &json!("cancelled")));
    }
    for _ in 0..2 {
        let again = change(&id, "retry").await;
        assert_eq!((again.status, &again.json()["state"]), (202, &json!("pending")));
    }
    let hold = begin(&stage, &id).await;
    conflict(&change(&id, "retry").await, "task-not-retryable");
    let asked = change(&id, "cancel").await;
    assert_eq!((&asked.json()["state"], &asked.json()["cancel_asked"]), (&json!("running"), &json!(true)));
    finish(&stage, hold, Finish::Completed { outputs: "".into(), result: r#"{"sum":3}"#.into() }).await;
    conflict(&change(&id, "cancel").await, "task-ended");
    conflict(&change(&id, "retry").await, "task-not-retryable");
    let shown = get(&stage, &format!("/v1/tasks/{id}")).await.json();
    assert_eq!((&shown["state"], &shown["result"]), (&json!("completed"), &json!({"sum": 3})));
}

#[tokio::test]
async fn nothing_of_another_tenant_is_there_on_any_route() {
    let stage = Stage::start().await;
    let (_id, other) = stage.new_key("globex", None).await;
    let id = accepted(&stage, &wanted("sum", json!(1))).await;
    for (method, tail) in [("GET", ""), ("GET", "/events"), ("POST", "/cancel"), ("POST", "/retry")] {
        for id in [id.as_str(), "none", "%ff"] {
            let answer = Call::new(method, &format!("/v1/tasks/{id}{tail}")).send_as(&other, &stage).await;
            assert_eq!(
                (answer.status, answer.code().as_str()),
                (404, "task-not-found"),
                "{method} {id}{tail}"
            );
        }
        let nobodys = Call::new(method, &format!("/v1/tasks/{id}{tail}")).send_bare(stage.address).await;
        assert_eq!(nobodys.status, 401);
    }
    let listed = Call::new("GET", "/v1/tasks").send_as(&other, &stage).await.json();
    assert_eq!(listed["tasks"], json!([]));
    assert_eq!(get(&stage, &format!("/v1/tasks/{id}")).await.json()["state"], "pending");
}

#[tokio::test]
async fn a_task_that_the_log_does_not_take_is_nowhere() {
    let stage = Stage::start().await;
    stage.log.turn(Mood::Away);
    let answer = run(&stage, &wanted("sum", json!(1))).await;
    assert_eq!((answer.status, answer.code().as_str()), (503, "log-unavailable"));
    assert_eq!(get(&stage, "/v1/tasks").await.json()["tasks"], json!([]));
}

#[tokio::test]
async fn a_store_that_is_away_holds_up_looking_and_not_taking() {
    let tasks = TaskSettings { enter_ms: Duration::from_millis(50), ..TaskSettings::default() };
    let stage = Stage::with(Config { tasks, ..Config::default() }).await;
    assert_eq!(put(&stage, "m@1", &json!({})).await.status, 201);
    let id = accepted(&stage, &wanted("m", json!(1))).await;
    stage.store.close().await;
    // What was known before is good; what every executor brings along always is.
    accepted(&stage, &wanted("m", json!(1))).await;
    accepted(&stage, &wanted("sum@builtin", json!(1))).await;
    let unknown = run(&stage, &wanted("other", json!(1))).await;
    assert_eq!((unknown.status, unknown.code().as_str()), (503, "store-unavailable"));
    assert_eq!(stage.log.records().len(), 3);
    for call in [
        Call::new("GET", "/v1/tasks"),
        Call::new("GET", &format!("/v1/tasks/{id}")),
        Call::new("GET", &format!("/v1/tasks/{id}/events")),
        Call::new("POST", &format!("/v1/tasks/{id}/cancel")),
        Call::new("GET", "/v1/modules"),
        Call::new("GET", "/v1/bindings"),
        Call::new("GET", "/v1/schedules"),
    ] {
        let answer = call.send(&stage).await;
        assert_eq!((answer.status, answer.code().as_str()), (503, "store-unavailable"));
    }
}
