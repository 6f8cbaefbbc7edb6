//! The engines of one stack, its own and the shared ones, and the settings that lead services to them.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::engine::Engine;
use super::part::Part;
use super::plan::Plan;

/// Its own engines; what is missing here is shared.
#[derive(Default)]
pub struct EngineSet {
    distributed: bool,
    pub brokers: Vec<Engine>,
    pub redis: Option<Engine>,
    pub postgres: Option<Engine>,
}

/// What the environment says of a shared engine.
fn shared(name: &str) -> String {
    #[expect(clippy::disallowed_methods, reason = "tests are told of engines by the environment")]
    let value = std::env::var(name);
    value.unwrap_or_else(|_unset| panic!("{name} is not set: run scripts/test, which starts real engines"))
}

impl EngineSet {
    /// Starts what is to be the stack's own, and waits until each answers.
    pub async fn start(plan: &Plan, dir: &Path) -> Self {
        let mut set = Self { distributed: true, ..Self::default() };
        if let Some((brokers, place)) = plan.kafka.own() {
            assert!(brokers == 1 || brokers == 3, "one broker or three, not {brokers}");
            set.brokers = Engine::kafka(dir, brokers, place).await;
        }
        if let Some((_one, place)) = plan.redis.own() {
            set.redis = Some(Engine::redis(dir, place).await);
        }
        if let Some((_one, place)) = plan.postgres.own() {
            set.postgres = Some(Engine::postgres(dir, place).await);
        }
        set.every().for_each(Engine::start);
        for engine in set.every() {
            engine.settled().await;
        }
        set
    }

    fn every(&mut self) -> impl Iterator<Item = &mut Engine> {
        self.brokers.iter_mut().chain(&mut self.redis).chain(&mut self.postgres)
    }

    /// The engines behind a part.
    pub fn of(&mut self, part: Part) -> Vec<&mut Engine> {
        let found: Vec<&mut Engine> = match part {
            Part::Kafka => self.brokers.iter_mut().collect(),
            Part::Broker(index) => self.brokers.get_mut(index).into_iter().collect(),
            Part::Redis => self.redis.iter_mut().collect(),
            Part::Postgres => self.postgres.iter_mut().collect(),
            Part::Receiver(_)
            | Part::Director(_)
            | Part::Distributor(_)
            | Part::Link(_)
            | Part::Executor(_) => Vec::new(),
        };
        assert!(!found.is_empty(), "{part} is not this stack's own: its plan must say so");
        found
    }

    pub fn logs(&self) -> Vec<PathBuf> {
        self.brokers.iter().chain(&self.redis).chain(&self.postgres).map(Engine::log).collect()
    }

    /// The settings that lead to all three, TOML. Nothing for the embedded column.
    pub fn settings(&self, dir: &Path) -> String {
        if !self.distributed {
            return String::new();
        }
        let brokers = if self.brokers.is_empty() {
            shared("POSTRIDER_TEST_KAFKA_BROKERS")
        } else {
            let addresses = self.brokers.iter().map(|broker| broker.address().to_string());
            addresses.collect::<Vec<_>>().join(",")
        };
        let redis = self.redis.as_ref().map_or_else(
            || shared("POSTRIDER_TEST_REDIS_URL"),
            |engine| format!("redis://{}", engine.address()),
        );
        let postgres = self.postgres.as_ref().map_or_else(
            || shared("POSTRIDER_TEST_POSTGRES_URL"),
            |engine| format!("postgres://postrider@{}/postgres", engine.address()),
        );
        // The directory's random name keeps this stack's topics, keys and tables apart from every other's.
        let letters = dir.file_name().unwrap().to_str().unwrap().chars();
        let name: String = letters.filter(char::is_ascii_alphanumeric).collect();
        let database = create_database(&postgres, &format!("t{}", name.to_lowercase()));
        let replication = self.brokers.len().max(1);
        format!(
            "[log]\nprefix = \"{name}.\"\npartitions = 3\nreplication = {replication}\n[kafka]\nbrokers = \"{brokers}\"\n\
             session_timeout_ms = 10000\ndrain_timeout_ms = 3000\n[executor]\ndrain_ms = 2000\n[redis]\nurl = \"{redis}\"\nprefix = \"{name}:\"\n\
             [postgres]\nurl = \"{database}\"\nconnections = 4\n[director]\ndrain_ms = 2500\n"
        )
    }
}

/// Makes a database on the server of `url` and answers its URL.
fn create_database(url: &str, name: &str) -> String {
    let created = Command::new("psql")
        .args(["--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1", url])
        .args(["--command", &format!("create database {name}")])
        .output()
        .expect("psql is installed with PostgreSQL");
    assert!(created.status.success(), "{}", String::from_utf8_lossy(&created.stderr));
    let (server, _default) = url.rsplit_once('/').unwrap();
    format!("{server}/{name}")
}
