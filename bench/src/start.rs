//! Starts the product's own programs, which lie beside this executable, as children on free loopback ports, with topics,
//! keys and a database that are theirs alone; stops them, and removes what they made.

mod engines;

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::Instant;

pub(crate) use engines::Engines;

use crate::metrics::Port;
use crate::os::Process;
use crate::target::{Column, Pipeline, Target};
use crate::token::Signer;

/// How long a process may take to start, or to stop.
const WITHIN: Duration = Duration::from_secs(90);
/// Signs the tokens of a pipeline that lives for one run on loopback.
const SECRET: &str = "a secret of measurements on loopback, longer than thirty-two bytes";

/// A pipeline that was started.
pub(crate) struct Started {
    folder: TempDir,
    children: Vec<(String, Child)>,
    engines: Option<engines::Own>,
}

impl Started {
    /// Starts it; everything is ready.
    pub(crate) async fn start(
        target: &Target,
        column: Column,
        distributors: u64,
    ) -> anyhow::Result<Pipeline> {
        let folder =
            tempfile::Builder::new().prefix("postrider-bench.").disable_cleanup(target.keep).tempdir()?;
        let mut settings =
            format!("[telemetry]\nfilter = \"warn\"\n[auth]\nalgorithm = \"HS256\"\nsecret = \"{SECRET}\"\n");
        let engines = match column {
            Column::Embedded => None,
            Column::Distributed => {
                let own = target.engines.own(target.keep).await?;
                let processes = distributors + target.receivers + target.directors + target.executors;
                write!(settings, "{}", own.settings(target.partitions, processes))?;
                Some(own)
            }
        };
        std::fs::write(folder.path().join("postrider.toml"), settings)?;
        let mut started = Self { folder, children: Vec::new(), engines };
        match started.fill(target, column, distributors).await {
            Ok(pipeline) => Ok(Pipeline { started: Some(started), ..pipeline }),
            Err(error) => {
                let tail = started.tails();
                started.stop().await?;
                Err(error.context(tail))
            }
        }
    }

    async fn fill(&mut self, target: &Target, column: Column, distributors: u64) -> anyhow::Result<Pipeline> {
        let mut services: Vec<(&'static str, &'static str, u64)> = Vec::new();
        let data = self.folder.path().join("data");
        let mut api_key = String::new();
        match column {
            Column::Embedded => services.push(("standalone", "postrider", 1)),
            Column::Distributed => {
                self.once(&["migrate"]).await?;
                self.once(&["topics"]).await?;
                let made = self.once(&["key", "create", "--tenant", "default", "--label", "bench"]).await?;
                let key = made.split_whitespace().find(|word| word.starts_with("prk_"));
                key.context("no key was made")?.clone_into(&mut api_key);
                services.push(("distributor", "postrider-distributor", distributors));
                services.push(("director", "postrider-director", target.directors));
                services.push(("receiver", "postrider-receiver", target.receivers));
                services.push(("executor", "postrider-executor", target.executors));
            }
        }
        let mut pipeline = Pipeline {
            receivers: Vec::new(),
            distributors: Vec::new(),
            api_key,
            signer: Signer::Secret(SECRET.into()),
            processes: Vec::new(),
            metrics: Vec::new(),
            started: None,
        };
        for (name, program, count) in services {
            let numbers = 1..=count;
            let files = numbers.map(|number| format!("{name}-{number}")).collect::<Vec<_>>();
            for file in &files {
                let pid = self.launch(file, program, &data, &target.set)?;
                pipeline.processes.push(Process { name: name.into(), pid });
            }
            for file in &files {
                let addresses = self.addresses(file).await?;
                let at =
                    |listener: &str| -> Option<SocketAddr> { addresses[listener].as_str()?.parse().ok() };
                pipeline.receivers.extend(at("receiver"));
                pipeline.distributors.extend(at("distributor"));
                pipeline.metrics.extend(at("admin").map(|address| Port::new(name, address)));
            }
        }
        if column == Column::Embedded {
            let made: toml::Table = toml::from_str(&std::fs::read_to_string(data.join("credentials.toml"))?)?;
            let key = made.get("api_key").and_then(toml::Value::as_str);
            key.context("no key was made")?.clone_into(&mut pipeline.api_key);
        }
        Ok(pipeline)
    }

    fn settings(&self) -> PathBuf {
        self.folder.path().join("postrider.toml")
    }

    /// Runs a command of `postrider` to its end; what it printed.
    async fn once(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let mut command = Command::new(beside("postrider")?);
        command.args(arguments).arg("--config").arg(self.settings()).stdin(Stdio::null()).kill_on_drop(true);
        let output = command.output().await?;
        let told = String::from_utf8_lossy(&output.stderr);
        anyhow::ensure!(output.status.success(), "postrider {} failed: {told}", arguments.join(" "));
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Starts a process whose files begin with `file`.
    fn launch(&mut self, file: &str, program: &str, data: &Path, set: &[String]) -> anyhow::Result<u32> {
        let folder = self.folder.path();
        let log = std::fs::File::create(folder.join(format!("{file}.log")))?;
        let mut command = Command::new(beside(program)?);
        if program == "postrider" {
            command.arg("standalone").arg("--data-dir").arg(data);
        }
        command.arg("--config").arg(self.settings());
        command.arg("--address-file").arg(folder.join(format!("{file}.json")));
        for listener in ["receiver.listen", "distributor.listen", "admin.listen"] {
            command.args(["--set", &format!("{listener}=127.0.0.1:0")]);
        }
        for setting in set {
            command.args(["--set", setting]);
        }
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).kill_on_drop(true);
        // An interrupt in the terminal is for the measurement, which then stops these in order.
        command.process_group(0);
        let child = command.spawn().with_context(|| format!("cannot start {program}"))?;
        let pid = child.id().context("it ended at once")?;
        self.children.push((file.into(), child));
        Ok(pid)
    }

    /// Where a process listens, once it is ready.
    async fn addresses(&mut self, file: &str) -> anyhow::Result<serde_json::Value> {
        let path = self.folder.path().join(format!("{file}.json"));
        let deadline = Instant::now() + WITHIN;
        loop {
            let said = std::fs::read(&path).ok().and_then(|text| serde_json::from_slice(&text).ok());
            if let Some(said) = said {
                return Ok(said);
            }
            for (name, child) in &mut self.children {
                if let Some(status) = child.try_wait()? {
                    anyhow::bail!("{name} ended: {status}");
                }
            }
            anyhow::ensure!(Instant::now() < deadline, "{file} is not ready after {WITHIN:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The ends of the logs that are not empty.
    fn tails(&self) -> String {
        let mut tails = String::from("the pipeline did not start");
        for (name, _) in &self.children {
            let log = std::fs::read_to_string(self.folder.path().join(format!("{name}.log")));
            let log = log.unwrap_or_default();
            let lines: Vec<&str> = log.lines().rev().take(5).collect();
            for line in lines.iter().rev() {
                tails += &format!("\n{name}: {line}");
            }
        }
        tails
    }

    /// Warnings that were logged, the first ones of each process.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        for (name, _) in &self.children {
            let log = std::fs::read_to_string(self.folder.path().join(format!("{name}.log")));
            let log = log.unwrap_or_default();
            let lines = log.lines().filter(|line| line.contains("WARN") || line.contains("ERROR"));
            warnings.extend(lines.take(3).map(|line| format!("{name}: {line}")));
        }
        warnings
    }

    /// Stops everything, in the order that a deployment would, and removes what was made.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        let Self { folder, mut children, engines } = self;
        for (_, child) in &children {
            if let Some(pid) = child.id().and_then(|pid| Pid::from_raw(pid.cast_signed())) {
                // One that ended already is what is wanted.
                let _ended_already = kill_process(pid, Signal::TERM);
            }
        }
        for (name, child) in &mut children {
            if tokio::time::timeout(WITHIN, child.wait()).await.is_err() {
                child.kill().await.with_context(|| format!("{name} does not stop"))?;
            }
        }
        if let Some(engines) = engines {
            engines.remove().await?;
        }
        drop(folder);
        Ok(())
    }
}

/// A program of the product.
fn beside(name: &str) -> anyhow::Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name(name);
    anyhow::ensure!(path.is_file(), "{} is not there: build every program", path.display());
    Ok(path)
}
