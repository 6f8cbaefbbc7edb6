//! One instance of a service as a process: its settings, where it says it listens, the same settings again after a death.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::PATIENCE;
use super::clock;
use super::part::Part;
use super::process::{Process, dying_with_us, tail};

/// A service, running or dead.
pub struct Service {
    pub part: Part,
    program: &'static str,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    log: PathBuf,
    address_file: PathBuf,
    pub process: Option<Process>,
    /// How far its wall clock is off.
    clock_off_s: Option<i64>,
    said: Value,
}

/// Where a built program of the workspace is.
pub fn program(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_postrider")).with_file_name(name);
    assert!(path.is_file(), "{} is not built: cargo build --workspace --bins", path.display());
    path
}

impl Service {
    /// Not started yet. `program` is the executable's name, `name` that of its files in `dir`.
    pub fn new(
        part: Part,
        program: &'static str,
        name: &str,
        dir: &Path,
        arguments: Vec<String>,
        environment: Vec<(String, String)>,
        clock_off_s: Option<i64>,
    ) -> Self {
        let log = dir.join(format!("{name}.log"));
        let address_file = dir.join(format!("{name}.json"));
        let (process, said) = (None, Value::Null);
        Self { part, program, arguments, environment, log, address_file, process, clock_off_s, said }
    }

    /// Starts it; [`Service::settled`] says when it serves.
    pub fn start(&mut self) {
        // A file of an earlier life would be taken for this one's.
        let _absent = std::fs::remove_file(&self.address_file);
        let mut command = dying_with_us(program(self.program));
        command.args(&self.arguments).arg("--address-file").arg(&self.address_file);
        command.env_clear().envs(self.environment.iter().map(|(name, value)| (name, value)));
        if let Some(off_by_s) = self.clock_off_s {
            clock::put_off(&mut command, self.log.parent().expect("it lies in a directory"), off_by_s);
        }
        self.process = Some(Process::start(&self.part.to_string(), command, &self.log));
    }

    /// Waits until it wrote where it listens.
    pub async fn settled(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        let process = self.process.as_mut().expect("it was started");
        loop {
            let written = std::fs::read(&self.address_file).ok();
            if let Some(said) = written.and_then(|bytes| serde_json::from_slice(&bytes).ok()) {
                self.said = said;
                return;
            }
            process.must_live();
            assert!(Instant::now() < deadline, "{} did not start: {}", self.part, tail(&self.log));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The URL of one of its listeners in its latest life.
    pub fn url(&self, listener: &str) -> Option<String> {
        self.said[listener].as_str().map(|address| format!("http://{address}"))
    }

    pub fn log(&self) -> &Path {
        &self.log
    }
}
