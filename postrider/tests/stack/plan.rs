//! How many of what: a [`Plan`], the settings it makes, and the services it lists.

use std::path::Path;

use super::part::Part;
use super::producer::SECRET;
use super::service::Service;

/// Which engines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    /// One process, SQLite and memory.
    Embedded,
    /// Processes on Kafka, Redis, Postgres.
    Distributed,
}

/// Whose engines of one kind a stack uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Engines {
    /// The environment's, under a prefix of this stack's own.
    #[default]
    Shared,
    /// The stack's own processes. `brokers` counts for Kafka only: 1, or 3 of which two must have every record.
    Own { brokers: usize },
}

impl Engines {
    /// One of its own.
    pub const OWN: Self = Self::Own { brokers: 1 };
}

/// What to start.
#[derive(Clone, Debug)]
pub struct Plan {
    pub column: Column,
    pub receivers: usize,
    pub directors: usize,
    pub distributors: usize,
    pub executors: usize,
    pub kafka: Engines,
    pub redis: Engines,
    pub postgres: Engines,
    /// Settings of every service, TOML.
    pub settings: String,
    /// Settings of single services, `key=value`.
    pub settings_of: Vec<(Part, &'static str)>,
    /// The page that browsers show.
    pub origin: String,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            column: Column::Distributed,
            receivers: 1,
            directors: 1,
            distributors: 1,
            executors: 1,
            kafka: Engines::Shared,
            redis: Engines::Shared,
            postgres: Engines::Shared,
            settings: String::new(),
            settings_of: Vec::new(),
            origin: "https://app.example".into(),
        }
    }
}

impl Plan {
    /// One process on embedded engines.
    pub fn embedded() -> Self {
        Self { column: Column::Embedded, ..Self::default() }
    }

    /// The settings file, `engines` first.
    pub(super) fn toml(&self, engines: &str) -> String {
        let (more, origin) = (&self.settings, &self.origin);
        format!(
            "{engines}\n{more}\n[telemetry]\nfilter = \"debug,sqlx=info,h2=info\"\njson = true\n[auth]\nalgorithm = \"HS256\"\nsecret = \"{SECRET}\"\n\
             allowed_origins = [\"{origin}\"]\n"
        )
    }

    /// The services, not started yet.
    pub(super) fn services(&self, dir: &Path, settings: &Path) -> Vec<Service> {
        let service = |part: Part, program: &'static str, name: &str, first: Vec<String>| {
            let mut arguments = first;
            arguments.extend(["--config".to_owned(), settings.to_str().unwrap().to_owned()]);
            let listeners = ["receiver.listen", "distributor.listen", "admin.listen"];
            let mut set: Vec<String> = listeners.iter().map(|name| format!("{name}=127.0.0.1:0")).collect();
            set.extend(self.settings_of.iter().filter(|(of, _)| *of == part).map(|(_, it)| it.to_string()));
            arguments.extend(set.into_iter().flat_map(|one| ["--set".to_owned(), one]));
            Service::new(part, program, name, dir, arguments)
        };
        if self.column == Column::Embedded {
            let data = dir.join("data").to_str().unwrap().to_owned();
            let first = vec!["standalone".to_owned(), "--data-dir".to_owned(), data];
            return vec![service(Part::Receiver(0), "postrider", "standalone", first)];
        }
        let mut services = Vec::new();
        let mut list = |count: usize, part: fn(usize) -> Part, program: &'static str| {
            for part in (0..count).map(part) {
                services.push(service(part, program, &part.to_string(), Vec::new()));
            }
        };
        list(self.receivers, Part::Receiver, "postrider-receiver");
        list(self.distributors, Part::Distributor, "postrider-distributor");
        list(self.directors, Part::Director, "postrider-director");
        list(self.executors, Part::Executor, "postrider-executor");
        services
    }
}
