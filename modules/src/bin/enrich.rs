//! The built-in `enrich`: fields that are added to the content and to the metadata, constant ones and ones made of the
//! input's values.

use postrider_modules::{kind_of, render_value, run, Answer, Config, Content, Input, Reason};
use serde_json::{Map, Value};

fn main() {
    run(answer);
}

/// What becomes of a field that is there already.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Existing {
    Keep,
    Replace,
}

fn answer(input: &Input) -> Answer {
    let config = Config::read(input, &["fields", "metadata", "existing"])?;
    let existing = match config.word("existing", &["keep", "replace"])? {
        "keep" => Existing::Keep,
        _replace => Existing::Replace,
    };
    let (fields, metadata) = (config.json("fields")?, config.json("metadata")?);
    if fields.is_none() && metadata.is_none() {
        return Err("config: there is neither fields nor metadata to add".to_owned());
    }
    let scope = input.scope()?;
    let mut output = config.output(input)?;
    if let Some(fields) = fields {
        let content = object("content", input.content()?)?;
        let added = rendered("fields", &fields, &scope)?;
        output.content = Content::of(&Value::Object(merged(content, added, existing)));
    }
    if let Some(fields) = metadata {
        let had = match &output.metadata {
            Some(text) => serde_json::from_str(text).map_err(|error| format!("metadata: {}", error))?,
            None => Map::new(),
        };
        let added = rendered("metadata", &fields, &scope)?;
        output.metadata = Some(Value::Object(merged(had, added, existing)).to_string());
    }
    Ok(vec![output])
}

fn object(what: &str, value: Value) -> Result<Map<String, Value>, Reason> {
    match value {
        Value::Object(object) => Ok(object),
        other => Err(format!("{}: an object is needed, this is {}", what, kind_of(&other))),
    }
}

fn rendered(key: &str, fields: &Value, scope: &Value) -> Result<Map<String, Value>, Reason> {
    let fields = render_value(fields, scope).map_err(|reason| format!("{}: {}", key, reason))?;
    object(&format!("config: {}", key), fields)
}

/// Objects are merged, whatever else is there already is kept or replaced.
fn merged(mut had: Map<String, Value>, added: Map<String, Value>, existing: Existing) -> Map<String, Value> {
    for (name, value) in added {
        let value = match (had.remove(&name), value) {
            (Some(Value::Object(had)), Value::Object(added)) => Value::Object(merged(had, added, existing)),
            (Some(had), _added) if existing == Existing::Keep => had,
            (_had, added) => added,
        };
        had.insert(name, value);
    }
    had
}
