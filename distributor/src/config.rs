//! `[distributor]`: where it listens, what a session and a node may hold, how it keeps its place in the registry.

mod engines;

use std::net::SocketAddr;
use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use shared::config::{Mistakes, Secret, Section, millis};
use shared::serve::HttpLimits;

pub use self::engines::{LeaseSettings, RegistryLimits, RelaySettings, StoreLimits, SweepSettings};
use crate::auth::AuthSettings;
use crate::http::EdgeSettings;

/// The settings of a distributor.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where clients connect; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Limits against slow and numerous clients.
    #[serde(deserialize_with = "http_limits")]
    pub http: HttpLimits,
    /// How long clients may take, and how much they may send.
    pub edge: EdgeSettings,
    /// How client tokens are verified: section `[auth]`, read beside this one and put here.
    #[serde(skip)]
    pub auth: AuthSettings,
    /// Limits of each session.
    pub session: SessionLimits,
    /// What this node may hold.
    pub caps: Caps,
    /// The server that directors connect to.
    pub link: LinkSettings,
    /// This node's lease.
    pub lease: LeaseSettings,
    /// Calls of the registry.
    pub registry: RegistryLimits,
    /// Calls of the store.
    pub store: StoreLimits,
    /// The sweep that makes good lost pokes.
    pub sweep: SweepSettings,
    /// Acknowledgements passed on to other nodes.
    pub relay: RelaySettings,
    /// Going away.
    pub leave: LeaveSettings,
}

/// More connections than sessions: who is one too many is told so, and does not hang before the door.
fn default_http_limits() -> HttpLimits {
    HttpLimits { connections: 110_000, accepts_per_second: 2000, ..HttpLimits::default() }
}

/// A setting of `http` leaves the others at the distributor's own defaults, not at those of any edge.
fn http_limits<'de, D: Deserializer<'de>>(deserializer: D) -> Result<HttpLimits, D::Error> {
    let mut given = serde_json::Map::deserialize(deserializer)?;
    if let serde_json::Value::Object(defaults) =
        serde_json::to_value(default_http_limits()).map_err(D::Error::custom)?
    {
        for (name, value) in defaults {
            given.entry(name).or_insert(value);
        }
    }
    HttpLimits::deserialize(serde_json::Value::Object(given)).map_err(D::Error::custom)
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8081)),
            http: default_http_limits(),
            edge: EdgeSettings::default(),
            auth: AuthSettings::default(),
            session: SessionLimits::default(),
            caps: Caps::default(),
            link: LinkSettings::default(),
            lease: LeaseSettings::default(),
            registry: RegistryLimits::default(),
            store: StoreLimits::default(),
            sweep: SweepSettings::default(),
            relay: RelaySettings::default(),
            leave: LeaveSettings::default(),
        }
    }
}

/// Limits of one session.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SessionLimits {
    /// Most notifications sent and not acknowledged; a client may ask for less.
    pub window: u32,
    /// Most records waiting behind stored ones; one more is spilled to the store.
    pub gate_records: usize,
    /// Most content waiting there, in bytes; more is spilled to the store.
    pub gate_bytes: usize,
    /// Most rows per page of the store.
    pub page_rows: u32,
    /// Most refusals that a session remembers: a refused notification that comes again, because a director died before it
    /// stood among the dead letters, is answered as refused again. One that is forgotten is answered as acknowledged.
    pub refusals: usize,
    /// How long a live notification may be unacknowledged before it is spilled to the store.
    #[serde(with = "millis")]
    pub ack_deadline_ms: Duration,
    /// How long after its flush a notification counts as acknowledged where clients do not say so (SSE).
    #[serde(with = "millis")]
    pub grace_ms: Duration,
    /// How long a session waits before it asks an engine again that was away; an eighth of it, and twice as long each of
    /// five times, before it asks the store because a clean flag is behind.
    #[serde(with = "millis")]
    pub retry_ms: Duration,
}

impl Default for SessionLimits {
    fn default() -> Self {
        Self {
            window: 64,
            gate_records: 256,
            gate_bytes: 1024 * 1024,
            page_rows: 128,
            refusals: 1024,
            ack_deadline_ms: Duration::from_secs(10),
            grace_ms: Duration::from_secs(5),
            retry_ms: Duration::from_millis(250),
        }
    }
}

/// What this node may hold.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Caps {
    /// Most sessions; one more client is told to try elsewhere.
    pub sessions: usize,
    /// Most sessions of one recipient at this node; one more is refused.
    pub per_recipient: usize,
    /// Most sessions of one tenant at this node; one more is refused. Zero: as many as the node holds.
    pub per_tenant: usize,
    /// Most recipients whose acknowledged rows wait to be deleted; those of one more stay until it acknowledges again.
    pub deletes: usize,
    /// Most routes that wait to be removed; one more is left for directors to find gone.
    pub removals: usize,
    /// Most refused notifications that wait to be dead-lettered; one more is taken as wanted again later.
    pub refusals: usize,
}

impl Default for Caps {
    fn default() -> Self {
        Self {
            sessions: 100_000,
            per_recipient: 16,
            per_tenant: 0,
            deletes: 100_000,
            removals: 100_000,
            refusals: 10_000,
        }
    }
}

/// The server that directors connect to.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LinkSettings {
    /// Where it listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// `host:port` that directors are told; the bound address when not set.
    pub advertise: Option<String>,
    /// What directors must show (`director.link_secret`). Needed where others than this machine can connect.
    pub secret: Secret,
    /// Most streams, one per director; one more is refused.
    pub streams: usize,
    /// Most bytes of one batch of frames; a larger one ends the stream.
    pub batch_bytes: usize,
    /// Most verdicts in one batch.
    pub verdict_batch: usize,
    /// Most verdicts waiting for one director; until there are fewer, nothing more is read from it.
    pub verdicts_waiting: usize,
    /// How often a quiet connection is probed (HTTP/2 PING).
    #[serde(with = "millis")]
    pub keepalive_ms: Duration,
    /// How long the answer to a probe may take; then the connection is dead.
    #[serde(with = "millis")]
    pub keepalive_timeout_ms: Duration,
}

impl Default for LinkSettings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            advertise: None,
            secret: Secret::default(),
            streams: 1024,
            batch_bytes: 20 * 1024 * 1024,
            verdict_batch: 1024,
            verdicts_waiting: 65_536,
            keepalive_ms: Duration::from_secs(10),
            keepalive_timeout_ms: Duration::from_secs(5),
        }
    }
}

/// How the node goes away: unready for `http.announce_ms`, then without new sessions, its clients told one after the
/// other, then closed. All of it takes at most `http.announce_ms`, `limit_ms` and `http.drain_ms` together, beside one
/// last call of each engine.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LeaveSettings {
    /// Over how long clients are told to go, evenly, so that other nodes are not stormed.
    #[serde(with = "millis")]
    pub spread_ms: Duration,
    /// Longest time that a client is told to stay away before it connects elsewhere; drawn for each.
    #[serde(with = "millis")]
    pub after_ms: Duration,
    /// How long all this may take; then the sessions that are left are ended.
    #[serde(with = "millis")]
    pub limit_ms: Duration,
}

impl Default for LeaveSettings {
    fn default() -> Self {
        Self {
            spread_ms: Duration::from_secs(10),
            after_ms: Duration::from_secs(1),
            limit_ms: Duration::from_secs(15),
        }
    }
}

impl Config {
    /// Lowers what this node may hold to so many connections, sessions staying below them, so that a client too many is
    /// still answered.
    pub fn fit(&mut self, connections: usize) {
        self.http.connections = self.http.connections.min(connections);
        self.caps.sessions = self.caps.sessions.min((connections - connections / 10).max(1));
    }
}

impl Section for Config {
    const NAME: &'static str = "distributor";

    fn check(&self, mistakes: &mut Mistakes) {
        self.http.check(mistakes);
        self.edge.check(mistakes);
        self.session.check(mistakes);
        mistakes.within("caps.sessions", self.caps.sessions, 1..=10_000_000);
        if self.http.connections <= self.caps.sessions {
            mistakes.report(
                "http.connections",
                "must be above caps.sessions, so that one more client is answered",
            );
        }
        mistakes.within(
            "caps.per_recipient",
            self.caps.per_recipient,
            1..=shared::registry::MAX_ROUTES_PER_RECIPIENT,
        );
        mistakes.within("caps.deletes", self.caps.deletes, 1..=10_000_000);
        mistakes.within("caps.removals", self.caps.removals, 1..=10_000_000);
        mistakes.within("caps.refusals", self.caps.refusals, 1..=10_000_000);
        self.link.check(mistakes);
        self.check_engines(mistakes);
        if self.edge.write_ms > self.http.write_ms {
            mistakes
                .report("edge.write_ms", "must not be above http.write_ms, so that a WebSocket is told why");
        }
        if self.leave.spread_ms > self.leave.limit_ms {
            mistakes.report("leave.spread_ms", "must not be above leave.limit_ms");
        }
    }
}

impl SessionLimits {
    fn check(&self, mistakes: &mut Mistakes) {
        mistakes.within("session.window", self.window, 1..=65_536);
        mistakes.within("session.gate_records", self.gate_records, 1..=1_000_000);
        mistakes.within("session.gate_bytes", self.gate_bytes, 1024..=1024 * 1024 * 1024);
        mistakes.within("session.refusals", self.refusals, 0..=1_000_000);
        mistakes.within("session.page_rows", self.page_rows, 1..=10_000);
        for (key, value) in [
            ("session.ack_deadline_ms", self.ack_deadline_ms),
            ("session.grace_ms", self.grace_ms),
            ("session.retry_ms", self.retry_ms),
        ] {
            if value.is_zero() {
                mistakes.report(key, "must be above zero");
            }
        }
        if self.grace_ms >= self.ack_deadline_ms {
            mistakes.report("session.grace_ms", "must be below session.ack_deadline_ms");
        }
    }
}

impl LinkSettings {
    fn check(&self, mistakes: &mut Mistakes) {
        if self.listen.ip().is_unspecified() && self.advertise.is_none() {
            mistakes
                .report("link.listen", "names no interface: set link.advertise to what directors can reach");
        }
        if self.advertise.as_deref().is_some_and(|address| !address.contains(':')) {
            mistakes.report("link.advertise", "must be host:port");
        }
        if !self.listen.ip().is_loopback() && self.secret.is_empty() {
            mistakes.report("link.secret", "is needed when link.listen is beyond loopback");
        }
        if !self.secret.expose().bytes().all(|byte| byte.is_ascii_graphic()) {
            mistakes.report("link.secret", "must be visible ASCII");
        }
        mistakes.within("link.streams", self.streams, 1..=100_000);
        mistakes.within("link.batch_bytes", self.batch_bytes, 64 * 1024..=256 * 1024 * 1024);
        mistakes.within("link.verdict_batch", self.verdict_batch, 1..=100_000);
        mistakes.within("link.verdicts_waiting", self.verdicts_waiting, 1..=10_000_000);
        if self.keepalive_ms.is_zero() || self.keepalive_timeout_ms.is_zero() {
            mistakes.report("link.keepalive_ms", "and link.keepalive_timeout_ms must be above zero");
        }
    }
}

#[cfg(test)]
mod tests {
    use shared::config::{Error, Sources};

    use super::*;

    fn mistakes(overrides: &[&str]) -> Vec<String> {
        let overrides: Vec<String> = overrides.iter().map(|text| (*text).to_owned()).collect();
        let mut sources = Sources::load(None, &overrides).unwrap();
        let _config: Config = sources.section();
        match sources.finish() {
            Ok(()) => Vec::new(),
            Err(Error::Mistakes(found)) => found,
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn the_defaults_have_no_mistake() {
        assert_eq!(mistakes(&["distributor.listen=\"127.0.0.1:0\""]), Vec::<String>::new());
    }

    #[test]
    fn one_setting_of_http_leaves_the_others_as_they_are() {
        assert_eq!(mistakes(&["distributor.http.announce_ms=0"]), Vec::<String>::new());
        assert_eq!(mistakes(&["distributor.http.announce=0"]).len(), 1, "a misspelt one is refused");
    }

    #[test]
    fn a_node_with_few_descriptors_holds_fewer_sessions_than_connections() {
        let mut config = Config::default();
        config.fit(usize::MAX);
        assert_eq!((config.http.connections, config.caps.sessions), (110_000, 100_000));
        config.fit(768);
        assert_eq!((config.http.connections, config.caps.sessions), (768, 692));
    }

    #[test]
    fn relations_between_settings_are_checked() {
        let found = mistakes(&[
            "distributor.session.grace_ms=10000",
            "distributor.store.rows=100",
            "distributor.link.listen=\"0.0.0.0:7000\"",
            "distributor.leave.spread_ms=60000",
            "distributor.caps.sessions=110000",
            "distributor.edge.write_ms=20000",
        ]);
        assert_eq!(found.len(), 7, "{found:#?}");
        assert!(found.iter().any(|mistake| mistake.contains("link.secret")), "strangers would be let in");
    }
}
