//! Executors that die, and several of them.

use std::collections::{HashMap, HashSet};

use shared::digest::Digest;
use shared::task::{OnTimeout, TaskState};

use crate::stage::{Stage, eventually};
use crate::{ALICE, BOB, guests};

const TASKS: usize = 300;

#[tokio::test(flavor = "multi_thread")]
async fn executors_die_twice_and_every_task_ends_once_with_the_same_outputs() {
    let stage = Stage::open().await;
    stage.shelf.put("echo", &guests::echo(), "{}");
    for number in 0..TASKS {
        let recipient = [ALICE, BOB, "acme/carol"][number % 3];
        stage.order(recipient, &format!("n-{number}"), "echo").await;
    }
    for share in [3, 2] {
        let (one, other) = (stage.start(), stage.start());
        eventually("some are done", async || stage.count(TaskState::Completed).await >= TASKS / share).await;
        one.die().await;
        other.die().await;
    }
    let last = stage.start();
    eventually("all done", async || stage.count(TaskState::Completed).await == TASKS).await;
    eventually("all committed", async || stage.is_committed("executor.tasks").await).await;
    let expected: HashMap<String, String> = (0..TASKS)
        .map(|number| {
            let digest = Digest::of(format!("acme\nn-{number}\n0").as_bytes()).hex();
            (format!("t-{}", &digest[..32]), format!("content of n-{number}"))
        })
        .collect();
    let published = async || {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let published = stage.published().await.into_iter();
        published.map(|one| (one.id.as_str().to_owned(), text(&one.content))).collect::<HashMap<_, _>>()
    };
    eventually("all published", async || published().await.len() == TASKS).await;
    last.stop().await;
    assert_eq!(published().await, expected);
    for number in 0..TASKS {
        let steps = stage.history(&format!("n-{number}")).await;
        let ends = steps.iter().filter(|step| step.state.is_end()).count();
        assert_eq!(ends, 1, "n-{number}: {steps:?}");
    }
    assert!(stage.dead().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_every_executor_dies_of_fails_when_its_attempts_are_used_up() {
    let mut stage = Stage::open().await;
    stage.config.tasks.attempts = 2;
    stage.shelf.put("hangs", &guests::hangs(), "{}");
    stage.order(ALICE, "n-1", "hangs").await;
    for attempt in 1..=2 {
        let executor = stage.start();
        eventually("begun", async || stage.count(TaskState::Running).await == 1).await;
        eventually("in this attempt", async || stage.task("n-1").await.attempt == attempt).await;
        executor.die().await;
    }
    let last = stage.start();
    eventually("failed", async || stage.count(TaskState::Failed).await == 1).await;
    eventually("committed", async || stage.is_committed("executor.tasks").await).await;
    last.stop().await;
    assert_eq!(stage.dead().await, [("n-1".into(), "lost".into())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_executor_that_stops_leaves_what_it_has_not_begun_to_the_next() {
    let stage = Stage::open().await;
    stage.shelf.put("echo", &guests::echo(), "{}");
    for number in 0..100 {
        stage.order(ALICE, &format!("n-{number}"), "echo").await;
    }
    let first = stage.start();
    eventually("some are done", async || stage.count(TaskState::Completed).await >= 5).await;
    first.stop().await;
    let second = stage.start();
    eventually("all done", async || stage.count(TaskState::Completed).await == 100).await;
    eventually("all committed", async || stage.is_committed("executor.tasks").await).await;
    second.stop().await;
    let expected: Vec<String> = (0..100).map(|number| format!("content of n-{number}")).collect();
    assert_eq!(stage.published_to(ALICE).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_executor_that_dies_while_it_enriches_loses_no_notification_and_no_order() {
    let stage = Stage::open().await;
    stage.shelf.put("echo", &guests::echo(), "{}");
    for number in 0..100 {
        stage.enrich(ALICE, &format!("n-{number}"), "echo", OnTimeout::DeadLetter).await;
    }
    for share in [3, 2] {
        let executor = stage.start();
        let published = async || stage.published_to(ALICE).await.into_iter().collect::<HashSet<_>>().len();
        eventually("some are enriched", async || published().await >= 100 / share).await;
        executor.die().await;
    }
    let last = stage.start();
    eventually("all committed", async || stage.is_committed("executor.enrichment").await).await;
    last.stop().await;
    let mut seen = HashSet::new();
    let mut published = stage.published_to(ALICE).await;
    published.retain(|content| seen.insert(content.clone()));
    let expected: Vec<String> = (0..100).map(|number| format!("content of n-{number}")).collect();
    assert_eq!(published, expected);
    assert!(stage.dead().await.is_empty());
}
