//! JSON that people write for modules and schedules, read strictly: unknown fields, arrays in the place of objects and
//! values beyond a limit are refused with the name of their field. Pure.

use std::fmt;
use std::marker::PhantomData;
use std::ops::RangeInclusive;

use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// Why a text is not what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum Invalid {
    /// Larger than it may be.
    #[error("has {bytes} bytes, at most {most} are taken")]
    TooLarge {
        /// How large it is.
        bytes: usize,
        /// How large it may be.
        most: usize,
    },
    /// No JSON, a field that is none of ours, or another type than the field has.
    #[error("{field}: {source}")]
    Shape {
        /// Which field; `.` for the whole.
        field: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A value beyond a limit or outside a grammar.
    #[error("{field}: {what}")]
    Value {
        /// Which field.
        field: String,
        /// What is wrong with it, with the limit.
        what: String,
    },
}

impl Invalid {
    pub(super) fn value(field: impl Into<String>, what: impl Into<String>) -> Self {
        Self::Value { field: field.into(), what: what.into() }
    }
}

/// Reads JSON text that is one object of this shape, and nothing behind it.
///
/// # Errors
/// Names the field and what is wrong with it.
pub(super) fn parse<T: DeserializeOwned>(json: &str, most_bytes: usize) -> Result<T, Invalid> {
    if json.len() > most_bytes {
        return Err(Invalid::TooLarge { bytes: json.len(), most: most_bytes });
    }
    let shape = |field: String| |source| Invalid::Shape { field, source };
    let mut reader = serde_json::Deserializer::from_str(json);
    let mut track = serde_path_to_error::Track::new();
    let read = object(serde_path_to_error::Deserializer::new(&mut reader, &mut track));
    let value = read.map_err(shape(track.path().to_string()))?;
    reader.end().map_err(shape(".".to_owned()))?;
    Ok(value)
}

/// Reads an object. What serde derives takes an array, too, whose fields go by their places.
pub(super) fn object<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    struct Only<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for Only<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
            T::deserialize(MapAccessDeserializer::new(map))
        }
    }

    deserializer.deserialize_map(Only(PhantomData))
}

/// Refuses what is beyond a limit, with its field and the limit.
pub(super) fn at_most(field: &str, count: usize, most: usize, unit: &str) -> Result<(), Invalid> {
    if count <= most {
        return Ok(());
    }
    Err(Invalid::value(field, format!("has {count} {unit}, at most {most} are taken")))
}

/// Refuses what is beyond a limit, with its field and the limit.
pub(super) fn within<T: PartialOrd + fmt::Display + Copy>(
    field: &str,
    value: Option<T>,
    range: RangeInclusive<T>,
) -> Result<(), Invalid> {
    match value {
        Some(value) if !range.contains(&value) => {
            let (least, most) = range.into_inner();
            Err(Invalid::value(field, format!("is {value}, must be {least} to {most}")))
        }
        Some(_) | None => Ok(()),
    }
}
