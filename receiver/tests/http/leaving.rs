//! A receiver that stops: unready first, then nothing new, and whatever is under way is answered for.

use std::sync::Arc;
use std::time::{Duration, Instant};

use postrider_receiver::Config;
use shared::serve::HttpLimits;
use tokio::sync::Semaphore;

use super::client::{Answer, Call, PATIENCE};
use super::fakes::{Mood, Stage};

async fn hello(stage: &Stage) -> Answer {
    Call::new("POST", "/v1/to/alice").header("content-type", "text/plain").body("hi").send(stage).await
}

async fn with_announcement(announce_ms: Duration) -> Stage {
    let http = HttpLimits { announce_ms, ..HttpLimits::default() };
    Stage::with(Config { http, ..Config::default() }).await
}

#[tokio::test]
async fn a_request_under_way_is_answered_and_new_ones_are_told_to_come_again() {
    let mut stage = with_announcement(Duration::ZERO).await;
    let permits = Arc::new(Semaphore::new(0));
    stage.log.turn(Mood::Waiting(Arc::clone(&permits)));
    let under_way = hello(&stage);
    let stopping = async {
        // The log is asked once the request is under way.
        while stage.log.waiting() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        stage.stop();
        let deadline = Instant::now() + PATIENCE;
        let refused = loop {
            assert!(Instant::now() < deadline, "nobody is told");
            // One that was let in when it stopped, and had not been read, is closed as an idle one is.
            match Call::new("GET", "/").send_once(stage.address).await {
                Some(answer) if answer.status != 200 => break answer,
                Some(_) | None => {}
            }
        };
        assert_eq!((refused.status, refused.code().as_str()), (503, "draining"));
        assert_eq!(refused.header("connection"), Some("close"));
        assert!(!stage.readiness.missing().is_empty(), "ready while it turns away");
        permits.add_permits(1);
    };
    let (answer, ()) = tokio::join!(under_way, stopping);
    assert_eq!(answer.status, 202);
    assert_eq!(stage.log.notifications().len(), 1);
    tokio::time::timeout(PATIENCE, &mut stage.service).await.expect("still running").unwrap().unwrap();
}

#[tokio::test]
async fn while_it_is_announced_requests_are_served_and_their_connections_ended() {
    let mut stage = with_announcement(Duration::from_secs(2)).await;
    stage.stop();
    while stage.readiness.missing().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(hello(&stage).await.status, 202);
    let kept = Call::new("GET", "/").open(stage.address).await;
    let answer = super::client::finish(kept).await;
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
    tokio::time::timeout(PATIENCE, &mut stage.service).await.expect("still running").unwrap().unwrap();
}
