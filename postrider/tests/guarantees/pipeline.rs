//! A pipeline of real processes, on either engine column, that ends when it is dropped.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

/// How long anything may take before a test fails.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Signs the tokens of every pipeline.
pub const SECRET: &str = "a signing secret of the tests, longer than thirty-two bytes";

/// Which engines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    /// One process, SQLite and memory.
    Embedded,
    /// Four processes, Kafka, Redis, Postgres.
    Distributed,
}

/// A running pipeline.
pub struct Pipeline {
    pub column: Column,
    producer: Producer,
    pub distributor: String,
    settings: PathBuf,
    processes: Vec<Process>,
    dir: TempDir,
}

struct Process {
    role: &'static str,
    child: Child,
    address_file: PathBuf,
    admin: String,
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Process {
    fn kill(&mut self) {
        // Already gone is as good; the wait reaps it either way.
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

const SERVICES: [&str; 4] = ["receiver", "distributor", "director", "executor"];

fn engine(name: &str) -> String {
    #[expect(clippy::disallowed_methods, reason = "tests are told of engines by the environment")]
    let value = std::env::var(name);
    value.unwrap_or_else(|_unset| panic!("{name} is not set: run scripts/test, which starts real engines"))
}

fn program(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_postrider")).with_file_name(name);
    assert!(path.is_file(), "{} is not built: cargo build --workspace --bins", path.display());
    path
}

impl Pipeline {
    /// One process on embedded engines.
    pub async fn embedded() -> Self {
        Self::embedded_with("").await
    }

    /// One process on embedded engines, with more settings (TOML).
    pub async fn embedded_with(more: &str) -> Self {
        Self::start(Column::Embedded, more).await
    }

    /// Four processes on real engines.
    pub async fn distributed() -> Self {
        Self::distributed_with("").await
    }

    /// Four processes on real engines, with more settings (TOML).
    pub async fn distributed_with(more: &str) -> Self {
        Self::start(Column::Distributed, more).await
    }

    /// On the given engines, with more settings.
    pub async fn start(column: Column, more: &str) -> Self {
        Self::start_for(column, more, "https://app.example").await
    }

    /// As [`Pipeline::start`], for browsers that show a page of `origin`.
    pub async fn start_for(column: Column, more: &str, origin: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let settings = dir.path().join("postrider.toml");
        let engines = match column {
            Column::Embedded => String::new(),
            Column::Distributed => distributed_engines(&dir),
        };
        let text = format!(
            "{engines}\n{more}\n[telemetry]\nfilter = \"debug,sqlx=info,h2=info\"\njson = true\n[auth]\nalgorithm = \"HS256\"\nsecret = \"{SECRET}\"\n\
             allowed_origins = [\"{origin}\"]\n"
        );
        std::fs::write(&settings, text).unwrap();
        let mut pipeline = Self {
            column,
            producer: Producer::default(),
            distributor: String::new(),
            settings,
            processes: Vec::new(),
            dir,
        };
        match column {
            Column::Embedded => pipeline.spawn("standalone"),
            Column::Distributed => {
                pipeline.cli(&["migrate"]);
                pipeline.cli(&["topics"]);
                for role in SERVICES {
                    pipeline.spawn(role);
                }
            }
        }
        pipeline.find_addresses().await;
        pipeline.producer.api_key = pipeline.find_key();
        pipeline
    }

    /// Kills a process as the kernel would: no warning, no goodbye. `standalone` is the only one of the embedded column.
    pub fn kill_9(&mut self, role: &str) {
        let role = if self.column == Column::Embedded { "standalone" } else { role };
        self.processes.iter_mut().filter(|process| process.role == role).for_each(Process::kill);
        self.processes.retain(|process| process.role != role);
    }

    /// Starts what [`Pipeline::kill_9`] killed, on whatever port it gets.
    pub async fn start_again(&mut self, role: &'static str) {
        self.spawn(if self.column == Column::Embedded { "standalone" } else { role });
        self.find_addresses().await;
    }

    fn spawn(&mut self, role: &'static str) {
        let address_file = self.dir.path().join(format!("{role}.{}.json", self.processes.len()));
        // A file of an earlier life would be taken for this one's.
        let _absent = std::fs::remove_file(&address_file);
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.dir.path().join(format!("{role}.log")))
            .unwrap();
        let mut command = match role {
            "standalone" => {
                let mut command = Command::new(program("postrider"));
                command.arg("standalone").arg("--data-dir").arg(self.dir.path().join("data"));
                command
            }
            service => Command::new(program(&format!("postrider-{service}"))),
        };
        command.arg("--config").arg(&self.settings).arg("--address-file").arg(&address_file);
        for listener in ["receiver.listen", "distributor.listen", "admin.listen"] {
            command.arg("--set").arg(format!("{listener}=127.0.0.1:0"));
        }
        let child = command
            .env_clear()
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("{role}: {error}"));
        self.processes.push(Process { role, child, address_file, admin: String::new() });
    }

    async fn find_addresses(&mut self) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        for index in 0..self.processes.len() {
            let found = loop {
                let process = &mut self.processes[index];
                let written = std::fs::read(&process.address_file).ok();
                if let Some(found) = written.and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok()) {
                    break found;
                }
                let (role, over) = (process.role, process.child.try_wait().unwrap());
                let late = tokio::time::Instant::now() > deadline;
                assert!(over.is_none() && !late, "{role} did not start ({over:?}): {}", self.logs());
                tokio::time::sleep(Duration::from_millis(20)).await;
            };
            let url = |name: &str| found[name].as_str().map(|address| format!("http://{address}"));
            if let Some(receiver) = url("receiver") {
                *self.producer.receiver.lock().unwrap() = receiver;
            }
            self.processes[index].admin = url("admin").expect("every process has an operators' port");
            self.distributor = url("distributor").unwrap_or_else(|| self.distributor.clone());
        }
    }

    fn find_key(&self) -> String {
        match self.column {
            Column::Embedded => {
                let text = std::fs::read_to_string(self.dir.path().join("data/credentials.toml")).unwrap();
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

    /// Runs the command line with this pipeline's settings and answers what it printed.
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

    /// The operators' port of every process, by role.
    pub fn admin(&self) -> Vec<(&'static str, String)> {
        self.processes.iter().map(|process| (process.role, process.admin.clone())).collect()
    }

    /// The end of what the processes said, for a failing test.
    pub fn logs(&self) -> String {
        let read = |(path, text): (PathBuf, String)| {
            let skipped = text.lines().count().saturating_sub(60);
            format!("--- {}\n{}\n", path.display(), text.lines().skip(skipped).collect::<Vec<_>>().join("\n"))
        };
        self.log_files().map(read).collect()
    }

    /// Everything the processes said.
    pub fn all_logs(&self) -> String {
        self.log_files().map(|(_path, text)| text).collect()
    }

    fn log_files(&self) -> impl Iterator<Item = (PathBuf, String)> {
        let roles = ["standalone", "receiver", "distributor", "director"];
        let paths = roles.map(|role| self.dir.path().join(format!("{role}.log")));
        paths.into_iter().filter_map(|path| std::fs::read_to_string(&path).ok().map(|text| (path, text)))
    }

    /// A client token for `recipient`, good for an hour.
    pub fn token(&self, recipient: &str) -> String {
        let claims =
            json!({"sub": recipient, "tenant": "default", "exp": jiff::Timestamp::now().as_second() + 3600});
        let key = jsonwebtoken::EncodingKey::from_secret(SECRET.as_bytes());
        jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).unwrap()
    }

    /// A producer of this pipeline. It finds the receiver again after a restart.
    pub fn producer(&self) -> Producer {
        self.producer.clone()
    }

    /// POSTs `content` to `recipient` and answers the id, once it is accepted.
    pub async fn send(&self, recipient: &str, content: &Value) -> String {
        match self.producer.try_send(recipient, content, None).await {
            Ok(id) => id,
            Err(answer) => panic!("not accepted: {answer}\n{}", self.logs()),
        }
    }
}

/// A producer with its key.
#[derive(Clone, Default)]
pub struct Producer {
    receiver: Arc<Mutex<String>>,
    pub api_key: String,
}

impl Producer {
    /// Where the receiver listens now.
    pub fn receiver(&self) -> String {
        self.receiver.lock().unwrap().clone()
    }

    /// POSTs `content` to `recipient` with a TTL in seconds; the id, or why it was not accepted.
    pub async fn try_send(
        &self,
        recipient: &str,
        content: &Value,
        ttl: Option<u64>,
    ) -> Result<String, String> {
        let mut body = json!({"to": {"recipient": recipient}, "type": "test", "content": content});
        if let Some(ttl) = ttl {
            body["ttl"] = json!(ttl);
        }
        let request = self.post("/v1/notifications").json(&body).timeout(Duration::from_secs(15));
        let answer = request.send().await.map_err(|error| error.to_string())?;
        let status = answer.status();
        let body: Value = answer.json().await.map_err(|error| error.to_string())?;
        if status == 202 {
            Ok(body["id"].as_str().unwrap().to_owned())
        } else {
            Err(format!("{status} {body}"))
        }
    }

    /// A request to the producers' API, for tests that speak to it themselves.
    pub fn post(&self, path: &str) -> reqwest::RequestBuilder {
        http().post(format!("{}{path}", self.receiver())).bearer_auth(&self.api_key)
    }
}

/// A client that speaks to loopback only and needs no certificates.
pub fn http() -> reqwest::Client {
    static CLIENT: std::sync::OnceLock<()> = std::sync::OnceLock::new();
    CLIENT.get_or_init(|| {
        // A second installation (another test of this process) is refused, and the first one is as good.
        let _second = rustls::crypto::ring::default_provider().install_default();
    });
    reqwest::Client::builder().no_proxy().build().unwrap()
}

fn distributed_engines(dir: &TempDir) -> String {
    let brokers = engine("POSTRIDER_TEST_KAFKA_BROKERS");
    let redis = engine("POSTRIDER_TEST_REDIS_URL");
    let postgres = engine("POSTRIDER_TEST_POSTGRES_URL");
    // The directory's random name keeps this pipeline's topics, keys and tables apart from every other's.
    let name: String = dir
        .path()
        .file_name()
        .unwrap()
        .to_str()
        .unwrap()
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .collect();
    let database = format!("t{}", name.to_lowercase());
    let created = Command::new("psql")
        .args(["--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1", &postgres])
        .args(["--command", &format!("create database {database}")])
        .output()
        .expect("psql is installed with PostgreSQL");
    assert!(created.status.success(), "{}", String::from_utf8_lossy(&created.stderr));
    let (server, _default) = postgres.rsplit_once('/').unwrap();
    format!(
        "[log]\nprefix = \"{name}.\"\npartitions = 3\n[kafka]\nbrokers = \"{brokers}\"\nsession_timeout_ms = 10000\n\
         drain_timeout_ms = 3000\n[redis]\nurl = \"{redis}\"\nprefix = \"{name}:\"\n[postgres]\nurl = \"{server}/{database}\"\n\
         connections = 4\n[director]\ndrain_ms = 2500\n"
    )
}
