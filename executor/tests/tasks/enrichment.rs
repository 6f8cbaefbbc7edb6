//! Enriching before delivery: what is delivered, and what becomes of a notification that cannot be enriched.

use std::collections::HashSet;
use std::time::Duration;

use shared::notification::Notification;
use shared::task::{Enrichment, OnTimeout};

use crate::shelf::Mood;
use crate::stage::{Stage, eventually};
use crate::{ALICE, BOB, guests};

const GROUP: &str = "executor.enrichment";

#[tokio::test(flavor = "multi_thread")]
async fn what_the_module_made_is_delivered_under_the_notifications_own_id() {
    let stage = Stage::open().await;
    stage.shelf.put("two", &guests::two(), "{}");
    let executor = stage.start();
    stage.enrich(ALICE, "n-1", "two", OnTimeout::DeliverPlain).await;
    eventually("both appended", async || stage.published().await.len() == 2).await;
    eventually("committed", async || stage.is_committed(GROUP).await).await;
    executor.stop().await;
    let published = stage.published().await;
    assert_eq!((published[0].id.as_str(), published[0].kind.as_str()), ("n-1", "rich"));
    assert_eq!((published[0].content.as_ref(), published[0].source.as_str()), (&b"one"[..], "/tests"));
    assert_eq!((published[1].kind.as_str(), published[1].content.as_ref()), ("extra", &b"two"[..]));
    assert!(published[1].id.as_str().starts_with("t-"), "{}", published[1].id);
}

#[tokio::test(flavor = "multi_thread")]
async fn enriched_notifications_keep_the_order_of_their_recipient_and_what_is_filtered_is_not_delivered() {
    let stage = Stage::open().await;
    stage.shelf.put("echo", &guests::echo(), "{}");
    stage.shelf.put("nothing", &guests::filters(), "{}");
    let executor = stage.start();
    for number in 0..30 {
        let module = if number % 3 == 2 { "nothing" } else { "echo" };
        stage.enrich(ALICE, &format!("n-{number}"), module, OnTimeout::DeadLetter).await;
    }
    eventually("committed", async || stage.is_committed(GROUP).await).await;
    executor.stop().await;
    let expected: Vec<String> =
        (0..30).filter(|number| number % 3 != 2).map(|number| format!("content of n-{number}")).collect();
    assert_eq!(stage.published_to(ALICE).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_module_that_hangs_costs_no_more_than_the_deadline_and_each_policy_does_what_it_says() {
    let stage = Stage::open().await;
    stage.shelf.put("hangs", &guests::hangs(), "{}");
    stage.shelf.put("echo", &guests::echo(), "{}");
    let executor = stage.start();
    let deadline = Duration::from_millis(300);
    for (recipient, id, policy) in [
        ("acme/plain", "n-1", OnTimeout::DeliverPlain),
        ("acme/dead", "n-2", OnTimeout::DeadLetter),
        ("acme/retry", "n-3", OnTimeout::Retry),
    ] {
        stage.enrich_that(recipient, id, ("hangs", deadline, policy), |_notification| {}).await;
    }
    stage.enrich(BOB, "n-4", "echo", OnTimeout::DeadLetter).await;
    eventually("committed", async || stage.is_committed(GROUP).await).await;
    executor.stop().await;
    assert_eq!(stage.published_to("acme/plain").await, ["content of n-1"]);
    assert_eq!(stage.published_to(BOB).await, ["content of n-4"]);
    assert_eq!(stage.dead().await, [("n-2".into(), "timeout".into()), ("n-3".into(), "attempts".into())]);
    assert_eq!(stage.published().await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_module_that_fails_is_treated_by_the_same_policies_at_once() {
    let stage = Stage::open().await;
    stage.shelf.put("trap", &guests::traps(), "{}");
    stage.shelf.put("reject", &guests::exits(1), "{}");
    stage.shelf.put("second", &guests::from_attempt(2), "{}");
    let executor = stage.start();
    let hour = Duration::from_secs(60);
    let cases = [
        ("n-1", "trap", OnTimeout::DeliverPlain),
        ("n-2", "trap", OnTimeout::DeadLetter),
        ("n-3", "trap", OnTimeout::Retry),
        ("n-4", "reject", OnTimeout::Retry),
        ("n-5", "missing", OnTimeout::DeliverPlain),
        ("n-6", "second", OnTimeout::DeadLetter),
    ];
    for (id, module, policy) in cases {
        stage.enrich_that(ALICE, id, (module, hour, policy), |_notification| {}).await;
    }
    eventually("committed", async || stage.is_committed(GROUP).await).await;
    executor.stop().await;
    assert_eq!(stage.published_to(ALICE).await, ["content of n-1", "content of n-5", "done"]);
    let dead = [("n-2", "trap"), ("n-3", "attempts"), ("n-4", "rejected")];
    assert_eq!(stage.dead().await, dead.map(|(id, code)| (id.to_owned(), code.to_owned())));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_executor_that_comes_late_begins_nothing_and_what_expired_is_told_by_the_director() {
    let stage = Stage::open().await;
    stage.shelf.put("two", &guests::two(), "{}");
    let deadline = Duration::from_millis(50);
    stage.enrich_that(ALICE, "n-1", ("two", deadline, OnTimeout::DeliverPlain), |_notification| {}).await;
    stage.enrich_that(ALICE, "n-2", ("two", deadline, OnTimeout::DeadLetter), |_notification| {}).await;
    for policy in OnTimeout::ALL {
        let id = format!("expired-{}", policy.as_str());
        stage.enrich_that(BOB, &id, ("two", deadline, policy), |one| one.expires = one.time).await;
    }
    tokio::time::sleep(2 * deadline).await;
    let executor = stage.start();
    eventually("committed", async || stage.is_committed(GROUP).await).await;
    executor.stop().await;
    assert_eq!(stage.published_to(ALICE).await, ["content of n-1"]);
    assert_eq!(stage.dead().await, [("n-2".into(), "timeout".into())]);
    let expired: HashSet<String> = stage.published_to(BOB).await.into_iter().collect();
    assert_eq!(expired.len(), OnTimeout::ALL.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_requeued_has_its_time_anew() {
    let stage = Stage::open().await;
    stage.shelf.put("echo", &guests::echo(), "{}");
    let executor = stage.start();
    let asks = ("echo", Enrichment::MAX_DEADLINE, OnTimeout::DeadLetter);
    let an_hour_ago = |one: &mut Notification| one.time = one.time.before(Duration::from_secs(3600));
    stage.enrich_that(ALICE, "n-1", asks, an_hour_ago).await;
    eventually("committed", async || stage.is_committed(GROUP).await).await;
    executor.stop().await;
    assert_eq!(stage.kinds_to(ALICE).await, ["answer"]);
    assert!(stage.dead().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_store_is_away_a_module_that_was_seen_goes_on_enriching() {
    for mood in [Mood::Away, Mood::Hangs] {
        let stage = Stage::open().await;
        stage.shelf.put("echo", &guests::echo(), "{}");
        stage.shelf.put("two", &guests::two(), "{}");
        let executor = stage.start();
        stage.enrich(ALICE, "n-1", "echo", OnTimeout::DeadLetter).await;
        eventually("seen", async || stage.is_committed(GROUP).await).await;
        stage.shelf.is(mood);
        tokio::time::sleep(stage.config.catalogue.refresh_ms).await;
        stage.enrich(ALICE, "n-2", "echo", OnTimeout::DeadLetter).await;
        // Never seen: it is held back no longer than it may be.
        let short = ("two", Duration::from_millis(1500), OnTimeout::DeliverPlain);
        stage.enrich_that(ALICE, "n-3", short, |_notification| {}).await;
        eventually("delivered", async || stage.is_committed(GROUP).await).await;
        executor.stop().await;
        let expected = ["content of n-1", "content of n-2", "content of n-3"];
        assert_eq!(stage.published_to(ALICE).await, expected, "{mood:?}");
        assert!(stage.dead().await.is_empty(), "{mood:?}");
    }
}
