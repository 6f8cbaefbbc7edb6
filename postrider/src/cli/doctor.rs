//! `postrider doctor`: one line per thing that must be right before anything else is looked at.

use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;
use postrider_distributor::auth::AuthSettings;
use shared::clock::{Clock as _, SystemClock};
use shared::config::{AdminSettings, RedisSettings, Traces};
use shared::descriptors::Descriptors;
use shared::process::chain;
use shared::registry::{self, Nodes as _};
use tokio::net::{TcpListener, TcpStream};

use super::engines::Engines;
use super::failure::{Code, Failure};
use super::print;
use crate::data_dir::DataDir;

/// Each check must answer within this.
const DEADLINE: Duration = Duration::from_secs(15);

#[derive(Args, Debug)]
pub(super) struct Arguments {
    #[command(flatten)]
    engines: Engines,
    /// The services of this machine run: skip whether their ports are free
    #[arg(long)]
    running: bool,
}

/// What a check found.
type Finding = Result<String, String>;

pub(super) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let mut checks = Checks::default();
    checks.say("settings", settings(&arguments.engines))?;
    checks.wait("schema", schema(&arguments.engines)).await?;
    // A running process has the embedded log, and its ports, to itself: it is asked how it is.
    let here = match &arguments.engines.data_dir {
        Some(dir) if DataDir::at(dir).is_in_use()? => Some(DataDir::at(dir)),
        _ => None,
    };
    match &here {
        Some(dir) => checks.wait("pipeline", pipeline(dir)).await?,
        None => checks.wait("topics", topics(&arguments.engines)).await?,
    }
    if arguments.engines.data_dir.is_none() {
        checks.wait("registry", registry(&arguments.engines)).await?;
    }
    checks.say("token key", token_key(&arguments.engines))?;
    checks.say("clock", clock())?;
    checks.wait_for_hint("traces", traces()).await?;
    checks.advise("open files", &descriptors(&arguments.engines)?)?;
    if !arguments.running && here.is_none() {
        checks.wait("ports", ports(&arguments.engines)).await?;
    }
    match checks.failed {
        0 => Ok(()),
        failed => Err(Failure::new(Code::Failed, anyhow::anyhow!("{failed} checks failed"))),
    }
}

#[derive(Default)]
struct Checks {
    failed: u32,
}

impl Checks {
    fn say(&mut self, name: &str, finding: Finding) -> std::io::Result<()> {
        match finding {
            Ok(text) => print::line(format_args!("ok      {name}: {text}")),
            Err(text) => {
                self.failed += 1;
                print::line(format_args!("failed  {name}: {text}"))
            }
        }
    }

    /// What is worth a look, and keeps nothing from starting.
    fn advise(&self, name: &str, provided: &Descriptors) -> std::io::Result<()> {
        let word = if provided.suffice() { "ok     " } else { "warning" };
        print::line(format_args!("{word} {name}: {provided}"))
    }

    /// As [`Checks::advise`].
    async fn wait_for_hint(&self, name: &str, check: impl Future<Output = Finding>) -> std::io::Result<()> {
        let finding = tokio::time::timeout(DEADLINE, check).await;
        match finding.unwrap_or_else(|_late| Err(format!("no answer in {DEADLINE:?}"))) {
            Ok(text) => print::line(format_args!("ok      {name}: {text}")),
            Err(text) => print::line(format_args!("warning {name}: {text}")),
        }
    }

    async fn wait(&mut self, name: &str, check: impl Future<Output = Finding>) -> std::io::Result<()> {
        let finding = tokio::time::timeout(DEADLINE, check).await;
        self.say(name, finding.unwrap_or_else(|_late| Err(format!("no answer in {DEADLINE:?}"))))
    }
}

fn settings(engines: &Engines) -> Finding {
    let mut sources = engines.sources().map_err(|failure| failure.to_string())?;
    super::config::read_all(&mut sources);
    sources.finish().map_err(|error| error.to_string())?;
    Ok("can be used".into())
}

async fn schema(engines: &Engines) -> Finding {
    let store = engines.store().map_err(|failure| failure.to_string())?;
    match store.schema.is_current().await {
        Ok(true) => Ok("the store answers, its schema is current".into()),
        Ok(false) => Err("the store answers, its schema is not current: run postrider migrate".into()),
        Err(error) => Err(chain(&error)),
    }
}

/// A pipeline that runs on this data, as its operators' port tells.
async fn pipeline(dir: &DataDir) -> Finding {
    let starting = "runs, but does not say where: it is starting, or ended badly";
    let address = dir.addresses().and_then(|addresses| addresses.admin).ok_or(starting)?;
    let url = format!("http://{address}/readyz");
    crate::tls::install();
    let http = reqwest::Client::builder().timeout(DEADLINE).build().map_err(|error| chain(&error))?;
    let answer = http.get(&url).send().await.map_err(|error| format!("runs, but {}", chain(&error)))?;
    match (answer.status().is_success(), answer.text().await) {
        (true, _) => Ok(format!("runs on this data and is ready, says {url}")),
        (false, Ok(text)) => Err(format!("runs, but {url} says {}", print::harmless(text.trim()))),
        (false, Err(error)) => Err(format!("runs, but {}", chain(&error))),
    }
}

async fn topics(engines: &Engines) -> Finding {
    engines.find_topics().await.map_err(|failure| failure.to_string())?;
    Ok("the log answers, its topics are there".into())
}

async fn registry(engines: &Engines) -> Finding {
    let mut sources = engines.sources().map_err(|failure| failure.to_string())?;
    let redis: RedisSettings = sources.section();
    let registry = registry::redis::Registry::new(&redis).map_err(|error| chain(&error))?;
    let nodes = registry.nodes().await.map_err(|error| chain(&error))?;
    Ok(format!("answers, {} distributors are here", nodes.len()))
}

/// Whether the collector that the environment names takes connections. It may come later: nothing waits for it.
async fn traces() -> Finding {
    let endpoint = match Traces::of_environment() {
        Traces::Off => return Ok("off: no OTEL_EXPORTER_OTLP_ENDPOINT".into()),
        Traces::Unsupported(why) => return Err(format!("off: {why}")),
        Traces::To(endpoint) => endpoint,
    };
    let unusable = || format!("OTEL_EXPORTER_OTLP_ENDPOINT {endpoint} is no URL of a collector");
    let url = reqwest::Url::parse(&endpoint).map_err(|_not_a_url| unusable())?;
    let host = url.host_str().zip(url.port_or_known_default()).ok_or_else(unusable)?;
    match TcpStream::connect(host).await {
        Ok(_connection) => Ok(format!("on, the collector at {endpoint} takes connections")),
        Err(error) => Err(format!("on, and lost: the collector at {endpoint} cannot be reached: {error}")),
    }
}

fn token_key(engines: &Engines) -> Finding {
    if engines.data_dir.is_some() {
        return Ok("made by the first start".into());
    }
    let mut sources = engines.sources().map_err(|failure| failure.to_string())?;
    let auth: AuthSettings = sources.section();
    if auth.secret.is_empty() && auth.public_key.is_empty() {
        return Err("set auth.secret (HS256) or auth.public_key (EdDSA)".into());
    }
    Ok("is set".into())
}

/// Tokens and expiry hang on it; the year tells a clock that was never set.
fn clock() -> Finding {
    let now = SystemClock.now();
    let text = now.to_string();
    if text.as_str() < "2025" { Err(format!("{text} is in the past")) } else { Ok(text) }
}

/// Of the distributor, which has the most connections, or of the one process; with the limits of whoever runs this.
fn descriptors(engines: &Engines) -> Result<Descriptors, Failure> {
    let mut sources = engines.sources()?;
    let distributor: postrider_distributor::Config = sources.section();
    let receiver: postrider_receiver::Config = sources.section();
    let beside = engines.data_dir.as_ref().map_or(0, |_dir| receiver.http.connections);
    Ok(Descriptors::provide(distributor.http.connections + beside))
}

async fn ports(engines: &Engines) -> Finding {
    let mut sources = engines.sources().map_err(|failure| failure.to_string())?;
    if engines.data_dir.is_some() {
        sources = sources.with_defaults(&crate::standalone::DEFAULTS);
    }
    let receiver: postrider_receiver::Config = sources.section();
    let distributor: postrider_distributor::Config = sources.section();
    let admin: AdminSettings = sources.section();
    let wanted: [(&str, SocketAddr); 4] = [
        ("receiver.listen", receiver.listen),
        ("distributor.listen", distributor.listen),
        ("distributor.link.listen", distributor.link.listen),
        ("admin.listen", admin.listen),
    ];
    let mut taken = Vec::new();
    for (key, address) in wanted {
        if let Err(error) = TcpListener::bind(address).await {
            taken.push(format!("{key} {address}: {error}"));
        }
    }
    if taken.is_empty() {
        return Ok("are free".into());
    }
    // Nothing is wrong when those who have them are our own.
    Err(format!("{}; beside services that run: doctor --running", taken.join("; ")))
}
