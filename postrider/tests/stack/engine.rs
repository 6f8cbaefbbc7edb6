//! Engines that belong to one stack: Kafka brokers, Redis, Postgres, each a process started by `scripts/engines run` in a
//! directory and on a port that it keeps over its deaths.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rand::Rng as _;
use rustix::process::Signal;

use super::PATIENCE;
use super::disk::Disk;
use super::fence::Fence;
use super::probe;
use super::process::{Process, dying_with_us, tail};
use super::proxy::Proxy;

/// Which program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Kafka,
    Redis,
    Postgres,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Kafka => "kafka",
            Self::Redis => "redis",
            Self::Postgres => "postgres",
        }
    }
}

/// What stands around an engine, so that more than its process can be hurt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Bare,
    Proxied,
    Fenced,
    SmallDisk { size_mib: usize },
}

/// An engine, running or dead. The order of the fields is that of their end: the process first.
pub struct Engine {
    pub process: Option<Process>,
    pub proxy: Option<Proxy>,
    pub fence: Option<Fence>,
    pub disk: Option<Disk>,
    kind: Kind,
    name: String,
    dir: PathBuf,
    /// Where it listens itself.
    listens: SocketAddr,
    settings: Vec<String>,
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
    pub async fn redis(dir: &Path, place: Place) -> Self {
        Self::new(Kind::Redis, "redis", dir, place).await
    }

    pub async fn postgres(dir: &Path, place: Place) -> Self {
        Self::new(Kind::Postgres, "postgres", dir, place).await
    }

    /// One broker, or several in one cluster.
    pub async fn kafka(dir: &Path, brokers: usize, place: Place) -> Vec<Self> {
        assert!(brokers == 1 || place != Place::Fenced, "brokers in namespaces of their own do not meet");
        let mut cluster = Vec::new();
        for index in 0..brokers {
            cluster.push(Self::new(Kind::Kafka, &format!("kafka.{index}"), dir, place).await);
        }
        let controls: Vec<SocketAddr> =
            cluster.iter().map(|broker| SocketAddr::new(broker.listens.ip(), free_port())).collect();
        let voter = |(index, control): (usize, &SocketAddr)| format!("{}@{control}", index + 1);
        let voters = controls.iter().enumerate().map(voter).collect::<Vec<_>>().join(",");
        for (index, (broker, control)) in cluster.iter_mut().zip(&controls).enumerate() {
            broker.settings = vec![
                format!("node={}", index + 1),
                format!("control={}", control.port()),
                format!("voters={voters}"),
                format!("advertised={}", broker.address()),
            ];
        }
        cluster
    }

    async fn new(kind: Kind, name: &str, dir: &Path, place: Place) -> Self {
        let dir = dir.join(name);
        std::fs::create_dir(&dir).unwrap();
        let fence = (place == Place::Fenced).then(Fence::new);
        let ip = fence.as_ref().map_or(Ipv4Addr::LOCALHOST.into(), |fence| fence.address);
        let listens = SocketAddr::new(ip, free_port());
        let proxy = if place == Place::Proxied { Some(Proxy::start(listens).await) } else { None };
        // Only what it keeps is on the small disk, not its log.
        let disk = match place {
            Place::SmallDisk { size_mib } => Some(Disk::mount(&dir.join(kind.name()), size_mib)),
            Place::Bare | Place::Proxied | Place::Fenced => None,
        };
        let (name, settings) = (name.to_owned(), Vec::new());
        Self { process: None, proxy, fence, disk, kind, name, dir, listens, settings }
    }

    /// Where services find it.
    pub fn address(&self) -> SocketAddr {
        self.proxy.as_ref().map_or(self.listens, |proxy| proxy.address)
    }

    /// Starts it, anew or where its last life ended; [`Engine::settled`] says when it answers.
    pub fn start(&mut self) {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/engines");
        let mut command = match &self.fence {
            Some(fence) => {
                let [program, arguments @ ..] = fence.prefix();
                let mut command = dying_with_us(program);
                command.args(arguments).arg(script);
                command
            }
            None => dying_with_us(script),
        };
        command.arg("run").arg(self.kind.name()).arg(&self.dir);
        command.arg(format!("host={}", self.listens.ip())).arg(format!("port={}", self.listens.port()));
        command.args(&self.settings);
        let process = Process::start(&self.name, command, &self.log());
        // Postgres leaves shared memory behind when it is killed.
        let gently = self.kind == Kind::Postgres;
        self.process = Some(if gently { process.ended_by(Signal::INT) } else { process });
    }

    /// Waits until it answers.
    pub async fn settled(&mut self) {
        // Several brokers on a machine that builds something else take their time.
        let deadline = Instant::now() + 3 * PATIENCE;
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
            Kind::Kafka => probe::kafka(self.listens).await,
            Kind::Redis => probe::redis(self.listens).await,
            Kind::Postgres => probe::postgres(self.listens).await,
        }
    }

    pub fn log(&self) -> PathBuf {
        self.dir.join("log")
    }

    /// Says something to Redis and waits for its answer.
    pub async fn command(&self, command: &str) {
        assert_eq!(self.kind, Kind::Redis, "{} takes no such commands", self.name);
        probe::redis_command(self.listens, command).await.unwrap();
    }
}
