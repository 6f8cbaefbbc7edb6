//! The executor as a service: joins its groups, works until shutdown, drains. Called by `main.rs` and by
//! `postrider standalone`.

use std::marker::PhantomData;
use std::sync::Arc;

use shared::admin::{Readiness, Ready};
use shared::clock::Clock;
use shared::group::{self, Group};
use shared::log::outlet::Outlet;
use shared::log::{Appender, Ends, Interest, Subscriber, groups};
use shared::retry::Backoff;
use shared::shutdown::Shutdown;
use shared::store::{self, KeyValues, Modules, Schedules, TaskRuns};
use shared::task::{Enrichment, Order};
use shared::topic::Topic;

use crate::attempts::Attempts;
use crate::catalogue::Catalogue;
use crate::config::Config;
use crate::enrichment::Enricher;
use crate::error::Error;
use crate::metrics;
use crate::routing::{Ask as _, Source};
use crate::sandbox::{self, Resolver, Sandbox, SystemResolver};
use crate::schedules::{Scheduler, SchedulerPorts};
use crate::stores::{Shelves, Spaces};
use crate::tasks::leases::Leases;
use crate::tasks::ledger::{self, Clerk, Limits};
use crate::tasks::places::Places;
use crate::tasks::reaper::Reaper;
use crate::tasks::runner::Runner;
use crate::worker::Workers;

/// What the executor works with.
pub struct Ports {
    /// Where records come from.
    pub subscriber: Arc<dyn Subscriber>,
    /// Where what tasks answer goes, and dead letters.
    pub appender: Arc<dyn Appender>,
    /// The generation, the number and the limits of topics.
    pub ends: Arc<dyn Ends>,
    /// What is known of tasks.
    pub runs: Arc<dyn TaskRuns>,
    /// Modules of tenants.
    pub modules: Arc<dyn Modules>,
    /// The small store of tasks.
    pub key_values: Arc<dyn KeyValues>,
    /// What is due at which time.
    pub schedules: Arc<dyn Schedules>,
    /// Which executor fires it.
    pub leases: Arc<dyn store::Leases>,
    /// Finds addresses for guests' requests.
    pub resolver: Arc<dyn Resolver>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
}

impl Ports {
    /// The ports of two engines; names are looked up as the system does.
    #[must_use]
    pub fn of<L, S>(log: &Arc<L>, store: &Arc<S>, clock: Arc<dyn Clock>) -> Self
    where
        L: Subscriber + Appender + Ends,
        S: TaskRuns + Modules + KeyValues + Schedules + store::Leases,
    {
        Self {
            subscriber: Arc::clone(log) as _,
            appender: Arc::clone(log) as _,
            ends: Arc::clone(log) as _,
            runs: Arc::clone(store) as _,
            modules: Arc::clone(store) as _,
            key_values: Arc::clone(store) as _,
            schedules: Arc::clone(store) as _,
            leases: Arc::clone(store) as _,
            resolver: Arc::new(SystemResolver),
            clock,
        }
    }
}

/// An executor that is about to work.
pub struct Service {
    readiness: Readiness,
    parts: Box<Parts>,
}

/// What it is made of.
struct Parts {
    config: Config,
    subscriber: Arc<dyn Subscriber>,
    clerk: Clerk,
    runner: Arc<Runner>,
    enricher: Arc<Enricher>,
    reaper: Reaper,
    scheduler: Scheduler,
    source: Source,
}

/// What must be joined before the executor is ready.
const PARTS: [&str; 2] = ["tasks", "enrichment"];

impl Service {
    /// Gets ready. The executor listens nowhere; it joins its groups in [`Service::run`].
    ///
    /// # Errors
    /// When there can be no sandbox with these settings.
    #[expect(clippy::unused_async, reason = "the shape of every service")]
    pub async fn bind(config: Config, ports: Ports) -> Result<Self, Error> {
        metrics::describe();
        let Ports {
            subscriber,
            appender,
            ends,
            runs,
            modules,
            key_values,
            schedules,
            leases: leading,
            resolver,
            clock,
        } = ports;
        let backoff: Backoff = config.backoff.into();
        let outlet = Outlet::new(Arc::clone(&appender), backoff, metrics::log_away);
        let library = Arc::new(Shelves(Arc::clone(&modules)));
        let key_value = Arc::new(Spaces { values: key_values, entries: config.sandbox.key_value.entries });
        let ports = sandbox::Ports { library, key_value, resolver, clock: Arc::clone(&clock) };
        let attempts = Arc::new(Attempts {
            catalogue: Catalogue::new(modules, config.catalogue),
            sandbox: Sandbox::new(config.sandbox.clone(), ports)?,
            backoff,
        });
        let source = Source {
            epoch: ends.epoch(),
            partitions: ends.partitions(),
            max_record_bytes: ends.max_record_bytes(),
        };
        let settings = &config.tasks;
        let limits = Limits {
            records: settings.batch_records,
            bytes: settings.batch_bytes,
            lease: settings.lease_ms,
            backoff,
        };
        // Not the machine's name: an instance that starts anew is another one, and finds the leases of the one before.
        let instance = uuid::Uuid::new_v4().to_string();
        let (ledger, clerk) = ledger::open(&runs, &clock, &instance, limits);
        let (renewals, lease) = (Arc::clone(&runs), settings.lease_ms);
        let leases = Leases::new(renewals, Arc::clone(&clock), lease, settings.batch_records, backoff);
        let runner = Arc::new(Runner {
            settings: settings.clone(),
            max_record_bytes: source.max_record_bytes,
            ledger,
            leases: Arc::new(leases),
            places: Arc::new(Places::new(settings.running, settings.per_module)),
            attempts: Arc::clone(&attempts),
            outlet: outlet.clone(),
            clock: Arc::clone(&clock),
        });
        let enricher = Arc::new(Enricher {
            settings: config.enrichment.clone(),
            max_record_bytes: source.max_record_bytes,
            attempts,
            outlet,
            clock: Arc::clone(&clock),
        });
        let scheduling = SchedulerPorts { schedules, leases: leading, appender, clock: Arc::clone(&clock) };
        let scheduler = Scheduler::new(scheduling, config.schedules, config.backoff.into(), instance.clone());
        let reaper = Reaper { settings: config.reaper.clone(), runs, runner: Arc::clone(&runner), clock };
        tracing::info!(instance, "an executor");
        let readiness = Readiness::of(&PARTS);
        let parts = Parts { config, subscriber, clerk, runner, enricher, reaper, scheduler, source };
        Ok(Self { readiness, parts: Box::new(parts) })
    }

    /// Ready once both groups are joined.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        self.readiness.clone()
    }

    /// Works until `shutdown`, then takes nothing more and waits for what is under way, within the drain limit.
    ///
    /// # Errors
    /// When the log refuses a group for good.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), Error> {
        let Self { readiness, parts } = self;
        let Parts { config, subscriber, clerk, runner, enricher, reaper, scheduler, source } = *parts;
        let stop = shutdown.child();
        let group_of = |name, wanted: fn(&str, &[u8]) -> bool, limits| Group {
            name,
            topic: Topic::Notifications,
            interest: Interest { header: Some(wanted), patience: config.patience_ms },
            limits,
            drain: config.drain_ms,
            backoff: config.backoff.into(),
            counts: metrics::COUNTS,
        };
        let ran = |result: Result<(), group::Error>| {
            stop.begin();
            result
        };
        let leases = Arc::clone(&runner.leases);
        let tasks = async {
            let group = group_of(groups::EXECUTOR_TASKS, Order::wanted, config.tasks.in_flight());
            let workers: Workers<Order, Runner> =
                Workers { group: group.name, source, work: runner, asks: PhantomData };
            let joined = || readiness.set("tasks", Ready::Yes);
            ran(group::run(group, &*subscriber, &workers, joined, &stop).await)
        };
        let enrichment = async {
            let group =
                group_of(groups::EXECUTOR_ENRICHMENT, Enrichment::wanted, config.enrichment.in_flight());
            let workers: Workers<Enrichment, Enricher> =
                Workers { group: group.name, source, work: enricher, asks: PhantomData };
            let joined = || readiness.set("enrichment", Ready::Yes);
            ran(group::run(group, &*subscriber, &workers, joined, &stop).await)
        };
        let unready = async {
            stop.begun().await;
            for part in PARTS {
                readiness.set(part, Ready::No);
            }
        };
        let reaping = reaper.run(&stop, config.drain_ms);
        let working = Box::pin(async {
            tokio::join!(tasks, enrichment, reaping, scheduler.run(stop.clone()), unready)
        });
        // The store is written, and leases are prolonged, for as long as anything is under way.
        let beside = async { tokio::join!(clerk.run(), leases.run()) };
        tokio::select! {
            (tasks, enrichment, (), (), ()) = working => Ok(tasks.and(enrichment)?),
            _never = beside => Ok(()),
        }
    }
}
