//! Built-ins at the largest input that the sandbox takes by itself, and at hostile ones.

use postrider_executor::{SandboxSettings, builtins};
use serde_json::json;

use crate::asked::Builtin;
use crate::world::{code, input};

/// What an answer has beside its content.
const AROUND: usize = 1024;

/// As large as an input may be that is to be answered with as much.
fn full(unit: &str) -> String {
    let units = (SandboxSettings::default().output_bytes - AROUND) / (unit.len() + 1);
    format!("[{}]", vec![unit; units].join(","))
}

#[tokio::test]
async fn an_input_as_large_as_may_be_is_within_every_limit() {
    let (numbers, items) = (full("1"), full(r#"{"name":"tea","price":1.50}"#));
    for (name, config, content) in [
        ("echo", json!({}), &numbers),
        ("sum", json!({}), &numbers),
        ("digest", json!({"group": "price"}), &items),
        ("filter", json!({"conditions": r#"[{"field":"content","op":"contains","value":{}}]"#}), &items),
        ("transform", json!({"mapping": r#"[{"drop":"/0"}]"#}), &items),
        ("template", json!({"template": "{{content.0}}"}), &items),
        ("enrich", json!({"fields": r#"{"a":1}"#}), &format!(r#"{{"x":{items}}}"#)),
    ] {
        let builtin = Builtin::named(name);
        let report = builtin.report(&config, &input(content)).await;
        let usage = report.usage;
        println!(
            "{name}: {} fuel, {} bytes of memory, of a content of {}",
            usage.fuel,
            usage.memory_bytes,
            content.len()
        );
        assert_eq!(code(&report), "none", "{name}: {report:?}");
    }
}

#[tokio::test]
async fn what_is_nested_too_deeply_is_rejected() {
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    for builtin in builtins::ALL.iter().filter(|builtin| !["echo", "enrich"].contains(&builtin.name)) {
        let config = match builtin.name {
            "filter" => json!({"conditions": r#"[{"field":"id","op":"exists"}]"#}),
            "transform" => json!({"mapping": "[]"}),
            "template" => json!({"template": "x"}),
            _without => json!({}),
        };
        let reason = Builtin::named(builtin.name).refusal(&config, &deep).await;
        assert_eq!(reason, "content: recursion limit exceeded at line 1 column 128", "{}", builtin.name);
    }
    let echoed = Builtin::named("echo").output_for(&json!({}), &input(&deep)).await;
    assert_eq!(echoed.content, deep);
}

#[tokio::test]
async fn an_answer_that_grew_beyond_the_limit_is_told_as_such() {
    let template = Builtin::named("template");
    let content = json!({"x": "y".repeat(60_000)}).to_string();
    let report = template.report(&json!({"template": "{{content.x}}".repeat(20)}), &input(&content)).await;
    assert_eq!(code(&report), "output_too_large");
}

#[tokio::test]
async fn the_same_input_has_the_same_answer_at_the_same_cost() {
    for builtin in builtins::ALL {
        let asked = Builtin::named(builtin.name);
        let first = asked.report(&json!({}), &input("[1,2]")).await;
        let second = asked.report(&json!({}), &input("[1,2]")).await;
        assert_eq!(format!("{first:?}"), format!("{second:?}"), "{}", builtin.name);
    }
}
