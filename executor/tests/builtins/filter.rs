//! `filter`: what passes, and what does not.

use serde_json::{Value, json};

use crate::asked::{Builtin, typed};
use crate::world::input;

const CONTENT: &str = r#"{"total": 10.0, "big": 9007199254740993, "name": "Zoë", "tags": ["new", 1], "none": null, "o": {"a": 1.0}}"#;

async fn passes(filter: &Builtin, config: &Value) -> bool {
    let outputs = filter.outputs_for(config, &input(CONTENT)).await;
    assert!(outputs.iter().all(|output| output.content == CONTENT), "what passes is changed");
    !outputs.is_empty()
}

fn conditions(of: Value) -> Value {
    json!({"conditions": Value::Array(vec![of]).to_string()})
}

#[tokio::test]
async fn each_operator_holds_and_does_not() {
    let filter = Builtin::named("filter");
    for (holds, condition) in [
        (true, json!({"field": "content.none", "op": "exists"})),
        (false, json!({"field": "content.x", "op": "exists"})),
        (true, json!({"field": "metadata.x", "op": "missing"})),
        (false, json!({"field": "type", "op": "missing"})),
        (true, json!({"field": "content.total", "op": "eq", "value": 10})),
        (true, json!({"field": "content.o", "op": "eq", "value": {"a": 1}})),
        (false, json!({"field": "content.total", "op": "eq", "value": "10"})),
        (false, json!({"field": "content.x", "op": "eq", "value": null})),
        (true, json!({"field": "content.x", "op": "ne", "value": null})),
        (false, json!({"field": "content.none", "op": "ne", "value": null})),
        (true, json!({"field": "content.total", "op": "lt", "value": 10.01})),
        (false, json!({"field": "content.total", "op": "lt", "value": 10})),
        (true, json!({"field": "content.total", "op": "le", "value": 10})),
        (true, json!({"field": "content.big", "op": "gt", "value": 9_007_199_254_740_992_u64})),
        (false, json!({"field": "content.total", "op": "gt", "value": "1"})),
        (true, json!({"field": "content.name", "op": "ge", "value": "Zo"})),
        (false, json!({"field": "content.x", "op": "ge", "value": 0})),
        (true, json!({"field": "recipient", "op": "in", "value": ["bob", "alice"]})),
        (false, json!({"field": "recipient", "op": "in", "value": []})),
        (true, json!({"field": "content.name", "op": "contains", "value": "oë"})),
        (true, json!({"field": "content.tags", "op": "contains", "value": 1.0})),
        (false, json!({"field": "content.tags", "op": "contains", "value": "ne"})),
        (true, json!({"field": "/content/tags/0", "op": "starts_with", "value": "n"})),
        (false, json!({"field": "content.tags", "op": "starts_with", "value": "n"})),
        (true, json!({"field": "type", "op": "ends_with", "value": ".shipped"})),
    ] {
        assert_eq!(passes(&filter, &conditions(condition.clone())).await, holds, "{condition}");
    }
}

#[tokio::test]
async fn conditions_are_joined_and_turned_round() {
    let filter = Builtin::named("filter");
    let (yes, no) = (json!({"field": "id", "op": "exists"}), json!({"field": "id", "op": "missing"}));
    for (of, joined, action, expected) in [
        ([&yes, &yes], "all", "pass", true),
        ([&yes, &no], "all", "pass", false),
        ([&yes, &no], "any", "pass", true),
        ([&no, &no], "any", "pass", false),
        ([&yes, &yes], "all", "drop", false),
        ([&yes, &no], "all", "drop", true),
    ] {
        let config = json!({"conditions": json!(of).to_string(), "match": joined, "action": action});
        assert_eq!(passes(&filter, &config).await, expected, "{config}");
    }
}

#[tokio::test]
async fn any_content_passes_as_it_is() {
    let filter = Builtin::named("filter");
    let config = conditions(json!({"field": "content_type", "op": "starts_with", "value": "image/"}));
    let output = filter.output_for(&config, &typed("image/png", &b"\x89\x00"[..])).await;
    assert_eq!(&output.content[..], b"\x89\x00");
}

#[tokio::test]
async fn a_wrong_condition_is_rejected_with_its_place() {
    let filter = Builtin::named("filter");
    let at = "config: conditions: element 0: ";
    for (condition, reason) in [
        (json!(1), "a number is no condition"),
        (json!({"op": "eq"}), "field is needed, a text"),
        (json!({"field": "a"}), "op is needed, a text"),
        (json!({"field": "a..b", "op": "eq"}), "\"a..b\" is no path, which is names with dots between them"),
        (json!({"field": "a", "op": "eq"}), "eq needs a value"),
        (json!({"field": "a", "op": "lt", "value": []}), "lt needs a number or a text"),
        (json!({"field": "a", "op": "in", "value": 1}), "in needs an array"),
        (json!({"field": "a", "op": "exists", "value": 1}), "exists takes no value"),
        (json!({"field": "a", "op": "ends_with", "value": 1}), "ends_with needs a text"),
        (json!({"field": "a", "op": "eq", "val": 1}), "there is no val; there are field, op and value"),
        (
            json!({"field": "a", "op": "=="}),
            "there is no operator ==; there are exists, missing, eq, ne, lt, le, gt, ge, in, contains, starts_with \
             and ends_with",
        ),
    ] {
        let config = conditions(condition);
        assert_eq!(filter.refusal(&config, "{}").await, format!("{at}{reason}"), "{config}");
    }
    for (config, reason) in [
        (json!({}), "config: the key conditions is missing"),
        (json!({"conditions": "[]"}), "config: conditions: an array of at least one condition is needed"),
        (json!({"conditions": "x"}), "config: conditions: not JSON: expected value at line 1 column 1"),
    ] {
        assert_eq!(filter.refusal(&config, "{}").await, reason, "{config}");
    }
}
