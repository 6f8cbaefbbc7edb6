//! What Linux tells of processes and of itself, in `/proc`.

use std::collections::{BTreeMap, HashMap};
use std::fs;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

/// Ticks per second in `/proc/PID/stat`: `USER_HZ`, 100 on every Linux.
const TICKS: f64 = 100.0;

/// A process, with everything that it started; several of one name are counted together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// What it is called in figures.
    pub name: String,
    /// Its id.
    pub pid: u32,
}

/// Reads `NAME=PID`.
///
/// # Errors
/// When it is something else.
pub fn named(text: &str) -> Result<Process, String> {
    let (name, pid) = text.split_once('=').ok_or("must be NAME=PID")?;
    Ok(Process { name: name.into(), pid: pid.parse().map_err(|error| format!("{error}"))? })
}

/// All processes of the machine at one moment: who started whom, and the processor time of each and of its dead children,
/// in ticks.
struct Everything {
    children: HashMap<u32, Vec<u32>>,
    ticks: HashMap<u32, u64>,
}

impl Everything {
    fn read() -> anyhow::Result<Self> {
        let mut all = Self { children: HashMap::new(), ticks: HashMap::new() };
        for entry in fs::read_dir("/proc")? {
            let name = entry?.file_name();
            let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
            // One that ended meanwhile is none.
            let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
            let (parent, ticks) = stat_line(&stat).with_context(|| format!("a strange stat line: {stat}"))?;
            all.children.entry(parent).or_default().push(pid);
            all.ticks.insert(pid, ticks);
        }
        Ok(all)
    }

    /// `pid` and everything below it.
    fn tree(&self, pid: u32) -> Vec<u32> {
        let (mut tree, mut next) = (vec![pid], 0);
        while let Some(parent) = tree.get(next) {
            tree.extend(self.children.get(parent).into_iter().flatten());
            next += 1;
        }
        tree
    }
}

/// The parent of a process and its ticks: its own, and those of children that it waited for.
fn stat_line(stat: &str) -> Option<(u32, u64)> {
    // The name in parentheses may hold anything. Behind it: state, parent, …; the four times are the 12th to 15th.
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let ticks = fields.get(11..15)?.iter().map(|ticks| ticks.parse::<u64>());
    Some((fields.get(1)?.parse().ok()?, ticks.sum::<Result<u64, _>>().ok()?))
}

/// Processor seconds so far, by name.
///
/// # Errors
/// When a process is gone.
pub(crate) fn cpu_seconds(processes: &[Process]) -> anyhow::Result<BTreeMap<String, f64>> {
    let all = Everything::read()?;
    let mut by_name = BTreeMap::new();
    for Process { name, pid } in processes {
        anyhow::ensure!(all.ticks.contains_key(pid), "{name} (process {pid}) is gone");
        let ticks: u64 = all.tree(*pid).iter().filter_map(|pid| all.ticks.get(pid)).sum();
        *by_name.entry(name.clone()).or_default() += ticks as f64 / TICKS;
    }
    Ok(by_name)
}

/// `process` and everything that it started.
///
/// # Errors
/// When `/proc` cannot be read.
pub(crate) fn tree(process: &Process) -> anyhow::Result<Vec<u32>> {
    Ok(Everything::read()?.tree(process.pid))
}

/// Memory, in KiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// Resident, what is shared counted in full.
    pub rss: u64,
    /// Resident, what is shared divided among those that share it.
    pub pss: u64,
    /// Only its own.
    pub private: u64,
}

/// The memory of processes, by name.
///
/// # Errors
/// When `/proc` cannot be read.
pub(crate) fn memory(processes: &[Process]) -> anyhow::Result<BTreeMap<String, Memory>> {
    let all = Everything::read()?;
    let mut by_name: BTreeMap<String, Memory> = BTreeMap::new();
    for process in processes {
        let sum = by_name.entry(process.name.clone()).or_default();
        for pid in all.tree(process.pid) {
            // A child that ended meanwhile has none.
            let Ok(text) = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")) else { continue };
            let of = |field: &str| kib(&text, field);
            sum.rss += of("Rss:");
            sum.pss += of("Pss:");
            sum.private += of("Private_Clean:") + of("Private_Dirty:");
        }
    }
    Ok(by_name)
}

/// Resident memory of processes in KiB, by name: cheaper to ask for than [`memory`].
pub(crate) fn resident(processes: &[Process]) -> BTreeMap<String, u64> {
    let mut by_name = BTreeMap::new();
    for Process { name, pid } in processes {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        *by_name.entry(name.clone()).or_default() += kib(&status, "VmRSS:");
    }
    by_name
}

/// The number behind `field` at the start of a line.
fn kib(text: &str, field: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(field));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// The machine's memory, in KiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// What there is.
    pub total: u64,
    /// What could still be given out.
    pub available: u64,
    /// The kernel's own objects: sockets, their entries in tables, and everything else.
    pub slab: u64,
    /// Buffers of TCP sockets.
    pub tcp: u64,
    /// TCP sockets in use.
    pub sockets: u64,
}

/// Reads the machine's memory.
///
/// # Errors
/// When `/proc` cannot be read.
pub(crate) fn machine() -> anyhow::Result<Machine> {
    let memory = fs::read_to_string("/proc/meminfo")?;
    let sockets = fs::read_to_string("/proc/net/sockstat")?;
    let tcp = sockets.lines().find_map(|line| line.strip_prefix("TCP:")).unwrap_or_default();
    let of = |field: &str| {
        let mut words = tcp.split_whitespace().skip_while(|word| *word != field).skip(1);
        words.next().and_then(|value| value.parse::<u64>().ok()).unwrap_or(0)
    };
    Ok(Machine {
        total: kib(&memory, "MemTotal:"),
        available: kib(&memory, "MemAvailable:"),
        slab: kib(&memory, "Slab:"),
        // In pages.
        tcp: of("mem") * 4,
        sockets: of("inuse"),
    })
}

/// The load averages, as they are printed.
pub(crate) fn load_average() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().take(3).collect::<Vec<_>>().join(" ")
}

/// The processor's name, and the kernel's release.
pub(crate) fn names() -> (String, String) {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    (model.trim_start_matches([' ', '\t', ':']).to_owned(), release.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_counted_with_what_it_started() -> anyhow::Result<()> {
        let line = "7 (a name) with) S 3 7 7 0 -1 4194560 1 2 3 4 10 20 30 40 20 0 1 0";
        assert_eq!(stat_line(line), Some((3, 100)));
        let own = Process { name: "own".into(), pid: std::process::id() };
        let mut child = std::process::Command::new("sleep").arg("60").spawn()?;
        let tree = tree(&own)?;
        child.kill()?;
        child.wait()?;
        assert!(tree.contains(&own.pid) && tree.contains(&child.id()), "{tree:?}");
        let memory = memory(std::slice::from_ref(&own))?;
        assert!(memory["own"].private > 0 && memory["own"].rss >= memory["own"].private, "{memory:?}");
        assert!(resident(&[own])["own"] > 0);
        assert!(machine()?.total > 0);
        Ok(())
    }
}
