//! `POST /v1/notifications`.

use std::time::Duration;

use serde_json::json;
use shared::notification::{DEFAULT_TTL, Urgency};

use super::client::Call;
use super::fakes::{Mood, START, Stage};

#[tokio::test]
async fn what_is_answered_202_stands_on_the_log_as_it_was_sent() {
    let stage = Stage::start().await;
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let body = r#"{"to":{"recipient":"alice"},"type":"order.shipped","content": {"n" : 1.0, "s":"\u00fc"} ,
                   "ttl":60,"urgency":"high","metadata":{"k": "v"}}"#;
    let call = Call::json("/v1/notifications", body)
        .header("traceparent", parent)
        .header("tracestate", "bad\tstate");
    let answer = call.send(&stage).await;
    assert_eq!(answer.status, 202);
    let [notification] = &stage.log.notifications()[..] else { panic!("not one") };
    assert_eq!(answer.json(), json!({"id": notification.id.as_str()}));
    assert_eq!(&notification.content[..], br#"{"n" : 1.0, "s":"\u00fc"}"#);
    assert_eq!(notification.recipient.key(), "acme/alice");
    assert_eq!((notification.kind.as_str(), notification.source.as_str()), ("order.shipped", "/v1/acme"));
    assert_eq!((notification.time, notification.expires), (START, START.after(Duration::from_secs(60))));
    assert_eq!(
        (notification.urgency, notification.content_type.as_str()),
        (Urgency::High, "application/json")
    );
    assert_eq!(notification.metadata.as_deref(), Some(r#"{"k": "v"}"#));
    assert_eq!((notification.trace.parent.as_deref(), &notification.trace.state), (Some(parent), &None));
}

#[tokio::test]
async fn an_id_is_a_uuid_of_version_7_and_its_time() {
    let stage = Stage::start().await;
    let body = r#"{"to":{"recipient":"alice"},"type":"t","content":null}"#;
    let answer = Call::json("/v1/notifications", body).send(&stage).await;
    let id: uuid::Uuid = answer.json()["id"].as_str().unwrap().parse().unwrap();
    assert_eq!(id.get_version_num(), 7);
    let (seconds, nanos) = id.get_timestamp().unwrap().to_unix();
    assert_eq!(seconds * 1000 + u64::from(nanos) / 1_000_000, START.as_millis());
    assert_eq!(stage.log.notifications()[0].expires, START.after(DEFAULT_TTL));
}

#[tokio::test]
async fn several_recipients_get_one_record_each() {
    let stage = Stage::start().await;
    let body =
        r#"{"to":{"recipients":["alice","bob"]},"type":"t","content":"x","content_type":"text/plain"}"#;
    let answer = Call::json("/v1/notifications", body).send(&stage).await;
    let told = answer.json();
    let id = told["id"].as_str().unwrap();
    assert_eq!(answer.status, 202);
    assert_eq!(
        told["notifications"],
        json!([{"recipient":"alice","id":format!("{id}.0")},{"recipient":"bob","id":format!("{id}.1")}])
    );
    let kept = stage.log.notifications();
    assert_eq!(kept.len(), 2);
    assert!(kept.iter().all(|notification| &notification.content[..] == b"x"));
    assert_eq!(kept[1].id.as_str(), format!("{id}.1"));
}

#[tokio::test]
async fn recipients_that_the_log_did_not_take_are_named() {
    let stage = Stage::start().await;
    stage.log.turn(Mood::Without("bob"));
    let body = r#"{"to":{"recipients":["alice","bob","carol"]},"type":"t","content":1}"#;
    let answer = Call::json("/v1/notifications", body).send(&stage).await;
    assert_eq!((answer.status, answer.code().as_str()), (503, "partly-accepted"));
    let told = answer.json();
    assert_eq!(told["failed"], json!([{"index":1,"recipient":"bob","code":"log-unavailable"}]));
    let accepted: Vec<_> = told["accepted"].as_array().unwrap().iter().map(|one| &one["recipient"]).collect();
    assert_eq!(accepted, ["alice", "carol"]);
    assert_eq!(stage.log.notifications().len(), 2);
}

#[tokio::test]
async fn binary_content_comes_in_base64() {
    let stage = Stage::start().await;
    let body = r#"{"to":{"recipient":"a"},"type":"t","content_base64":"AP8=","content_type":"image/png"}"#;
    assert_eq!(Call::json("/v1/notifications", body).send(&stage).await.status, 202);
    assert_eq!(&stage.log.notifications()[0].content[..], [0, 255]);
}

#[tokio::test]
async fn no_header_of_a_producer_reaches_the_record() {
    let stage = Stage::start().await;
    let body = r#"{"to":{"recipient":"a"},"type":"t","content":1}"#;
    let call = Call::json("/v1/notifications", body).header("ce_tenant", "other").header("pr_dead", "x");
    assert_eq!(call.send(&stage).await.status, 202);
    assert_eq!(stage.log.notifications()[0].recipient.tenant.as_str(), "acme");
}
