//! The sections of a pipeline in one process, and the defaults that are its own.

use shared::config::{self, AdminSettings, LogSettings, Secret, Sources, StoreSettings, TelemetrySettings};

use super::Role;
use crate::relations;

/// Below file, environment and flags: fixed ports that one can remember, a link that nobody outside can reach, log
/// lines for a person, without one for each partition of each group; no load balancer to be told, and few clients, when it
/// stops.
pub(crate) const DEFAULTS: [(&str, &str); 10] = [
    ("receiver.listen", "127.0.0.1:8080"),
    ("distributor.listen", "127.0.0.1:8081"),
    ("distributor.link.listen", "127.0.0.1:0"),
    ("admin.listen", "127.0.0.1:9090"),
    ("receiver.http.announce_ms", "0"),
    ("distributor.http.announce_ms", "0"),
    ("distributor.leave.spread_ms", "1000"),
    ("distributor.leave.after_ms", "250"),
    ("telemetry.filter", "info,postrider_director=warn"),
    ("telemetry.json", "false"),
];

/// Everything that the one process reads.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) receiver: postrider_receiver::Config,
    pub(crate) director: postrider_director::Config,
    pub(crate) distributor: postrider_distributor::Config,
    pub(crate) executor: postrider_executor::Config,
    pub(crate) log: LogSettings,
    pub(crate) store: StoreSettings,
    pub(crate) admin: AdminSettings,
    pub(crate) telemetry: TelemetrySettings,
}

impl Settings {
    pub(crate) fn read(sources: Sources) -> Result<Self, config::Error> {
        let mut sources = sources.with_defaults(&DEFAULTS);
        let mut settings = Self {
            receiver: sources.section(),
            director: sources.section(),
            distributor: postrider_distributor::Config { auth: sources.section(), ..sources.section() },
            executor: sources.section(),
            log: sources.section(),
            store: sources.section(),
            admin: sources.section(),
            telemetry: sources.section(),
        };
        let Self { receiver, director, distributor, executor, log, .. } = &settings;
        relations::check(&mut sources, receiver, director, distributor, log);
        let (limit, mistakes) = (log.sqlite.drain_timeout_ms, sources.mistakes("director"));
        director.check_drain("log.sqlite.drain_timeout_ms", limit, mistakes);
        let (limit, mistakes) = (log.sqlite.drain_timeout_ms, sources.mistakes("executor"));
        executor.check_drain("log.sqlite.drain_timeout_ms", limit, mistakes);
        // Both ends of the link are here, and nobody else on this machine has business with it.
        if settings.distributor.link.secret.is_empty() && settings.director.link_secret.is_empty() {
            settings.distributor.link.secret = random_secret();
        }
        if settings.director.link_secret.is_empty() {
            settings.director.link_secret = settings.distributor.link.secret.clone();
        }
        sources.finish().map(|()| settings)
    }

    /// Lowers each edge's connections in the proportion of those there may be to those that were `asked` for.
    pub(crate) fn fit(&mut self, connections: usize, asked: usize) {
        let share = |most: usize| most.saturating_mul(connections).checked_div(asked).unwrap_or(most).max(1);
        self.receiver.http.connections = share(self.receiver.http.connections);
        let most = share(self.distributor.http.connections);
        self.distributor.fit(most);
    }

    /// Most clients' connections at a time, of those `roles` that have any.
    pub(crate) fn connections(&self, roles: &[Role]) -> usize {
        let edges = [(Role::Receiver, &self.receiver.http), (Role::Distributor, &self.distributor.http)];
        edges.iter().filter(|(role, _)| roles.contains(role)).map(|(_, http)| http.connections).sum()
    }
}

/// 256 bits in 64 digits.
pub(super) fn random_secret() -> Secret {
    let bytes: [u8; 32] = rand::random();
    Secret::new(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
