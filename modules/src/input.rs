//! The line of JSON that a command is given, see `docs/TASKS.md`.

use std::collections::BTreeMap;
use std::io::Read;

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::date;
use crate::output::{Content, Output};
use crate::Reason;

/// What templates and conditions see beside `content` and `metadata`. Not what differs from one attempt to the next.
const SEEN: [&str; 9] =
    ["id", "tenant", "recipient", "source", "type", "content_type", "urgency", "accepted", "expires"];

/// The input. Its fields keep the bytes that they were written with.
pub struct Input {
    fields: BTreeMap<String, Box<RawValue>>,
}

impl Input {
    /// Reads standard input to its end.
    ///
    /// # Errors
    /// When it is not one JSON object.
    pub fn read() -> Result<Self, Reason> {
        let mut line = String::new();
        std::io::stdin().read_to_string(&mut line).map_err(|error| format!("input: {}", error))?;
        Self::parse(&line)
    }

    /// Reads a line.
    ///
    /// # Errors
    /// When it is not one JSON object.
    pub fn parse(line: &str) -> Result<Self, Reason> {
        let fields = serde_json::from_str(line).map_err(|error| format!("input: {}", error))?;
        Ok(Self { fields })
    }

    /// A field as it was written.
    pub fn raw(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(|raw| raw.get())
    }

    /// The value of a field; null when it is not there.
    ///
    /// # Errors
    /// When it is nested too deeply to be read.
    pub fn value(&self, name: &str) -> Result<Value, Reason> {
        let read = |raw| serde_json::from_str(raw).map_err(|error| format!("{}: {}", name, error));
        self.raw(name).map_or(Ok(Value::Null), read)
    }

    /// A field that is a text.
    ///
    /// # Errors
    /// When it is none.
    pub fn text(&self, name: &str) -> Result<String, Reason> {
        match self.value(name)? {
            Value::String(text) => Ok(text),
            other => Err(format!("{}: a text is needed, this is {}", name, crate::kind_of(&other))),
        }
    }

    /// The value of the content.
    ///
    /// # Errors
    /// When the content has none, because it is of no JSON or text type.
    pub fn content(&self) -> Result<Value, Reason> {
        self.raw_content()?;
        self.value("content")
    }

    /// The content as it was written.
    ///
    /// # Errors
    /// When the content has no value, because it is of no JSON or text type.
    pub fn raw_content(&self) -> Result<&str, Reason> {
        self.raw("content").ok_or_else(|| {
            let content_type = self.text("content_type").unwrap_or_default();
            format!("content: JSON is needed, this is of type {}", content_type)
        })
    }

    /// All that templates and conditions see: one object.
    ///
    /// # Errors
    /// When something is nested too deeply to be read.
    pub fn scope(&self) -> Result<Value, Reason> {
        let mut scope = Map::new();
        for name in SEEN.iter().chain(&["content", "metadata"]) {
            if self.raw(name).is_some() {
                scope.insert((*name).to_owned(), self.value(name)?);
            }
        }
        for (name, from) in [("accepted_at", "accepted"), ("expires_at", "expires")] {
            if let Some(millis) = scope.get(from).and_then(Value::as_u64) {
                scope.insert(name.to_owned(), Value::String(date::written(millis)));
            }
        }
        Ok(Value::Object(scope))
    }

    /// An output with the type, the content and the metadata of the input, byte by byte.
    ///
    /// # Errors
    /// When a text is none.
    pub fn again(&self) -> Result<Output, Reason> {
        let content = match (self.raw("content"), self.raw("content_base64")) {
            (Some(json), _) => Content::Json(json.to_owned()),
            (None, Some(_)) => Content::Base64(self.text("content_base64")?),
            (None, None) => return Err("input: there is no content".to_owned()),
        };
        Ok(Output {
            kind: self.text("type")?,
            content_type: self.text("content_type")?,
            content,
            metadata: self.raw("metadata").map(str::to_owned),
        })
    }
}
