//! A worker process: one thread and one loop over everything that is ready, since a load generator with many threads
//! takes the cores from what it measures. A second thread reads orders.

mod answering;
mod draining;
mod hold;
mod lanes;
mod produce;
mod socket;

use std::io::{self, BufRead as _, Write as _};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};

use anyhow::Context as _;
use mio::{Poll, Token, Waker};
use shared::descriptors::Descriptors;

use crate::control::{Order, Report, Setup};

/// The token of the thread that reads orders.
const ORDERS: Token = Token(usize::MAX);
/// Most connections of a worker; what it opens beside them has room below what a process may commonly have.
pub(crate) const CONNECTIONS: u64 = 18_000;
/// How often a worker tells what happened, in microseconds.
const TICK: u64 = 1_000_000;
/// Most problems that are told word by word.
const PROBLEMS: usize = 5;

/// Runs a worker to its end.
///
/// # Errors
/// When its setup cannot be read or done.
pub(crate) fn run() -> anyhow::Result<()> {
    let mut first = String::new();
    io::stdin().lock().read_line(&mut first)?;
    let setup: Setup =
        serde_json::from_str(&first).context("`postrider bench` starts workers and tells them what to do")?;
    let _limits = Descriptors::provide(CONNECTIONS as usize + 1500);
    let done = match setup {
        Setup::Produce(setup) => {
            let control = Control::new()?;
            produce::Producers::new(setup, control.poll.registry())?.run(control)
        }
        Setup::Hold(setup) => {
            let control = Control::new()?;
            hold::Holder::new(setup)?.run(control)
        }
        Setup::Answer => answering::run(),
        Setup::Drain { server, connections, from } => draining::run(server, connections, from),
    };
    if let Err(error) = &done {
        report(&Report::Failed(format!("{error:#}")))?;
    }
    done
}

/// Tells something.
fn report(report: &Report) -> anyhow::Result<()> {
    let mut line = serde_json::to_vec(report)?;
    line.push(b'\n');
    let mut out = io::stdout().lock();
    out.write_all(&line)?;
    Ok(out.flush()?)
}

/// The poll, and what was ordered.
struct Control {
    poll: Poll,
    orders: Receiver<Option<Order>>,
}

impl Control {
    fn new() -> anyhow::Result<Self> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), ORDERS)?);
        let (sender, orders) = sync_channel(64);
        std::thread::Builder::new().name("orders".into()).stack_size(256 * 1024).spawn(move || {
            for line in io::stdin().lock().lines() {
                let order = line.ok().and_then(|line| serde_json::from_str(&line).ok());
                if order.is_none() || sender.send(order).is_err() || waker.wake().is_err() {
                    break;
                }
            }
            // Whoever gave orders is gone, and there is nobody to tell if this fails.
            let _over = sender.send(None).is_ok() && waker.wake().is_ok();
        })?;
        report(&Report::Ready(None))?;
        Ok(Self { poll, orders })
    }
}

/// Keeps a problem if there are few.
fn note(problems: &mut Vec<String>, problem: impl Into<String>) {
    if problems.len() < PROBLEMS {
        problems.push(problem.into());
    }
}
