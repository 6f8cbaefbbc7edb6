//! The most memory that each process of a stack ever had resident, whatever life it is in.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::JoinHandle;

/// Between looks. The kernel keeps the peak of a process; only one that dies between two looks is missed.
const EVERY: Duration = Duration::from_secs(1);

type Peaks = Arc<Mutex<BTreeMap<String, u64>>>;

pub struct Memory {
    peaks: Peaks,
    task: JoinHandle<()>,
}

impl Memory {
    /// Watches the services whose settings lie in `dir`.
    pub fn watch(dir: &Path) -> Self {
        let (peaks, dir) = (Peaks::default(), dir.to_owned());
        let shared = Arc::clone(&peaks);
        let task = tokio::spawn(async move {
            loop {
                for (role, bytes) in look(&dir) {
                    let mut peaks = shared.lock().unwrap();
                    let peak = peaks.entry(role).or_default();
                    *peak = bytes.max(*peak);
                }
                tokio::time::sleep(EVERY).await;
            }
        });
        Self { peaks, task }
    }

    /// By role, in bytes.
    pub fn peaks(&self) -> BTreeMap<String, u64> {
        self.peaks.lock().unwrap().clone()
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Every process whose command line names an address file in `dir`: its role and its peak.
fn look(dir: &Path) -> Vec<(String, u64)> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    paths.filter_map(|path| Some((role(&path, dir)?, peak(&path)?))).collect()
}

fn role(process: &Path, dir: &Path) -> Option<String> {
    let line = std::fs::read_to_string(process.join("cmdline")).ok()?;
    let mut words = line.split('\0').skip_while(|word| *word != "--address-file").skip(1);
    let file = PathBuf::from(words.next()?);
    let name = file.strip_prefix(dir).ok()?.to_str()?;
    name.split('.').next().map(str::to_owned)
}

fn peak(process: &Path) -> Option<u64> {
    let status = std::fs::read_to_string(process.join("status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}
