//! `idle`: opens WebSockets step by step, lets each step rest, and reads how much memory the distributor's process
//! holds. The figure is the slope between the first step and the last, so that what a process needs anyway is not in it.

use std::time::Duration;

use anyhow::Context as _;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::{Map, Value, json};
use tokio::task::JoinSet;

use crate::process::{self, Process};
use crate::target::{Door, Socket};

/// Handshakes at a time.
const CONNECTING: usize = 64;

/// How many connections, to whom.
#[derive(clap::Args, Debug)]
pub(crate) struct Options {
    #[command(flatten)]
    door: Door,
    /// The process that holds the connections
    #[arg(long, value_name = "NAME=ID", value_parser = process::named)]
    process: Process,
    /// How many connections to read the memory at; growing, at most 18,000
    #[arg(long, value_delimiter = ',', default_value = "1000,4000,7000,10000")]
    steps: Vec<usize>,
    /// How long each step rests before it is read, in seconds: longer than the server's heartbeat
    #[arg(long, default_value_t = 30)]
    rest_s: u64,
}

pub(crate) async fn run(options: &Options) -> anyhow::Result<Map<String, Value>> {
    let (steps, process) = (&options.steps, &options.process);
    let in_order =
        steps.len() >= 2 && steps.is_sorted_by(|a, b| a < b) && steps.iter().all(|step| *step <= 18_000);
    anyhow::ensure!(in_order, "--steps must be two or more growing numbers, at most 18000");
    let mut open = JoinSet::new();
    let mut read = vec![(0, process.resident_kib()?)];
    for &step in steps {
        let connecting = (open.len()..step).map(|number| async move {
            options.door.connect(&format!("idle-{number}")).await.with_context(|| format!("client {number}"))
        });
        let connected: Vec<Socket> =
            stream::iter(connecting).buffer_unordered(CONNECTING).try_collect().await?;
        for socket in connected {
            open.spawn(rest(socket));
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(options.rest_s)) => {}
            Some(ended) = open.join_next() => anyhow::bail!("a connection ended: {:?}", ended?),
        }
        read.push((step, process.resident_kib()?));
    }
    let (first, last) = (read[1], read[read.len() - 1]);
    let bytes = (last.1 as f64 - first.1 as f64) * 1024.0 / (last.0 - first.0) as f64;
    let figures = json!({
        "measure": "idle", "process": process.name, "resident_kib": read,
        "bytes_per_connection": bytes.round(), "transport": "websocket",
    });
    let Value::Object(figures) = figures else { return Ok(Map::new()) };
    Ok(figures)
}

/// Keeps a connection open, answering pings, until it ends; says how.
async fn rest(mut socket: Socket) -> String {
    loop {
        match socket.next().await {
            Some(Ok(frame)) if !frame.is_close() => {}
            other => return format!("{other:?}"),
        }
    }
}
