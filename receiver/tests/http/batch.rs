//! `POST /v1/notifications/batch`.

use serde_json::{Value, json};

use super::client::{Answer, Call};
use super::fakes::{Mood, Stage};

const PATH: &str = "/v1/notifications/batch";

fn item(recipient: &str) -> Value {
    json!({"to": {"recipient": recipient}, "type": "t", "content": recipient})
}

fn statuses(answer: &Answer) -> Vec<u64> {
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    let told = answer.json();
    let results = told["results"].as_array().unwrap();
    assert!(results.iter().enumerate().all(|(index, result)| result["index"] == index));
    results.iter().map(|result| result["status"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn a_bad_item_of_an_array_costs_only_itself() {
    let stage = Stage::start().await;
    let batch = json!([item("a"), item("b c"), 7, item("d"), {"to": {}}]);
    let answer = Call::json(PATH, batch.to_string()).send(&stage).await;
    assert_eq!(statuses(&answer), [202, 422, 400, 202, 400]);
    let told = answer.json();
    assert_eq!((&told["accepted"], &told["failed"]), (&json!(2), &json!(3)));
    assert_eq!(told["results"][1]["problem"]["code"], "recipient-invalid");
    assert_eq!(told["results"][1]["problem"]["pointer"], "/to/recipient");
    let kept = stage.log.notifications();
    assert_eq!(told["results"][3]["id"], kept[1].id.as_str());
    assert_eq!(kept.iter().map(|kept| kept.recipient.id.to_string()).collect::<Vec<_>>(), ["a", "d"]);
}

#[tokio::test]
async fn a_line_that_is_not_json_costs_only_itself() {
    let stage = Stage::start().await;
    let mut body = format!("{}\r\n\n{{oops\n", item("a")).into_bytes();
    body.extend_from_slice(b"\xff\xfe\n");
    body.extend_from_slice(item("b").to_string().as_bytes());
    let call = Call::new("POST", PATH).header("content-type", "application/x-ndjson").body(body);
    let answer = call.send(&stage).await;
    assert_eq!(statuses(&answer), [202, 400, 400, 202]);
    assert_eq!(answer.json()["results"][1]["problem"]["code"], "json-malformed");
    assert_eq!(stage.log.notifications().len(), 2);
}

#[tokio::test]
async fn an_item_may_have_several_recipients() {
    let stage = Stage::start().await;
    let batch = json!([{"to": {"recipients": ["a", "b"]}, "type": "t", "content": 1}, item("c")]);
    let answer = Call::json(PATH, batch.to_string()).send(&stage).await;
    assert_eq!(statuses(&answer), [202, 202]);
    let told = answer.json();
    assert_eq!(told["results"][0]["notifications"].as_array().unwrap().len(), 2);
    assert_eq!(told["results"][1]["id"], stage.log.notifications()[2].id.as_str());
}

#[tokio::test]
async fn an_item_that_the_log_did_not_take_is_named() {
    let stage = Stage::start().await;
    stage.log.turn(Mood::Without("b"));
    let answer = Call::json(PATH, json!([item("a"), item("b"), item("c")]).to_string()).send(&stage).await;
    assert_eq!(statuses(&answer), [202, 503, 202]);
    assert_eq!(answer.json()["results"][1]["problem"]["retryable"], true);
}

#[tokio::test]
async fn a_batch_of_which_the_log_took_nothing_is_refused_as_a_whole() {
    let stage = Stage::start().await;
    stage.log.turn(Mood::Away);
    let answer = Call::json(PATH, json!([item("a"), {}, item("b")]).to_string()).send(&stage).await;
    assert_eq!((answer.status, answer.code().as_str()), (503, "log-unavailable"));
}

#[tokio::test]
async fn a_thousand_items_are_taken_and_one_more_is_not() {
    let stage = Stage::start().await;
    let batch = |count: usize| Value::from((0..count).map(|n| item(&n.to_string())).collect::<Vec<_>>());
    let answer = Call::json(PATH, batch(1000).to_string()).send(&stage).await;
    assert!(statuses(&answer).iter().all(|status| *status == 202));
    assert_eq!(stage.log.notifications().len(), 1000);
    assert_eq!(Call::json(PATH, batch(1001).to_string()).send(&stage).await.code(), "batch-too-many");
    let lines = format!("{}\n", item("a")).repeat(1001);
    let call = Call::new("POST", PATH).header("content-type", "application/x-ndjson").body(lines);
    assert_eq!(call.send(&stage).await.code(), "batch-too-many");
    assert_eq!(stage.log.notifications().len(), 1000);
}
