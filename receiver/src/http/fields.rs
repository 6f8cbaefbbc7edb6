//! JSON taken apart one level at a time, so that every mistake is reported with its place and nothing is copied.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeOwned, Deserializer as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::refusal::{Reason, Refusal};

/// More fields than any object of ours has; what lies beyond is only skipped.
const MOST_FIELDS: usize = 32;

/// The fields of an object, taken out one by one.
pub(super) struct Fields<'a> {
    pointer: &'static str,
    fields: Vec<(Cow<'a, str>, &'a RawValue)>,
}

impl<'a> Fields<'a> {
    /// Reads the object `text`, which stands at `pointer`.
    pub(super) fn read(text: &'a str, pointer: &'static str) -> Result<Self, Refusal> {
        let value: &RawValue = serde_json::from_str(text).map_err(|error| malformed(&error).at(pointer))?;
        if !value.get().starts_with('{') {
            return Err(wrong_type("an object").at(pointer));
        }
        let fields = serde_json::Deserializer::from_str(value.get())
            .deserialize_map(Collect)
            .map_err(|error| malformed(&error).at(pointer))?;
        let found = Self { pointer, fields };
        for (at, (name, _)) in found.fields.iter().enumerate() {
            if found.fields[..at].iter().any(|(earlier, _)| earlier == name) {
                return Err(Refusal::plain(Reason::FieldRepeated).at(found.place(name)));
            }
        }
        Ok(found)
    }

    /// Takes the field out, `null` included.
    pub(super) fn take(&mut self, name: &str) -> Option<&'a RawValue> {
        let at = self.fields.iter().position(|(field, _)| field == name)?;
        Some(self.fields.swap_remove(at).1)
    }

    /// Takes a field that may be absent or `null` and must else be a `T`, which is `what` in words.
    pub(super) fn optional<T: DeserializeOwned>(
        &mut self,
        name: &str,
        what: &str,
    ) -> Result<Option<T>, Refusal> {
        match self.take(name).filter(|value| value.get() != "null") {
            Some(value) => scalar(value, what).map(Some).map_err(|refusal| refusal.at(self.place(name))),
            None => Ok(None),
        }
    }

    /// Takes a field that must be there and be a `T`.
    pub(super) fn required<T: DeserializeOwned>(&mut self, name: &str, what: &str) -> Result<T, Refusal> {
        self.optional(name, what)?.ok_or_else(|| self.missing(name))
    }

    /// The refusal of an object without `name`.
    pub(super) fn missing(&self, name: &str) -> Refusal {
        Refusal::plain(Reason::FieldMissing).at(self.place(name))
    }

    /// Refuses what was not taken: fields of `later` as not supported yet, others as unknown.
    pub(super) fn finish(self, later: &[&str]) -> Result<(), Refusal> {
        let Some((name, _)) = self.fields.first() else { return Ok(()) };
        if later.contains(&&**name) {
            let detail = format!("{name} is not supported yet");
            return Err(Refusal::new(Reason::NotSupported, detail).at(self.place(name)));
        }
        Err(Refusal::plain(Reason::FieldUnknown).at(self.place(name)))
    }

    /// The JSON pointer of a field (RFC 6901, section 3).
    pub(super) fn place(&self, name: &str) -> String {
        let short: String = name.chars().take(64).collect();
        format!("{}/{}", self.pointer, short.replace('~', "~0").replace('/', "~1"))
    }
}

/// At most `most` elements of the array `text`, and how many there are, counted to one beyond `most`.
pub(super) fn elements(text: &str, most: usize) -> Result<(Vec<&RawValue>, usize), Refusal> {
    let value: &RawValue = serde_json::from_str(text).map_err(|error| malformed(&error))?;
    if !value.get().starts_with('[') {
        return Err(wrong_type("an array"));
    }
    serde_json::Deserializer::from_str(value.get())
        .deserialize_seq(Elements { most })
        .map_err(|error| malformed(&error))
}

/// A value that has no parts.
pub(super) fn scalar<T: DeserializeOwned>(value: &RawValue, what: &str) -> Result<T, Refusal> {
    serde_json::from_str(value.get()).map_err(|_other| wrong_type(what))
}

pub(super) fn wrong_type(what: &str) -> Refusal {
    Refusal::new(Reason::FieldType, format_args!("must be {what}"))
}

pub(super) fn malformed(error: &serde_json::Error) -> Refusal {
    Refusal::new(Reason::JsonMalformed, error)
}

struct Collect;

impl<'de> Visitor<'de> for Collect {
    type Value = Vec<(Cow<'de, str>, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut fields = Vec::new();
        while fields.len() < MOST_FIELDS {
            let Some(entry) = entries.next_entry::<Cow<'de, str>, &'de RawValue>()? else {
                return Ok(fields);
            };
            fields.push(entry);
        }
        while let Some((IgnoredAny, IgnoredAny)) = entries.next_entry()? {}
        Ok(fields)
    }
}

struct Elements {
    most: usize,
}

impl<'de> Visitor<'de> for Elements {
    type Value = (Vec<&'de RawValue>, usize);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut found = Vec::new();
        while found.len() < self.most {
            let Some(item) = items.next_element::<&'de RawValue>()? else {
                let count = found.len();
                return Ok((found, count));
            };
            found.push(item);
        }
        let mut count = found.len();
        while let Some(IgnoredAny) = items.next_element()? {
            count = self.most + 1;
        }
        Ok((found, count))
    }
}
