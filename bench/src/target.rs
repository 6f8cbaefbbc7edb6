//! The pipeline that is measured: one that runs, or one that is started for it.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, ValueEnum};

use crate::metrics::{self, Port};
use crate::os::{Process, named};
use crate::result::Outcome;
use crate::start::{Engines, Started};
use crate::token::Signer;

/// Which pipeline.
#[derive(Args, Clone, Debug)]
pub(crate) struct Target {
    /// Start the pipeline for this run: as one process, or as four services with engines that run
    #[arg(long, value_name = "COLUMN", conflicts_with_all = ["receivers_at", "distributors_at"])]
    pub(crate) start: Option<Column>,
    /// Where producers connect; may be repeated
    #[arg(long = "receiver", value_name = "ADDRESS", value_parser = loopback, requires = "distributors_at")]
    pub(crate) receivers_at: Vec<SocketAddr>,
    /// Where clients connect; may be repeated
    #[arg(long = "distributor", value_name = "ADDRESS", value_parser = loopback)]
    pub(crate) distributors_at: Vec<SocketAddr>,
    /// A producer's key
    #[arg(long, env = "POSTRIDER_API_KEY", hide_env_values = true, default_value = "")]
    pub(crate) api_key: String,
    /// The HS256 secret that client tokens are signed with
    #[arg(long, env = "POSTRIDER_TOKEN_SECRET", hide_env_values = true)]
    pub(crate) token_secret: Option<String>,
    /// An Ed25519 private key that client tokens are signed with, PEM
    #[arg(long, value_name = "FILE", conflicts_with = "token_secret")]
    pub(crate) token_key_file: Option<PathBuf>,
    /// A process that is measured, with everything that it started; may be repeated, those of one name count together
    #[arg(long = "process", value_name = "NAME=PID", value_parser = named)]
    pub(crate) processes: Vec<Process>,
    /// An operators' port, whose counters are told; may be repeated
    #[arg(long = "metrics", value_name = "NAME=ADDRESS", value_parser = metrics::port)]
    pub(crate) metrics: Vec<Port>,
    /// With --start distributed: how many receivers
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=64))]
    pub(crate) receivers: u64,
    /// How many directors
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=64))]
    pub(crate) directors: u64,
    /// How many distributors [default: as many as the connections need]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=512))]
    pub(crate) distributors: Option<u64>,
    /// How many executors
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(0..=64))]
    pub(crate) executors: u64,
    /// Partitions of each topic
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) partitions: u32,
    /// A setting of the processes that are started; may be repeated
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Keep settings, logs, data, topics and the database of what was started
    #[arg(long)]
    pub(crate) keep: bool,
    /// Engines of --start distributed
    #[command(flatten)]
    pub(crate) engines: Engines,
}

/// What is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Column {
    /// One process with its own engines.
    Embedded,
    /// Services with Kafka, Redis and PostgreSQL.
    Distributed,
}

/// Connections that a distributor can hold with as many descriptors as a process commonly has.
const PER_DISTRIBUTOR: u64 = 17_000;

/// A pipeline to be measured.
pub(crate) struct Pipeline {
    pub(crate) receivers: Vec<SocketAddr>,
    pub(crate) distributors: Vec<SocketAddr>,
    pub(crate) api_key: String,
    pub(crate) signer: Signer,
    pub(crate) processes: Vec<Process>,
    pub(crate) metrics: Vec<Port>,
    pub(crate) started: Option<Started>,
}

/// An address of this machine: no load is ever sent to another one.
pub(crate) fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text.parse().map_err(|error| format!("{error}"))?;
    if address.ip().is_loopback() { Ok(address) } else { Err("must be a loopback address".into()) }
}

impl Target {
    /// The pipeline, started if that was asked for.
    pub(crate) async fn open(&self, connections: u64) -> anyhow::Result<Pipeline> {
        let engines = self.engines.processes()?;
        let mut pipeline = match self.start {
            Some(column) => {
                let distributors = self.distributors.unwrap_or(connections.div_ceil(PER_DISTRIBUTOR).max(1));
                Started::start(self, column, distributors).await?
            }
            None => Pipeline {
                receivers: self.receivers_at.clone(),
                distributors: self.distributors_at.clone(),
                api_key: self.api_key.clone(),
                signer: self.signer()?,
                processes: Vec::new(),
                metrics: Vec::new(),
                started: None,
            },
        };
        pipeline.processes.extend(self.processes.iter().cloned());
        pipeline.processes.extend(engines);
        pipeline.metrics.extend(self.metrics.iter().cloned());
        anyhow::ensure!(!pipeline.distributors.is_empty(), "give --start, or --receiver and --distributor");
        Ok(pipeline)
    }

    /// What of it belongs to the settings of a result.
    pub(crate) fn describe(&self, outcome: &mut Outcome) {
        let Some(column) = self.start else { return };
        outcome.set("start", format!("{column:?}").to_lowercase());
        if column == Column::Distributed {
            for (name, count) in [("receivers", self.receivers), ("directors", self.directors)] {
                outcome.set(name, count);
            }
            outcome.set("distributors", self.distributors);
            outcome.set("executors", self.executors);
            outcome.set("partitions", self.partitions);
        }
        if !self.set.is_empty() {
            outcome.set("set", self.set.clone());
        }
    }

    fn signer(&self) -> anyhow::Result<Signer> {
        match (&self.token_secret, &self.token_key_file) {
            (Some(secret), _) => Ok(Signer::Secret(secret.clone())),
            (None, Some(file)) => {
                let pem = std::fs::read_to_string(file);
                Ok(Signer::Ed25519(pem.with_context(|| format!("cannot read {}", file.display()))?))
            }
            (None, None) => anyhow::bail!("give --token-secret or --token-key-file"),
        }
    }
}
