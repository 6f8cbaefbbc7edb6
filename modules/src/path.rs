//! Ways into a JSON value: JSON Pointers, and dotted paths for people.

use serde_json::{Map, Value};

use crate::Reason;

/// A JSON Pointer (RFC 6901).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pointer {
    written: String,
    steps: Vec<String>,
}

/// There is no place where a pointer points.
struct NoPlace;

impl Pointer {
    /// Reads a pointer; an empty one points at the whole.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(written: &str) -> Result<Self, Reason> {
        let wrong = || format!("{} is no JSON Pointer, which is empty or begins with /", quoted(written));
        let mut parts = written.split('/');
        if parts.next() != Some("") {
            return Err(wrong());
        }
        let steps = parts.map(|part| unescaped(part).ok_or_else(wrong)).collect::<Result<_, _>>()?;
        Ok(Self { written: written.to_owned(), steps })
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.written
    }

    /// Its steps.
    pub fn steps(&self) -> &[String] {
        &self.steps
    }

    /// What is there.
    pub fn find<'a>(&self, root: &'a Value) -> Option<&'a Value> {
        find(&self.steps, root)
    }

    /// Takes what is there away. The whole leaves null; what is after an element of an array moves up.
    pub fn take(&self, root: &mut Value) -> Option<Value> {
        let (last, parents) = match self.steps.split_last() {
            Some(split) => split,
            None => return Some(root.take()),
        };
        match find_mut(parents, root)? {
            Value::Object(object) => object.remove(last),
            Value::Array(array) => {
                let at = index(last).filter(|at| *at < array.len())?;
                Some(array.remove(at))
            }
            _leaf => None,
        }
    }

    /// Puts a value there, in place of what is there. Objects on the way are made; in an array a step is the index of an
    /// element that is there, or `-` for one behind the last.
    ///
    /// # Errors
    /// When there is something on the way that holds no values, or an array has no such element.
    pub fn put(&self, root: &mut Value, value: Value) -> Result<(), Reason> {
        let why = |NoPlace| format!("there is no place for {}", quoted(&self.written));
        put(&self.steps, root, value).map_err(why)
    }
}

fn put(steps: &[String], place: &mut Value, value: Value) -> Result<(), NoPlace> {
    let (step, rest) = match steps.split_first() {
        Some(split) => split,
        None => {
            *place = value;
            return Ok(());
        }
    };
    if place.is_null() {
        *place = Value::Object(Map::new());
    }
    match place {
        Value::Object(object) => put(rest, object.entry(step.as_str()).or_insert(Value::Null), value),
        Value::Array(array) => {
            if step == "-" {
                array.push(Value::Null);
            }
            let at = if step == "-" { Some(array.len() - 1) } else { index(step) };
            let next = at.and_then(|at| array.get_mut(at)).ok_or(NoPlace)?;
            put(rest, next, value)
        }
        _leaf => Err(NoPlace),
    }
}

/// A path of a template or a condition: names with dots between them, or a pointer. It starts at all that the input has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    written: String,
    steps: Vec<String>,
}

impl Path {
    /// Reads a path: `content.items.0.name`, or `/content/items/0/name` for names with dots in them.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(written: &str) -> Result<Self, Reason> {
        let steps = if written.starts_with('/') {
            Pointer::parse(written)?.steps
        } else {
            written.split('.').map(str::to_owned).collect()
        };
        if steps.iter().any(|step| step.is_empty()) && !written.starts_with('/') {
            return Err(format!("{} is no path, which is names with dots between them", quoted(written)));
        }
        Ok(Self { written: written.to_owned(), steps })
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.written
    }

    /// What is there.
    pub fn find<'a>(&self, root: &'a Value) -> Option<&'a Value> {
        find(&self.steps, root)
    }
}

fn find<'a>(steps: &[String], root: &'a Value) -> Option<&'a Value> {
    steps.iter().try_fold(root, |value, step| match value {
        Value::Object(object) => object.get(step),
        Value::Array(array) => array.get(index(step)?),
        _leaf => None,
    })
}

fn find_mut<'a>(steps: &[String], root: &'a mut Value) -> Option<&'a mut Value> {
    steps.iter().try_fold(root, |value, step| match value {
        Value::Object(object) => object.get_mut(step),
        Value::Array(array) => array.get_mut(index(step)?),
        _leaf => None,
    })
}

/// An index has no sign and no leading zeros.
fn index(step: &str) -> Option<usize> {
    let canonical = step == "0" || !step.starts_with('0');
    let digits = step.bytes().all(|byte| byte.is_ascii_digit());
    if canonical && digits {
        step.parse().ok()
    } else {
        None
    }
}

/// `~1` is `/` and `~0` is `~`; a `~` before anything else is an error.
fn unescaped(part: &str) -> Option<String> {
    let mut text = String::new();
    let mut characters = part.chars();
    while let Some(character) = characters.next() {
        match character {
            '~' => match characters.next()? {
                '0' => text.push('~'),
                '1' => text.push('/'),
                _other => return None,
            },
            other => text.push(other),
        }
    }
    Some(text)
}

fn quoted(text: &str) -> String {
    Value::String(text.to_owned()).to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pointer_finds_what_rfc_6901_says() {
        let document = json!({"foo": ["bar", "baz"], "": 0, "a/b": 1, "m~n": 8, " ": 7});
        for (pointer, value) in [
            ("/foo/0", json!("bar")),
            ("/", json!(0)),
            ("/a~1b", json!(1)),
            ("/m~0n", json!(8)),
            ("/ ", json!(7)),
        ] {
            assert_eq!(Pointer::parse(pointer).unwrap().find(&document), Some(&value), "{}", pointer);
        }
        assert_eq!(Pointer::parse("").unwrap().find(&document), Some(&document));
        for nothing in ["/foo/2", "/foo/00", "/foo/-", "/foo/+0", "/x/y"] {
            assert_eq!(Pointer::parse(nothing).unwrap().find(&document), None, "{}", nothing);
        }
        for wrong in ["foo", "/~", "/~2"] {
            assert!(Pointer::parse(wrong).is_err(), "{}", wrong);
        }
    }

    #[test]
    fn a_value_is_put_where_there_is_a_place() {
        let put = |pointer: &str, mut into: Value| {
            Pointer::parse(pointer).unwrap().put(&mut into, json!(1)).map(|()| into)
        };
        assert_eq!(put("/a/b", json!({})), Ok(json!({"a": {"b": 1}})));
        assert_eq!(put("/a/-", json!({"a": [0]})), Ok(json!({"a": [0, 1]})));
        assert_eq!(put("/a/0", json!({"a": [0]})), Ok(json!({"a": [1]})));
        assert_eq!(put("", json!({"a": [0]})), Ok(json!(1)));
        assert!(put("/a/1", json!({"a": [0]})).is_err());
        assert!(put("/a/b", json!({"a": "text"})).is_err());
    }

    #[test]
    fn what_is_taken_is_gone() {
        let mut root = json!({"a": [1, 2, 3]});
        assert_eq!(Pointer::parse("/a/1").unwrap().take(&mut root), Some(json!(2)));
        assert_eq!(Pointer::parse("/a/2").unwrap().take(&mut root), None);
        assert_eq!(root, json!({"a": [1, 3]}));
    }

    #[test]
    fn a_path_is_names_with_dots_or_a_pointer() {
        let root = json!({"content": {"items": [{"name": "tea"}], "a.b": 1}});
        assert_eq!(Path::parse("content.items.0.name").unwrap().find(&root), Some(&json!("tea")));
        assert_eq!(Path::parse("/content/a.b").unwrap().find(&root), Some(&json!(1)));
        for wrong in ["", ".", "a..b", "a."] {
            assert!(Path::parse(wrong).is_err(), "{}", wrong);
        }
    }
}
