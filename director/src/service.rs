//! The director as a service: joins its groups, works until shutdown, drains.

use std::sync::Arc;

use shared::admin::{Readiness, Ready};
use shared::clock::Clock;
use shared::group::{self, Group};
use shared::log::{Appender, Commits, Ends, Interest, Reader, Subscriber, groups};
use shared::registry::{Flags, Nodes, Routes};
use shared::shutdown::Shutdown;
use shared::store::{DeadLetters, Inbox, Requeues};
use shared::topic::Topic;

use crate::archiver::Archiver;
use crate::config::Config;
use crate::error::Error;
use crate::forward::Forwarder;
use crate::lookups::Lookups;
use crate::metrics;
use crate::park::Parker;
use crate::reconciler::Reconciler;
use crate::worker::{Desk, Workers};

/// What the director works with.
pub struct Ports {
    /// Where records come from.
    pub subscriber: Arc<dyn Subscriber>,
    /// Where they are parked and dead-lettered.
    pub appender: Arc<dyn Appender>,
    /// How far `parked` reaches.
    pub ends: Arc<dyn Ends>,
    /// What stands on the log, outside of any group.
    pub reader: Arc<dyn Reader>,
    /// How far groups have come.
    pub commits: Arc<dyn Commits>,
    /// Who is where.
    pub routes: Arc<dyn Routes>,
    /// Where the nodes are.
    pub nodes: Arc<dyn Nodes>,
    /// Who has a backlog.
    pub flags: Arc<dyn Flags>,
    /// Where parked records are stored.
    pub inbox: Arc<dyn Inbox>,
    /// Where dead letters are stored.
    pub dead_letters: Arc<dyn DeadLetters>,
    /// Which of them are to be requeued.
    pub requeues: Arc<dyn Requeues>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
}

impl Ports {
    /// The ports of three engines.
    #[must_use]
    pub fn of<L, R, S>(log: &Arc<L>, registry: &Arc<R>, store: &Arc<S>, clock: Arc<dyn Clock>) -> Self
    where
        L: Subscriber + Appender + Ends + Reader + Commits,
        R: Routes + Nodes + Flags,
        S: Inbox + DeadLetters + Requeues,
    {
        Self {
            subscriber: Arc::clone(log) as _,
            appender: Arc::clone(log) as _,
            ends: Arc::clone(log) as _,
            reader: Arc::clone(log) as _,
            commits: Arc::clone(log) as _,
            routes: Arc::clone(registry) as _,
            nodes: Arc::clone(registry) as _,
            flags: Arc::clone(registry) as _,
            inbox: Arc::clone(store) as _,
            dead_letters: Arc::clone(store) as _,
            requeues: Arc::clone(store) as _,
            clock,
        }
    }
}

/// A director that is about to work.
pub struct Service {
    config: Config,
    ports: Ports,
    readiness: Readiness,
}

/// What must be joined before the director is ready.
const PARTS: [&str; 5] = ["director", "flags", "rows", "dead", "reconciler"];

impl Service {
    /// Gets ready. The director listens nowhere; it joins its groups in [`Service::run`].
    ///
    /// # Errors
    /// None so far; the shape is that of every service.
    #[expect(clippy::unused_async, reason = "the shape of every service")]
    pub async fn bind(config: Config, ports: Ports) -> Result<Self, Error> {
        metrics::describe();
        if config.reconciler.enabled {
            metrics::describe_reconciler();
        }
        Ok(Self { config, ports, readiness: Readiness::of(&PARTS) })
    }

    /// Ready once every group is joined.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        self.readiness.clone()
    }

    /// Works until `shutdown`, then takes nothing more and waits for what is in flight, within the drain limit.
    ///
    /// # Errors
    /// When the log refuses a group for good.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), Error> {
        let Self { config, ports, readiness } = self;
        let backoff = config.backoff.into();
        let forwarder =
            Forwarder::new(config.link.clone(), config.link_secret.clone(), ports.ends.epoch(), ports.nodes);
        let parker = Parker::new(Arc::clone(&ports.appender), backoff);
        let archiver = Archiver {
            settings: config.archiver.clone(),
            backoff,
            flags: ports.flags,
            inbox: ports.inbox,
            dead_letters: ports.dead_letters,
            dead_letter_settings: config.dead_letters.clone(),
            requeues: ports.requeues,
            appender: ports.appender,
            epoch: ports.ends.epoch(),
            parker: parker.clone(),
            clock: Arc::clone(&ports.clock),
        };
        let reconciler = Reconciler {
            settings: config.reconciler.clone(),
            backoff,
            ends: Arc::clone(&ports.ends),
            reader: ports.reader,
            commits: ports.commits,
            clock: Arc::clone(&ports.clock),
        };
        let group = Group {
            name: groups::DIRECTOR,
            topic: Topic::Notifications,
            interest: Interest::default(),
            limits: config.in_flight(),
            drain: config.drain_ms,
            backoff,
            counts: metrics::COUNTS,
        };
        let workers = Workers(Arc::new(Desk {
            config: config.clone(),
            ends: ports.ends,
            lookups: Arc::new(Lookups::new(ports.routes, config.lookups)),
            parker,
            forwarder: Arc::clone(&forwarder),
            clock: ports.clock,
        }));
        // A group that cannot go on takes the others with it, in order.
        let stop = shutdown.child();
        let subscriber = &*ports.subscriber;
        let joined = |part: &'static str| readiness.set(part, Ready::Yes);
        let groups = async {
            let closing = forwarder.close_on_drop();
            let directing = async {
                let result = group::run(group, subscriber, &workers, || joined("director"), &stop).await;
                stop.begin();
                result
            };
            let reconciling = reconciler.run(config.drain_ms, subscriber, || joined("reconciler"), &stop);
            let (directed, archived, ()) =
                tokio::join!(directing, archiver.run(&config, subscriber, joined, &stop), reconciling);
            drop(closing);
            directed.map_err(Error::from).and(archived)
        };
        let unready = async {
            stop.begun().await;
            for part in PARTS {
                readiness.set(part, Ready::No);
            }
        };
        let (result, (), ()) = tokio::join!(groups, forwarder.refresh(), unready);
        result
    }
}
