//! `enrich`: fields that are added.

use serde_json::json;

use crate::asked::{Builtin, json_of, typed};
use crate::world::input;

#[tokio::test]
async fn constants_and_values_are_added_and_what_is_there_stays() {
    let enrich = Builtin::named("enrich");
    let config = json!({"fields": r#"{
        "shop": {"name": "Tea & Cake", "id": 9},
        "order": 1,
        "link": "https://shop.example/orders/{{content.order}}",
        "who": "{{recipient}}",
        "lines": "{{content.items}}"
    }"#});
    let content = r#"{"order":7,"shop":{"id":1},"items":[1.50]}"#;
    let expected = json!({
        "order": 7, "shop": {"id": 1, "name": "Tea & Cake"}, "items": [1.50],
        "link": "https://shop.example/orders/7", "who": "alice", "lines": [1.50],
    });
    assert_eq!(enrich.content(&config, content).await, expected);

    let mut replacing = config.clone();
    replacing["existing"] = "replace".into();
    let replaced = enrich.content(&replacing, content).await;
    assert_eq!((&replaced["order"], &replaced["shop"]["id"]), (&json!(1), &json!(9)));
}

#[tokio::test]
async fn metadata_is_enriched_beside_any_content() {
    let enrich = Builtin::named("enrich");
    let config = json!({"metadata": r#"{"priority":"{{urgency}}","seen":[true,null]}"#});
    let mut given = typed("image/png", &b"\x89"[..]);
    let output = enrich.output_for(&config, &given).await;
    assert_eq!(&output.content[..], b"\x89");
    assert_eq!(output.metadata.as_deref(), Some(r#"{"priority":"normal","seen":[true,null]}"#));

    given.notification.metadata = Some(r#"{"priority":"mine"}"#.to_owned());
    let kept = enrich.output_for(&config, &given).await;
    assert_eq!(kept.metadata.as_deref(), Some(r#"{"priority":"mine","seen":[true,null]}"#));
}

#[tokio::test]
async fn configuration_of_the_input_is_not_part_of_what_is_delivered() {
    let enrich = Builtin::named("enrich");
    let mut given = input(r#"{"a":1}"#);
    given.notification.metadata = Some(r#"{"config":{"fields":{"b":"{{content.a}}"}}}"#.to_owned());
    let output = enrich.output_for(&json!({}), &given).await;
    assert_eq!((json_of(&output), output.metadata), (json!({"a": 1, "b": 1}), None));
}

#[tokio::test]
async fn what_cannot_be_enriched_is_rejected_with_the_reason() {
    let enrich = Builtin::named("enrich");
    for (config, content, reason) in [
        (json!({}), "{}", "config: there is neither fields nor metadata to add"),
        (json!({"fields": "[]"}), "{}", "config: fields: an object is needed, this is an array"),
        (json!({"fields": "{}"}), "[1]", "content: an object is needed, this is an array"),
        (json!({"fields": r#"{"a":"{{content.b}}"}"#}), "{}", "fields: there is no content.b"),
        (
            json!({"fields": "{", "existing": "keep"}),
            "{}",
            "config: fields: not JSON: EOF while parsing an object at line 1 column 1",
        ),
        (
            json!({"fields": "{}", "existing": "merge"}),
            "{}",
            "config: existing: merge is none of keep, replace",
        ),
    ] {
        assert_eq!(enrich.refusal(&config, content).await, reason, "{config}");
    }
}
