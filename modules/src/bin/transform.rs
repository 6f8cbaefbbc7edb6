//! The built-in `transform`: JSON content in another shape, by a list of steps.

use postrider_modules::{kind_of, run, Answer, Config, Content, Input, Pointer, Reason};
use serde_json::{Map, Value};

fn main() {
    run(answer);
}

fn answer(input: &Input) -> Answer {
    let config = Config::read(input, &["mapping"])?;
    let steps = steps(&config)?;
    let mut content = input.content()?;
    for (at, step) in steps.iter().enumerate() {
        content = step.apply(content).map_err(|reason| format!("mapping: step {}: {}", at, reason))?;
    }
    let mut output = config.output(input)?;
    output.content = Content::of(&content);
    if !is_json(&output.content_type) {
        output.content_type = "application/json".to_owned();
    }
    Ok(vec![output])
}

fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || essence == "text/json" || essence.ends_with("+json")
}

/// One step of a mapping.
enum Step {
    Rename { from: Pointer, to: Pointer, required: bool },
    Copy { from: Pointer, to: Pointer, required: bool },
    Drop { from: Pointer, required: bool },
    Keep(Vec<Pointer>),
    Set { to: Pointer, value: Value },
}

impl Step {
    fn apply(&self, mut content: Value) -> Result<Value, Reason> {
        match self {
            Self::Rename { from, to, required } => {
                if let Some(value) = there(from, from.take(&mut content), *required)? {
                    to.put(&mut content, value)?;
                }
            }
            Self::Copy { from, to, required } => {
                if let Some(value) = there(from, from.find(&content).cloned(), *required)? {
                    to.put(&mut content, value)?;
                }
            }
            Self::Drop { from, required } => {
                there(from, from.take(&mut content), *required)?;
            }
            Self::Keep(pointers) => return kept(pointers, &content),
            Self::Set { to, value } => to.put(&mut content, value.clone())?,
        }
        Ok(content)
    }
}

fn there(pointer: &Pointer, found: Option<Value>, required: bool) -> Result<Option<Value>, Reason> {
    match found {
        None if required => Err(format!("there is no {}", pointer.as_str())),
        found => Ok(found),
    }
}

/// An object with what these pointers point at and nothing else.
fn kept(pointers: &[Pointer], content: &Value) -> Result<Value, Reason> {
    let mut left = Value::Object(Map::new());
    for pointer in pointers {
        let mut holder = content;
        for step in pointer.steps() {
            match holder {
                Value::Array(_) => return Err(format!("{} leads through an array", pointer.as_str())),
                Value::Object(object) => holder = object.get(step).unwrap_or(&Value::Null),
                _leaf => break,
            }
        }
        if let Some(value) = pointer.find(content) {
            pointer.put(&mut left, value.clone())?;
        }
    }
    Ok(left)
}

fn steps(config: &Config) -> Result<Vec<Step>, Reason> {
    config.required("mapping")?;
    let listed = match config.json("mapping")? {
        Some(Value::Array(listed)) => listed,
        _other => return Err("config: mapping: an array of steps is needed".to_owned()),
    };
    let read = |(at, step): (usize, &Value)| {
        step_of(step).map_err(|reason| format!("config: mapping: step {}: {}", at, reason))
    };
    listed.iter().enumerate().map(read).collect()
}

fn step_of(written: &Value) -> Result<Step, Reason> {
    let fields = written.as_object().ok_or_else(|| format!("{} is no step", kind_of(written)))?;
    let named: Vec<&str> = fields.keys().map(String::as_str).collect();
    let pointer = |key: &str| match fields.get(key).and_then(Value::as_str) {
        Some(text) => Pointer::parse(text),
        None => Err(format!("{} is needed, a JSON Pointer", key)),
    };
    let required = match fields.get("required") {
        None => false,
        Some(Value::Bool(required)) => *required,
        Some(_) => return Err("required is true or false".to_owned()),
    };
    let only = |allowed: &[&str]| match named.iter().find(|key| !allowed.contains(*key)) {
        Some(strange) => Err(format!("there is no {}; there are {}", strange, allowed.join(", "))),
        None => Ok(()),
    };
    if named.contains(&"rename") {
        only(&["rename", "to", "required"])?;
        Ok(Step::Rename { from: pointer("rename")?, to: pointer("to")?, required })
    } else if named.contains(&"copy") {
        only(&["copy", "to", "required"])?;
        Ok(Step::Copy { from: pointer("copy")?, to: pointer("to")?, required })
    } else if named.contains(&"drop") {
        only(&["drop", "required"])?;
        Ok(Step::Drop { from: pointer("drop")?, required })
    } else if named.contains(&"keep") {
        only(&["keep"])?;
        keep(&fields["keep"]).map(Step::Keep)
    } else if named.contains(&"set") {
        only(&["set", "value"])?;
        let value = fields.get("value").cloned().ok_or("set needs a value")?;
        Ok(Step::Set { to: pointer("set")?, value })
    } else {
        Err("a step is one of rename, copy, drop, keep and set".to_owned())
    }
}

fn keep(written: &Value) -> Result<Vec<Pointer>, Reason> {
    let wrong = || "keep needs an array of JSON Pointers".to_owned();
    let one = |pointer: &Value| pointer.as_str().ok_or_else(wrong).and_then(Pointer::parse);
    written.as_array().ok_or_else(wrong)?.iter().map(one).collect()
}
