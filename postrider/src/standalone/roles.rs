//! The four roles in one process: bound all before any runs, stopped one after the other.

use std::io;
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::Arc;

use anyhow::Context as _;
use futures_util::future::select_all;
use shared::admin::Readiness;
use shared::shutdown::Shutdown;
use tokio::task::JoinHandle;

use super::Engines;
use super::settings::Settings;

/// A service of the pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Takes notifications in.
    Receiver,
    /// Forwards and parks them.
    Director,
    /// Holds client connections.
    Distributor,
    /// Runs tasks.
    Executor,
}

impl Role {
    /// All of them, in the order in which they stop: what feeds another stops before it.
    pub const ALL: [Self; 4] = [Self::Receiver, Self::Executor, Self::Director, Self::Distributor];

    const fn name(self) -> &'static str {
        match self {
            Self::Receiver => "receiver",
            Self::Director => "director",
            Self::Distributor => "distributor",
            Self::Executor => "executor",
        }
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let named = Self::ALL.into_iter().find(|role| role.name() == text);
        named.ok_or_else(|| "must be receiver, director, distributor or executor".into())
    }
}

/// Roles that have their listeners and do not run yet.
#[derive(Default)]
pub(super) struct Bound {
    receiver: Option<postrider_receiver::Service>,
    director: Option<postrider_director::Service>,
    distributor: Option<postrider_distributor::Service>,
    executor: Option<postrider_executor::Service>,
}

/// Binds `roles` to the embedded engines.
pub(super) async fn bind(roles: &[Role], settings: Settings, engines: &Engines) -> anyhow::Result<Bound> {
    let mut bound = Bound::default();
    if roles.contains(&Role::Receiver) {
        let clock = Arc::clone(&engines.clock) as _;
        let ports = postrider_receiver::Ports::of(&engines.log, &engines.store, clock);
        let service = postrider_receiver::Service::bind(settings.receiver, ports).await;
        bound.receiver = Some(service.map_err(|error| taken(error.into(), "receiver.listen"))?);
    }
    if roles.contains(&Role::Distributor) {
        let ports = postrider_distributor::Ports {
            inbox: engines.store.clone(),
            routes: engines.registry.clone(),
            nodes: engines.registry.clone(),
            flags: engines.registry.clone(),
            ends: engines.log.clone(),
            appender: engines.log.clone(),
            clock: engines.clock.clone(),
        };
        let service = postrider_distributor::Service::bind(settings.distributor, ports).await;
        bound.distributor = Some(service.map_err(|error| taken(error.into(), "distributor.listen"))?);
    }
    if roles.contains(&Role::Director) {
        bound.director = Some(director(settings.director, engines).await?);
    }
    if roles.contains(&Role::Executor) {
        let ports = postrider_executor::Ports::of(&engines.log, &engines.store, engines.clock.clone());
        bound.executor = Some(postrider_executor::Service::bind(settings.executor, ports).await?);
    }
    Ok(bound)
}

/// Says what to do about an address that is taken.
pub(super) fn taken(error: anyhow::Error, key: &str) -> anyhow::Error {
    let kinds = error.chain().filter_map(|source| source.downcast_ref::<io::Error>()).map(io::Error::kind);
    if kinds.into_iter().any(|kind| kind == io::ErrorKind::AddrInUse) {
        return error.context(format!(
            "another program listens there: choose another address, for example --set {key}=127.0.0.1:0"
        ));
    }
    error
}

impl Bound {
    pub(super) fn receiver(&self) -> Option<SocketAddr> {
        self.receiver.as_ref().map(postrider_receiver::Service::address)
    }

    pub(super) fn distributor(&self) -> Option<SocketAddr> {
        self.distributor.as_ref().map(postrider_distributor::Service::address)
    }

    /// Runs them; `readiness` is theirs together. In the order in which they stop.
    pub(super) fn run(self, readiness: &Readiness) -> Vec<Running> {
        let mut running = Vec::new();
        macro_rules! run {
            ($name:literal, $service:expr) => {
                if let Some(service) = $service {
                    readiness.include(&service.readiness());
                    let shutdown = Shutdown::new();
                    let task = service.run(shutdown.clone());
                    running.push(Running::spawn($name, shutdown, async { Ok(task.await?) }));
                }
            };
        }
        run!("receiver", self.receiver);
        run!("executor", self.executor);
        run!("director", self.director);
        run!("distributor", self.distributor);
        running
    }
}

/// A part of the process that runs until its shutdown.
#[derive(Debug)]
pub(super) struct Running {
    name: &'static str,
    shutdown: Shutdown,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Running {
    pub(super) fn spawn(
        name: &'static str,
        shutdown: Shutdown,
        task: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    ) -> Self {
        Self { name, shutdown, task: tokio::spawn(task) }
    }

    /// Lets it drain within its own limits.
    pub(super) async fn stop(self) -> anyhow::Result<()> {
        self.shutdown.begin();
        self.task.await?.with_context(|| format!("the {} failed", self.name))
    }
}

/// The first that ends, as an error: none should before it is told to.
pub(super) async fn first_to_end(running: &mut [Running]) -> anyhow::Error {
    let (ended, index, _rest) = select_all(running.iter_mut().map(|one| &mut one.task)).await;
    let name = running[index].name;
    match ended {
        Ok(Ok(())) => anyhow::anyhow!("the {name} ended"),
        Ok(Err(error)) => error.context(format!("the {name} failed")),
        Err(panicked) => anyhow::Error::new(panicked).context(format!("the {name} failed")),
    }
}

async fn director(
    config: postrider_director::Config,
    engines: &Engines,
) -> anyhow::Result<postrider_director::Service> {
    let clock = Arc::clone(&engines.clock) as _;
    let ports = postrider_director::Ports::of(&engines.log, &engines.registry, &engines.store, clock);
    Ok(postrider_director::Service::bind(config, ports).await?)
}
