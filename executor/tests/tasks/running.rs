//! Tasks as their producers see them: order, attempts, ends, what is published.

use std::time::Duration;

use shared::task::TaskState;

use crate::stage::{Stage, eventually};
use crate::{ALICE, BOB, guests};

#[tokio::test(flavor = "multi_thread")]
async fn tasks_of_one_recipient_are_done_in_order_and_each_output_is_on_the_log_once() {
    let stage = Stage::open().await;
    stage.shelf.put("echo", &guests::echo(), "{}");
    let executor = stage.start();
    for number in 0..40 {
        let recipient = if number % 2 == 0 { ALICE } else { BOB };
        stage.order(recipient, &format!("n-{number}"), "echo").await;
    }
    eventually("all completed", async || stage.count(TaskState::Completed).await == 40).await;
    eventually("all committed", async || stage.is_committed("executor.tasks").await).await;
    executor.stop().await;
    for (recipient, first) in [(ALICE, 0), (BOB, 1)] {
        let expected: Vec<String> =
            (first..40).step_by(2).map(|number| format!("content of n-{number}")).collect();
        assert_eq!(stage.published_to(recipient).await, expected);
    }
    assert!(stage.dead().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_asks_for_it_is_tried_again_in_its_place() {
    let stage = Stage::open().await;
    stage.shelf.put("third", &guests::from_attempt(3), "{}");
    stage.shelf.put("echo", &guests::echo(), "{}");
    let executor = stage.start();
    stage.order(ALICE, "n-1", "third").await;
    stage.order(ALICE, "n-2", "echo").await;
    eventually("both completed", async || stage.count(TaskState::Completed).await == 2).await;
    let states: Vec<TaskState> = stage.history("n-1").await.into_iter().map(|step| step.state).collect();
    let (running, retrying) = (TaskState::Running, TaskState::Retrying);
    let expected = [TaskState::Pending, running, retrying, running, retrying, running, TaskState::Completed];
    assert_eq!(states, expected);
    eventually("all committed", async || stage.is_committed("executor.tasks").await).await;
    executor.stop().await;
    assert_eq!(stage.published_to(ALICE).await, ["done", "content of n-2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_are_bounded_and_a_module_lowers_the_bound() {
    let stage = Stage::open().await;
    stage.shelf.put("never", &guests::from_attempt(9), "{}");
    stage.shelf.put("twice", &guests::from_attempt(9), r#"{"limits":{"attempts":2}}"#);
    let executor = stage.start();
    stage.order(ALICE, "n-1", "never").await;
    stage.order(BOB, "n-2", "twice").await;
    eventually("both failed", async || stage.count(TaskState::Failed).await == 2).await;
    executor.stop().await;
    for (id, attempts) in [("n-1", 4), ("n-2", 2)] {
        let task = stage.task(id).await;
        assert_eq!((task.failure.as_deref(), task.attempt), (Some("attempts"), attempts), "{id}");
    }
    assert_eq!(stage.dead().await, [("n-1".into(), "attempts".into()), ("n-2".into(), "attempts".into())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_never_be_done_becomes_a_dead_letter_and_its_key_goes_on() {
    let stage = Stage::open().await;
    for (name, module) in [
        ("trap", guests::traps()),
        ("reject", guests::exits(1)),
        ("endless", guests::endless()),
        ("none", b"no module".to_vec()),
        ("echo", guests::echo()),
    ] {
        stage.shelf.put(name, &module, "{}");
    }
    let executor = stage.start();
    let poison = [
        ("n-1", "trap", "trap"),
        ("n-2", "reject", "rejected"),
        ("n-3", "endless", "fuel"),
        ("n-4", "none", "invalid_module"),
        ("n-5", "missing", "no_module"),
    ];
    for (id, module, _code) in poison {
        stage.order(ALICE, id, module).await;
    }
    stage.malformed(ALICE, "n-6").await;
    stage.order(ALICE, "n-7", "echo").await;
    eventually("the last completed", async || stage.count(TaskState::Completed).await == 1).await;
    eventually("all committed", async || stage.is_committed("executor.tasks").await).await;
    executor.stop().await;
    let mut expected: Vec<(String, String)> =
        poison.iter().map(|(id, _, code)| ((*id).into(), (*code).into())).collect();
    expected.push(("n-6".into(), "malformed".into()));
    assert_eq!(stage.dead().await, expected);
    assert_eq!(stage.published_to(ALICE).await, ["content of n-7"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_is_not_made_sooner_than_the_task_asked_and_the_lane_does_not_wait_for_long() {
    let mut stage = Stage::open().await;
    stage.config.tasks.hold_ms = Duration::from_millis(200);
    stage.shelf.put("later", &guests::later(1500), "{}");
    stage.shelf.put("echo", &guests::echo(), "{}");
    let executor = stage.start();
    stage.order(ALICE, "n-1", "later").await;
    stage.order(ALICE, "n-2", "echo").await;
    eventually("the next goes on", async || stage.published_to(ALICE).await == ["content of n-2"]).await;
    assert_eq!(stage.task("n-1").await.state, TaskState::Retrying);
    eventually("found again and completed", async || stage.count(TaskState::Completed).await == 2).await;
    let steps = stage.history("n-1").await;
    let (first, second) = (steps[2].time, steps[3].time);
    assert!(second.since(first) >= Duration::from_millis(1400), "{steps:?}");
    executor.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_past_its_expiry_fails_unrun() {
    let stage = Stage::open().await;
    stage.shelf.put("echo", &guests::echo(), "{}");
    stage.order_that(ALICE, "n-1", "echo", |input, _order| input.expires = input.time).await;
    let executor = stage.start();
    eventually("failed", async || stage.count(TaskState::Failed).await == 1).await;
    executor.stop().await;
    assert_eq!(stage.dead().await, [("n-1".into(), "expired".into())]);
    assert!(stage.published_to(ALICE).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_is_told_where_it_was_ordered() {
    let stage = Stage::open().await;
    stage.shelf.put("second", &guests::from_attempt(2), "{}");
    stage.order_that(ALICE, "n-1", "second", |_input, order| order.progress = true).await;
    let executor = stage.start();
    eventually("completed", async || stage.count(TaskState::Completed).await == 1).await;
    eventually("all told", async || stage.kinds_to(ALICE).await.len() == 5).await;
    executor.stop().await;
    let expected = ["running", "retrying", "running"].map(|state| format!("postrider.task.{state}"));
    let mut expected = expected.to_vec();
    expected.extend(["answer".to_owned(), "postrider.task.completed".to_owned()]);
    assert_eq!(stage.kinds_to(ALICE).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_for_others_is_passed_over() {
    let stage = Stage::open().await;
    let executor = stage.start();
    stage.plain(ALICE, "n-1").await;
    for group in ["executor.tasks", "executor.enrichment"] {
        eventually(group, async || stage.is_committed(group).await).await;
    }
    executor.stop().await;
    assert_eq!((stage.dead().await.len(), stage.published_to(ALICE).await.len()), (0, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_built_in_is_everybodys_until_a_tenant_has_a_module_so_named() {
    let stage = Stage::open().await;
    let executor = stage.start();
    stage.order(ALICE, "n-1", "echo").await;
    eventually("done", async || stage.count(TaskState::Completed).await == 1).await;
    stage.shelf.put("echo", &guests::two(), "{}");
    tokio::time::sleep(stage.config.catalogue.refresh_ms).await;
    stage.order(ALICE, "n-2", "echo").await;
    stage.order(ALICE, "n-3", "echo@builtin").await;
    eventually("all done", async || stage.count(TaskState::Completed).await == 3).await;
    eventually("all committed", async || stage.is_committed("executor.tasks").await).await;
    executor.stop().await;
    assert_eq!(stage.published_to(ALICE).await, ["content of n-1", "one", "two", "content of n-3"]);
    assert_eq!(stage.task("n-3").await.version.unwrap().as_str(), "builtin");
}
