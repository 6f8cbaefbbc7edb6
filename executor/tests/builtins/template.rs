//! `template`: text and JSON made of values.

use serde_json::{Value, json};

use crate::asked::{Builtin, json_of};
use crate::world::input;

async fn text(builtin: &Builtin, template: &str, content_type: &str, content: &str) -> String {
    let config = json!({"template": template, "content_type": content_type});
    let output = builtin.output_for(&config, &input(content)).await;
    assert_eq!(output.content_type.as_str(), content_type);
    String::from_utf8(output.content.to_vec()).unwrap()
}

#[tokio::test]
async fn a_text_has_the_values_of_content_and_metadata_and_record() {
    let template = Builtin::named("template");
    let mut given =
        input(r#"{"order":7,"name":"Zoë 😀","items":[{"name":"tea"},{"name":"cake"}],"price":1.50}"#);
    given.notification.metadata = Some(r#"{"shop.name":"A & B"}"#.to_owned());
    let config = json!({"template": "Dear {{content.name}}, order {{content.order}} with {{content.items.1.name}} \
        from {{/metadata/shop.name}} for {{content.price}} is on its way to {{recipient}} since {{accepted_at}}\
        {{content.gift | }}. \\{{x}}"});
    let output = template.output_for(&config, &given).await;
    let expected = "Dear Zoë 😀, order 7 with cake from A & B for 1.50 is on its way to alice since \
        2023-11-14T22:13:20.000Z. {{x}}";
    assert_eq!(std::str::from_utf8(&output.content).unwrap(), expected);
    assert_eq!(output.content_type.as_str(), "text/plain; charset=utf-8");
    assert_eq!(output.metadata, given.notification.metadata);
}

#[tokio::test]
async fn a_value_is_never_markup() {
    let template = Builtin::named("template");
    let content = r#"{"x":"<script>alert('1')</script> & \"more\""}"#;
    for html in ["text/html", "text/html; charset=utf-8"] {
        assert_eq!(
            text(&template, "<b title=\"{{content.x}}\">&amp;</b>", html, content).await,
            "<b title=\"&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt; &amp; &quot;more&quot;\">&amp;</b>"
        );
    }
    assert_eq!(
        text(&template, "{{content.x}}", "text/markdown", content).await,
        "<script>alert('1')</script> & \"more\""
    );
}

#[tokio::test]
async fn a_value_never_changes_the_shape_of_json() {
    let template = Builtin::named("template");
    let config = json!({
        "template": r#"{"text":"Hello {{content.name}}","n":"{{content.n}}","list":["{{content.list}}", 1.0]}"#,
        "content_type": "application/json",
    });
    let content = r#"{"name":"\",\"admin\":true,\"x\":\"","n":12345678901234567890123,"list":[1,{"a":2}]}"#;
    let output = template.output_for(&config, &input(content)).await;
    assert_eq!(
        std::str::from_utf8(&output.content).unwrap(),
        r#"{"list":[[1,{"a":2}],1.0],"n":12345678901234567890123,"text":"Hello \",\"admin\":true,\"x\":\""}"#
    );
}

#[tokio::test]
async fn a_template_may_come_with_the_input() {
    let template = Builtin::named("template");
    let mut given = input(r#"{"name":"Zoë"}"#);
    let metadata =
        json!({"config": {"template": {"hello": "{{content.name}}"}, "content_type": "application/json"}});
    given.notification.metadata = Some(metadata.to_string());
    let output = template.output_for(&json!({}), &given).await;
    assert_eq!(json_of(&output), json!({"hello": "Zoë"}));
    assert_eq!(output.metadata, None);
}

#[tokio::test]
async fn a_template_that_cannot_be_rendered_is_rejected_with_the_reason() {
    let template = Builtin::named("template");
    for (config, reason) in [
        (json!({}), "config: the key template is missing"),
        (json!({"template": "{{content.x}}"}), "template: there is no content.x"),
        (json!({"template": "{{attempt}}"}), "template: there is no attempt"),
        (json!({"template": "a {{content.x"}), "template: the placeholder at byte 2 has no end"),
        (json!({"template": "{{ }}"}), "template: \"\" is no path, which is names with dots between them"),
        (
            json!({"template": "{{/~}}"}),
            "template: \"/~\" is no JSON Pointer, which is empty or begins with /",
        ),
        (
            json!({"template": "{", "content_type": "application/json"}),
            "config: template: not JSON: EOF while parsing an object at line 1 column 1",
        ),
        (
            json!({"template": "x", "content_type": "image/png"}),
            "config: content_type: image/png is neither text nor JSON",
        ),
        (
            json!({"template": "x", "escape": "none"}),
            "config: there is no key escape; there are template, content_type, type",
        ),
    ] {
        assert_eq!(template.refusal(&config, "{}").await, reason, "{config}");
    }
    assert_eq!(
        template.content(&json!({"template": "1", "content_type": "text/json"}), "{}").await,
        Value::from(1)
    );
}
