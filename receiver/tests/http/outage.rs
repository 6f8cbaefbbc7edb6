//! The log away, refusing, or silent: an answer within the deadline, and never 202.

use std::sync::Arc;
use std::time::{Duration, Instant};

use postrider_receiver::Config;
use tokio::sync::Semaphore;

use super::client::{Answer, Call, PATIENCE};
use super::fakes::{Mood, Stage};

async fn hello(stage: &Stage) -> Answer {
    Call::new("POST", "/v1/to/alice").header("content-type", "text/plain").body("hi").send(stage).await
}

#[tokio::test]
async fn a_log_that_is_away_is_503_with_a_time_to_come_back_and_passes() {
    let stage = Stage::start().await;
    stage.log.turn(Mood::Away);
    for answer in [hello(&stage).await, {
        let body = r#"{"to":{"recipients":["a","b"]},"type":"t","content":1}"#;
        Call::json("/v1/notifications", body).send(&stage).await
    }] {
        assert_eq!((answer.status, answer.code().as_str()), (503, "log-unavailable"));
        let seconds: u64 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=5).contains(&seconds));
    }
    stage.log.turn(Mood::Well);
    assert_eq!(hello(&stage).await.status, 202);
    assert_eq!(stage.log.notifications().len(), 1);
}

#[tokio::test]
async fn what_trying_again_does_not_help_is_not_503() {
    let stage = Stage::start().await;
    stage.log.turn(Mood::Small(10));
    let answer = hello(&stage).await;
    assert_eq!((answer.status, answer.code().as_str()), (413, "record-too-large"));
    stage.log.turn(Mood::Refusing);
    let answer = hello(&stage).await;
    assert_eq!((answer.status, answer.code().as_str()), (500, "log-refused"));
    assert!(stage.log.notifications().is_empty());
}

#[tokio::test]
async fn a_silent_log_is_answered_for_at_the_deadline() {
    let deadline_ms = Duration::from_millis(200);
    let stage = Stage::with(Config { deadline_ms, ..Config::default() }).await;
    stage.log.turn(Mood::Waiting(Arc::new(Semaphore::new(0))));
    let begun = Instant::now();
    let answer = hello(&stage).await;
    assert_eq!((answer.status, answer.code().as_str()), (503, "deadline-exceeded"));
    assert!(begun.elapsed() >= deadline_ms && begun.elapsed() < PATIENCE);
}

#[tokio::test]
async fn memory_under_way_is_bounded_and_given_back_only_when_the_log_has_answered() {
    let deadline_ms = Duration::from_millis(200);
    let stage = Stage::with(Config { deadline_ms, in_flight_bytes: 10_000, ..Config::default() }).await;
    let permits = Arc::new(Semaphore::new(0));
    stage.log.turn(Mood::Waiting(Arc::clone(&permits)));
    // Two fit, and hold their memory although nobody waits for them any more.
    assert_eq!(hello(&stage).await.code(), "deadline-exceeded");
    assert_eq!(hello(&stage).await.code(), "deadline-exceeded");
    let answer = hello(&stage).await;
    assert_eq!((answer.status, answer.code().as_str()), (503, "overloaded"));
    permits.add_permits(1000);
    let recovered = async {
        while hello(&stage).await.status != 202 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, recovered).await.expect("the memory was not given back");
    assert_eq!(stage.log.notifications().len(), 3);
}

#[tokio::test]
async fn a_burst_while_the_log_is_away_is_all_answered() {
    let stage = Arc::new(Stage::start().await);
    stage.log.turn(Mood::Away);
    let burst: Vec<_> = (0..200)
        .map(|_| {
            let stage = Arc::clone(&stage);
            tokio::spawn(async move { hello(&stage).await.status })
        })
        .collect();
    for answer in burst {
        assert_eq!(answer.await.unwrap(), 503);
    }
    assert!(stage.log.notifications().is_empty());
}
