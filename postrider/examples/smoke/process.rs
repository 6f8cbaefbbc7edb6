//! What processes of this machine use, as Linux tells in `/proc`.

use std::fs;

use anyhow::Context as _;

/// Ticks per second in `/proc/PID/stat`: `USER_HZ`, 100 on every Linux.
const TICKS: f64 = 100.0;

/// A process of the pipeline.
#[derive(Clone, Debug)]
pub(crate) struct Process {
    pub(crate) name: String,
    id: u32,
}

/// Reads `NAME=ID`.
pub(crate) fn named(text: &str) -> Result<Process, String> {
    let (name, id) = text.split_once('=').ok_or("must be NAME=ID")?;
    Ok(Process { name: name.into(), id: id.parse().map_err(|error| format!("{error}"))? })
}

impl Process {
    /// This one.
    pub(crate) fn own() -> Self {
        Self { name: "generator".into(), id: std::process::id() }
    }

    /// Processor time used so far, in seconds.
    pub(crate) fn cpu_seconds(&self) -> anyhow::Result<f64> {
        let path = format!("/proc/{}/stat", self.id);
        let stat = fs::read_to_string(&path).with_context(|| format!("{} is gone", self.name))?;
        // The name in parentheses may hold anything; `utime` and `stime` are the 12th and 13th behind it.
        let (_, rest) = stat.rsplit_once(')').context("no stat line")?;
        let ticks: Vec<u64> =
            rest.split_whitespace().skip(11).take(2).map(str::parse).collect::<Result<_, _>>()?;
        Ok(ticks.iter().sum::<u64>() as f64 / TICKS)
    }

    /// Resident memory, in KiB.
    pub(crate) fn resident_kib(&self) -> anyhow::Result<u64> {
        let path = format!("/proc/{}/status", self.id);
        let status = fs::read_to_string(&path).with_context(|| format!("{} is gone", self.name))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        Ok(line.trim().trim_end_matches("kB").trim().parse()?)
    }
}

/// The machine's load averages, as they are printed.
pub(crate) fn load_average() -> anyhow::Result<String> {
    let text = fs::read_to_string("/proc/loadavg")?;
    Ok(text.split_whitespace().take(3).collect::<Vec<_>>().join(" "))
}
