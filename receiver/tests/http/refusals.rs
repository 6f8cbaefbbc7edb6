//! The validation table: bad input over the three operations, each with its code and place, and nothing enqueued.

use serde_json::{Value, json};

use super::client::Call;
use super::fakes::Stage;

/// What is wrong, the request, the status, the code, and the place in the body.
type Row = (&'static str, Call, u16, &'static str, Option<&'static str>);

const ONE: &str = "/v1/notifications";
const BATCH: &str = "/v1/notifications/batch";

/// A sound notification with one field changed; `null` takes it out.
fn with(name: &str, value: Value) -> Call {
    let mut item = json!({"to": {"recipient": "alice"}, "type": "t", "content": {"a": 1}});
    if value.is_null() {
        item.as_object_mut().unwrap().remove(name);
    } else {
        item[name] = value;
    }
    Call::json(ONE, item.to_string())
}

fn typed(content: Value, content_type: &str) -> Call {
    let item =
        json!({"to": {"recipient": "a"}, "type": "t", "content": content, "content_type": content_type});
    Call::json(ONE, item.to_string())
}

fn base64(text: &str, content_type: &str) -> Call {
    let item =
        json!({"to": {"recipient": "a"}, "type": "t", "content_base64": text, "content_type": content_type});
    Call::json(ONE, item.to_string())
}

fn to(path: &str) -> Call {
    Call::new("POST", path).header("content-type", "text/plain").body("hi")
}

fn shapes() -> Vec<Row> {
    let sound = r#""to":{"recipient":"a"},"type":"t","content":1"#;
    let deep = format!("{{{sound},\"metadata\":{}1{}}}", "[".repeat(100), "]".repeat(100));
    let deeper = format!("{{{sound},\"metadata\":{}", "[".repeat(100_000));
    vec![
        ("empty body", Call::json(ONE, ""), 400, "json-malformed", Some("")),
        ("not JSON", Call::json(ONE, "{oops"), 400, "json-malformed", Some("")),
        ("two values", Call::json(ONE, "{} {}"), 400, "json-malformed", Some("")),
        ("not UTF-8", Call::json(ONE, b"{\"\xff\":1}".to_vec()), 400, "json-malformed", None),
        ("an array", Call::json(ONE, "[]"), 400, "field-type", Some("")),
        ("a number", Call::json(ONE, "7"), 400, "field-type", Some("")),
        ("too deep", Call::json(ONE, deep), 400, "json-too-deep", None),
        ("deep enough for a stack", Call::json(ONE, deeper), 400, "json-too-deep", None),
        ("unknown field", with("colour", json!("red")), 400, "field-unknown", Some("/colour")),
        (
            "a field twice",
            Call::json(ONE, format!("{{{sound},\"type\":\"u\"}}")),
            400,
            "field-repeated",
            Some("/type"),
        ),
        ("no to", with("to", Value::Null), 400, "field-missing", Some("/to")),
        ("no type", with("type", Value::Null), 400, "field-missing", Some("/type")),
        ("no content", with("content", Value::Null), 400, "field-missing", Some("/content")),
        (
            "both contents",
            with("content_base64", json!("AA==")),
            400,
            "field-conflict",
            Some("/content_base64"),
        ),
        ("to a text", with("to", json!("alice")), 400, "field-type", Some("/to")),
        ("to nobody", with("to", json!({})), 400, "field-missing", Some("/to/recipient")),
        (
            "to one and several",
            with("to", json!({"recipient": "a", "recipients": ["b"]})),
            400,
            "field-conflict",
            Some("/to"),
        ),
        ("to with more", with("to", json!({"recipient": "a", "x": 1})), 400, "field-unknown", Some("/to/x")),
        ("to a topic", with("to", json!({"topic": "news"})), 422, "not-supported", Some("/to/topic")),
        ("collapse_key", with("collapse_key", json!("k")), 422, "not-supported", Some("/collapse_key")),
        (
            "deliver_at",
            with("deliver_at", json!("2026-11-21T00:00:00Z")),
            422,
            "not-supported",
            Some("/deliver_at"),
        ),
        ("task", with("task", json!("resize")), 400, "field-type", Some("/task")),
        ("type a number", with("type", json!(7)), 400, "field-type", Some("/type")),
        ("ttl a text", with("ttl", json!("60")), 400, "field-type", Some("/ttl")),
        ("urgency a number", with("urgency", json!(1)), 400, "field-type", Some("/urgency")),
        (
            "recipients a text",
            with("to", json!({"recipients": "a"})),
            400,
            "field-type",
            Some("/to/recipients"),
        ),
        (
            "a recipient a number",
            with("to", json!({"recipients": ["a", 1]})),
            400,
            "field-type",
            Some("/to/recipients/1"),
        ),
    ]
}

fn values() -> Vec<Row> {
    let many: Vec<String> = (0..1001).map(|n| format!("r{n}")).collect();
    let long = "r".repeat(129);
    vec![
        ("no name", with("to", json!({"recipient": ""})), 422, "recipient-invalid", Some("/to/recipient")),
        ("a slash", with("to", json!({"recipient": "a/b"})), 422, "recipient-invalid", Some("/to/recipient")),
        (
            "a letter beyond",
            with("to", json!({"recipient": "ü"})),
            422,
            "recipient-invalid",
            Some("/to/recipient"),
        ),
        (
            "a long name",
            with("to", json!({"recipient": long})),
            422,
            "recipient-invalid",
            Some("/to/recipient"),
        ),
        (
            "one bad of two",
            with("to", json!({"recipients": ["a", "b c"]})),
            422,
            "recipient-invalid",
            Some("/to/recipients/1"),
        ),
        (
            "one twice",
            with("to", json!({"recipients": ["a", "b", "a"]})),
            422,
            "recipient-repeated",
            Some("/to/recipients/2"),
        ),
        ("none", with("to", json!({"recipients": []})), 400, "field-missing", Some("/to/recipients")),
        (
            "too many",
            with("to", json!({"recipients": many})),
            422,
            "recipients-too-many",
            Some("/to/recipients"),
        ),
        ("type empty", with("type", json!("")), 422, "type-invalid", Some("/type")),
        ("type with a space", with("type", json!("a b")), 422, "type-invalid", Some("/type")),
        ("type too long", with("type", json!("t".repeat(129))), 422, "type-invalid", Some("/type")),
        ("ttl negative", with("ttl", json!(-1)), 422, "ttl-invalid", Some("/ttl")),
        ("ttl broken", with("ttl", json!(1.5)), 422, "ttl-invalid", Some("/ttl")),
        ("ttl beyond 28 days", with("ttl", json!(2_419_201)), 422, "ttl-invalid", Some("/ttl")),
        ("ttl huge", with("ttl", json!(u64::MAX)), 422, "ttl-invalid", Some("/ttl")),
        ("urgency unknown", with("urgency", json!("urgent")), 422, "urgency-invalid", Some("/urgency")),
        ("metadata a list", with("metadata", json!([])), 422, "metadata-invalid", Some("/metadata")),
        (
            "metadata large",
            with("metadata", json!({"k": "v".repeat(5000)})),
            422,
            "metadata-too-large",
            Some("/metadata"),
        ),
    ]
}

fn contents() -> Vec<Row> {
    vec![
        (
            "content type no media type",
            typed(json!("x"), "text"),
            422,
            "content-type-invalid",
            Some("/content_type"),
        ),
        (
            "content type with a break",
            typed(json!("x"), "text/plain\r\nx: y"),
            422,
            "content-type-invalid",
            Some("/content_type"),
        ),
        ("an object as text", typed(json!({}), "text/plain"), 422, "content-mismatch", Some("/content")),
        ("a text as image", typed(json!("x"), "image/png"), 422, "content-mismatch", Some("/content")),
        ("no text", typed(json!(""), "text/plain"), 400, "content-empty", Some("/content")),
        (
            "content too large",
            typed(json!("x".repeat(256 * 1024)), "application/json"),
            413,
            "content-too-large",
            Some("/content"),
        ),
        ("not base64", base64("%%%", "image/png"), 422, "content-base64-invalid", Some("/content_base64")),
        ("empty base64", base64("", "image/png"), 400, "content-empty", Some("/content_base64")),
        (
            "base64 not JSON",
            base64("AP8=", "application/json"),
            422,
            "content-mismatch",
            Some("/content_base64"),
        ),
        ("base64 not text", base64("/w==", "text/plain"), 422, "content-mismatch", Some("/content_base64")),
    ]
}

fn requests() -> Vec<Row> {
    let sound = || with("ttl", json!(1));
    vec![
        ("idempotency", sound().header("idempotency-key", "k"), 400, "idempotency-not-supported", None),
        ("topic header", to("/v1/to/a").header("topic", "k"), 422, "not-supported", None),
        ("compressed", sound().header("content-encoding", "gzip"), 415, "content-coding-unsupported", None),
        (
            "a form",
            Call::new("POST", ONE).header("content-type", "text/plain").body("{}"),
            415,
            "media-type-unsupported",
            None,
        ),
        ("no type", Call::new("POST", ONE).body("{}"), 415, "media-type-unsupported", None),
        ("a type twice", sound().header("content-type", "text/plain"), 400, "header-invalid", None),
        ("no such path", Call::json("/v1/notification", "{}"), 404, "not-found", None),
        ("a name with a slash", to("/v1/to/a/b"), 404, "not-found", None),
        ("no such method", Call::new("PUT", ONE), 405, "method-not-allowed", None),
        ("batch empty", Call::json(BATCH, "[]"), 400, "batch-empty", None),
        ("batch an object", Call::json(BATCH, "{}"), 400, "field-type", None),
        ("batch broken", Call::json(BATCH, "[{},"), 400, "json-malformed", None),
        (
            "batch a form",
            Call::new("POST", BATCH).header("content-type", "text/csv").body("x"),
            415,
            "media-type-unsupported",
            None,
        ),
        (
            "no line",
            Call::new("POST", BATCH).header("content-type", "application/x-ndjson").body("\n\n"),
            400,
            "batch-empty",
            None,
        ),
        (
            "no JSON line",
            Call::new("POST", BATCH).header("content-type", "application/x-ndjson").body("a\nb\n"),
            400,
            "json-malformed",
            None,
        ),
    ]
}

fn options() -> Vec<Row> {
    vec![
        ("nothing", to("/v1/to/a").body(""), 400, "content-empty", Some("/content")),
        ("a bad name", to("/v1/to/a%20b"), 422, "recipient-invalid", Some("/to/recipient")),
        ("a name not UTF-8", to("/v1/to/%ff"), 422, "recipient-invalid", None),
        ("unknown option", to("/v1/to/a?colour=red"), 400, "query-invalid", None),
        ("an option twice", to("/v1/to/a?ttl=1&ttl=2"), 400, "query-invalid", None),
        ("two ttls", to("/v1/to/a?ttl=1").header("ttl", "2"), 400, "field-conflict", None),
        ("two urgencies", to("/v1/to/a?urgency=low").header("urgency", "high"), 400, "field-conflict", None),
        ("ttl a word", to("/v1/to/a").header("ttl", "soon"), 422, "ttl-invalid", None),
        ("ttl negative", to("/v1/to/a?ttl=-1"), 422, "ttl-invalid", None),
        ("ttl too long", to("/v1/to/a?ttl=2419201"), 422, "ttl-invalid", Some("/ttl")),
        (
            "urgency unknown",
            to("/v1/to/a").header("urgency", "now"),
            422,
            "urgency-invalid",
            Some("/urgency"),
        ),
        (
            "type with a space",
            to("/v1/to/a").header("postrider-type", "a b"),
            422,
            "type-invalid",
            Some("/type"),
        ),
        (
            "metadata no JSON",
            to("/v1/to/a").header("postrider-metadata", "{x"),
            422,
            "metadata-invalid",
            Some("/metadata"),
        ),
        (
            "metadata deep",
            to("/v1/to/a").header("postrider-metadata", &"[".repeat(200)),
            400,
            "json-too-deep",
            None,
        ),
        ("text not UTF-8", to("/v1/to/a").body([0xff_u8]), 422, "content-mismatch", Some("/content")),
        ("JSON it is not", Call::json("/v1/to/a", "{x"), 422, "content-mismatch", Some("/content")),
        ("JSON too deep", Call::json("/v1/to/a", "[".repeat(200)), 400, "json-too-deep", None),
        (
            "multipart",
            Call::new("POST", "/v1/to/a").header("content-type", "multipart/form-data; boundary=x").body("x"),
            415,
            "media-type-unsupported",
            None,
        ),
        (
            "no media type",
            Call::new("POST", "/v1/to/a").header("content-type", "text").body("x"),
            422,
            "content-type-invalid",
            Some("/content_type"),
        ),
    ]
}

async fn refuse_all(rows: Vec<Row>) {
    let stage = Stage::start().await;
    for (what, call, status, code, pointer) in rows {
        let answer = call.send(&stage).await;
        let shown = String::from_utf8_lossy(&answer.body).into_owned();
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{what}: {shown}");
        assert_eq!(answer.json()["pointer"].as_str(), pointer, "{what}: {shown}");
    }
    assert!(stage.log.notifications().is_empty());
}

#[tokio::test]
async fn a_body_of_the_wrong_shape_is_refused_at_its_place() {
    refuse_all(shapes()).await;
}

#[tokio::test]
async fn a_value_outside_its_grammar_is_refused_at_its_place() {
    refuse_all(values()).await;
}

#[tokio::test]
async fn a_content_that_is_not_what_it_says_is_refused() {
    refuse_all(contents()).await;
}

#[tokio::test]
async fn a_request_that_is_wrong_as_a_whole_is_refused() {
    refuse_all(requests()).await;
}

#[tokio::test]
async fn options_beside_the_content_are_judged_like_fields() {
    refuse_all(options()).await;
}

#[test]
fn the_table_is_long_enough_to_mean_something() {
    assert!(shapes().len() + values().len() + contents().len() + requests().len() + options().len() >= 80);
}

#[tokio::test]
async fn a_wrong_method_is_told_the_right_one() {
    let stage = Stage::start().await;
    let answer = Call::new("GET", ONE).send(&stage).await;
    assert_eq!((answer.status, answer.header("allow")), (405, Some("post")));
}
