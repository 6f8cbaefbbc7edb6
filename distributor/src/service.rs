//! Puts the distributor together, runs it, and takes it down in an order that loses nothing and surprises no client.

use std::net::SocketAddr;
use std::sync::Arc;

use shared::admin::{Readiness, Ready};
use shared::clock::Clock;
use shared::delivery::NodeId;
use shared::log::{Appender, Ends};
use shared::registry::{Flags, Node, Nodes, Routes};
use shared::serve::{Leaving, serve};
use shared::shutdown::Shutdown;
use shared::store::Inbox;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

use crate::config::Config;
use crate::error::Error;
use crate::http::Edge;
use crate::hub::{Hub, Scope};
use crate::leave::leave;
use crate::metrics;
use crate::presence::lease::{Keeper, Lease};
use crate::presence::routes::Registrar;
use crate::presence::sweep::Sweeper;
use crate::presence::{ends, flags};
use crate::relay::Relay;
use crate::{drain, http, link, timers};

/// What the distributor uses.
#[derive(Clone)]
pub struct Ports {
    /// Stored notifications.
    pub inbox: Arc<dyn Inbox>,
    /// The connection map.
    pub routes: Arc<dyn Routes>,
    /// The nodes' leases.
    pub nodes: Arc<dyn Nodes>,
    /// Backlog flags.
    pub flags: Arc<dyn Flags>,
    /// Where `parked` ends.
    pub ends: Arc<dyn Ends>,
    /// For dead letters of stored notifications that a client refuses.
    pub appender: Arc<dyn Appender>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// A distributor that listens.
pub struct Service {
    config: Config,
    ports: Ports,
    hub: Arc<Hub>,
    edge: Arc<Edge>,
    node: Node,
    clients: TcpListener,
    directors: TcpListener,
    address: SocketAddr,
    readiness: Readiness,
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Service")
            .field("address", &self.address)
            .field("node", &self.node)
            .finish_non_exhaustive()
    }
}

const PART: &str = "distributor";

impl Service {
    /// Binds both listeners.
    ///
    /// # Errors
    /// When an address cannot be bound, or the link's is none that directors could use.
    pub async fn bind(config: Config, ports: Ports) -> Result<Self, Error> {
        metrics::show(config.caps.sessions);
        let (clients, address) = listen(config.listen).await?;
        let (directors, bound) = listen(config.link.listen).await?;
        let advertised = match &config.link.advertise {
            Some(address) => address.clone(),
            None if bound.ip().is_unspecified() => return Err(Error::NoAdvertise(bound)),
            None => bound.to_string(),
        };
        let scope = Scope {
            session: config.session,
            caps: config.caps,
            partitions: ports.ends.partitions(),
            epoch: ports.ends.epoch(),
        };
        let hub = Hub::new(scope, Arc::clone(&ports.clock));
        let node = Node { id: NodeId::random(), address: advertised };
        let (routes, nodes) = (Arc::clone(&ports.routes), Arc::clone(&ports.nodes));
        let relay = Relay::new(node.id, routes, nodes, config.link.clone(), config.relay);
        let settings = config.edge.clone();
        let edge =
            Edge::new(Arc::clone(&hub), &config.auth, &config.session, settings, relay, Shutdown::new());
        let edge = edge.map_err(Error::Key)?;
        let readiness = Readiness::of(&[PART]);
        Ok(Self { config, ports, hub, edge, node, clients, directors, address, readiness })
    }

    /// Where clients connect.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The node, as directors find it.
    #[must_use]
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// Its sessions.
    #[must_use]
    pub fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    /// Whether it wants traffic.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        self.readiness.clone()
    }

    /// Runs until `shutdown`, then takes leave of its clients.
    ///
    /// # Errors
    /// When a part of it broke.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), Error> {
        let Self { config, ports, hub, edge, node, clients, directors, address, readiness } = self;
        let stops = Stops::default();
        let link = link::run(Arc::clone(&hub), directors, config.link.clone(), stops.link.clone());
        let mut link = AbortOnDropHandle::new(tokio::spawn(link));
        let (lease, held) = watch::channel(Lease::Lost);
        let keeper = Keeper {
            hub: Arc::clone(&hub),
            nodes: Arc::clone(&ports.nodes),
            node: node.clone(),
            settings: config.lease,
            lease,
        };
        let mut keeper = AbortOnDropHandle::new(tokio::spawn(keeper.run(stops.lease.clone())));
        let mut engines = engines(&hub, &ports, &config, node.id, held, &stops.engines);
        let app = http::router(Arc::clone(&edge));
        let transports = Arc::clone(&edge);
        let mut transports = AbortOnDropHandle::new(tokio::spawn(async move { transports.run().await }));
        let leaving = Leaving { announced: shutdown.clone(), closing: Shutdown::new() };
        let serving = serve(clients, app, config.http.clone(), leaving.clone());
        let serving = AbortOnDropHandle::new(tokio::spawn(serving));
        tracing::info!(%address, node = %node.id, link = node.address, "distributor listens");
        readiness.set(PART, Ready::Yes);
        tokio::select! {
            () = shutdown.begun() => {}
            ended = &mut link => return Err(link_ended(ended)),
            ended = &mut keeper => return Err(Error::Broken(ended.err())),
            ended = &mut transports => return Err(Error::Broken(ended.err())),
            Some(ended) = engines.join_next() => return Err(Error::Broken(ended.err())),
        }
        readiness.set(PART, Ready::No);
        sleep(config.http.announce_ms).await;
        leave(&hub, &config.leave).await;
        edge.stop();
        leaving.closing.begin();
        transports.await.map_err(|error| Error::Broken(Some(error)))?;
        serving.await.map_err(|error| Error::Broken(Some(error)))?;
        stops.engines.begin();
        while let Some(ended) = engines.join_next().await {
            ended.map_err(|error| Error::Broken(Some(error)))?;
        }
        // Directors stop looking here once the lease is gone; only then is the link taken from them.
        stops.lease.begin();
        keeper.await.map_err(|error| Error::Broken(Some(error)))?;
        stops.link.begin();
        match link.await {
            Ok(Ok(())) => Ok(()),
            ended => Err(link_ended(ended)),
        }
    }
}

/// The parts are stopped one after the other.
#[derive(Default)]
struct Stops {
    engines: Shutdown,
    lease: Shutdown,
    link: Shutdown,
}

async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), Error> {
    let refused = |source| Error::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(refused)?;
    let bound = listener.local_addr().map_err(refused)?;
    Ok((listener, bound))
}

/// Starts the loops of the output edges.
fn engines(
    hub: &Arc<Hub>,
    ports: &Ports,
    config: &Config,
    node: NodeId,
    lease: watch::Receiver<Lease>,
    stop: &Shutdown,
) -> JoinSet<()> {
    let mut loops = JoinSet::new();
    let hub = || Arc::clone(hub);
    for _reader in 0..config.store.concurrency {
        loops.spawn(drain::run_pages(hub(), Arc::clone(&ports.inbox), config.store, stop.clone()));
    }
    loops.spawn(drain::run_deletes(hub(), Arc::clone(&ports.inbox), config.store, stop.clone()));
    loops.spawn(drain::run_refusals(hub(), Arc::clone(&ports.appender), config.store, stop.clone()));
    let (routes, limits) = (Arc::clone(&ports.routes), config.registry);
    let registrar = Registrar { hub: hub(), routes, node, limits, lease };
    loops.spawn(registrar.run(stop.clone()));
    loops.spawn(flags::run_reads(hub(), Arc::clone(&ports.flags), limits, stop.clone()));
    loops.spawn(flags::run_clears(hub(), Arc::clone(&ports.flags), limits, stop.clone()));
    loops.spawn(ends::run(hub(), Arc::clone(&ports.ends), limits, stop.clone()));
    let (flags, inbox) = (Arc::clone(&ports.flags), Arc::clone(&ports.inbox));
    loops.spawn(Sweeper { hub: hub(), flags, inbox, settings: config.sweep }.run(stop.clone()));
    loops.spawn(timers::run(hub(), stop.clone()));
    loops
}

fn link_ended(ended: Result<Result<(), tonic::transport::Error>, JoinError>) -> Error {
    match ended {
        Ok(Ok(())) => Error::Broken(None),
        Ok(Err(error)) => Error::Link(error),
        Err(error) => Error::Broken(Some(error)),
    }
}
