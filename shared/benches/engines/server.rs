//! The process that listens at a port, found in /proc, with all it started: its CPU, and the files it holds open.

use std::fs;
use std::path::PathBuf;

/// Clock ticks in a second, as Linux has them for /proc on every machine of ours.
const TICKS: f64 = 100.0;

/// See the module.
pub(crate) struct Server {
    pid: u32,
}

impl Server {
    /// Whoever listens at `port` of this machine.
    pub(crate) fn at(port: u16) -> Self {
        let wanted = format!(":{port:04X}");
        let sockets =
            ["/proc/net/tcp", "/proc/net/tcp6"].map(|table| fs::read_to_string(table).unwrap_or_default());
        let inodes: Vec<String> = (sockets.iter().flat_map(|table| table.lines()))
            .map(|line| line.split_whitespace().collect::<Vec<_>>())
            .filter(|fields| fields.len() > 9 && fields[3] == "0A" && fields[1].ends_with(&wanted))
            .map(|fields| format!("socket:[{}]", fields[9]))
            .collect();
        let holds = |pid: &u32| {
            files(*pid).iter().any(|file| inodes.iter().any(|inode| file.as_os_str() == inode.as_str()))
        };
        // A child inherits the socket; the oldest holder is the one that all belong to.
        let pid = pids()
            .into_iter()
            .filter(holds)
            .min()
            .expect("an engine of this machine, and the right to look at it");
        Self { pid }
    }

    /// Seconds of CPU, of it and its children, those that ended included.
    pub(crate) fn cpu(&self) -> f64 {
        let stats: Vec<(u32, u32, f64)> = pids().into_iter().filter_map(stat).collect();
        let of = |wanted: &dyn Fn(u32, u32) -> bool| {
            stats
                .iter()
                .filter(|(pid, parent, _)| wanted(*pid, *parent))
                .map(|(_, _, ticks)| ticks)
                .sum::<f64>()
        };
        of(&|pid, parent| pid == self.pid || parent == self.pid) / TICKS
    }

    /// Bytes of its open files whose path contains `part` and ends with `end`.
    pub(crate) fn open_bytes(&self, part: &str, end: &str) -> f64 {
        let mut files = files(self.pid);
        files.sort();
        files.dedup();
        let wanted = files.iter().filter(|file| {
            let path = file.to_string_lossy();
            path.contains(part) && path.ends_with(end)
        });
        wanted.filter_map(|file| fs::metadata(file).ok()).map(|found| found.len() as f64).sum()
    }
}

fn pids() -> Vec<u32> {
    let entries = fs::read_dir("/proc").unwrap();
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
}

fn files(pid: u32) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/fd")) else { return Vec::new() };
    entries.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok()).collect()
}

/// Its id, its parent's, and its ticks with those of its children that ended (proc(5), fields 4 and 14 to 17).
fn stat(pid: u32) -> Option<(u32, u32, f64)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = fields.get(11..15)?.iter().filter_map(|ticks| ticks.parse::<f64>().ok()).sum();
    Some((pid, fields.get(1)?.parse().ok()?, ticks))
}
