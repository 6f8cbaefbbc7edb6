//! The built-in `template`: a text, or JSON, made of a template and the values of the input.

use postrider_modules::{render_value, run, Answer, Config, Content, Escape, Input, Reason, Text};
use serde_json::Value;

fn main() {
    run(answer);
}

/// How a content type is rendered.
enum Form {
    Json,
    Text(Escape),
}

fn answer(input: &Input) -> Answer {
    let config = Config::read(input, &["template", "content_type"])?;
    let template = config.required("template")?;
    let content_type = config.get("content_type").unwrap_or("text/plain; charset=utf-8");
    let scope = input.scope()?;
    let rendered = match form(content_type)? {
        Form::Json => {
            let template = serde_json::from_str(template)
                .map_err(|error| format!("config: template: not JSON: {}", error))?;
            render_value(&template, &scope)
        }
        Form::Text(escape) => {
            Text::parse(template).and_then(|text| text.render(&scope, escape)).map(Value::String)
        }
    };
    let rendered = rendered.map_err(|reason| format!("template: {}", reason))?;
    let mut output = config.output(input)?;
    output.content_type = content_type.to_owned();
    output.content = Content::of(&rendered);
    Ok(vec![output])
}

fn form(content_type: &str) -> Result<Form, Reason> {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if essence == "application/json" || essence == "text/json" || essence.ends_with("+json") {
        Ok(Form::Json)
    } else if essence == "text/html"
        || essence == "text/xml"
        || (essence.starts_with("text/") && essence.ends_with("+xml"))
    {
        Ok(Form::Text(Escape::Markup))
    } else if essence.starts_with("text/") {
        Ok(Form::Text(Escape::None))
    } else {
        Err(format!("config: content_type: {} is neither text nor JSON", content_type))
    }
}
