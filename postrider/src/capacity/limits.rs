//! What cannot be concluded from what was measured, and what the code of today does not do: each with the figure of this
//! plan. Nothing here is a guess about the future; what is claimed of the code stands in it.

use serde::Serialize;

use super::figures::number;
use super::stage::{DIRECTOR, DISTRIBUTOR, KAFKA, POSTGRES, RECEIVER, REDIS, Stage, named};
use super::{Demand, Settings, Traffic};

/// How much of it this plan meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Weight {
    /// This plan cannot be built as one installation of today's code.
    Breaks,
    /// It can, once this is decided: before there is anything in it, or in engines that are not ours.
    Decide,
    /// The figures may be off.
    Doubts,
}

/// One limit.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Limit {
    pub(crate) weight: Weight,
    pub(crate) name: &'static str,
    pub(crate) what: String,
}

struct Given<'a> {
    demand: &'a Demand,
    traffic: &'a Traffic,
    stages: &'a [Stage],
    installations: u64,
    settings: &'a Settings,
}

/// Those that break this plan first.
pub(super) fn all(
    demand: &Demand,
    traffic: &Traffic,
    stages: &[Stage],
    installations: u64,
    settings: &Settings,
) -> Vec<Limit> {
    let given = Given { demand, traffic, stages, installations, settings };
    let mut limits = vec![
        given.one_redis(),
        given.one_postgres(),
        given.streams(),
        given.partitions(),
        given.buckets(),
        given.connections_to_engines(),
        given.retention(),
        given.sweep(),
        given.remembered(),
    ];
    limits.extend(given.doubts());
    limits.sort_by_key(|limit| limit.weight);
    limits
}

fn limit(weight: Weight, name: &'static str, what: String) -> Limit {
    Limit { weight, name, what }
}

/// Whether this plan is over it, or only its figures may be off.
fn breaks_if(over: bool) -> Weight {
    if over { Weight::Breaks } else { Weight::Doubts }
}

fn decide_if(over: bool) -> Weight {
    if over { Weight::Decide } else { Weight::Doubts }
}

impl Given<'_> {
    fn machines(&self, stage: &str) -> u64 {
        named(self.stages, stage).map_or(0, |stage| stage.machines)
    }

    fn processes(&self, stage: &str) -> f64 {
        named(self.stages, stage).map_or(0.0, |stage| stage.processes as f64)
    }

    fn one_redis(&self) -> Limit {
        let shards = self.processes(REDIS);
        limit(
            breaks_if(shards > 1.0),
            "One Redis",
            format!(
                "`redis.url` is one endpoint, and the driver is built without cluster support: an installation has one registry. This \
                 plan has {shards}. Every script touches one key, so a cluster could serve them; today it takes {} installations, \
                 each with recipients of its own and something before the receivers that divides them.",
                self.installations
            ),
        )
    }

    fn one_postgres(&self) -> Limit {
        let shards = self.machines(POSTGRES);
        limit(
            breaks_if(shards > 1),
            "One Postgres primary",
            format!(
                "`postgres.url` is one database; nothing divides recipients among several, and drains are not read from standbys. \
                 This plan has {shards}."
            ),
        )
    }

    fn streams(&self) -> Limit {
        let directors = self.processes(DIRECTOR);
        let streams = directors * self.processes(DISTRIBUTOR);
        limit(
            breaks_if(directors > self.settings.streams),
            "Every director has a stream to every node",
            format!(
                "{streams} streams here, {} records a second on each. A node takes {} (`distributor.link.streams`). What \
                 batches save between the two was measured with one of each and is not counted here; what so many streams of \
                 HTTP/2 take in memory and keepalives was never measured.",
                number(self.traffic.notifications / streams),
                number(self.settings.streams),
                streams = number(streams)
            ),
        )
    }

    fn partitions(&self) -> Limit {
        let Settings { partitions: most, session_timeout_s, .. } = self.settings;
        limit(
            breaks_if(self.traffic.partitions > *most),
            "Partitions are for ever",
            format!(
                "{} here; the most is {most}. More are a new generation of topics, for which the old one is drained. A partition \
                 has one worker, which is one task: it cannot be faster than a core. How long a group takes to give so many to its members, \
                 beyond the {session_timeout_s} s of a silent one, was not measured.",
                number(self.traffic.partitions),
                most = number(*most),
                session_timeout_s = number(*session_timeout_s)
            ),
        )
    }

    fn buckets(&self) -> Limit {
        let wanted = self.traffic.recipients / 100.0;
        limit(
            decide_if(wanted > self.settings.redis_buckets * 1.28),
            "Redis packs up to 128 recipients into a hash",
            format!(
                "With {} recipients `redis.buckets` has to be {wanted}; its default of {} would have {} in each, unpacked, at twice the \
                 memory. It cannot be changed on a filled registry. `hash-max-listpack-entries` must be 128 or more there.",
                number(self.traffic.recipients),
                number(self.settings.redis_buckets),
                number(self.traffic.recipients / self.settings.redis_buckets),
                wanted = number(wanted)
            ),
        )
    }

    fn connections_to_engines(&self) -> Limit {
        let ours: f64 = [RECEIVER, DIRECTOR, DISTRIBUTOR].iter().map(|stage| self.processes(stage)).sum();
        let postgres = ours * self.settings.postgres_connections;
        let kafka = self.processes(RECEIVER) * 2.0
            + self.processes(DIRECTOR) * 7.0
            + self.processes(DISTRIBUTOR) * 2.0;
        limit(
            decide_if(postgres > 100.0),
            "Connections to the engines",
            format!(
                "{ours} processes: up to {postgres} connections to Postgres (`postgres.connections`), which takes hundreds: a \
                 pooler is needed and none was tried; about {kafka} to each broker (producers, and a director's five groups); \
                 {ours} to Redis.",
                ours = number(ours),
                postgres = number(postgres),
                kafka = number(kafka)
            ),
        )
    }

    fn retention(&self) -> Limit {
        let Some(kafka) = named(self.stages, KAFKA) else {
            return limit(Weight::Doubts, "Retention", String::new());
        };
        let day = kafka.load.disk_bytes / self.demand.retention_hours * 24.0 / 1024.0_f64.powi(4);
        limit(
            decide_if(kafka.bottleneck() == "disk"),
            "Retention is what Kafka's disks cost",
            format!(
                "{} h make {} TiB, each day {day}. `postrider topics` sets 696 h because a notification may live for 28 days and wait \
                 that long for its director or archiver; less is enough where nothing lags for longer than it, and then \
                 `topics` warns of it each time.",
                number(self.demand.retention_hours),
                number(kafka.load.disk_bytes / 1024.0_f64.powi(4)),
                day = number(day)
            ),
        )
    }

    fn sweep(&self) -> Limit {
        let swept = self.demand.clients / self.settings.sweep_s;
        limit(
            decide_if(swept > self.traffic.notifications),
            "The sweep of flags",
            format!(
                "Every session's flag is read each {} s (`distributor.sweep.period_ms`), whatever happens: up to {} reads of Redis a \
                 second, beside {} notifications. A longer period divides it; it is how long a lost poke stays unnoticed.",
                number(self.settings.sweep_s),
                number(swept),
                number(self.traffic.notifications),
            ),
        )
    }

    fn remembered(&self) -> Limit {
        let (traffic, settings) = (self.traffic, self.settings);
        let news = traffic.connects * settings.news_s;
        let holds = settings.remembered * traffic.partitions;
        let name = "What directors remember of routes";
        let asked = format!(
            "{} of {} notifications a second need a question, for a recipient is remembered for {} s and here gets one in {} s.",
            number(traffic.lookups),
            number(traffic.notifications),
            number(settings.remembered_s),
            number(traffic.recipients / traffic.notifications),
        );
        if news >= settings.news_most {
            let what = format!(
                "{asked} Every director reads news of every registration: {} in {} ms, where {} can be told one by one; with more of \
                 them everything is forgotten, at every reading.",
                number(news),
                number(settings.news_s * 1000.0),
                number(settings.news_most),
            );
            return limit(Weight::Breaks, name, what);
        }
        let what = format!(
            "{asked} By default they are {} of each partition (`director.lookups.remembered`), {} in all; this plan remembers {}. In \
             measurements the same few hundred recipients are written to again and again, and hardly anything is asked.",
            number(settings.remembered),
            number(holds),
            number(traffic.remembered),
        );
        limit(decide_if(traffic.remembered > holds), name, what)
    }

    fn doubts(&self) -> Vec<Limit> {
        let per_recipient = self.settings.window;
        [
            (
                "Two cores of a virtual machine",
                "All figures of ours are CPU time on two cores, shared with the load generator. Caches, NUMA, and whether a process \
                 of more cores is as good as several were not measured: hence `--process-cores`."
                    .to_owned(),
            ),
            (
                "Loopback",
                "No network card, its interrupts, offloads, lost packets or distant clients is in them. Small packets bound a card \
                 before its bandwidth does."
                    .to_owned(),
            ),
            (
                "What a connection asks of Kafka",
                format!(
                    "Each asks where `parked` ends in its partition: {} questions a second here, which the sessions of a node share only \
                     when they come at the same moment; in a storm they do, and each node asks for every partition at once. Their cost is \
                     assumed.",
                    number(self.traffic.connects),
                ),
            ),
            (
                "Kafka in the large",
                "The CPU of a broker was measured on one, without copies, with at most 192 partitions, a small heap and an otherwise empty disk. \
                 Garbage collection, page cache under readers that lag, compaction of many segments and the controller's work with \
                 many partitions are not in it."
                    .to_owned(),
            ),
            (
                "Hot recipients",
                format!(
                    "Recipients are taken to be even. One of them lives in one partition, one lane and a window of {per_recipient} \
                     unacknowledged notifications: {} a second at a round trip of 100 ms, and what is beyond is stored. A tenant \
                     or a recipient that is much larger than others loads one partition's worker, not all.",
                    number(per_recipient * 10.0),
 per_recipient = number(per_recipient)),
            ),
            (
                "Memory of connections",
                "The slope was measured with idle WebSockets over plain TCP. A window of unacknowledged notifications, a gate that \
                 fills, SSE and long-poll, and kernel buffers of slow clients come on top for those who have them."
                    .to_owned(),
            ),
            (
                "Rebuilding",
                "Storms are computed from free cores alone. Retries of clients that were refused, caches that are cold and queues that \
                 fill make them longer."
                    .to_owned(),
            ),
        ]
        .map(|(name, what)| limit(Weight::Doubts, name, what))
        .into()
    }
}
