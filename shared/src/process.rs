//! A service as a process: flags, settings, log lines, metrics, the operators' port, signals, exit code. Each service's
//! `main.rs` says what is particular to it: its sections, its adapters, its ports.
//!
//! Exit codes: 0 after an orderly stop, 1 when the service failed, 2 when flags or settings are wrong.

mod allocator;
mod probe;

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub use self::allocator::Allocator;
pub use self::probe::Question;
use crate::admin::{self, Readiness, Ready};
use crate::config::{self, AdminSettings, Mistakes, Section, Sources, TelemetrySettings};
use crate::retry::Backoff;
use crate::shutdown::Shutdown;
use crate::{log, registry, store, telemetry};

/// Between attempts to reach an engine at start.
const CONNECT_BACKOFF: Backoff = Backoff { base: Duration::from_millis(250), cap: Duration::from_secs(5) };

/// Where settings come from, as every binary understands it.
#[derive(Args, Clone, Debug, Default)]
pub struct SettingsFlags {
    /// The settings file, TOML
    #[arg(long, env = "POSTRIDER_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// One setting, above file and environment; may be repeated
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE")]
    pub set: Vec<String>,
}

impl SettingsFlags {
    /// Reads file, environment and overrides.
    ///
    /// # Errors
    /// As [`Sources::load`].
    pub fn load(&self) -> Result<Sources, config::Error> {
        Sources::load(self.config.as_deref(), &self.set)
    }
}

/// The flags of a service binary.
#[derive(Parser, Clone, Debug, Default)]
#[command(version)]
pub struct Flags {
    /// Where settings come from.
    #[command(flatten)]
    pub settings: SettingsFlags,
    /// Check the settings, say what is wrong with them, and stop
    #[arg(long)]
    pub check_config: bool,
    /// Print the settings, defaults written out and secrets masked, and stop
    #[arg(long)]
    pub print_config: bool,
    /// Ask the process that runs with these settings whether it lives or is ready, and stop: exit code 0 when it is, else 1
    #[arg(long, value_name = "QUESTION")]
    pub probe: Option<Question>,
    /// Write the addresses that are listened at to FILE, as JSON, once they are: for ports that were left to choose
    #[arg(long, value_name = "FILE")]
    pub address_file: Option<PathBuf>,
}

/// Why a process ends.
#[derive(Debug)]
pub enum Failure {
    /// The settings are wrong: exit code 2.
    Settings(config::Error),
    /// Asked to stop, or to check or print the settings, before there was a service: exit code 0.
    Stopped,
    /// Anything else: exit code 1.
    Failed(Box<dyn std::error::Error + Send + Sync>),
}

impl<E: std::error::Error + Send + Sync + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Failed(Box::new(error))
    }
}

/// Runs `service` in a process called `name`, to the exit code. The service reads its sections from [`Start`], then
/// [begins](Start::begin).
pub fn run(name: &'static str, service: impl AsyncFnOnce(Start) -> Result<(), Failure>) -> ExitCode {
    let about = "A service of Postrider. Settings come from a TOML file, from the environment \
                 (POSTRIDER_SECTION__KEY) and from --set, the later winning.";
    let matches = Flags::command().name(name).about(about).get_matches();
    let flags = Flags::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return exit_code(name, Err(error.into())),
    };
    let result = runtime.block_on(async {
        let mut sources = flags.settings.load().map_err(Failure::Settings)?;
        if let Some(question) = flags.probe {
            return Ok(probe::ask(question, sources.section::<AdminSettings>().listen).await?);
        }
        Box::pin(service(Start { name, flags, sources })).await
    });
    // What is still blocking (a driver's thread in a call) may not hold the process: its work is not committed.
    runtime.shutdown_timeout(Duration::from_secs(5));
    exit_code(name, result)
}

fn exit_code(name: &str, result: Result<(), Failure>) -> ExitCode {
    let (code, text) = match result {
        Ok(()) | Err(Failure::Stopped) => return ExitCode::SUCCESS,
        Err(Failure::Settings(error)) => (2, error.to_string()),
        Err(Failure::Failed(error)) => (1, chain(error.as_ref())),
    };
    // A closed standard error leaves nobody to tell; the exit code still tells.
    let _unheard = writeln!(std::io::stderr(), "{name}: {text}");
    ExitCode::from(code)
}

/// An error and its sources on one line.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let sources = std::iter::successors(error.source(), |error| error.source());
    sources.fold(error.to_string(), |text, source| format!("{text}: {source}"))
}

/// A process that has its flags and reads its settings.
#[derive(Debug)]
pub struct Start {
    name: &'static str,
    flags: Flags,
    sources: Sources,
}

impl Start {
    /// Reads one section; mistakes are collected until [`Start::begin`].
    pub fn section<S: Section>(&mut self) -> S {
        self.sources.section()
    }

    /// Where relations between sections are reported, keys relative to `section`.
    pub fn mistakes(&mut self, section: &'static str) -> &mut Mistakes {
        self.sources.mistakes(section)
    }

    /// Everything that is alike in all services: refuses wrong settings, obeys the flags that only look at them, starts
    /// log lines and metrics, listens to signals, opens the operators' port.
    ///
    /// # Errors
    /// [`Failure::Settings`], [`Failure::Stopped`] after a flag was obeyed, or the operators' port is taken.
    pub async fn begin(mut self) -> Result<Process, Failure> {
        let (logs, port): (TelemetrySettings, AdminSettings) = (self.section(), self.section());
        let shown = self.sources.shown();
        self.sources.finish().map_err(Failure::Settings)?;
        if self.flags.print_config {
            std::io::stdout().write_all(shown.as_bytes())?;
        }
        if self.flags.print_config || self.flags.check_config {
            return Err(Failure::Stopped);
        }
        telemetry::start_logs(&logs);
        let metrics = telemetry::start_metrics(self.name)?;
        telemetry::export::start(self.name);
        let shutdown = Shutdown::new();
        shutdown.on_signals()?;
        let listener = TcpListener::bind(port.listen).await.map_err(|error| taken(port.listen, &error))?;
        let admin = listener.local_addr()?;
        tracing::info!(process = self.name, version = env!("CARGO_PKG_VERSION"), %admin, "starting");
        let readiness = Readiness::of(&["service"]);
        // The port outlives the drain, so that a draining process can still be watched.
        let closing = Shutdown::new();
        let serving = tokio::spawn(admin::run(listener, readiness.clone(), Some(metrics), closing.clone()));
        let address_file = self.flags.address_file;
        let flush = logs.traces_flush_ms;
        Ok(Process { name: self.name, address_file, admin, readiness, shutdown, closing, serving, flush })
    }
}

/// The error of an address that cannot be listened at.
#[must_use]
pub fn taken(address: std::net::SocketAddr, error: &std::io::Error) -> std::io::Error {
    std::io::Error::new(error.kind(), format!("cannot listen at {address}: {error}"))
}

/// A process that runs, before and while it has its service.
#[derive(Debug)]
pub struct Process {
    name: &'static str,
    address_file: Option<PathBuf>,
    admin: SocketAddr,
    readiness: Readiness,
    shutdown: Shutdown,
    closing: Shutdown,
    serving: JoinHandle<()>,
    flush: Duration,
}

impl Process {
    /// Connects to `engine` with `connect`, again and again while it is away.
    ///
    /// # Errors
    /// [`Failure::Stopped`] when the process is asked to stop meanwhile; else what the engine refuses for good.
    pub async fn connect<T, E: EngineError>(
        &self,
        engine: &'static str,
        connect: impl AsyncFn() -> Result<T, E>,
    ) -> Result<T, Failure> {
        for attempt in 0.. {
            let error = tokio::select! {
                () = self.shutdown.begun() => return Err(Failure::Stopped),
                connected = connect() => match connected {
                    Ok(connected) => return Ok(connected),
                    Err(error) if error.is_unavailable() => error,
                    Err(error) => return Err(error.into()),
                },
            };
            let delay = CONNECT_BACKOFF.delay(attempt, rand::random());
            tracing::warn!(engine, error = chain(&error), retry_ms = delay.as_millis(), "cannot connect yet");
            tokio::select! {
                () = self.shutdown.begun() => return Err(Failure::Stopped),
                () = tokio::time::sleep(delay) => {}
            }
        }
        Err(Failure::Stopped)
    }

    /// Writes the address file, if one is wanted: the operators' port and what the service listens at, by name.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn announce(&self, addresses: &[(&str, SocketAddr)]) -> std::io::Result<()> {
        match &self.address_file {
            Some(path) => write_addresses(path, &[addresses, &[("admin", self.admin)]].concat()),
            None => Ok(()),
        }
    }

    /// Runs the service until a signal or its end; the operators' port shows its readiness and goes last.
    ///
    /// # Errors
    /// As the service.
    pub async fn serve<E: std::error::Error + Send + Sync + 'static>(
        self,
        readiness: Readiness,
        run: impl AsyncFnOnce(Shutdown) -> Result<(), E>,
    ) -> Result<(), Failure> {
        self.readiness.include(&readiness);
        self.readiness.set("service", Ready::Yes);
        let result = run(self.shutdown.clone()).await;
        self.readiness.set("service", Ready::No);
        telemetry::export::stop(self.flush).await;
        self.closing.begin();
        self.serving.await?;
        tracing::info!(process = self.name, "stopped");
        Ok(result?)
    }
}

/// Writes addresses to `path` as a JSON object, all or nothing, so that a reader never sees half a file.
///
/// # Errors
/// When the file cannot be written.
pub fn write_addresses(path: &Path, addresses: &[(&str, SocketAddr)]) -> std::io::Result<()> {
    let object: serde_json::Map<_, _> =
        addresses.iter().map(|(name, address)| ((*name).to_owned(), address.to_string().into())).collect();
    let whole = path.with_extension("new");
    std::fs::write(&whole, serde_json::Value::Object(object).to_string())?;
    std::fs::rename(whole, path)
}

/// An engine's error that tells whether waiting may help.
pub trait EngineError: std::error::Error + Send + Sync + 'static {
    /// Whether the engine is merely away.
    fn is_unavailable(&self) -> bool;
}

impl EngineError for log::Error {
    fn is_unavailable(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}

impl EngineError for registry::Error {
    fn is_unavailable(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}

impl EngineError for store::Error {
    fn is_unavailable(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flags_of_every_service_hang_together() {
        Flags::command().debug_assert();
    }

    #[test]
    fn a_failure_names_all_its_sources() {
        let source = std::io::Error::other("connection refused");
        let error = log::Error::Unavailable(Some(Box::new(source)));
        assert_eq!(chain(&error), "the log is unavailable: connection refused");
    }
}
