//! Processor time and time.

use std::fs;
use std::time::Instant;

/// Ticks per second in `/proc/PID/stat`: `USER_HZ`, 100 on every Linux.
const TICKS: f64 = 100.0;

/// Reads the processor time of this process and of a Postgres server.
pub(crate) struct Meter {
    postmaster: u32,
    began: Instant,
    ours: f64,
    servers: f64,
}

/// What something took, in seconds.
#[derive(Clone, Copy)]
pub(crate) struct Cost {
    pub(crate) elapsed: f64,
    pub(crate) ours: f64,
    pub(crate) servers: f64,
}

impl Meter {
    /// Starts measuring. `backend` is any process of the server.
    pub(crate) fn start(backend: u32) -> Self {
        let postmaster = parent(backend);
        Self { postmaster, ours: own(), servers: family(postmaster), began: Instant::now() }
    }

    pub(crate) fn stop(&self) -> Cost {
        Cost {
            elapsed: self.began.elapsed().as_secs_f64(),
            ours: own() - self.ours,
            servers: family(self.postmaster) - self.servers,
        }
    }
}

impl Cost {
    /// A line that says what `rows` cost under `name`.
    pub(crate) fn say(&self, name: &str, rows: usize) {
        let each = |seconds: f64| seconds * 1e6 / rows as f64;
        println!(
            "{name:<28} {:>8.0} rows/s  ours {:>6.2} µs  server {:>6.2} µs  together {:>6.2} µs a row",
            rows as f64 / self.elapsed,
            each(self.ours),
            each(self.servers),
            each(self.cpu()),
        );
    }

    pub(crate) fn cpu(&self) -> f64 {
        self.ours + self.servers
    }

    /// A line that compares this with its floor.
    pub(crate) fn compare(&self, floor: &Self) {
        println!(
            "  floor ÷ ours: rate {:.2}, processor time {:.2}, the server's {:.2}",
            floor.elapsed / self.elapsed,
            floor.cpu() / self.cpu(),
            floor.servers / self.servers,
        );
    }
}

/// The fields behind the name, which may hold anything.
fn fields(process: u32) -> Option<Vec<String>> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    Some(rest.split_whitespace().map(str::to_owned).collect())
}

fn parent(process: u32) -> u32 {
    fields(process).unwrap()[1].parse().unwrap()
}

/// `utime` and `stime`; with `ended`, those of children that were waited for too.
fn seconds(fields: &[String], ended: bool) -> f64 {
    let ticks = fields[11..if ended { 15 } else { 13 }].iter().map(|ticks| ticks.parse::<f64>().unwrap());
    ticks.sum::<f64>() / TICKS
}

fn own() -> f64 {
    // In nanoseconds, unlike `stat`.
    let stat = fs::read_to_string("/proc/self/schedstat").unwrap();
    stat.split_whitespace().next().unwrap().parse::<f64>().unwrap() / 1e9
}

/// All of a server: its postmaster, whoever it started, and whoever of them has ended.
fn family(postmaster: u32) -> f64 {
    let all = fs::read_dir("/proc").unwrap();
    let ids = all.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    let children = ids.filter_map(fields).filter(|fields| fields[1].parse() == Ok(postmaster));
    let own = seconds(&fields(postmaster).unwrap(), true);
    own + children.map(|fields| seconds(&fields, false)).sum::<f64>()
}
