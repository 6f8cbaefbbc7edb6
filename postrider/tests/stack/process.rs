//! One process that the harness started: hurt by signals, stopped by its id when it is dropped.

use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::PATIENCE;

/// How long a process may take to end by itself when it is dropped.
const GOODBYE: Duration = Duration::from_secs(3);

/// A running process with its log on disk.
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    /// What asks it to end by itself when it is dropped; none kills at once.
    goodbye: Option<Signal>,
}

/// A command that the kernel kills should this process be killed before it can drop anything. (Postgres, which changes
/// its user, loses that.)
pub fn dying_with_us(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]).arg(program);
    command
}

impl Process {
    /// Starts `command`; what it says is appended to `log`.
    pub fn start(name: &str, mut command: Command, log: &Path) -> Self {
        let file = OpenOptions::new().create(true).append(true).open(log).unwrap();
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn()
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        Self { name: name.to_owned(), child, log: log.to_owned(), goodbye: None }
    }

    /// Dropped, it is asked with `signal` first: it has something to tidy away outside its own directory.
    pub fn ended_by(mut self, signal: Signal) -> Self {
        self.goodbye = Some(signal);
        self
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it did.
    pub fn over(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Sends a signal to it and to every process it started.
    pub fn signal(&mut self, signal: Signal) {
        if self.over().is_some() {
            return;
        }
        for id in tree(self.child.id()) {
            // One that ended meanwhile needs no signal.
            let _gone = kill_process(pid(id), signal);
        }
    }

    /// Ends it as the kernel would, with everything it started.
    pub fn kill(&mut self) {
        if self.over().is_none() {
            // Held still, so that none starts another between the look and the kill.
            self.signal(Signal::STOP);
            self.signal(Signal::KILL);
        }
        // Already reaped is as good.
        let _reaped = self.child.wait();
    }

    /// Asks it to end and waits until it did.
    pub async fn terminate(&mut self) -> ExitStatus {
        if self.over().is_none() {
            kill_process(pid(self.child.id()), Signal::TERM).unwrap();
        }
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.over() {
                return status;
            }
            assert!(Instant::now() < deadline, "{} does not end: {}", self.name, tail(&self.log));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Fails the test if it ended.
    pub fn must_live(&mut self) {
        let over = self.over();
        assert!(over.is_none(), "{} ended ({over:?}): {}", self.name, tail(&self.log));
    }

    /// Resident memory in bytes.
    pub fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0 kB");
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let (Some(goodbye), None) = (self.goodbye, self.child.try_wait().ok().flatten()) {
            self.signal(Signal::CONT);
            let _gone = kill_process(pid(self.child.id()), goodbye);
            let deadline = Instant::now() + GOODBYE;
            while Instant::now() < deadline && matches!(self.child.try_wait(), Ok(None)) {
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        self.kill();
    }
}

fn pid(id: u32) -> Pid {
    Pid::from_raw(id.cast_signed()).expect("process ids are not zero")
}

/// A process and everything below it.
fn tree(root: u32) -> Vec<u32> {
    let parents: Vec<(u32, u32)> = std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|id| Some((id, parent(id)?)))
        .collect();
    let mut found = vec![root];
    let mut next = 0;
    while let Some(&above) = found.get(next) {
        found.extend(parents.iter().filter(|(_, parent)| *parent == above).map(|(id, _)| *id));
        next += 1;
    }
    found
}

fn parent(id: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name in parentheses may hold anything; the parent is the second word behind it.
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// The end of a log.
pub fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let skipped = text.lines().count().saturating_sub(60);
    format!("--- {}\n{}\n", log.display(), text.lines().skip(skipped).collect::<Vec<_>>().join("\n"))
}
