//! The engines of a pipeline that is started: where they are, and what is this pipeline's own in them.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use sqlx::{Connection as _, Executor as _, PgConnection};

use crate::os::Process;

/// Where engines are.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Engines {
    /// A directory of `scripts/engines start measured`: its engines are used, and measured as processes
    #[arg(long, value_name = "DIR")]
    engines: Option<PathBuf>,
    /// Kafka, `host:port`
    #[arg(long, env = "POSTRIDER_TEST_KAFKA_BROKERS", value_name = "ADDRESS")]
    kafka: Option<String>,
    /// Redis
    #[arg(long, env = "POSTRIDER_TEST_REDIS_URL", value_name = "URL")]
    redis: Option<String>,
    /// PostgreSQL, with the right to make databases
    #[arg(long, env = "POSTRIDER_TEST_POSTGRES_URL", value_name = "URL")]
    postgres: Option<String>,
}

/// What a pipeline has in them.
pub(crate) struct Own {
    name: String,
    kafka: String,
    redis: String,
    postgres: String,
    keep: bool,
}

impl Engines {
    /// The engines of the directory as processes.
    pub(crate) fn processes(&self) -> anyhow::Result<Vec<Process>> {
        let Some(dir) = &self.engines else { return Ok(Vec::new()) };
        let mut processes = Vec::new();
        for name in ["kafka", "redis", "postgres"] {
            // One that the environment named, or that is a container, has none.
            let Ok(text) = std::fs::read_to_string(dir.join(format!("{name}.pid"))) else { continue };
            let pid = text.trim().parse().with_context(|| format!("{name}.pid of {}", dir.display()))?;
            processes.push(Process { name: name.into(), pid });
        }
        Ok(processes)
    }

    fn address(&self, given: Option<&String>, name: &str) -> anyhow::Result<String> {
        let Some(dir) = &self.engines else {
            return given.cloned().with_context(|| {
                format!(
                    "--start distributed needs --engines, or all of --kafka, --redis and --postgres ({name})"
                )
            });
        };
        let file = dir.join("env");
        let text =
            std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let line =
            text.lines().find_map(|line| line.strip_prefix("export ")?.strip_prefix(name)?.strip_prefix('='));
        let value = line.with_context(|| format!("no {name} in {}", file.display()))?;
        // Addresses and URLs have nothing that a shell escapes but these.
        Ok(value.replace(['\\', '\'', '"'], ""))
    }

    /// Where Kafka is.
    pub(crate) fn kafka(&self) -> anyhow::Result<String> {
        self.address(self.kafka.as_ref(), "POSTRIDER_TEST_KAFKA_BROKERS")
    }

    /// Where PostgreSQL is.
    pub(crate) fn postgres(&self) -> anyhow::Result<String> {
        self.address(self.postgres.as_ref(), "POSTRIDER_TEST_POSTGRES_URL")
    }

    /// Makes a database, and a name for topics and keys.
    pub(crate) async fn own(&self, keep: bool) -> anyhow::Result<Own> {
        let run = uuid::Uuid::new_v4().simple().to_string();
        let own = Own {
            name: format!("bench{}", &run[..10]),
            kafka: self.kafka()?,
            redis: self.address(self.redis.as_ref(), "POSTRIDER_TEST_REDIS_URL")?,
            postgres: self.postgres()?,
            keep,
        };
        own.sql(format!("create database {}", own.name)).await?;
        Ok(own)
    }
}

/// What all processes together may have of PostgreSQL's 300 connections (`scripts/engines`): who finds none left cannot ask
/// for what is stored, and lets nobody in.
const CONNECTIONS: u64 = 280;

impl Own {
    /// The sections of the settings that name them, for so many processes.
    pub(crate) fn settings(&self, partitions: u32, processes: u64) -> String {
        let Self { name, kafka, redis, postgres, .. } = self;
        let connections = (CONNECTIONS / processes.max(1)).clamp(1, 8);
        let server = postgres.rsplit_once('/').map_or(postgres.as_str(), |(server, _)| server);
        format!(
            "[log]\nprefix = \"{name}.\"\npartitions = {partitions}\n[kafka]\nbrokers = \"{kafka}\"\n\
             [redis]\nurl = \"{redis}\"\nprefix = \"{name}:\"\n[postgres]\nurl = \"{server}/{name}\"\n\
             connections = {connections}\n"
        )
    }

    async fn sql(&self, statement: String) -> anyhow::Result<()> {
        let mut connection = PgConnection::connect(&self.postgres).await.context("PostgreSQL")?;
        connection.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(statement))).await?;
        Ok(connection.close().await?)
    }

    /// Removes database and topics; what is in Redis expires.
    pub(crate) async fn remove(self) -> anyhow::Result<()> {
        if self.keep {
            return Ok(());
        }
        self.sql(format!("drop database {} with (force)", self.name)).await?;
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.kafka).set("log_level", "2");
        let consumer: BaseConsumer = config.create()?;
        let (name, prefix) = (config, format!("{}.", self.name));
        let topics = tokio::task::spawn_blocking(move || {
            let metadata = consumer.fetch_metadata(None, Duration::from_secs(10))?;
            let topics = metadata.topics().iter().map(|topic| topic.name().to_owned());
            anyhow::Ok(topics.filter(|topic| topic.starts_with(&prefix)).collect::<Vec<_>>())
        });
        let topics = topics.await??;
        let admin: AdminClient<DefaultClientContext> = name.create()?;
        let names: Vec<&str> = topics.iter().map(String::as_str).collect();
        for removed in admin.delete_topics(&names, &AdminOptions::new()).await? {
            removed.map_err(|(topic, code)| anyhow::anyhow!("cannot delete {topic}: {code}"))?;
        }
        Ok(())
    }
}
