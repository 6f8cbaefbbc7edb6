//! What it costs when a part is lost and comes back: how much work there is, what each part takes to do it with what it has
//! free, and so how long it lasts. The slowest part says how long.

use serde::Serialize;

use super::figures::number;
use super::stage::{DIRECTOR, DISTRIBUTOR, KAFKA, POSTGRES, REDIS, Stage, TLS, named};
use super::{Coefficients, Demand, Settings, Traffic};

/// How long a part is away in the storms that say so.
const TEN_MINUTES: f64 = 600.0;

/// Of a partition's worker, what it can do beyond its planned half of a core.
const WORKER_HEADROOM: f64 = 2.0;

/// One storm.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Storm {
    pub(crate) name: &'static str,
    /// What happens, and how much of it.
    pub(crate) what: String,
    /// How long each part takes for it, in seconds.
    pub(crate) parts: Vec<Part>,
}

/// A part, and how long it takes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Part {
    pub(crate) name: &'static str,
    /// Infinite for one that never gets through.
    pub(crate) seconds: f64,
}

impl Storm {
    /// The part that takes longest.
    pub(crate) fn slowest(&self) -> Option<Part> {
        self.parts.iter().copied().max_by(|one, other| one.seconds.total_cmp(&other.seconds))
    }
}

struct Given<'a> {
    demand: &'a Demand,
    traffic: &'a Traffic,
    stages: &'a [Stage],
    cost: &'a Coefficients,
    settings: &'a Settings,
}

pub(super) fn all(
    demand: &Demand,
    traffic: &Traffic,
    stages: &[Stage],
    cost: &Coefficients,
    settings: &Settings,
) -> Vec<Storm> {
    let given = Given { demand, traffic, stages, cost, settings };
    vec![
        given.node_lost(),
        given.region_lost(),
        given.registry_lost(),
        given.store_away(),
        given.director_lost(),
        given.broker_lost(),
    ]
}

impl Given<'_> {
    fn free(&self, stage: &str) -> f64 {
        named(self.stages, stage).map_or(f64::INFINITY, Stage::free_cores)
    }

    fn processes(&self, stage: &str) -> f64 {
        named(self.stages, stage).map_or(1.0, |stage| stage.processes as f64)
    }

    /// `clients` come back to `nodes` of the distributors' processes.
    fn reconnect(&self, clients: f64, nodes: f64) -> Vec<Part> {
        let share = nodes / self.processes(DISTRIBUTOR);
        let cpu = clients * self.cost.connection_handshake.seconds() / (self.free(DISTRIBUTOR) * share);
        // Entered, and the flag read.
        let registry = clients * (self.cost.redis_write.seconds() + self.cost.redis_read.seconds());
        let mut parts = vec![
            Part { name: "clients' own wait, at most", seconds: self.settings.reconnect_s },
            Part {
                name: "distributor.http.accepts_per_second",
                seconds: clients / (nodes * self.settings.accepts),
            },
            Part { name: "handshakes on free distributor cores", seconds: cpu },
            Part { name: "registry writes on free Redis cores", seconds: registry / self.free(REDIS) },
        ];
        parts.extend(named(self.stages, TLS).map(|tls| Part {
            name: "TLS handshakes on free balancer cores",
            seconds: clients * self.cost.tls_handshake.seconds() / tls.free_cores(),
        }));
        parts
    }

    fn node_lost(&self) -> Storm {
        let nodes = self.processes(DISTRIBUTOR);
        let (clients, left) = (self.demand.clients / nodes, (nodes - 1.0).max(1.0));
        let parts = self.reconnect(clients, left);
        let longest = parts.iter().map(|part| part.seconds).fold(0.0, f64::max);
        let rate = clients / longest;
        Storm {
            name: "a distributor is lost",
            what: format!(
                "{clients} clients connect to the {left} others: {rate} handshakes and {} registry writes a second, \
                 {} handshakes a second for each",
                number(rate),
                number(rate / left),
                clients = number(clients),
                left = number(left),
                rate = number(rate)
            ),
            parts,
        }
    }

    fn region_lost(&self) -> Storm {
        let nodes = self.processes(DISTRIBUTOR);
        let parts = self.reconnect(self.demand.clients, nodes);
        let longest = parts.iter().map(|part| part.seconds).fold(0.0, f64::max);
        let rate = self.demand.clients / longest;
        Storm {
            name: "all clients come back at once",
            what: format!(
                "after the loss of a region or a network: {} clients; at the speed of the slowest part {rate} handshakes \
                 and as many registry writes a second",
                number(self.demand.clients),
                rate = number(rate)
            ),
            parts,
        }
    }

    fn registry_lost(&self) -> Storm {
        let (clients, nodes) = (self.demand.clients, self.processes(DISTRIBUTOR));
        let registry = clients * (self.cost.redis_write.seconds() + self.cost.redis_read.seconds());
        let pages = clients / self.cost.postgres_drains.value;
        Storm {
            name: "Redis lost its data",
            what: format!(
                "{clients} sessions are announced again, {} a second from each of {nodes} nodes; no flag is known, so each \
                 asks the store once. Until a recipient is announced, its notifications are parked",
                number(self.settings.announces),
                clients = number(clients),
                nodes = number(nodes)
            ),
            parts: vec![
                Part {
                    name: "distributor.lease.announce_per_second",
                    seconds: clients / (nodes * self.settings.announces),
                },
                Part { name: "announcements on free Redis cores", seconds: registry / self.free(REDIS) },
                Part { name: "pages on free Postgres cores", seconds: pages / self.free(POSTGRES) },
            ],
        }
    }

    fn store_away(&self) -> Storm {
        let parked = self.traffic.average * self.demand.offline;
        let backlog = parked * TEN_MINUTES;
        let bytes = backlog * self.traffic.record_bytes;
        // What the archiver may do beside what comes in meanwhile; stored with large batches.
        let allowed = self.settings.archiver_rate * self.traffic.partitions - parked;
        let writes = self.free(POSTGRES) * self.cost.postgres_rows.value;
        let catch_up = |rate: f64| if rate > 0.0 { backlog / rate } else { f64::INFINITY };
        Storm {
            name: "Postgres is away for ten minutes",
            what: format!(
                "{backlog} records ({} GiB) wait on `notifications.parked`; live deliveries go on; {} clients that connect \
                 meanwhile and have something stored wait for it",
                number(bytes / (1024.0 * 1024.0 * 1024.0)),
                number((self.traffic.connects / self.demand.peak * TEN_MINUTES).min(backlog)),
                backlog = number(backlog)
            ),
            parts: vec![
                Part { name: "director.archiver.rate", seconds: catch_up(allowed) },
                Part { name: "rows on free Postgres cores", seconds: catch_up(writes) },
            ],
        }
    }

    fn director_lost(&self) -> Storm {
        let directors = self.processes(DIRECTOR);
        let partitions = self.traffic.partitions / directors;
        let rate = self.traffic.average / directors;
        let backlog = rate * self.settings.session_timeout_s;
        // Its partitions' new workers do what comes and what waits; the peak is what they are planned for.
        let worker = (self.traffic.notifications * WORKER_HEADROOM - self.traffic.average) / directors;
        let cores = self.free(DIRECTOR) / self.cost.director.seconds();
        Storm {
            name: "a director is lost",
            what: format!(
                "its {partitions} partitions wait for {} s, until the group gives them to others: {backlog} records, and \
                 what it had in flight comes again. The others keep theirs (cooperative assignment). One that leaves by itself \
                 hands over at once",
                number(self.settings.session_timeout_s),
                partitions = number(partitions),
                backlog = number(backlog)
            ),
            parts: vec![
                Part { name: "workers of the partitions", seconds: backlog / worker },
                Part { name: "free director cores", seconds: backlog / cores },
            ],
        }
    }

    fn broker_lost(&self) -> Storm {
        let Some(kafka) = named(self.stages, KAFKA) else {
            return Storm { name: "a broker is lost", what: String::new(), parts: Vec::new() };
        };
        let brokers = kafka.machines as f64;
        let disk = kafka.load.disk_bytes / brokers;
        let free = |of: &str| {
            kafka.candidate(of).map_or(f64::INFINITY, |candidate| {
                (candidate.each / (1.0 - self.demand.spare) * brokers - candidate.needed).max(1.0)
            })
        };
        Storm {
            name: "a broker's disk is lost",
            what: format!(
                "its {} replicas are led by others within seconds; {} TiB are copied to a new one or to the others, and a \
                 partition has a copy less until then. A single new broker takes them at the speed of its own network",
                number(4.0 * self.traffic.partitions * self.demand.replication / brokers),
                number(disk / (1024.0_f64.powi(4)))
            ),
            parts: vec![
                Part {
                    name: "one new broker's network",
                    seconds: disk / (self.demand.machine.nic_gbit * 1e9 / 8.0),
                },
                Part {
                    name: "one new broker's disk",
                    seconds: disk / (self.demand.machine.disk_mib * 1024.0 * 1024.0),
                },
                Part { name: "free network of the others", seconds: disk / free("network") },
            ],
        }
    }
}
