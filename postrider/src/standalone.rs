//! The whole pipeline in one process, on embedded engines: the same four services, composed. Their links are the real
//! ones (director to distributor speaks gRPC over loopback); only the engines behind the ports differ.

mod first_start;
mod roles;
mod settings;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context as _;
use metrics_exporter_prometheus::PrometheusHandle;
use shared::admin::{self, Readiness};
use shared::clock::SystemClock;
use shared::config::{self, Sources};
use shared::descriptors::Descriptors;
use shared::log::Provision as _;
use shared::shutdown::Shutdown;
use shared::store::Migrate as _;
use shared::{log, process, registry, store, telemetry};
use tokio::net::TcpListener;

use crate::data_dir::{DataDir, Lock};
pub use roles::Role;
use roles::Running;
pub(crate) use settings::DEFAULTS;
use settings::Settings;

/// How long the roles may take to want traffic: joining groups in one process takes milliseconds.
const READY_WITHIN: Duration = Duration::from_secs(30);
/// Between looks at whether they do.
const READY_PAUSE: Duration = Duration::from_millis(5);

/// Where a pipeline listens. A role that does not run has no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// Producers.
    pub receiver: Option<SocketAddr>,
    /// Clients.
    pub distributor: Option<SocketAddr>,
    /// Operators.
    pub admin: SocketAddr,
}

/// A running pipeline.
#[derive(Debug)]
pub struct Standalone {
    addresses: Addresses,
    data_dir: DataDir,
    /// In the order in which they stop.
    running: Vec<Running>,
    operators: Running,
    readiness: Readiness,
    engines: Engines,
    flush: Duration,
    _lock: Lock,
}

/// The embedded engines.
#[derive(Clone)]
pub(crate) struct Engines {
    pub(crate) log: Arc<log::sqlite::Log>,
    pub(crate) registry: Arc<registry::memory::Registry>,
    pub(crate) store: Arc<store::sqlite::Store>,
    pub(crate) clock: Arc<SystemClock>,
}

impl std::fmt::Debug for Engines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Engines")
    }
}

/// What keeps a pipeline from starting.
#[derive(Debug)]
pub enum Error {
    /// The settings are wrong.
    Settings(config::Error),
    /// Anything else.
    Failed(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for Error {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

impl Standalone {
    /// Starts all roles on the data in `data_dir`, which is made where there is none, with settings
    /// (`section.key=value`) above the defaults.
    ///
    /// # Errors
    /// When the settings are wrong, the directory is in use, or a port is taken.
    pub async fn start(data_dir: &Path, overrides: &[String]) -> Result<Self, Error> {
        let sources = Sources::load(None, overrides).map_err(Error::Settings)?;
        Box::pin(Self::start_with(data_dir, sources, &Role::ALL)).await
    }

    /// As [`Standalone::start`], with settings from anywhere and some of the roles.
    ///
    /// # Errors
    /// As [`Standalone::start`].
    pub async fn start_with(data_dir: &Path, sources: Sources, roles: &[Role]) -> Result<Self, Error> {
        let mut settings = Settings::read(sources).map_err(Error::Settings)?;
        telemetry::start_logs(&settings.telemetry);
        let asked = settings.connections(roles);
        settings.fit(Descriptors::provide_or_warn(asked), asked);
        let metrics = metrics();
        telemetry::export::start("postrider");
        let flush = settings.telemetry.traces_flush_ms;
        let data_dir = DataDir::at(data_dir);
        let lock = data_dir.lock()?;
        let engines = Engines::open(&data_dir, &settings).await?;
        first_start::credentials(&data_dir, &mut settings.distributor.auth, &engines).await?;

        let listener = TcpListener::bind(settings.admin.listen)
            .await
            .map_err(|error| process::taken(settings.admin.listen, &error))
            .map_err(|error| roles::taken(error.into(), "admin.listen"))?;
        let admin = listener.local_addr()?;
        let bound = roles::bind(roles, settings, &engines).await?;
        let addresses = Addresses { receiver: bound.receiver(), distributor: bound.distributor(), admin };
        let readiness = Readiness::of(&[]);
        let running = bound.run(&readiness);
        let shutdown = Shutdown::new();
        let serving = admin::run(listener, readiness.clone(), metrics, shutdown.clone());
        let operators = Running::spawn("admin", shutdown, async {
            serving.await;
            Ok(())
        });
        let mut standalone =
            Self { addresses, data_dir, running, operators, readiness, engines, flush, _lock: lock };
        standalone.ready().await?;
        standalone.write_addresses(&standalone.data_dir.addresses_file())?;
        Ok(standalone)
    }

    /// Waits until every role wants traffic.
    async fn ready(&mut self) -> anyhow::Result<()> {
        let readiness = self.readiness.clone();
        let ready = async {
            while !readiness.missing().is_empty() {
                tokio::time::sleep(READY_PAUSE).await;
            }
        };
        tokio::select! {
            () = ready => Ok(()),
            error = self.failed() => Err(error),
            () = tokio::time::sleep(READY_WITHIN) => {
                anyhow::bail!("not ready after {READY_WITHIN:?}: {}", readiness.missing().join(", "))
            }
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// The file with an API key and the secret of tokens.
    #[must_use]
    pub fn credentials_file(&self) -> PathBuf {
        self.data_dir.credentials_file()
    }

    /// Writes the addresses as a JSON object.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_addresses(&self, path: &Path) -> anyhow::Result<()> {
        let Addresses { receiver, distributor, admin } = self.addresses;
        let named = [("receiver", receiver), ("distributor", distributor), ("admin", Some(admin))];
        let known: Vec<_> =
            named.iter().filter_map(|(name, address)| address.map(|address| (*name, address))).collect();
        process::write_addresses(path, &known)
            .with_context(|| format!("{} cannot be written", path.display()))
    }

    /// Waits until a role ends by itself, which none should.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn failed(&mut self) -> anyhow::Error {
        roles::first_to_end(&mut self.running).await
    }

    /// Stops in an order that loses nothing: no more is accepted, what is under way is delivered or stored, clients
    /// are told to come back, the engines close.
    ///
    /// # Errors
    /// The first of what went wrong; the rest is stopped all the same.
    pub async fn stop(self) -> anyhow::Result<()> {
        let mut result = Ok(());
        for running in self.running {
            let stopped = running.stop().await;
            result = result.and(stopped);
        }
        telemetry::export::stop(self.flush).await;
        result = result.and(self.operators.stop().await);
        self.engines.close().await;
        result
    }
}

impl Engines {
    async fn open(data_dir: &DataDir, settings: &Settings) -> anyhow::Result<Self> {
        let clock = Arc::new(SystemClock);
        let log = log::sqlite::Log::open(&data_dir.log_file(), &settings.log, clock.clone()).await?;
        log.ensure().await?;
        let store = store::sqlite::Store::open(data_dir.store_file(), &settings.store)?;
        store.migrate().await?;
        Ok(Self { log, registry: registry::memory::Registry::new(clock.clone()), store, clock })
    }

    async fn close(self) {
        self.log.close().await;
        self.store.close().await;
    }
}

/// The recorder is the process's: a second pipeline in one process (tests) shows the same numbers.
fn metrics() -> Option<PrometheusHandle> {
    static RECORDER: OnceLock<Option<PrometheusHandle>> = OnceLock::new();
    RECORDER.get_or_init(|| telemetry::start_metrics("postrider").ok()).clone()
}
