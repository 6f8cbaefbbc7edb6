//! Settings: one TOML file, the environment (`POSTRIDER_SECTION__KEY`) and `--set section.key=value` flags, the later
//! winning. Each service reads the sections it uses; unknown sections and keys are refused; every mistake of every
//! section is reported at once.

mod backoff;
mod engines;
mod otel;
mod secret;

use std::fmt;
use std::path::Path;
use std::time::Duration;

use figment::Figment;
use figment::providers::{Env, Format, Serialized, Toml};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use backoff::BackoffSettings;
pub use engines::{
    AdminSettings, KafkaSettings, LogSettings, PostgresSettings, RedisSettings, SqliteLogSettings,
    StoreSettings, TelemetrySettings,
};
pub use otel::Traces;
pub(crate) use otel::most_waiting_spans;
pub use secret::Secret;

/// Every section that any service reads. A name that is not here is a mistake wherever it is found.
pub const SECTIONS: [&str; 12] = [
    "receiver",
    "director",
    "distributor",
    "executor",
    "log",
    "kafka",
    "redis",
    "postgres",
    "store",
    "auth",
    "admin",
    "telemetry",
];

/// One section of the settings.
pub trait Section: DeserializeOwned + Serialize + Default {
    /// Its name in the file.
    const NAME: &'static str;

    /// Refuses values, and relations between values, that cannot work. Reports to `mistakes`, keys relative to the
    /// section.
    fn check(&self, mistakes: &mut Mistakes);
}

/// What is wrong with the settings, all of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mistakes {
    section: &'static str,
    found: Vec<String>,
}

impl Mistakes {
    /// Reports a mistake at `key` of the current section.
    pub fn report(&mut self, key: &str, what: impl fmt::Display) {
        self.found.push(format!("{}.{key}: {what}", self.section));
    }

    /// Reports `key` when `value` is outside `limits`.
    pub fn within<T: PartialOrd + fmt::Display>(
        &mut self,
        key: &str,
        value: T,
        limits: std::ops::RangeInclusive<T>,
    ) {
        if !limits.contains(&value) {
            self.report(key, format_args!("is {value}, must be {} to {}", limits.start(), limits.end()));
        }
    }

    /// Fails when anything was reported.
    ///
    /// # Errors
    /// With everything that was.
    pub fn into_result(self) -> Result<(), Error> {
        if self.found.is_empty() { Ok(()) } else { Err(Error::Mistakes(self.found)) }
    }
}

/// Settings that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file is not there or not TOML.
    #[error("the settings file cannot be read: {0}")]
    File(String),
    /// Wrong values, one line each.
    #[error("the settings have {} mistake(s):\n  {}", .0.len(), .0.join("\n  "))]
    Mistakes(Vec<String>),
}

/// Where settings come from.
#[derive(Clone, Debug)]
pub struct Sources {
    figment: Figment,
    mistakes: Mistakes,
    read: toml::Table,
}

impl Sources {
    /// Reads `file` (must exist when given), the environment, and `section.key=value` overrides.
    ///
    /// # Errors
    /// [`Error::File`] when the file is not there or no TOML.
    pub fn load(file: Option<&Path>, overrides: &[String]) -> Result<Self, Error> {
        let mut figment = Figment::new();
        if let Some(path) = file {
            if !path.is_file() {
                return Err(Error::File(format!("{}: no such file", path.display())));
            }
            figment = figment.merge(Toml::file_exact(path));
        }
        // `POSTRIDER_API_KEY` and the like belong to the command line, not to a section.
        figment =
            figment.merge(Env::prefixed("POSTRIDER_").filter(|key| key.as_str().contains("__")).split("__"));
        let mut mistakes = Mistakes { section: "--set", found: Vec::new() };
        for text in overrides {
            match text.split_once('=').filter(|(key, _)| key.contains('.')) {
                Some((key, value)) => figment = figment.merge((key, literal(value))),
                None => mistakes.report(text, "must be section.key=value"),
            }
        }
        let found: figment::value::Dict =
            figment.extract().map_err(|error: figment::Error| Error::File(error.to_string()))?;
        for name in found.keys().filter(|name| !SECTIONS.contains(&name.as_str())) {
            mistakes.found.push(format!("{name}: no such section; there are {}", SECTIONS.join(", ")));
        }
        Ok(Self { figment, mistakes, read: toml::Table::new() })
    }

    /// Adds defaults of this process, `("section.key", "value")`, below file, environment and overrides.
    #[must_use]
    pub fn with_defaults(mut self, defaults: &[(&str, &str)]) -> Self {
        for (key, value) in defaults {
            // A bare pair would stand in figment's global profile, above the file.
            self.figment = self.figment.join(Serialized::default(key, literal(value)));
        }
        self
    }

    /// Reads and checks one section; a section that is not there has its defaults. Mistakes are collected until
    /// [`Sources::finish`].
    pub fn section<S: Section>(&mut self) -> S {
        self.mistakes.section = S::NAME;
        let read = if self.figment.contains(S::NAME) {
            self.figment.extract_inner(S::NAME)
        } else {
            Ok(S::default())
        };
        match read {
            Ok(section) => {
                S::check(&section, &mut self.mistakes);
                match toml::Value::try_from(&section) {
                    Ok(shown) => drop(self.read.insert(S::NAME.to_owned(), shown)),
                    Err(error) => self.mistakes.found.push(format!("{}: {error}", S::NAME)),
                }
                section
            }
            Err(errors) => {
                self.mistakes.found.extend(errors.into_iter().map(|error| misread(S::NAME, &error)));
                S::default()
            }
        }
    }

    /// The sections read so far as one settings file, defaults written out and secrets masked.
    #[must_use]
    pub fn shown(&self) -> String {
        self.read.to_string()
    }

    /// Where relations between sections are reported.
    pub fn mistakes(&mut self, section: &'static str) -> &mut Mistakes {
        self.mistakes.section = section;
        &mut self.mistakes
    }

    /// Fails when any section had a mistake.
    ///
    /// # Errors
    /// [`Error::Mistakes`] with all of them.
    pub fn finish(self) -> Result<(), Error> {
        self.mistakes.into_result()
    }
}

/// What is wrong with one key of `section`, where it stands and in words that name no type of ours.
fn misread(section: &str, error: &figment::Error) -> String {
    use figment::error::Kind;
    let within: Vec<&str> = error.path.iter().map(String::as_str).filter(|part| *part != section).collect();
    let key = [section].into_iter().chain(within).collect::<Vec<_>>().join(".");
    match &error.kind {
        Kind::UnknownField(_, []) => format!("{key}: no such setting; the section has none"),
        Kind::UnknownField(_, known) => format!("{key}: no such setting; there are {}", known.join(", ")),
        kind => format!("{key}: {kind}"),
    }
}

/// A TOML literal where it is one, else a string.
fn literal(text: &str) -> figment::value::Value {
    let parsed =
        format!("value = {text}").parse::<toml::Table>().ok().and_then(|mut table| table.remove("value"));
    let value = parsed.unwrap_or_else(|| toml::Value::String(text.to_owned()));
    figment::value::Value::serialize(value).unwrap_or_else(|_never| figment::value::Value::from(text))
}

/// Durations in settings: whole milliseconds, in a key that ends in `_ms`.
pub mod millis {
    use super::Duration;

    /// Reads whole milliseconds.
    ///
    /// # Errors
    /// When it is no whole number.
    pub fn deserialize<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        serde::Deserialize::deserialize(deserializer).map(Duration::from_millis)
    }

    /// Writes whole milliseconds.
    ///
    /// # Errors
    /// As the serializer.
    pub fn serialize<S: serde::Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_sections_and_keys_are_refused_together() {
        let overrides =
            ["nonsense.key=1".to_owned(), "admin.lisen=\"x\"".to_owned(), "log.partitions=0".to_owned()];
        let mut sources = Sources::load(None, &overrides).unwrap();
        let _admin: AdminSettings = sources.section();
        let _log: LogSettings = sources.section();
        let Err(Error::Mistakes(found)) = sources.finish() else { panic!("accepted") };
        assert_eq!(found.len(), 3, "{found:#?}");
        assert!(
            found[0].contains("nonsense")
                && found[1] == "admin.lisen: no such setting; there are listen"
                && found[2].starts_with("log.partitions")
        );
    }

    #[test]
    fn settings_are_shown_without_their_secrets() {
        let overrides = ["postgres.url=postgres://app:hunter2@db/postrider".to_owned()];
        let mut sources = Sources::load(None, &overrides).unwrap();
        let _postgres: PostgresSettings = sources.section();
        let shown = sources.shown();
        assert!(shown.contains("url = \"***\"") && shown.contains("connections = 8"), "{shown}");
        assert!(!shown.contains("hunter2"));
    }

    #[test]
    fn defaults_of_a_process_give_way_to_everything_else() {
        let overrides = ["log.partitions=3".to_owned()];
        let defaults = [("log.partitions", "1"), ("log.prefix", "one.")];
        let mut sources = Sources::load(None, &overrides).unwrap().with_defaults(&defaults);
        let log: LogSettings = sources.section();
        sources.finish().unwrap();
        assert_eq!((log.prefix.as_str(), log.partitions), ("one.", 3));
    }

    #[test]
    fn the_file_stands_above_the_defaults_of_a_process_and_below_its_flags() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "[log]\nprefix = \"file.\"\npartitions = 7\n").unwrap();
        let overrides = ["log.partitions=12".to_owned()];
        let defaults = [("log.prefix", "default."), ("log.partitions", "3"), ("log.epoch", "5")];
        let mut sources = Sources::load(Some(file.path()), &overrides).unwrap().with_defaults(&defaults);
        let log: LogSettings = sources.section();
        sources.finish().unwrap();
        assert_eq!((log.prefix.as_str(), log.partitions, log.epoch), ("file.", 12, 5));
    }

    #[test]
    fn a_flag_may_be_a_bare_word_or_a_number() {
        let overrides = ["log.prefix=eu.".to_owned(), "log.partitions=12".to_owned()];
        let mut sources = Sources::load(None, &overrides).unwrap();
        let log: LogSettings = sources.section();
        sources.finish().unwrap();
        assert_eq!((log.prefix.as_str(), log.partitions), ("eu.", 12));
    }
}
