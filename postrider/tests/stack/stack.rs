//! A stack: Postrider as real processes on real engines, and everything that can befall them. Both test programs use it,
//! `guarantees` on either engine column and `faults` to hurt it.
//!
//! ```no_run
//! let scale = Scale::of_this_run();
//! let mut stack = Stack::start(Plan {
//!     directors: 2,
//!     distributors: 2,
//!     kafka: Engines::Own { brokers: 3 },
//!     settings: "[director]\ndrain_ms = 1000\n".into(),
//!     settings_of: vec![(Part::Director(1), "kafka.session_timeout_ms=6000")],
//!     ..Plan::default()
//! })
//! .await;
//! let id = stack.send("alice", &json!("hello")).await;
//! stack.fault(Part::Broker(0), Fault::Killed).await;
//! stack.fault(Part::Director(0), Fault::Frozen).await;
//! scale.outage().await;
//! stack.heal(Part::Director(0)).await;
//! stack.heal(Part::Broker(0)).await;
//! ```
//!
//! * A [`Plan`] says how many of each service, and which engines are the stack's own. What is not its own is shared with
//!   every other test under a prefix, found by `POSTRIDER_TEST_*` (`scripts/test`), and cannot be hurt.
//! * A [`Part`] is addressed by role and index, from 0. [`Stack::fault`] hurts it, [`Stack::heal`] undoes whatever is wrong
//!   with it and waits until it serves; a fault that a part cannot suffer fails the test.
//! * [`Stack::addresses`] is what producers and clients know: every receiver and distributor. It is cloneable and follows
//!   restarts, so load runs in tasks of its own while the test holds the stack.
//! * [`Load`](load::Load) produces, listens and keeps the ledger; its account fails a test that lost anything.
//! * [`Scale`] says how long a fault lasts; [`seed`] prints what a random choice came from.
//! * What a stack started it stops by process id when it is dropped, panic or not. When the test failed, the ends of all
//!   logs are printed and the whole directory is kept and named.
//!
//! Lower down: `process.rs` (signals), `service.rs` and `engine.rs` (what is a process), `clients.rs` (the wire as a
//! stranger would write it), `producer.rs`.

#![allow(
    dead_code,
    unused_imports,
    clippy::print_stderr,
    reason = "each test program uses its part of the harness, which tells what it does to whoever reads a failure"
)]

pub mod account;
pub mod clients;
mod clock;
mod collector;
mod disk;
mod engine;
mod engines;
mod faults;
mod fence;
pub mod ledger;
pub mod load;
mod part;
mod plan;
mod probe;
mod process;
mod producer;
mod proxy;
mod scale;
mod service;
pub mod tasks;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use shared::config::{KafkaSettings, LogSettings};
use tempfile::TempDir;

pub use self::collector::{Collector, Seen};
use self::engine::free_port;
use self::engines::EngineSet;
pub use self::part::{Fault, Part};
pub use self::plan::{Column, Engines, Links, Plan};
use self::process::tail;
pub use self::producer::{Addresses, Producer, SECRET, http, token};
pub use self::proxy::{Line, Proxy, Weather};
pub use self::scale::{Scale, seed};
use self::service::{Service, program};

/// How long anything may take before a test fails.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A running stack.
pub struct Stack {
    pub column: Column,
    started: Instant,
    producer: Producer,
    settings: PathBuf,
    services: Vec<Service>,
    engines: EngineSet,
    /// Before each distributor, where the plan says so.
    links: Vec<Proxy>,
    /// Dropped last; none once the test failed and the directory is kept.
    dir: Option<TempDir>,
}

impl Stack {
    /// One process on embedded engines.
    pub async fn embedded() -> Self {
        Self::start(Plan::embedded()).await
    }

    /// One of each service on real engines.
    pub async fn distributed() -> Self {
        Self::start(Plan::default()).await
    }

    /// On the given engines, with more settings (TOML).
    pub async fn on(column: Column, settings: &str) -> Self {
        Self::start(Plan { column, settings: settings.to_owned(), ..Plan::default() }).await
    }

    /// As planned.
    pub async fn start(plan: Plan) -> Self {
        let started = Instant::now();
        let dir = tempfile::tempdir().unwrap();
        open_to_engines(dir.path());
        let engines = match plan.column {
            Column::Embedded => EngineSet::default(),
            Column::Distributed => EngineSet::start(&plan, dir.path()).await,
        };
        let settings = dir.path().join("postrider.toml");
        std::fs::write(&settings, plan.toml(&engines.settings(dir.path()))).unwrap();
        let (mut links, mut listening) = (Vec::new(), Vec::new());
        if plan.links == Links::Proxied {
            for _ in 0..plan.distributors {
                let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
                let link = Proxy::start(listen).await;
                listening.push((listen, link.address));
                links.push(link);
            }
        }
        let services = plan.services(dir.path(), &settings, &listening);
        let column = plan.column;
        let mut stack = Self {
            column,
            started,
            producer: Producer::default(),
            settings,
            services,
            engines,
            links,
            dir: Some(dir),
        };
        stack.says("the engines answer");
        if column == Column::Distributed {
            stack.cli(&["migrate"]);
            stack.cli(&["topics"]);
        }
        stack.services.iter_mut().for_each(Service::start);
        for service in &mut stack.services {
            service.settled().await;
        }
        stack.list_addresses();
        stack.producer.api_key = stack.find_key();
        stack.says("all serve");
        stack
    }

    /// Tells whoever reads the output of a test what happened, and when.
    pub fn says(&self, what: &str) {
        eprintln!("[{:7.3}] {what}", self.started.elapsed().as_secs_f64());
    }

    /// How every process of the distributed column finds the log.
    pub fn log_settings(&self) -> (LogSettings, KafkaSettings) {
        assert_eq!(self.column, Column::Distributed, "the log of one process is its own");
        let all: toml::Table = std::fs::read_to_string(&self.settings).unwrap().parse().unwrap();
        (all["log"].clone().try_into().unwrap(), all["kafka"].clone().try_into().unwrap())
    }

    fn list_addresses(&self) {
        let every = |listener: &str| self.services.iter().filter_map(|one| one.url(listener)).collect();
        // One process is every service of the embedded column.
        let is_director =
            |one: &&Service| matches!(one.part, Part::Director(_)) || self.column == Column::Embedded;
        let directors = self.services.iter().filter(is_director).filter_map(|one| one.url("admin")).collect();
        self.producer.addresses.set(every("receiver"), every("distributor"), directors);
    }

    fn find_key(&self) -> String {
        match self.column {
            Column::Embedded => {
                let text = std::fs::read_to_string(self.dir().join("data/credentials.toml")).unwrap();
                let credentials: toml::Table = text.parse().unwrap();
                credentials["api_key"].as_str().unwrap().to_owned()
            }
            Column::Distributed => {
                let printed = self.cli(&["key", "create", "--tenant", "default", "--label", "tests"]);
                let is_key = |word: &&str| word.starts_with("prk_");
                printed.split_whitespace().find(is_key).expect("the key is printed").to_owned()
            }
        }
    }

    /// Runs the command line with this stack's settings and answers what it printed.
    pub fn cli(&self, arguments: &[&str]) -> String {
        let output = Command::new(program("postrider"))
            .args(arguments)
            .arg("--config")
            .arg(&self.settings)
            .env_clear()
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Where everything of this stack lies: settings, logs, data.
    pub fn dir(&self) -> &Path {
        self.dir.as_ref().expect("it is kept until the end").path()
    }

    /// The operators' port of every process.
    pub fn admin(&self) -> Vec<(Part, String)> {
        let admin = |service: &Service| {
            (service.part, service.url("admin").expect("every process has an operators' port"))
        };
        self.services.iter().map(admin).collect()
    }

    /// The URL of the operators' port of one service.
    pub fn admin_of(&self, part: Part) -> String {
        self.service(part).url("admin").expect("every process has an operators' port")
    }

    /// The process id of a service that runs.
    pub fn id_of(&self, part: Part) -> u32 {
        self.service(part).process.as_ref().expect("it runs").id()
    }

    /// Resident memory of a service in bytes, 0 while it is dead.
    pub fn resident_bytes(&self, part: Part) -> u64 {
        self.service(part).process.as_ref().map_or(0, process::Process::resident_bytes)
    }

    /// Where services find one of the stack's own engines.
    pub fn address_of(&mut self, part: Part) -> SocketAddr {
        self.addresses_of(part)[0]
    }

    /// Where services find each of them.
    pub fn addresses_of(&mut self, part: Part) -> Vec<SocketAddr> {
        self.engines.of(part).iter().map(|engine| engine.address()).collect()
    }

    fn service(&self, part: Part) -> &Service {
        &self.services[self.index(part)]
    }

    fn index(&self, part: Part) -> usize {
        // One process is every service of the embedded column.
        let found = self.services.iter().position(|one| one.part == part || self.column == Column::Embedded);
        found.unwrap_or_else(|| panic!("{part} is not in this stack"))
    }

    /// What producers and clients know; it follows restarts.
    pub fn addresses(&self) -> Addresses {
        self.producer.addresses.clone()
    }

    /// Where the first distributor listens.
    pub fn distributor(&self) -> String {
        self.producer.addresses.distributor(0)
    }

    /// A client token for `recipient`.
    pub fn token(&self, recipient: &str) -> String {
        token(recipient)
    }

    /// A producer of this stack.
    pub fn producer(&self) -> Producer {
        self.producer.clone()
    }

    /// POSTs `content` to `recipient` and answers the id, once it is accepted.
    pub async fn send(&self, recipient: &str, content: &Value) -> String {
        match self.producer.try_send(recipient, content, None).await {
            Ok(id) => id,
            Err(answer) => panic!("not accepted: {answer}"),
        }
    }

    /// The ends of what all processes said.
    pub fn logs(&self) -> String {
        let services = self.services.iter().map(|service| tail(service.log()));
        services.chain(self.engines.logs().iter().map(|log| tail(log))).collect()
    }

    /// Everything the services said.
    pub fn all_logs(&self) -> String {
        self.services.iter().filter_map(|one| std::fs::read_to_string(one.log()).ok()).collect()
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let kept = self.dir.take().map(TempDir::keep).unwrap_or_default();
            eprintln!("{}everything is kept in {}", self.logs(), kept.display());
        }
    }
}

/// Postgres runs as somebody else when we are root, and must reach its directory.
fn open_to_engines(dir: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o711)).unwrap();
}
