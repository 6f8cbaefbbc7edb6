//! The receiver as a service: binds, serves until shutdown, drains.

use std::net::SocketAddr;
use std::sync::Arc;

use shared::admin::{Readiness, Ready};
use shared::clock::Clock;
use shared::log::{Appender, Lag};
use shared::serve::{Leaving, serve};
use shared::shutdown::Shutdown;
use shared::store::{ApiKeys, Bindings, DeadReview, Modules, Schedules, TaskReview};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::auth::Authenticator;
use crate::bindings::Bonds;
use crate::config::Config;
use crate::error::Error;
use crate::http::{Edge, router};
use crate::lag;
use crate::metrics;
use crate::modules::Catalogue;

/// What the receiver works with.
pub struct Ports {
    /// Where accepted notifications go.
    pub appender: Arc<dyn Appender>,
    /// How far those who read it are behind.
    pub lag: Arc<dyn Lag>,
    /// Who may produce.
    pub keys: Arc<dyn ApiKeys>,
    /// What can never be delivered.
    pub dead_letters: Arc<dyn DeadReview>,
    /// The tasks that were asked for.
    pub tasks: Arc<dyn TaskReview>,
    /// The modules that tasks are run by.
    pub modules: Arc<dyn Modules>,
    /// What is enriched by which of them.
    pub bindings: Arc<dyn Bindings>,
    /// Tasks at their times.
    pub schedules: Arc<dyn Schedules>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
}

impl Ports {
    /// The log, and one store for all the rest.
    pub fn of<L, S>(log: &Arc<L>, store: &Arc<S>, clock: Arc<dyn Clock>) -> Self
    where
        L: Appender + Lag,
        S: ApiKeys + DeadReview + TaskReview + Modules + Bindings + Schedules,
    {
        Self {
            appender: log.clone(),
            lag: log.clone(),
            keys: store.clone(),
            dead_letters: store.clone(),
            tasks: store.clone(),
            modules: store.clone(),
            bindings: store.clone(),
            schedules: store.clone(),
            clock,
        }
    }
}

/// A receiver that has its listener.
pub struct Service {
    listener: TcpListener,
    address: SocketAddr,
    edge: Arc<Edge>,
    lag: Arc<dyn Lag>,
    readiness: Readiness,
}

impl Service {
    /// Binds the listener; connections wait in the kernel's queue until [`Service::run`].
    ///
    /// # Errors
    /// [`Error::Bind`].
    pub async fn bind(config: Config, ports: Ports) -> Result<Self, Error> {
        metrics::describe();
        let failed = |source| Error::Bind { address: config.listen, source };
        let listener = TcpListener::bind(config.listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let authenticator =
            Arc::new(Authenticator::new(ports.keys, Arc::clone(&ports.clock), config.keys.clone()));
        let memory = Arc::new(Semaphore::new(config.in_flight_bytes.min(Semaphore::MAX_PERMITS)));
        let clock = ports.clock;
        let modules = Catalogue::new(ports.modules, Arc::clone(&clock), config.modules.clone());
        let bindings = Bonds::new(ports.bindings, Arc::clone(&clock), config.modules.lookups.clone());
        let edge = Edge {
            config,
            authenticator,
            log: ports.appender,
            dead_letters: ports.dead_letters,
            tasks: ports.tasks,
            modules,
            bindings,
            schedules: ports.schedules,
            clock,
            memory,
        };
        let readiness = Readiness::of(&["receiver"]);
        Ok(Self { listener, address, edge: Arc::new(edge), lag: ports.lag, readiness })
    }

    /// Where producers reach it.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether it wants traffic. It does not ask whether the log is there: with the log away it still answers, 503.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        self.readiness.clone()
    }

    /// Serves until `shutdown`, goes on for as long as that is announced, then lets requests under way finish within the
    /// drain limit and turns new ones away.
    ///
    /// # Errors
    /// None so far; the shape is that of every service.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), Error> {
        let (limits, lag_poll) = (self.edge.config.http.clone(), self.edge.config.lag_poll_ms);
        self.readiness.set("receiver", Ready::Yes);
        tracing::info!(address = %self.address, "the receiver listens");
        let app = router(self.edge, self.address);
        let leaving = Leaving { announced: shutdown.clone(), closing: Shutdown::new() };
        let announce = limits.announce_ms;
        let go = async {
            shutdown.begun().await;
            self.readiness.set("receiver", Ready::No);
            tokio::time::sleep(announce).await;
            leaving.closing.begin();
        };
        let watch = lag::watch(self.lag, lag_poll, &shutdown);
        tokio::join!(serve(self.listener, app, limits, leaving.clone()), go, watch);
        Ok(())
    }
}
