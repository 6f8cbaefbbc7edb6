//! `sum`: adds numbers.

use serde_json::json;

use crate::asked::{Builtin, typed};
use crate::world::input;

#[tokio::test]
async fn sum_adds_exactly() {
    let sum = Builtin::named("sum");
    for (content, answer) in [
        ("[1, 2, 3]", r#"{"count":3,"sum":6}"#),
        ("[]", r#"{"count":0,"sum":0}"#),
        ("[0.1, 0.2]", r#"{"count":2,"sum":0.3}"#),
        ("[9007199254740993, 1, -0.5e1]", r#"{"count":3,"sum":9007199254740989}"#),
        (r#"{"numbers":[-1.5, 1.5]}"#, r#"{"count":2,"sum":0}"#),
    ] {
        let output = sum.output_for(&json!({"type": "total"}), &input(content)).await;
        assert_eq!(std::str::from_utf8(&output.content).unwrap(), answer, "{content}");
        assert_eq!((output.kind.as_str(), output.content_type.as_str()), ("total", "application/json"));
    }
}

#[tokio::test]
async fn what_is_no_array_of_numbers_is_rejected_with_its_place() {
    let sum = Builtin::named("sum");
    for (content, reason) in [
        ("7", "content: an array of numbers is needed, this is a number"),
        ("{}", "content: there is no array of numbers, nor an object with one in numbers"),
        (r#"{"numbers":"7"}"#, "content: an array of numbers is needed, this is a text"),
        (r#"[1, "2"]"#, "content: element 1 is a text, and no number"),
        ("[1e400]", "content: with element 0 the sum has more digits than are added exactly"),
        ("[1e38, 1e-20]", "content: with element 1 the sum has more digits than are added exactly"),
    ] {
        assert_eq!(sum.refusal(&json!({}), content).await, reason, "{content}");
    }
    let bytes = sum.refusal_of(&json!({}), &typed("image/png", &b"\x89"[..])).await;
    assert_eq!(bytes, "content: JSON is needed, this is of type image/png");
    let text = sum.refusal_of(&json!({}), &typed("text/plain", "[1]")).await;
    assert_eq!(text, "content: an array of numbers is needed, this is a text");
}
