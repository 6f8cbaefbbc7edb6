//! `/v1/dead-letters`.

use serde_json::{Value, json};
use shared::log::Headers;
use shared::position::{Epoch, PartitionId, Position};
use shared::recipient::{RecipientId, TenantId};
use shared::store::{DeadLetters as _, DeadReview as _, DeadRow, DeadState, Requeues as _, Settled};

use postrider_receiver::{Config, DeadLetterSettings};

use super::client::{Answer, Call};
use super::fakes::{START, Stage};

const HERE: PartitionId = PartitionId(7);

fn at(offset: u64) -> Position {
    Position { epoch: Epoch(1), partition: HERE, offset }
}

/// A dead letter of `tenant`, of the recipient `alice` or, at odd offsets, `bob`; the time grows with the offset.
fn row(tenant: Option<&str>, offset: u64, code: &str) -> DeadRow {
    let recipient = ["alice", "bob"][usize::from(offset % 2 == 1)];
    DeadRow {
        position: at(offset),
        tenant: tenant.map(|tenant| TenantId::parse(tenant).unwrap()),
        recipient: tenant.and_then(|_| RecipientId::parse(recipient).ok()),
        key: tenant.map_or("?".into(), |tenant| format!("{tenant}/{recipient}")),
        code: code.into(),
        detail: "in words".into(),
        headers: vec![("ce_id".into(), "n-1".into()), ("x".into(), b"\xff".to_vec().into())],
        payload: r#"{"a": 1}"#.into(),
        time: START.after(std::time::Duration::from_secs(offset)),
        notification: "n-1".parse().ok(),
        cut: false,
        requeueable: code == "refused",
    }
}

async fn bury(stage: &Stage, rows: &[DeadRow]) {
    let from = stage.store.dead_upto(HERE).await.unwrap();
    stage.store.archive_dead(HERE, from, from + 1, rows).await.unwrap();
}

async fn get(stage: &Stage, path: &str) -> Answer {
    Call::new("GET", path).send(stage).await
}

async fn ids(stage: &Stage, query: &str) -> Vec<String> {
    let answer = get(stage, &format!("/v1/dead-letters{query}")).await;
    assert_eq!(answer.status, 200, "{query}: {}", answer.json());
    listed(&answer.json())
}

fn listed(page: &Value) -> Vec<String> {
    let letters = page["dead_letters"].as_array().unwrap();
    letters.iter().map(|letter| letter["id"].as_str().unwrap().to_owned()).collect()
}

async fn state(stage: &Stage, offset: u64) -> DeadState {
    stage.store.get_dead(None, at(offset)).await.unwrap().unwrap().summary.state
}

#[tokio::test]
async fn a_list_is_narrowed_and_goes_page_by_page_from_the_newest() {
    let stage = Stage::start().await;
    let rows = [
        row(Some("acme"), 0, "refused"),
        row(Some("acme"), 1, "malformed"),
        row(Some("acme"), 2, "undecodable"),
        row(Some("globex"), 3, "refused"),
    ];
    bury(&stage, &rows).await;
    assert_eq!(ids(&stage, "").await, ["1-7-2", "1-7-1", "1-7-0"]);
    let since = |offset: u64| rows[usize::try_from(offset).unwrap()].time.to_string();
    for (query, expected) in [
        ("?recipient=bob".to_owned(), vec!["1-7-1"]),
        ("?code=un".into(), vec!["1-7-2"]),
        ("?state=discarded".into(), vec![]),
        (format!("?from={}", since(1)), vec!["1-7-2", "1-7-1"]),
        (format!("?until={}&recipient=alice", since(2)), vec!["1-7-0"]),
    ] {
        assert_eq!(ids(&stage, &query).await, expected, "{query}");
    }
    let first = get(&stage, "/v1/dead-letters?limit=2").await.json();
    let cursor = first["cursor"].as_str().unwrap();
    assert_eq!(listed(&first), ["1-7-2", "1-7-1"]);
    let last = get(&stage, &format!("/v1/dead-letters?limit=2&cursor={cursor}")).await.json();
    assert_eq!((listed(&last), last.get("cursor")), (vec!["1-7-0".to_owned()], None));
    let letter = &first["dead_letters"][1];
    assert_eq!(
        letter["coordinates"],
        json!({"topic": "notifications", "epoch": 1, "partition": 7, "offset": 1})
    );
    assert_eq!((&letter["state"], &letter["size_bytes"]), (&json!("dead"), &json!(8)));
    assert_eq!((&letter["notification"], &letter["recipient"]), (&json!("n-1"), &json!("bob")));
}

#[tokio::test]
async fn one_is_shown_with_all_that_was_kept() {
    let stage = Stage::start().await;
    let mut bytes = row(Some("acme"), 1, "malformed");
    (bytes.payload, bytes.headers) = (b"\xff\x00".to_vec().into(), Headers::new());
    bury(&stage, &[row(Some("acme"), 0, "refused"), bytes]).await;
    let shown = get(&stage, "/v1/dead-letters/1-7-0").await.json();
    let headers = json!([{"name": "ce_id", "value": "n-1"}, {"name": "x", "value_base64": "/w=="}]);
    assert_eq!((&shown["body"], &shown["headers"]), (&json!({"a": 1}), &headers));
    assert_eq!((&shown["key"], &shown["code"]), (&json!("acme/alice"), &json!("refused")));
    assert_eq!((&shown["detail"], &shown["requeueable"]), (&json!("in words"), &json!(true)));
    let shown = get(&stage, "/v1/dead-letters/1-7-1").await.json();
    assert_eq!((&shown["body_base64"], shown.get("body")), (&json!("/wA="), None));
}

#[tokio::test]
async fn a_requeue_is_asked_for_once_and_a_discard_is_audited() {
    let stage = Stage::start().await;
    bury(&stage, &[row(Some("acme"), 0, "refused"), row(Some("acme"), 1, "malformed")]).await;
    let requeue = async |offset| {
        Call::new("POST", &format!("/v1/dead-letters/1-7-{offset}/requeue")).send(&stage).await
    };
    let discard =
        async |offset| Call::new("DELETE", &format!("/v1/dead-letters/1-7-{offset}")).send(&stage).await;
    let asked = requeue(0).await;
    assert_eq!((asked.status, &asked.json()["state"]), (202, &json!("requeue_requested")));
    assert_eq!(asked.json()["changed_by"], json!(stage.key[4..20]));
    assert_eq!(requeue(0).await.json(), asked.json());
    let unfit = requeue(1).await;
    assert_eq!((unfit.status, unfit.code().as_str()), (422, "dead-letter-not-requeueable"));
    let gone = discard(1).await;
    assert_eq!((gone.status, &gone.json()["state"]), (200, &json!("discarded")));
    assert_eq!((&gone.json()["size_bytes"], discard(1).await.json()), (&json!(0), gone.json()));
    let late = requeue(1).await;
    assert_eq!((late.status, late.code().as_str()), (409, "dead-letter-discarded"));
    stage.store.settle(&[(at(0), Settled::Requeued(at(99)))], START).await.unwrap();
    let requeued = requeue(0).await;
    assert_eq!((requeued.status, &requeued.json()["state"]), (202, &json!("requeued")));
    assert_eq!(requeued.json()["requeued_at"]["offset"], json!(99));
    let late = discard(0).await;
    assert_eq!((late.status, late.code().as_str()), (409, "dead-letter-requeued"));
}

#[tokio::test]
async fn many_are_counted_first_and_changed_a_bounded_number_at_a_time() {
    let dead_letters = DeadLetterSettings { changed: 2, ..DeadLetterSettings::default() };
    let stage = Stage::with(Config { dead_letters, ..Config::default() }).await;
    let rows: Vec<_> = (0..6).map(|offset| row(Some("acme"), offset, "refused")).collect();
    bury(&stage, &rows).await;
    let many = async |what: &str, body: Value| {
        let answer = Call::json(&format!("/v1/dead-letters/{what}"), body.to_string()).send(&stage).await;
        assert_eq!(answer.status, 200, "{}", answer.json());
        answer.json()
    };
    let counted = many("requeue", json!({"recipient": "alice", "dry_run": true})).await;
    assert_eq!(counted, json!({"count": 3, "more": false, "dry_run": true}));
    let some = many("requeue", json!({"recipient": "alice"})).await;
    assert_eq!(some, json!({"count": 2, "more": true, "dry_run": false}));
    let rest = many("requeue", json!({"recipient": "alice", "code": "ref"})).await;
    assert_eq!(rest, json!({"count": 1, "more": false, "dry_run": false}));
    // What is asked for is withdrawn only by name.
    let discarded = many("discard", json!({"all": true, "dry_run": true})).await;
    assert_eq!(discarded["count"], 3);
    let withdrawn = many("discard", json!({"state": "requeue_requested"})).await;
    assert_eq!(withdrawn, json!({"count": 2, "more": true, "dry_run": false}));
    assert_eq!((state(&stage, 0).await, state(&stage, 1).await), (DeadState::Discarded, DeadState::Dead));
}

/// Whatever is asked about it, another's dead letter, and one of no tenant, answers as one that never was.
#[tokio::test]
async fn nothing_of_another_tenant_is_there_on_any_route() {
    let stage = Stage::start().await;
    let foreign =
        [row(Some("globex"), 0, "refused"), row(Some("globex"), 1, "malformed"), row(None, 2, "refused")];
    bury(&stage, &foreign).await;
    for (method, tail) in [("GET", ""), ("POST", "/requeue"), ("DELETE", "")] {
        for (id, is_there) in [
            ("1-7-0", true),
            ("1-7-1", true),
            ("1-7-2", true),
            ("1-7-3", false),
            ("1-7-18446744073709551615", false),
            ("1-7", false),
            ("%ff", false),
        ] {
            let answer = Call::new(method, &format!("/v1/dead-letters/{id}{tail}")).send(&stage).await;
            let code = answer.code();
            assert_eq!(
                (answer.status, code.as_str()),
                (404, "dead-letter-not-found"),
                "{method} {id} {is_there}"
            );
            assert_eq!(answer.json().get("detail"), None);
        }
    }
    assert_eq!(ids(&stage, "").await, [] as [String; 0]);
    assert_eq!(ids(&stage, "?recipient=alice&state=dead").await, [] as [String; 0]);
    for path in ["/v1/dead-letters/requeue", "/v1/dead-letters/discard"] {
        for body in
            [json!({"all": true, "dry_run": true}), json!({"all": true}), json!({"recipient": "alice"})]
        {
            let answer = Call::json(path, body.to_string()).send(&stage).await;
            assert_eq!((answer.status, &answer.json()["count"]), (200, &json!(0)), "{path} {body}");
        }
    }
    for offset in 0..3 {
        assert_eq!(state(&stage, offset).await, DeadState::Dead);
    }
    for (method, path) in [("GET", ""), ("GET", "/1-7-0"), ("DELETE", "/1-7-0"), ("POST", "/1-7-0/requeue")] {
        let nobodys = Call::new(method, &format!("/v1/dead-letters{path}")).send_bare(stage.address).await;
        assert_eq!(nobodys.status, 401);
    }
}

#[tokio::test]
async fn what_is_asked_wrongly_is_refused_at_its_place() {
    let stage = Stage::start().await;
    for query in [
        "?colour=red",
        "?limit=0",
        "?limit=501",
        "?limit=1&limit=2",
        "?cursor=x",
        "?code=A",
        "?recipient=a/b",
        "?from=yesterday",
        "?state=undead",
    ] {
        let answer = get(&stage, &format!("/v1/dead-letters{query}")).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "query-invalid"), "{query}");
    }
    for (body, status, code, pointer) in [
        (json!({}), 400, "filter-missing", None),
        (json!({"dry_run": true}), 400, "filter-missing", None),
        (json!({"code": "%"}), 422, "filter-invalid", Some("/code")),
        (json!({"until": "x"}), 422, "filter-invalid", Some("/until")),
        (json!({"state": "dead"}), 400, "field-unknown", Some("/state")),
        (json!({"all": 1}), 400, "field-type", Some("/all")),
        (json!([]), 400, "field-type", None),
    ] {
        let answer = Call::json("/v1/dead-letters/requeue", body.to_string()).send(&stage).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{body}");
        if let Some(pointer) = pointer {
            assert_eq!(answer.json()["pointer"], pointer, "{body}");
        }
    }
    let untyped = Call::new("POST", "/v1/dead-letters/discard").body("{}").send(&stage).await;
    assert_eq!(untyped.status, 415);
}

#[tokio::test]
async fn a_store_that_is_away_is_503_with_a_time_to_come_back() {
    let stage = Stage::start().await;
    stage.store.close().await;
    for call in [
        Call::new("GET", "/v1/dead-letters"),
        Call::new("GET", "/v1/dead-letters/1-7-0"),
        Call::new("DELETE", "/v1/dead-letters/1-7-0"),
        Call::new("POST", "/v1/dead-letters/1-7-0/requeue"),
        Call::json("/v1/dead-letters/requeue", r#"{"all":true}"#),
        Call::json("/v1/dead-letters/discard", r#"{"all":true,"dry_run":true}"#),
    ] {
        let answer = call.send(&stage).await;
        assert_eq!((answer.status, answer.code().as_str()), (503, "store-unavailable"));
        assert!(answer.header("retry-after").is_some());
    }
}
