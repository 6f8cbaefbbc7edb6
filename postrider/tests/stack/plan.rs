//! How many of what: a [`Plan`], the settings it makes, and the services it lists.

use std::net::SocketAddr;
use std::path::Path;

use super::engine::Place;
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
    /// Its own, each behind a proxy: it can be slowed, cut, and swallowed by a server that does not read.
    Proxied { brokers: usize },
    /// Its own, one, in a network namespace: its packets can be dropped. Root only.
    Fenced,
    /// Its own, each on a disk of that size, which can be filled. Root only.
    SmallDisk { size_mib: usize },
}

impl Engines {
    /// One of its own.
    pub const OWN: Self = Self::Own { brokers: 1 };
    /// One of its own behind a proxy.
    pub const PROXIED: Self = Self::Proxied { brokers: 1 };

    /// How many of its own, and what stands around each; none when shared.
    pub(super) fn own(self) -> Option<(usize, Place)> {
        match self {
            Self::Shared => None,
            Self::Own { brokers } => Some((brokers, Place::Bare)),
            Self::Proxied { brokers } => Some((brokers, Place::Proxied)),
            Self::Fenced => Some((1, Place::Fenced)),
            Self::SmallDisk { size_mib } => Some((1, Place::SmallDisk { size_mib })),
        }
    }
}

/// How directors reach distributors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Links {
    Direct,
    /// Each distributor behind a proxy of its own.
    Proxied,
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
    /// Services whose wall clock is off, by so many seconds. Their monotonic clock is right.
    pub clocks: Vec<(Part, i64)>,
    /// Whether directors reach distributors through proxies: [`Part::Link`] can then be slowed and cut.
    pub links: Links,
    /// Variables of every service, which inherit none.
    pub environment: Vec<(String, String)>,
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
            clocks: Vec::new(),
            links: Links::Direct,
            environment: Vec::new(),
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

    /// The services, not started yet. `links` are where distributors listen for directors and what they say of it.
    pub(super) fn services(
        &self,
        dir: &Path,
        settings: &Path,
        links: &[(SocketAddr, SocketAddr)],
    ) -> Vec<Service> {
        let service = |part: Part, program: &'static str, name: &str, first: Vec<String>| {
            let mut arguments = first;
            arguments.extend(["--config".to_owned(), settings.to_str().unwrap().to_owned()]);
            let listeners = ["receiver.listen", "distributor.listen", "admin.listen"];
            let mut set: Vec<String> = listeners.iter().map(|name| format!("{name}=127.0.0.1:0")).collect();
            set.extend(self.settings_of.iter().filter(|(of, _)| *of == part).map(|(_, it)| it.to_string()));
            if let Part::Distributor(index) = part
                && let Some((listen, advertise)) = links.get(index)
            {
                set.push(format!("distributor.link.listen={listen}"));
                set.push(format!("distributor.link.advertise={advertise}"));
            }
            arguments.extend(set.into_iter().flat_map(|one| ["--set".to_owned(), one]));
            let clock = self.clocks.iter().find(|(of, _)| *of == part).map(|(_, off_by_s)| *off_by_s);
            Service::new(part, program, name, dir, arguments, self.environment.clone(), clock)
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
