//! The built-in `filter`: passes its input on, or not, by conditions.

use std::cmp::Ordering;

use postrider_modules::{compare, equal, kind_of, run, Answer, Config, Input, Path, Reason};
use serde_json::Value;

fn main() {
    run(answer);
}

fn answer(input: &Input) -> Answer {
    let config = Config::read(input, &["conditions", "match", "action"])?;
    let conditions = conditions(&config)?;
    let all = config.word("match", &["all", "any"])? == "all";
    let passes = config.word("action", &["pass", "drop"])? == "pass";
    let scope = input.scope()?;
    let holds = |condition: &Condition| condition.holds(&scope);
    let matches = if all { conditions.iter().all(holds) } else { conditions.iter().any(holds) };
    if matches == passes {
        Ok(vec![config.output(input)?])
    } else {
        Ok(Vec::new())
    }
}

struct Condition {
    field: Path,
    operator: Operator,
}

/// What is asked of a value, with what it is compared to.
enum Operator {
    Exists,
    Missing,
    Equal(Value),
    NotEqual(Value),
    Less(Value),
    LessOrEqual(Value),
    Greater(Value),
    GreaterOrEqual(Value),
    In(Vec<Value>),
    Contains(Value),
    StartsWith(String),
    EndsWith(String),
}

const OPERATORS: &str = "exists, missing, eq, ne, lt, le, gt, ge, in, contains, starts_with and ends_with";

impl Condition {
    fn holds(&self, scope: &Value) -> bool {
        let found = self.field.find(scope);
        let ordered = |value: &Value, wanted: &[Ordering]| {
            found.and_then(|found| compare(found, value)).map_or(false, |ordering| wanted.contains(&ordering))
        };
        let text = found.and_then(Value::as_str);
        match &self.operator {
            Operator::Exists => found.is_some(),
            Operator::Missing => found.is_none(),
            Operator::Equal(value) => found.map_or(false, |found| equal(found, value)),
            Operator::NotEqual(value) => !found.map_or(false, |found| equal(found, value)),
            Operator::Less(value) => ordered(value, &[Ordering::Less]),
            Operator::LessOrEqual(value) => ordered(value, &[Ordering::Less, Ordering::Equal]),
            Operator::Greater(value) => ordered(value, &[Ordering::Greater]),
            Operator::GreaterOrEqual(value) => ordered(value, &[Ordering::Greater, Ordering::Equal]),
            Operator::In(values) => {
                found.map_or(false, |found| values.iter().any(|value| equal(found, value)))
            }
            Operator::Contains(value) => match (found, value) {
                (Some(Value::String(text)), Value::String(part)) => text.contains(part.as_str()),
                (Some(Value::Array(array)), value) => array.iter().any(|element| equal(element, value)),
                _others => false,
            },
            Operator::StartsWith(beginning) => {
                text.map_or(false, |text| text.starts_with(beginning.as_str()))
            }
            Operator::EndsWith(end) => text.map_or(false, |text| text.ends_with(end.as_str())),
        }
    }
}

fn conditions(config: &Config) -> Result<Vec<Condition>, Reason> {
    config.required("conditions")?;
    let listed = match config.json("conditions")? {
        Some(Value::Array(listed)) if !listed.is_empty() => listed,
        _other => return Err("config: conditions: an array of at least one condition is needed".to_owned()),
    };
    let read = |(at, condition): (usize, &Value)| {
        condition_of(condition).map_err(|reason| format!("config: conditions: element {}: {}", at, reason))
    };
    listed.iter().enumerate().map(read).collect()
}

fn condition_of(written: &Value) -> Result<Condition, Reason> {
    let fields = written.as_object().ok_or_else(|| format!("{} is no condition", kind_of(written)))?;
    if let Some(strange) = fields.keys().find(|key| !["field", "op", "value"].contains(&key.as_str())) {
        return Err(format!("there is no {}; there are field, op and value", strange));
    }
    let text = |key: &str| {
        fields.get(key).and_then(Value::as_str).ok_or_else(|| format!("{} is needed, a text", key))
    };
    let field = Path::parse(text("field")?)?;
    Ok(Condition { field, operator: operator(text("op")?, fields.get("value"))? })
}

fn operator(name: &str, value: Option<&Value>) -> Result<Operator, Reason> {
    let any = || value.cloned().ok_or_else(|| format!("{} needs a value", name));
    let ordered = || {
        let value = any()?;
        if value.is_number() || value.is_string() {
            Ok(value)
        } else {
            Err(format!("{} needs a number or a text", name))
        }
    };
    let text =
        || value.and_then(Value::as_str).map(str::to_owned).ok_or_else(|| format!("{} needs a text", name));
    Ok(match name {
        "exists" | "missing" if value.is_some() => return Err(format!("{} takes no value", name)),
        "exists" => Operator::Exists,
        "missing" => Operator::Missing,
        "eq" => Operator::Equal(any()?),
        "ne" => Operator::NotEqual(any()?),
        "lt" => Operator::Less(ordered()?),
        "le" => Operator::LessOrEqual(ordered()?),
        "gt" => Operator::Greater(ordered()?),
        "ge" => Operator::GreaterOrEqual(ordered()?),
        "in" => match any()? {
            Value::Array(values) => Operator::In(values),
            _other => return Err("in needs an array".to_owned()),
        },
        "contains" => Operator::Contains(any()?),
        "starts_with" => Operator::StartsWith(text()?),
        "ends_with" => Operator::EndsWith(text()?),
        other => return Err(format!("there is no operator {}; there are {}", other, OPERATORS)),
    })
}
