//! The worker processes: started from this same executable, told what to do, heard.

use std::path::PathBuf;
use std::process::Stdio;

use anyhow::Context as _;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::control::{Order, Report, Setup};
use crate::os::Process;

/// Reports of all workers that wait to be looked at.
const WAITING: usize = 256;

/// A worker.
struct Worker {
    name: &'static str,
    pid: u32,
    input: ChildStdin,
    /// Killed when it is dropped.
    _child: Child,
}

/// Workers, all of which end with this.
pub(crate) struct Fleet {
    program: PathBuf,
    workers: Vec<Worker>,
    sender: Sender<(usize, Report)>,
    reports: Receiver<(usize, Report)>,
}

impl Fleet {
    /// Without workers. `program` is the executable whose `bench worker` they are.
    pub(crate) fn new(program: PathBuf) -> Self {
        let (sender, reports) = channel(WAITING);
        Self { program, workers: Vec::new(), sender, reports }
    }

    /// Starts a worker; its number.
    pub(crate) async fn start(&mut self, name: &'static str, setup: &Setup) -> anyhow::Result<usize> {
        let mut command = Command::new(&self.program);
        command.args(["bench", "worker"]).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child =
            command.spawn().with_context(|| format!("cannot start {}", self.program.display()))?;
        let (input, output) =
            child.stdin.take().zip(child.stdout.take()).context("a worker without pipes")?;
        let pid = child.id().context("a worker ended at once")?;
        let (number, sender) = (self.workers.len(), self.sender.clone());
        tokio::spawn(async move {
            let mut lines = BufReader::new(output).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                let report = serde_json::from_str(&line)
                    .unwrap_or_else(|error| Report::Failed(format!("{error} in what a worker told: {line}")));
                if sender.send((number, report)).await.is_err() {
                    return;
                }
            }
            // If nobody listens any more, its end is what was wanted.
            let _ended = sender.send((number, Report::Failed("a worker ended".into()))).await;
        });
        self.workers.push(Worker { name, pid, input, _child: child });
        self.write(number, serde_json::to_vec(setup)?).await?;
        Ok(number)
    }

    async fn write(&mut self, worker: usize, mut line: Vec<u8>) -> anyhow::Result<()> {
        line.push(b'\n');
        self.workers[worker].input.write_all(&line).await.context("a worker ended")
    }

    pub(crate) async fn order(&mut self, worker: usize, order: &Order) -> anyhow::Result<()> {
        self.write(worker, serde_json::to_vec(order)?).await
    }

    pub(crate) async fn order_all(&mut self, order: &Order) -> anyhow::Result<()> {
        for worker in 0..self.workers.len() {
            self.order(worker, order).await?;
        }
        Ok(())
    }

    /// The next report of any worker.
    ///
    /// # Errors
    /// When one cannot go on.
    pub(crate) async fn next(&mut self) -> anyhow::Result<(usize, Report)> {
        // Never `None`: a sender is kept here.
        let (worker, report) = self.reports.recv().await.context("no workers")?;
        match report {
            Report::Failed(why) => anyhow::bail!("{}: {why}", self.workers[worker].name),
            report => Ok((worker, report)),
        }
    }

    /// The workers as processes.
    pub(crate) fn processes(&self) -> Vec<Process> {
        let process = |worker: &Worker| Process { name: worker.name.into(), pid: worker.pid };
        self.workers.iter().map(process).collect()
    }
}
