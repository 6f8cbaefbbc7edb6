//! The result: one JSON document with everything that was measured and what it was measured on.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::histogram::{Counts, Summary};
use crate::ledger::Balance;
use crate::os;

/// The version of this document. One that is read must have it.
pub const SCHEMA: u32 = 1;

/// Everything that a run found out.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Outcome {
    /// [`SCHEMA`].
    pub schema: u32,
    /// `run`, `idle` or `floors`.
    pub kind: String,
    /// When it began.
    pub at: String,
    /// The product's version, and its commit where that is known.
    pub version: String,
    /// The commit, with `-changed` when the tree was not clean.
    pub commit: Option<String>,
    /// What it ran on.
    pub machine: Surroundings,
    /// What was asked for.
    pub settings: BTreeMap<String, Value>,
    /// What was measured, by name.
    pub figures: BTreeMap<String, Figure>,
    /// What became of every notification.
    pub ledger: Option<Balance>,
    /// From when a notification was to be sent to its acknowledgement, and to its answer.
    pub acknowledged: Option<Distribution>,
    /// The same to the answer of the receiver.
    pub accepted: Option<Distribution>,
    /// Each second.
    pub samples: Vec<Sample>,
    /// Memory at each step of an idle run.
    pub steps: Vec<Step>,
    /// Memory of each process, by name, before and after.
    pub memory: BTreeMap<String, [os::Memory; 2]>,
    /// By how much the counters of operators' ports grew.
    pub metrics: BTreeMap<String, f64>,
    /// What went wrong, the first ones.
    pub problems: Vec<String>,
}

/// Latencies.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Distribution {
    /// What one reads first.
    pub summary: Summary,
    /// All of them, in microseconds.
    pub counts: Counts,
}

/// The machine and what it was doing.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Surroundings {
    /// Processors.
    pub cores: usize,
    /// Their name.
    pub processor: String,
    /// The kernel's release.
    pub kernel: String,
    /// Load averages before.
    pub load_before: String,
    /// Load averages after.
    pub load_after: String,
    /// Memory before, in KiB.
    pub before: os::Machine,
    /// Memory after, in KiB.
    pub after: os::Machine,
}

/// A measured value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// The value.
    pub value: f64,
    /// In what.
    pub unit: String,
    /// Which direction is good.
    pub better: Better,
}

/// Which direction is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Better {
    /// Less is better.
    Lower,
    /// More is better.
    Higher,
    /// It tells something, and is neither.
    Neither,
}

/// One second.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Seconds since the measured phase began; below zero while warming up.
    pub at_s: f64,
    /// Asked of the receiver, per second.
    pub asked: f64,
    /// Accepted, per second.
    pub accepted: f64,
    /// Acknowledged, per second.
    pub acknowledged: f64,
    /// Asked and not acknowledged.
    pub in_flight: u64,
    /// Half of what was acknowledged in this second was faster.
    pub p50_ms: f64,
    /// 99 of 100.
    pub p99_ms: f64,
    /// Cores in use, by the name of the process.
    pub cores: BTreeMap<String, f64>,
    /// Resident memory in MiB, by the name of the process.
    pub resident_mib: BTreeMap<String, f64>,
    /// A process was stopped.
    pub stopped: bool,
}

/// Memory at so many connections.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Live connections.
    pub connections: u64,
    /// Of the processes, by name, in KiB.
    pub memory: BTreeMap<String, os::Memory>,
    /// Of the machine, in KiB.
    pub machine: os::Machine,
    /// Processor microseconds per connection and second while idle, by name.
    pub cpu_us: BTreeMap<String, f64>,
}

impl Outcome {
    /// One that begins now.
    ///
    /// # Errors
    /// When `/proc` cannot be read.
    pub(crate) fn begin(kind: &str, commit: Option<String>) -> anyhow::Result<Self> {
        let (processor, kernel) = os::names();
        let before = os::machine()?;
        let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
        let load_before = os::load_average();
        Ok(Self {
            schema: SCHEMA,
            kind: kind.into(),
            at: jiff::Timestamp::now().round(jiff::Unit::Second)?.to_string(),
            version: env!("CARGO_PKG_VERSION").into(),
            commit: commit.or_else(commit_of_tree),
            machine: Surroundings {
                cores,
                processor,
                kernel,
                load_before,
                before,
                ..Surroundings::default()
            },
            ..Self::default()
        })
    }

    /// What is read of the machine at the end.
    pub(crate) fn end(&mut self) -> anyhow::Result<()> {
        self.machine.after = os::machine()?;
        self.machine.load_after = os::load_average();
        Ok(())
    }

    pub(crate) fn set(&mut self, name: &str, value: impl Into<Value>) {
        self.settings.insert(name.into(), value.into());
    }

    pub(crate) fn figure(&mut self, name: impl Into<String>, value: f64, unit: &str, better: Better) {
        // Four digits behind the point are more than any of this is exact to.
        let value = if value.is_finite() { (value * 1e4).round() / 1e4 } else { 0.0 };
        self.figures.insert(name.into(), Figure { value, unit: unit.into(), better });
    }

    /// Writes it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        let text = serde_json::to_vec_pretty(self)?;
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Reads one.
    ///
    /// # Errors
    /// When it is none, or of another version.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let value: Value = serde_json::from_slice(&text)?;
        let schema = &value["schema"];
        anyhow::ensure!(*schema == SCHEMA, "{}: schema is {schema}, must be {SCHEMA}", path.display());
        serde_json::from_value(value).with_context(|| format!("{} is no result", path.display()))
    }
}

/// The commit of the working tree that this runs in, if it is one.
fn commit_of_tree() -> Option<String> {
    let git = |arguments: &[&str]| {
        let output = std::process::Command::new("git").args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let commit = git(&["rev-parse", "--short=12", "HEAD"])?;
    let changed = !git(&["status", "--porcelain", "--untracked-files=no"])?.is_empty();
    Some(if changed { commit + "-changed" } else { commit })
}
