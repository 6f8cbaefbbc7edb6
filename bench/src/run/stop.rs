//! A process that is stopped in the middle of a load, and goes on.

use std::time::Duration;

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process};

use crate::clock::micros;
use crate::load::Load;
use crate::os::{self, Process, named};

/// Who is stopped, when, for how long.
pub(super) struct Stop {
    processes: Vec<Process>,
    at: Duration,
    lasts: Duration,
}

/// Processes that go on when this is dropped, whatever ended the load.
struct Stopped(Vec<Pid>);

impl Drop for Stopped {
    fn drop(&mut self) {
        for pid in &self.0 {
            // One that is gone needs no telling.
            let _gone = kill_process(*pid, Signal::CONT);
        }
    }
}

impl Stop {
    /// `name` is `NAME=PID`, or the name of some of these processes.
    pub(super) fn new(name: &str, known: &[Process], at: Duration, lasts: Duration) -> anyhow::Result<Self> {
        let processes = match named(name) {
            Ok(process) => vec![process],
            Err(_) => known.iter().filter(|process| process.name == name).cloned().collect(),
        };
        anyhow::ensure!(!processes.is_empty(), "--stop {name}: no such process: give NAME=PID");
        Ok(Self { processes, at, lasts })
    }

    /// Lets the load go on until it is over.
    pub(super) async fn run(self, load: &mut Load) -> anyhow::Result<()> {
        load.until(self.at, |_| false).await?;
        let mut stopped = Stopped(Vec::new());
        for process in &self.processes {
            for pid in os::tree(process)? {
                let pid = Pid::from_raw(pid.cast_signed()).context("no process")?;
                kill_process(pid, Signal::STOP).with_context(|| format!("cannot stop {}", process.name))?;
                stopped.0.push(pid);
            }
        }
        load.say("stopped");
        let from = micros();
        load.mark(from, u64::MAX).await?;
        (load.stopped, load.ever_stopped) = (true, true);
        load.until(self.lasts, |_| false).await?;
        drop(stopped);
        load.mark(from, micros()).await?;
        load.stopped = false;
        load.say("goes on");
        Ok(())
    }
}
