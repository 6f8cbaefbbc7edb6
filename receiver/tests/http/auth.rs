//! Who may produce.

use std::time::{Duration, Instant};

use postrider_receiver::{Config, KeySettings};
use shared::store::ApiKeys as _;

use super::client::{Answer, Call};
use super::fakes::{START, Stage};

const FRESH: Duration = Duration::from_secs(31);

fn hello() -> Call {
    Call::new("POST", "/v1/to/alice").header("content-type", "text/plain").body("hi")
}

async fn with_key(stage: &Stage, key: &str) -> Answer {
    hello().header("x-api-key", key).send_bare(stage.address).await
}

#[tokio::test]
async fn every_kind_of_bad_credential_gets_the_same_answer() {
    let stage = Stage::start().await;
    let expired = stage.new_key("acme", Some(START)).await.1;
    let (revoked_id, revoked) = stage.new_key("acme", None).await;
    assert!(stage.keys.revoke_key(&revoked_id, START).await.unwrap());
    let other = stage.new_key("acme", None).await.1;
    let forged = format!("{}{}", &stage.key[..21], &other[21..]);
    let unknown = stage.key.replace(|digit: char| digit.is_ascii_digit(), "0");
    let bearer = format!("Bearer {}", stage.key);
    let calls = [
        hello(),
        hello().header("authorization", "Bearer"),
        hello().header("authorization", "Bearer \u{fc}"),
        hello().header("authorization", &format!("Basic {}", stage.key)),
        hello().header("authorization", &format!("Bearer {}", &stage.key[..stage.key.len() - 1])),
        hello().header("x-api-key", &unknown),
        hello().header("x-api-key", &forged),
        hello().header("x-api-key", &expired),
        hello().header("x-api-key", &revoked),
        hello().header("x-api-key", ""),
        hello().header("authorization", &bearer).header("x-api-key", &stage.key),
        hello().header("authorization", &bearer).header("authorization", &bearer),
    ];
    let mut answers = Vec::new();
    for call in calls {
        let answer = call.send_bare(stage.address).await;
        assert_eq!((answer.status, answer.code().as_str()), (401, "unauthorized"));
        assert!(answer.header("www-authenticate").is_some());
        answers.push(answer.body);
    }
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]));
    assert!(stage.log.notifications().is_empty());
}

#[tokio::test]
async fn a_key_admits_to_its_own_tenant() {
    let stage = Stage::start().await;
    let (_, other) = stage.new_key("globex", None).await;
    assert_eq!(with_key(&stage, &other).await.status, 202);
    assert_eq!(stage.log.notifications()[0].recipient.key(), "globex/alice");
}

#[tokio::test]
async fn a_revoked_key_is_refused_once_it_is_no_longer_fresh() {
    let stage = Stage::start().await;
    let (id, key) = stage.new_key("acme", None).await;
    assert_eq!(with_key(&stage, &key).await.status, 202);
    assert!(stage.keys.revoke_key(&id, START).await.unwrap());
    stage.clock.advance(FRESH);
    assert_eq!(with_key(&stage, &key).await.status, 401);
}

#[tokio::test]
async fn a_key_expires_while_it_is_cached() {
    let stage = Stage::start().await;
    let (_, key) = stage.new_key("acme", Some(START.after(Duration::from_secs(5)))).await;
    assert_eq!(with_key(&stage, &key).await.status, 202);
    stage.clock.advance(Duration::from_secs(5));
    assert_eq!(with_key(&stage, &key).await.status, 401);
}

#[tokio::test]
async fn an_unknown_key_while_the_store_is_away_is_503_and_not_401() {
    let stage = Stage::start().await;
    stage.keys.leave();
    let answer = with_key(&stage, &stage.key).await;
    assert_eq!((answer.status, answer.code().as_str()), (503, "credentials-unavailable"));
    stage.keys.come_back();
    assert_eq!(with_key(&stage, &stage.key).await.status, 202);
}

#[tokio::test]
async fn a_cached_key_survives_an_outage_of_the_store_of_ten_minutes_but_not_any() {
    let stage = Stage::start().await;
    assert_eq!(with_key(&stage, &stage.key).await.status, 202);
    stage.keys.leave();
    for _minute in 0..10 {
        stage.clock.advance(Duration::from_secs(60));
        assert_eq!(with_key(&stage, &stage.key).await.status, 202);
    }
    stage.clock.advance(Duration::from_secs(3600));
    assert_eq!(with_key(&stage, &stage.key).await.code(), "credentials-unavailable");
}

#[tokio::test]
async fn nobody_whose_key_is_cached_waits_for_a_store_that_is_away() {
    // Longer than the test waits for an answer: one that waited for the store would fail it.
    let keys = KeySettings { lookup_ms: Duration::from_secs(3600), ..KeySettings::default() };
    let stage = Stage::with(Config { keys, deadline_ms: Duration::from_secs(3), ..Config::default() }).await;
    let (id, key) = stage.new_key("acme", None).await;
    assert_eq!(with_key(&stage, &key).await.status, 202);
    stage.keys.leave();
    stage.clock.advance(FRESH);
    assert_eq!(with_key(&stage, &key).await.status, 202);
    stage.keys.come_back();
    stage.keys.fall_silent();
    for _second in 0..9 {
        stage.clock.advance(Duration::from_secs(1));
        assert_eq!(with_key(&stage, &key).await.status, 202);
    }
    // It was asked about beside the requests and has not answered; what it says is heeded all the same.
    stage.keys.come_back();
    assert!(stage.keys.revoke_key(&id, START).await.unwrap());
    stage.clock.advance(FRESH);
    assert_eq!(with_key(&stage, &key).await.status, 401);
}

#[tokio::test]
async fn a_store_that_is_back_is_noticed_beside_the_requests() {
    let stage = Stage::start().await;
    let (id, key) = stage.new_key("acme", None).await;
    assert_eq!(with_key(&stage, &key).await.status, 202);
    stage.keys.leave();
    stage.clock.advance(FRESH);
    assert_eq!(with_key(&stage, &key).await.status, 202);
    stage.keys.come_back();
    assert!(stage.keys.revoke_key(&id, START).await.unwrap());
    stage.clock.advance(Duration::from_secs(6));
    assert_eq!(with_key(&stage, &key).await.status, 202, "it is asked beside this one");
    let deadline = Instant::now() + Duration::from_secs(30);
    while with_key(&stage, &key).await.status != 401 {
        assert!(Instant::now() < deadline, "a revoked key is good for ever");
    }
}

#[tokio::test]
async fn a_key_made_just_after_it_was_unknown_is_soon_good() {
    let stage = Stage::start().await;
    let (key, secret) = {
        let tenant = shared::recipient::TenantId::parse("acme").unwrap();
        shared::credential::ApiSecret::generate(tenant, "late".into(), START, None)
    };
    let text = secret.text();
    assert_eq!(with_key(&stage, text.expose()).await.status, 401);
    stage.keys.create_key(&key).await.unwrap();
    stage.clock.advance(Duration::from_secs(3));
    assert_eq!(with_key(&stage, text.expose()).await.status, 202);
}
