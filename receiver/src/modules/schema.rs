//! The schema of a module's input. Schemas are written by tenants and run for every input, so what one may cost is known
//! before it is compiled: it is small when its references are replaced by what they lead to, they lead nowhere else, and
//! its patterns take time in proportion to what they are matched with.

use jsonschema::{PatternOptions, Validator};
use serde_json::{Map, Value};

use crate::refusal::Violation;

/// Deepest nesting of a schema, references followed; the checks go down as deep on the stack.
const DEPTH: usize = 64;
/// Most bytes of a compiled pattern.
const PATTERN_BYTES: usize = 256 * 1024;
/// What of a place, and of what is wrong with it, is told.
const TOLD_BYTES: usize = 256;
/// The drafts whose `$id` and references are understood here.
const DRAFTS: [&str; 4] =
    ["draft-06/schema", "draft-07/schema", "draft/2019-09/schema", "draft/2020-12/schema"];

/// A schema, ready to check inputs.
pub(super) struct Schema {
    validator: Validator,
    /// Its JSON values, references followed.
    values: usize,
}

impl Schema {
    /// Compiles `schema`, which may have `most_values` values when its references are followed. The error is for a person.
    pub(super) fn compile(schema: &Map<String, Value>, most_values: usize) -> Result<Self, String> {
        let root = Value::Object(schema.clone());
        let mut left = most_values;
        if let Some(draft) = schema.get("$schema").and_then(Value::as_str)
            && !DRAFTS.iter().any(|known| draft.trim_end_matches('#').ends_with(known))
        {
            return Err(format!("$schema names none of {}", DRAFTS.join(", ")));
        }
        for (name, value) in schema {
            if name != "$id" && name != "$schema" {
                Weight { root: &root, most: most_values }.field(name, value, &mut left, 1)?;
            }
        }
        let patterns = PatternOptions::regex().size_limit(PATTERN_BYTES).dfa_size_limit(PATTERN_BYTES);
        let options = jsonschema::options().offline().with_pattern_options(patterns);
        let validator = options.build(&root).map_err(|error| short(&error.to_string()))?;
        Ok(Self { validator, values: most_values - left })
    }

    /// Where `content` is not what the schema asks for, at most `most` places; none: it is. The places are left out when
    /// searching them would be looking at more than `searched` pairs of a value of the content and one of the schema.
    pub(super) fn violations(&self, content: &[u8], searched: usize, most: usize) -> Option<Vec<Violation>> {
        let value: Value = match serde_json::from_slice(content) {
            Ok(value) => value,
            Err(error) => {
                return Some(vec![Violation { pointer: "/content".into(), detail: error.to_string() }]);
            }
        };
        if self.validator.is_valid(&value) {
            return None;
        }
        if count(&value).saturating_mul(self.values) > searched {
            return Some(Vec::new());
        }
        let violation = |error: jsonschema::ValidationError<'_>| Violation {
            pointer: short(&format!("/content{}", error.instance_path())),
            detail: short(&error.masked().to_string()),
        };
        Some(self.validator.iter_errors(&value).take(most).map(violation).collect())
    }
}

/// Weighs a schema as it is when its references are followed.
struct Weight<'a> {
    root: &'a Value,
    most: usize,
}

impl Weight<'_> {
    fn value(&self, value: &Value, left: &mut usize, depth: usize) -> Result<(), String> {
        *left = left
            .checked_sub(1)
            .ok_or_else(|| format!("with its references followed it has more than {} values", self.most))?;
        if depth > DEPTH {
            let why = "a reference that leads back to itself never ends";
            return Err(format!("with its references followed it nests deeper than {DEPTH}: {why}"));
        }
        match value {
            Value::Object(fields) => {
                fields.iter().try_for_each(|(name, value)| self.field(name, value, left, depth + 1))
            }
            Value::Array(items) => items.iter().try_for_each(|item| self.value(item, left, depth + 1)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
        }
    }

    fn field(&self, name: &str, value: &Value, left: &mut usize, depth: usize) -> Result<(), String> {
        let Value::String(text) = value else { return self.value(value, left, depth) };
        match name {
            "$ref" => {
                let place = text.strip_prefix('#').filter(|place| place.is_empty() || place.starts_with('/'));
                let place = place.filter(|place| !place.contains('%'));
                let found = place.and_then(|place| self.root.pointer(place));
                let found = found.ok_or_else(|| {
                    format!(
                        "$ref leads to {}; it may lead to a place of the schema, as #/$defs/item",
                        short(text)
                    )
                })?;
                self.value(found, left, depth + 1)
            }
            "$dynamicRef" | "$recursiveRef" => Err(format!("{name} is not taken: say $ref")),
            "$id" | "id" | "$schema" => Err(format!("{name} may be at the schema's root only")),
            _ => self.value(value, left, depth),
        }
    }
}

fn count(value: &Value) -> usize {
    1 + match value {
        Value::Object(fields) => fields.values().map(count).sum(),
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}

fn short(text: &str) -> String {
    let end = text.char_indices().map(|(at, _)| at).take_while(|at| *at <= TOLD_BYTES).last().unwrap_or(0);
    if text.len() <= TOLD_BYTES { text.to_owned() } else { format!("{}…", &text[..end]) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn compile(schema: &Value) -> Result<Schema, String> {
        Schema::compile(schema.as_object().unwrap(), 100)
    }

    fn places(schema: &Value, content: &Value) -> Option<Vec<String>> {
        let found = compile(schema).unwrap().violations(content.to_string().as_bytes(), 1000, 3);
        found.map(|found| found.into_iter().map(|violation| violation.pointer).collect())
    }

    #[test]
    fn an_input_is_refused_at_the_places_that_are_wrong() {
        let schema = json!({
            "type": "object",
            "required": ["order"],
            "properties": {"order": {"$ref": "#/$defs/number"}, "a/b": {"type": "string", "pattern": "^a+$"}},
            "$defs": {"number": {"type": "integer", "minimum": 1}},
        });
        assert_eq!(places(&schema, &json!({"order": 7, "a/b": "aa"})), None);
        assert_eq!(places(&schema, &json!({"order": 0})), Some(vec!["/content/order".into()]));
        assert_eq!(places(&schema, &json!({"order": 1, "a/b": 2})), Some(vec!["/content/a~1b".into()]));
        assert_eq!(places(&schema, &json!([])), Some(vec!["/content".into()]));
        let many = json!({"items": {"type": "string"}});
        assert_eq!(places(&many, &json!([1, 2, 3, 4])).unwrap().len(), 3);
        assert_eq!(places(&many, &json!(vec![1; 1000])), Some(vec![]));
    }

    #[test]
    fn what_a_schema_may_cost_is_known_before_it_is_compiled() {
        let list = |values: usize| json!({"enum": vec![0; values]});
        assert!(compile(&list(99)).is_ok());
        assert!(compile(&list(100)).is_err());
        let mut doubling = json!({"$defs": {"a0": {"type": "string"}}});
        for at in 1..20 {
            let lower = json!({"$ref": format!("#/$defs/a{}", at - 1)});
            doubling["$defs"][format!("a{at}")] = json!({"allOf": [lower, lower]});
        }
        assert!(compile(&doubling).is_err());
        let mut deep = json!({});
        for _ in 0..DEPTH {
            deep = json!({"not": deep});
        }
        assert!(compile(&deep).is_ok());
        assert!(compile(&json!({"not": deep})).is_err());
    }

    #[test]
    fn a_reference_leads_to_a_place_of_the_schema_and_not_back() {
        for schema in [
            json!({"$ref": "#"}),
            json!({"properties": {"next": {"$ref": "#"}}}),
            json!({"$ref": "https://json-schema.org/draft/2020-12/schema"}),
            json!({"$ref": "http://127.0.0.1:1/x"}),
            json!({"$ref": "file:///etc/passwd"}),
            json!({"$ref": "#/$defs/none"}),
            json!({"$ref": "#%2F$defs"}),
            json!({"$dynamicRef": "#x"}),
            json!({"items": {"$id": "http://x/", "$ref": "#/$defs/a"}, "$defs": {"a": {}}}),
            json!({"$schema": "http://json-schema.org/draft-04/schema#"}),
            json!({"type": "strange"}),
            json!({"pattern": "("}),
            json!({"pattern": "(?=a)b"}),
        ] {
            assert!(compile(&schema).is_err(), "{schema}");
        }
        let named =
            json!({"$id": "https://example.com/x", "$ref": "#/$defs/a", "$defs": {"a": {"type": "null"}}});
        assert_eq!(places(&named, &json!(1)), Some(vec!["/content".into()]));
        assert!(
            compile(&json!({"properties": {"$ref": {"type": "string"}, "id": {"type": "string"}}})).is_ok()
        );
    }
}
