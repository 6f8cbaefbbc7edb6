//! `digest`: many items in one notification.

use serde_json::json;

use crate::asked::Builtin;
use crate::world::input;

#[tokio::test]
async fn items_are_counted_listed_and_grouped() {
    let digest = Builtin::named("digest");
    let config = json!({
        "items": "/orders", "most": "2", "type": "order.digest",
        "title": "{{count}} orders for {{recipient}}, {{more}} more",
        "line": "{{number}}. {{item.name}} at {{content.shop}}",
        "group": "state",
    });
    let content = json!({"shop": "Tea & Cake", "orders": [
        {"name": "tea", "state": "sent"}, {"name": "Törtchen", "state": "paid"}, {"name": "milk", "state": "sent"},
        {"name": "nothing"},
    ]});
    let output = digest.output_for(&config, &input(&content.to_string())).await;
    let expected = json!({
        "count": 4, "more": 2,
        "title": "4 orders for alice, 2 more",
        "lines": ["1. tea at Tea & Cake", "2. Törtchen at Tea & Cake"],
        "items": [{"name": "tea", "state": "sent"}, {"name": "Törtchen", "state": "paid"}],
        "groups": [
            {"value": "sent", "count": 2}, {"value": "paid", "count": 1}, {"value": null, "count": 1},
        ],
    });
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&output.content).unwrap(), expected);
    assert_eq!(output.kind.as_str(), "order.digest");
}

#[tokio::test]
async fn ten_items_are_listed_when_nobody_says_how_many_and_none_are_nothing_to_tell() {
    let digest = Builtin::named("digest");
    let items: Vec<u32> = (0..12).collect();
    let told = digest.content(&json!({}), &json!(items).to_string()).await;
    assert_eq!(told, json!({"count": 12, "more": 2, "items": items[..10]}));
    assert!(digest.outputs_for(&json!({}), &input("[]")).await.is_empty());
}

#[tokio::test]
async fn what_cannot_be_summed_up_is_rejected_with_the_reason() {
    let digest = Builtin::named("digest");
    for (config, content, reason) in [
        (json!({}), "{}", "content: an array of items is needed, this is an object"),
        (json!({"items": "/x"}), "{}", "content: there is no /x"),
        (
            json!({"items": "x"}),
            "[]",
            "config: items: \"x\" is no JSON Pointer, which is empty or begins with /",
        ),
        (json!({"most": "0"}), "[]", "config: most: a number from 1 to 100 is needed"),
        (json!({"most": "many"}), "[]", "config: most: a number from 1 to 100 is needed"),
        (json!({"line": "{{item.a}}"}), r#"[{"a":1},{}]"#, "line: item 1: there is no item.a"),
        (json!({"title": "{{x"}), "[1]", "config: title: the placeholder at byte 0 has no end"),
        (
            json!({"group": "a..b"}),
            "[1]",
            "config: group: \"a..b\" is no path, which is names with dots between them",
        ),
    ] {
        assert_eq!(digest.refusal(&config, content).await, reason, "{config}");
    }
}
