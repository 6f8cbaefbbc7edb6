//! What a module is configured with: the constants of its grant `config`, which are its environment. A module without
//! any takes `config` of the input's metadata instead, so that a built-in can be asked for something without being
//! deployed first.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::{Input, Output, Reason};

/// The longest type of a notification, in bytes.
const KIND_BYTES: usize = 128;

/// Values by key.
pub struct Config {
    values: BTreeMap<String, String>,
    /// What is left of the metadata, when the configuration came with it.
    metadata: Option<Map<String, Value>>,
}

impl Config {
    /// Reads the configuration of a module that knows these keys, beside `type`.
    ///
    /// # Errors
    /// When there is a key it does not know.
    pub fn read(input: &Input, known: &[&str]) -> Result<Self, Reason> {
        Self::choose(std::env::vars().collect(), input, known)
    }

    fn choose(granted: BTreeMap<String, String>, input: &Input, known: &[&str]) -> Result<Self, Reason> {
        let config = if granted.is_empty() {
            Self::of_metadata(input)?
        } else {
            Self { values: granted, metadata: None }
        };
        let strange = |key: &&String| *key != "type" && !known.contains(&key.as_str());
        if let Some(key) = config.values.keys().find(strange) {
            let known: Vec<&str> = known.iter().copied().chain(["type"]).collect();
            return Err(format!("config: there is no key {}; there are {}", key, known.join(", ")));
        }
        Ok(config)
    }

    fn of_metadata(input: &Input) -> Result<Self, Reason> {
        let mut metadata = match input.value("metadata")? {
            Value::Object(metadata) => metadata,
            _none => Map::new(),
        };
        match metadata.remove("config") {
            None => Ok(Self { values: BTreeMap::new(), metadata: None }),
            Some(Value::Object(given)) => {
                let values = given.into_iter().map(|(key, value)| (key, written(value))).collect();
                Ok(Self { values, metadata: Some(metadata) })
            }
            Some(other) => Err(format!(
                "config: an object is needed in the metadata, this is {}",
                crate::kind_of(&other)
            )),
        }
    }

    /// A value.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(String::as_str)
    }

    /// A value that must be there.
    ///
    /// # Errors
    /// When it is not.
    pub fn required(&self, key: &str) -> Result<&str, Reason> {
        self.get(key).ok_or_else(|| format!("config: the key {} is missing", key))
    }

    /// A value that is JSON, if it is there.
    ///
    /// # Errors
    /// When it is not JSON.
    pub fn json(&self, key: &str) -> Result<Option<Value>, Reason> {
        let read =
            |text| serde_json::from_str(text).map_err(|error| wrong(key, &format!("not JSON: {}", error)));
        self.get(key).map(read).transpose()
    }

    /// One of a few words, the first when it is not there.
    ///
    /// # Errors
    /// When it is none of them.
    pub fn word<'a>(&self, key: &str, words: &[&'a str]) -> Result<&'a str, Reason> {
        let given = self.get(key).unwrap_or(words[0]);
        let found = words.iter().find(|word| **word == given);
        found.copied().ok_or_else(|| wrong(key, &format!("{} is none of {}", given, words.join(", "))))
    }

    /// A whole number within limits.
    ///
    /// # Errors
    /// When it is none.
    pub fn number(&self, key: &str, fallback: usize, least: usize, most: usize) -> Result<usize, Reason> {
        let text = match self.get(key) {
            Some(text) => text,
            None => return Ok(fallback),
        };
        let number = text.parse().ok().filter(|number| (least..=most).contains(number));
        number.ok_or_else(|| wrong(key, &format!("a number from {} to {} is needed", least, most)))
    }

    /// What an output of this input is before the module changes it: the input again, of the configured type, without
    /// the configuration that came with it.
    ///
    /// # Errors
    /// When the configured type is none.
    pub fn output(&self, input: &Input) -> Result<Output, Reason> {
        let mut output = input.again()?;
        if let Some(kind) = self.get("type") {
            output.kind = checked_kind(kind)?.to_owned();
        }
        if let Some(metadata) = &self.metadata {
            let left = Value::Object(metadata.clone());
            output.metadata = Some(left.to_string()).filter(|_left| !metadata.is_empty());
        }
        Ok(output)
    }
}

/// Says that a value of the configuration is wrong.
pub(crate) fn wrong(key: &str, why: &str) -> Reason {
    format!("config: {}: {}", key, why)
}

/// Text stays as it is; anything else becomes the text that the grant would have.
fn written(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

fn checked_kind(kind: &str) -> Result<&str, Reason> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:/".contains(&byte);
    if kind.is_empty() || kind.len() > KIND_BYTES || !kind.bytes().all(allowed) {
        return Err(wrong("type", &format!("1 to {} of A-Z a-z 0-9 - . _ : / are needed", KIND_BYTES)));
    }
    Ok(kind)
}
