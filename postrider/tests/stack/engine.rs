//! Engines that belong to one stack: Kafka brokers, Redis, Postgres, each a process started by `scripts/engines run` in a
//! directory and on a port that it keeps over its deaths.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rand::Rng as _;
use rustix::process::Signal;

use super::PATIENCE;
use super::probe;
use super::process::{Process, tail};

/// Which program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Kafka,
    Redis,
    Postgres,
}

/// An engine, running or dead.
pub struct Engine {
    kind: Kind,
    name: String,
    dir: PathBuf,
    pub address: SocketAddr,
    settings: Vec<String>,
    pub process: Option<Process>,
}

/// A port of loopback that nobody listens on, below the range that the kernel gives out by itself: nobody takes it while
/// its engine is dead.
pub fn free_port() -> u16 {
    loop {
        let port = rand::rng().random_range(20_000..32_000);
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}

impl Engine {
    pub fn redis(dir: &Path) -> Self {
        Self::new(Kind::Redis, "redis", dir, Vec::new())
    }

    pub fn postgres(dir: &Path) -> Self {
        Self::new(Kind::Postgres, "postgres", dir, Vec::new())
    }

    /// One broker, or several in one cluster.
    pub fn kafka(dir: &Path, brokers: usize) -> Vec<Self> {
        let controls: Vec<u16> = (0..brokers).map(|_| free_port()).collect();
        let voter = |(index, port): (usize, &u16)| format!("{}@127.0.0.1:{port}", index + 1);
        let voters = controls.iter().enumerate().map(voter).collect::<Vec<_>>().join(",");
        let broker = |(index, control): (usize, &u16)| {
            let settings =
                vec![format!("node={}", index + 1), format!("control={control}"), format!("voters={voters}")];
            Self::new(Kind::Kafka, &format!("kafka.{index}"), dir, settings)
        };
        controls.iter().enumerate().map(broker).collect()
    }

    fn new(kind: Kind, name: &str, dir: &Path, settings: Vec<String>) -> Self {
        let dir = dir.join(name);
        std::fs::create_dir(&dir).unwrap();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        Self { kind, name: name.to_owned(), dir, address, settings, process: None }
    }

    /// Starts it, anew or where its last life ended; [`Engine::settled`] says when it answers.
    pub fn start(&mut self) {
        let kind = match self.kind {
            Kind::Kafka => "kafka",
            Kind::Redis => "redis",
            Kind::Postgres => "postgres",
        };
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/engines");
        let mut command = Command::new(script);
        command.arg("run").arg(kind).arg(&self.dir);
        command.arg(format!("host={}", self.address.ip())).arg(format!("port={}", self.address.port()));
        command.args(&self.settings);
        let process = Process::start(&self.name, command, &self.log());
        // Postgres leaves shared memory behind when it is killed.
        let gently = self.kind == Kind::Postgres;
        self.process = Some(if gently { process.ended_by(Signal::INT) } else { process });
    }

    /// Waits until it answers.
    pub async fn settled(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        while let Err(silence) = self.answers().await {
            self.process.as_mut().expect("it was started").must_live();
            assert!(
                Instant::now() < deadline,
                "{} does not answer ({silence}): {}",
                self.name,
                tail(&self.log())
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Its process, if it has one that did not end.
    pub fn living(&mut self) -> Option<&mut Process> {
        let process = self.process.as_mut()?;
        if process.over().is_none() { Some(process) } else { None }
    }

    async fn answers(&self) -> std::io::Result<()> {
        match self.kind {
            Kind::Kafka => probe::kafka(self.address).await,
            Kind::Redis => probe::redis(self.address).await,
            Kind::Postgres => probe::postgres(self.address).await,
        }
    }

    pub fn log(&self) -> PathBuf {
        self.dir.join("log")
    }
}
