//! What a module was granted, its limits and the schema of its input, as JSON: the receiver takes it with a module, the store
//! keeps it, the executor lowers its own limits by it. Pure.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::origins::AllowList;
use super::strict::{self, Invalid, at_most, within};
use crate::name::name;

name! {
    /// What a module's entries in the key-value store are under, inside its tenant. At most 64 bytes.
    SpaceName, 64, "A-Z a-z 0-9 - _ .", |byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)
}

/// A module's settings. What is not stated is not granted, not limited further and not checked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// What it may beyond computing.
    #[serde(skip_serializing_if = "Grants::is_empty", deserialize_with = "strict::object")]
    pub grants: Grants,
    /// Limits below those that the executor has for all.
    #[serde(skip_serializing_if = "Limits::is_empty", deserialize_with = "strict::object")]
    pub limits: Limits,
    /// A JSON Schema; inputs of a JSON type that do not match it are refused where they come in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_schema: Option<Map<String, Value>>,
    /// For people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// What a module may beyond computing. Everything is denied that is not here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Grants {
    /// Constants by key; a command has them as its environment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<BTreeMap<String, String>>,
    /// What its entries in the key-value store are under.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_value: Option<SpaceName>,
    /// Whether it may know the time.
    #[serde(skip_serializing_if = "is_denied")]
    pub clock: bool,
    /// Origins it may send requests to, as [`AllowList`] reads them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<Vec<String>>,
    /// Whom it may publish to.
    #[serde(skip_serializing_if = "Publish::is_default")]
    pub publish: Publish,
}

/// Whom a module may publish to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Publish {
    /// The recipient of its input: whoever is told anyway.
    #[default]
    SameRecipient,
    /// Any recipient of the input's tenant.
    Tenant,
}

/// Limits of one module. Where the executor's own is lower, that one counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// The longest an attempt may take, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<u64>,
    /// Most fuel of an attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fuel: Option<u64>,
    /// Most linear memory of an attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// Most attempts at one input.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempts: Option<u32>,
}

impl Settings {
    /// Most bytes of the JSON text.
    pub const MAX_BYTES: usize = 128 * 1024;
    /// Most bytes of the schema as JSON text.
    pub const MAX_SCHEMA_BYTES: usize = 64 * 1024;
    /// Most bytes of the description.
    pub const MAX_DESCRIPTION_BYTES: usize = 1024;

    /// Reads settings from JSON text.
    ///
    /// # Errors
    /// Names the field and what is wrong with it.
    pub fn parse(json: &str) -> Result<Self, Invalid> {
        let settings: Self = strict::parse(json, Self::MAX_BYTES)?;
        settings.check()?;
        Ok(settings)
    }

    /// The JSON text: equal settings are equal texts.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::json!(self).to_string()
    }

    /// Checks what the types alone do not say; [`Settings::parse`] did.
    ///
    /// # Errors
    /// Names the field and the limit.
    pub fn check(&self) -> Result<(), Invalid> {
        self.grants.check()?;
        self.limits.check()?;
        if let Some(schema) = &self.input_schema {
            let bytes = serde_json::json!(schema).to_string().len();
            at_most("input_schema", bytes, Self::MAX_SCHEMA_BYTES, "bytes")?;
        }
        let description = self.description.as_deref().unwrap_or_default();
        at_most("description", description.len(), Self::MAX_DESCRIPTION_BYTES, "bytes")
    }
}

impl Grants {
    /// Most constants.
    pub const MAX_CONSTANTS: usize = 64;
    /// Most bytes of a constant's key, of A-Z a-z 0-9 - _ .
    pub const MAX_KEY_BYTES: usize = 64;
    /// Most bytes of a constant.
    pub const MAX_CONSTANT_BYTES: usize = 4096;
    /// Most origins.
    pub const MAX_ORIGINS: usize = 64;
    /// Most bytes of an origin.
    pub const MAX_ORIGIN_BYTES: usize = 300;

    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The origins it may send requests to; none: it has no such grant.
    ///
    /// # Errors
    /// When one is none, which [`Settings::check`] refuses.
    pub fn allow_list(&self) -> Result<Option<AllowList>, Invalid> {
        let Some(origins) = &self.http else { return Ok(None) };
        let list = AllowList::parse(origins.iter().map(String::as_str));
        list.map(Some).map_err(|invalid| Invalid::value("grants.http", invalid.to_string()))
    }

    fn check(&self) -> Result<(), Invalid> {
        let constants = self.config.as_ref();
        at_most("grants.config", constants.map_or(0, BTreeMap::len), Self::MAX_CONSTANTS, "keys")?;
        for (key, value) in constants.into_iter().flatten() {
            let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
            crate::name::check(key, Self::MAX_KEY_BYTES, "A-Z a-z 0-9 - _ .", allowed)
                .map_err(|invalid| Invalid::value("grants.config", format!("a key {invalid}")))?;
            let field = format!("grants.config.{key}");
            at_most(&field, value.len(), Self::MAX_CONSTANT_BYTES, "bytes")?;
            if value.contains('\0') {
                return Err(Invalid::value(field, "has a NUL, which no environment can hold"));
            }
        }
        let origins = self.http.as_deref().unwrap_or_default();
        at_most("grants.http", origins.len(), Self::MAX_ORIGINS, "origins")?;
        for (at, origin) in origins.iter().enumerate() {
            at_most(&format!("grants.http[{at}]"), origin.len(), Self::MAX_ORIGIN_BYTES, "bytes")?;
        }
        self.allow_list().map(|_list| ())
    }
}

impl Publish {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Limits {
    /// What a deadline may be, in milliseconds.
    pub const DEADLINE_MS: RangeInclusive<u64> = 1..=3_600_000;
    /// What fuel may be. Below, no guest gets as far as its own code.
    pub const FUEL: RangeInclusive<u64> = 10_000..=u64::MAX / 2;
    /// What memory may be: one page to all that a 32-bit guest can address.
    pub const MEMORY_BYTES: RangeInclusive<u64> = 65_536..=4_294_967_296;
    /// What attempts may be.
    pub const ATTEMPTS: RangeInclusive<u32> = 1..=100;

    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The deadline, if one is stated.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        self.deadline_ms.map(Duration::from_millis)
    }

    fn check(&self) -> Result<(), Invalid> {
        within("limits.deadline_ms", self.deadline_ms, Self::DEADLINE_MS)?;
        within("limits.fuel", self.fuel, Self::FUEL)?;
        within("limits.memory_bytes", self.memory_bytes, Self::MEMORY_BYTES)?;
        within("limits.attempts", self.attempts, Self::ATTEMPTS)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn is_denied(granted: &bool) -> bool {
    !granted
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: &str = r#"{
        "grants": {"config": {"shop.URL": "https://ü"}, "key_value": "totals", "clock": true,
            "http": ["https://api.example.com", "http://*.inner.example.com:8080"], "publish": "tenant"},
        "limits": {"deadline_ms": 500, "fuel": 20000, "memory_bytes": 65536, "attempts": 3},
        "input_schema": {"type": "object", "required": ["order"]},
        "description": "adds up"}"#;

    #[test]
    fn settings_survive_a_round_trip_and_equal_ones_are_equal_texts() {
        let read = Settings::parse(FULL).unwrap();
        assert_eq!(read.grants.publish, Publish::Tenant);
        assert_eq!(read.limits.deadline(), Some(Duration::from_millis(500)));
        assert!(read.grants.allow_list().unwrap().is_some());
        let again = Settings::parse(&read.to_json()).unwrap();
        assert_eq!((again.to_json(), again), (read.to_json(), read));
    }

    #[test]
    fn what_is_not_stated_is_not_granted() {
        let none = Settings::parse("{}").unwrap();
        assert_eq!(none, Settings::default());
        assert_eq!(none.to_json(), "{}");
        assert!(none.grants.allow_list().unwrap().is_none());
        assert!(!none.grants.clock);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_field() {
        for (json, field) in [
            ("", "."),
            ("[]", "."),
            (r#"{"grants":[{"A":"1"}]}"#, "grants"),
            (r#"{"limits":[]}"#, "limits"),
            ("{} x", "."),
            (r#"{"grant":{}}"#, "grant"),
            (r#"{"grants":{"files":true}}"#, "grants.files"),
            (r#"{"grants":{"clock":"yes"}}"#, "grants.clock"),
            (r#"{"grants":{"key_value":"a b"}}"#, "grants.key_value"),
            (r#"{"grants":{"key_value":""}}"#, "grants.key_value"),
            (r#"{"grants":{"config":{"A=B":"1"}}}"#, "grants.config"),
            (r#"{"grants":{"config":{"A":"\u0000"}}}"#, "grants.config.A"),
            (r#"{"grants":{"http":["api.example.com"]}}"#, "grants.http"),
            (r#"{"grants":{"publish":"world"}}"#, "grants.publish"),
            (r#"{"limits":{"cpu":1}}"#, "limits.cpu"),
            (r#"{"limits":{"fuel":1.5}}"#, "limits.fuel"),
            (r#"{"input_schema":7}"#, "input_schema"),
            (r#"{"description":{}}"#, "description"),
        ] {
            let told = Settings::parse(json).expect_err(json).to_string();
            assert!(told.starts_with(&format!("{field}: ")) || field == ".", "{json}: {told}");
        }
    }

    #[test]
    fn every_limit_is_obeyed_and_named_when_it_is_not() {
        let taken = |settings: &Settings| settings.check().map_err(|error| error.to_string());
        let mut settings = Settings::parse(FULL).unwrap();
        for (fuel, attempts, fits) in [(10_000, 100, true), (9999, 100, false), (10_000, 0, false)] {
            settings.limits = Limits { fuel: Some(fuel), attempts: Some(attempts), ..Limits::default() };
            assert_eq!(taken(&settings).is_ok(), fits, "{fuel} {attempts}");
        }
        settings.limits = Limits { memory_bytes: Some(65_535), ..Limits::default() };
        assert_eq!(
            taken(&settings),
            Err("limits.memory_bytes: is 65535, must be 65536 to 4294967296".into())
        );
        settings.limits = Limits { deadline_ms: Some(3_600_001), ..Limits::default() };
        assert!(taken(&settings).unwrap_err().contains("limits.deadline_ms"));
        settings.limits = Limits::default();

        let long = |bytes: usize| "a".repeat(bytes);
        settings.description = Some(long(1024));
        assert_eq!(taken(&settings), Ok(()));
        settings.description = Some(long(1025));
        assert_eq!(taken(&settings), Err("description: has 1025 bytes, at most 1024 are taken".into()));
        settings.description = None;

        settings.grants.config = Some((0..64).map(|at| (format!("k{at}"), long(4096))).collect());
        assert_eq!(taken(&settings), Ok(()));
        settings.grants.config = Some((0..65).map(|at| (format!("k{at}"), String::new())).collect());
        assert!(taken(&settings).unwrap_err().contains("65 keys, at most 64"));
        settings.grants.config = Some([("k".to_owned(), long(4097))].into());
        assert!(taken(&settings).unwrap_err().starts_with("grants.config.k: has 4097 bytes"));
        settings.grants.config = None;

        settings.grants.http = Some(vec!["https://a.example.com".to_owned(); 65]);
        assert!(taken(&settings).unwrap_err().starts_with("grants.http: has 65 origins"));
        settings.grants.http = Some(vec![format!("https://{}.com", long(300))]);
        assert!(taken(&settings).unwrap_err().starts_with("grants.http[0]: has 312 bytes"));
        settings.grants.http = None;

        settings.input_schema = Some(Map::from_iter([("title".to_owned(), Value::from(long(65_536)))]));
        assert!(taken(&settings).unwrap_err().starts_with("input_schema: has"));
        let large = format!("{{\"description\":\"{}\"}}", long(Settings::MAX_BYTES));
        assert!(matches!(Settings::parse(&large), Err(Invalid::TooLarge { .. })));
    }
}
