//! The built-in `digest`: one notification that sums up the items of an array.

use std::collections::BTreeMap;

use postrider_modules::{kind_of, run, Answer, Config, Content, Escape, Input, Path, Pointer, Reason, Text};
use serde_json::{json, Map, Value};

/// How many items are listed when nobody says how many, and how many may be asked for.
const LISTED: usize = 10;
const MOST_LISTED: usize = 100;

fn main() {
    run(answer);
}

fn answer(input: &Input) -> Answer {
    let config = Config::read(input, &["items", "most", "title", "line", "group"])?;
    let most = config.number("most", LISTED, 1, MOST_LISTED)?;
    let plan = Plan {
        title: template(&config, "title")?,
        line: template(&config, "line")?,
        group: config
            .get("group")
            .map(Path::parse)
            .transpose()
            .map_err(|reason| format!("config: group: {}", reason))?,
    };
    let content = input.content()?;
    let items = items(&config, &content)?;
    if items.is_empty() {
        return Ok(Vec::new());
    }
    let mut output = config.output(input)?;
    output.content_type = "application/json".to_owned();
    output.content = Content::of(&plan.digest(input, items, most)?);
    Ok(vec![output])
}

struct Plan {
    title: Option<Text>,
    line: Option<Text>,
    group: Option<Path>,
}

impl Plan {
    fn digest(&self, input: &Input, items: &[Value], most: usize) -> Result<Value, Reason> {
        let listed = &items[..items.len().min(most)];
        let mut digest = Map::new();
        digest.insert("count".to_owned(), json!(items.len()));
        digest.insert("more".to_owned(), json!(items.len() - listed.len()));
        digest.insert("items".to_owned(), json!(listed));
        if let Some(group) = &self.group {
            digest.insert("groups".to_owned(), groups(group, items));
        }
        let mut scope = input.scope()?;
        if let Value::Object(fields) = &mut scope {
            // The whole content was read once already; templates see the items one by one.
            fields.insert("count".to_owned(), json!(items.len()));
            fields.insert("more".to_owned(), json!(items.len() - listed.len()));
        }
        if let Some(title) = &self.title {
            let title = title.render(&scope, Escape::None).map_err(|reason| format!("title: {}", reason))?;
            digest.insert("title".to_owned(), Value::String(title));
        }
        if let Some(line) = &self.line {
            digest.insert("lines".to_owned(), lines(line, &mut scope, listed)?);
        }
        Ok(Value::Object(digest))
    }
}

fn lines(line: &Text, scope: &mut Value, listed: &[Value]) -> Result<Value, Reason> {
    let mut lines = Vec::new();
    for (at, item) in listed.iter().enumerate() {
        scope["item"] = item.clone();
        scope["number"] = json!(at + 1);
        let text = line.render(scope, Escape::None);
        lines.push(Value::String(text.map_err(|reason| format!("line: item {}: {}", at, reason))?));
    }
    Ok(Value::Array(lines))
}

/// How many items have which value at a path, in the order in which the values come first.
fn groups(path: &Path, items: &[Value]) -> Value {
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    let mut counts: Vec<(Value, u64)> = Vec::new();
    for item in items {
        let value = path.find(item).cloned().unwrap_or(Value::Null);
        let place = *places.entry(value.to_string()).or_insert(counts.len());
        match counts.get_mut(place) {
            Some((_value, count)) => *count += 1,
            None => counts.push((value, 1)),
        }
    }
    Value::Array(counts.into_iter().map(|(value, count)| json!({"value": value, "count": count})).collect())
}

fn template(config: &Config, key: &str) -> Result<Option<Text>, Reason> {
    let read = |text| Text::parse(text).map_err(|reason| format!("config: {}: {}", key, reason));
    config.get(key).map(read).transpose()
}

fn items<'a>(config: &Config, content: &'a Value) -> Result<&'a [Value], Reason> {
    let pointer = Pointer::parse(config.get("items").unwrap_or_default());
    let pointer = pointer.map_err(|reason| format!("config: items: {}", reason))?;
    match pointer.find(content) {
        Some(Value::Array(items)) => Ok(items),
        Some(other) => Err(format!("content: an array of items is needed, this is {}", kind_of(other))),
        None => Err(format!("content: there is no {}", pointer.as_str())),
    }
}
