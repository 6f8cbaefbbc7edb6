//! `transform`: content in another shape.

use serde_json::{Value, json};

use crate::asked::{Builtin, typed};

fn mapping(steps: Value) -> Value {
    json!({"mapping": steps.to_string()})
}

#[tokio::test]
async fn each_step_does_what_it_says() {
    let transform = Builtin::named("transform");
    for (steps, content, expected) in [
        (json!([]), json!({"a": 1}), json!({"a": 1})),
        (json!([{"rename": "/a", "to": "/b/c"}]), json!({"a": 1}), json!({"b": {"c": 1}})),
        (json!([{"rename": "/x", "to": "/b"}]), json!({"a": 1}), json!({"a": 1})),
        (
            json!([{"rename": "/a", "to": "/b"}, {"rename": "/b", "to": "/c"}]),
            json!({"a": 1}),
            json!({"c": 1}),
        ),
        (json!([{"rename": "/inner", "to": ""}]), json!({"inner": {"a": 1}, "b": 2}), json!({"a": 1})),
        (json!([{"copy": "/a/0", "to": "/a/-"}]), json!({"a": [1, 2]}), json!({"a": [1, 2, 1]})),
        (json!([{"copy": "", "to": "/was"}]), json!({"a": 1}), json!({"a": 1, "was": {"a": 1}})),
        (json!([{"drop": "/a~1b"}, {"drop": "/l/0"}]), json!({"a/b": 1, "l": [1, 2]}), json!({"l": [2]})),
        (
            json!([{"keep": ["/a", "/o/x", "/none"]}]),
            json!({"a": [1], "o": {"x": 1, "y": 2}, "z": 3}),
            json!({"a": [1], "o": {"x": 1}}),
        ),
        (json!([{"set": "/ü", "value": {"n": null}}]), json!({}), json!({"ü": {"n": null}})),
        (json!([{"rename": "", "to": "/wrapped"}]), json!([1]), json!({"wrapped": [1]})),
    ] {
        assert_eq!(
            transform.content(&mapping(steps.clone()), &content.to_string()).await,
            expected,
            "{steps}"
        );
    }
}

#[tokio::test]
async fn numbers_keep_their_digits() {
    let transform = Builtin::named("transform");
    let config = mapping(json!([{"rename": "/price", "to": "/amount"}]));
    let output =
        transform.output_for(&config, &typed("application/vnd.shop+json", r#"{"price": 1.50}"#)).await;
    assert_eq!(&output.content[..], br#"{"amount":1.50}"#);
    assert_eq!(output.content_type.as_str(), "application/vnd.shop+json");
}

#[tokio::test]
async fn what_cannot_be_mapped_is_rejected_with_its_step() {
    let transform = Builtin::named("transform");
    for (steps, content, reason) in [
        (json!([{"drop": "/a", "required": true}]), "{}", "mapping: step 0: there is no /a"),
        (
            json!([{"set": "/a/b", "value": 1}]),
            r#"{"a":"x"}"#,
            "mapping: step 0: there is no place for \"/a/b\"",
        ),
        (
            json!([{"set": "/a/2", "value": 1}]),
            r#"{"a":[0]}"#,
            "mapping: step 0: there is no place for \"/a/2\"",
        ),
        (json!([{"keep": ["/a/0"]}]), r#"{"a":[0]}"#, "mapping: step 0: /a/0 leads through an array"),
        (json!({}), "{}", "config: mapping: an array of steps is needed"),
        (json!([1]), "{}", "config: mapping: step 0: a number is no step"),
        (json!([{}]), "{}", "config: mapping: step 0: a step is one of rename, copy, drop, keep and set"),
        (json!([{"rename": "/a"}]), "{}", "config: mapping: step 0: to is needed, a JSON Pointer"),
        (
            json!([{"rename": "/a", "drop": "/b"}]),
            "{}",
            "config: mapping: step 0: there is no drop; there are rename, to, required",
        ),
        (
            json!([{"drop": "a"}]),
            "{}",
            "config: mapping: step 0: \"a\" is no JSON Pointer, which is empty or begins with /",
        ),
        (json!([{"drop": "/a", "required": 1}]), "{}", "config: mapping: step 0: required is true or false"),
        (json!([{"set": "/a"}]), "{}", "config: mapping: step 0: set needs a value"),
        (json!([{"keep": "/a"}]), "{}", "config: mapping: step 0: keep needs an array of JSON Pointers"),
    ] {
        assert_eq!(transform.refusal(&mapping(steps.clone()), content).await, reason, "{steps}");
    }
    assert_eq!(transform.refusal(&json!({}), "{}").await, "config: the key mapping is missing");
}
