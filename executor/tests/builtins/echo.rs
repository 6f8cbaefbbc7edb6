//! `echo`: the input back.

use serde_json::json;

use crate::asked::{Builtin, typed};
use crate::world::input;

#[tokio::test]
async fn echo_keeps_every_byte() {
    let echo = Builtin::named("echo");
    for (content_type, content) in [
        ("application/json", r#"{ "z": 1.50, "a": 12345678901234567890123, "z": "dé\u0301" }"#.as_bytes()),
        ("application/cloudevents+json", b"[]"),
        ("text/plain; charset=utf-8", "grüß \"dich\"\n\u{1f600}\u{0}".as_bytes()),
        ("text/plain", b"\xff\xfe"),
        ("application/octet-stream", b"\x00\x01\xff"),
    ] {
        let mut given = typed(content_type, content);
        given.notification.metadata = Some(r#"{"b": 2,"a":1.0}"#.to_owned());
        let output = echo.output_for(&json!({}), &given).await;
        assert_eq!(output.content, content, "{content_type}");
        assert_eq!(output.content_type.as_str(), content_type);
        assert_eq!(output.kind.as_str(), "order.shipped");
        assert_eq!(output.metadata, given.notification.metadata);
        assert_eq!(output.recipient, None);
    }
}

#[tokio::test]
async fn an_output_may_be_given_another_type() {
    let echo = Builtin::named("echo");
    let config = json!({"type": "order.told"});
    assert_eq!(echo.output_for(&config, &input("{}")).await.kind.as_str(), "order.told");
    let wrong = echo.refusal(&json!({"type": "no spaces"}), "{}").await;
    assert_eq!(wrong, "config: type: 1 to 128 of A-Z a-z 0-9 - . _ : / are needed");
    let strange = echo.refusal(&json!({"tipe": "a"}), "{}").await;
    assert_eq!(strange, "config: there is no key tipe; there are type");
}

#[tokio::test]
async fn without_a_grant_configuration_may_come_with_the_input_and_goes_no_further() {
    let echo = Builtin::named("echo");
    let mut given = input("{}");
    given.notification.metadata = Some(r#"{"config":{"type":"order.told"},"a":1}"#.to_owned());
    let output = echo.output_for(&json!({}), &given).await;
    assert_eq!(output.kind.as_str(), "order.told");
    assert_eq!(output.metadata.as_deref(), Some(r#"{"a":1}"#));

    let granted = echo.output_for(&json!({"type": "order.granted"}), &given).await;
    assert_eq!(granted.kind.as_str(), "order.granted");
    assert_eq!(granted.metadata, given.notification.metadata);

    given.notification.metadata = Some(r#"{"config":7}"#.to_owned());
    let wrong = echo.refusal_of(&json!({}), &given).await;
    assert_eq!(wrong, "config: an object is needed in the metadata, this is a number");
}
