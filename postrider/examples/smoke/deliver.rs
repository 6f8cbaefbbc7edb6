//! `deliver`: connects the clients, lets the producers send, waits until everything is acknowledged, balances the books.

use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::{Map, Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::clients::{Client, Heard};
use crate::process::{self, Process};
use crate::producers::{Answered, Plan, Producers, name};
use crate::target::{Door, loopback};

/// Handshakes at a time.
const CONNECTING: usize = 32;

/// What to send, and where.
#[derive(clap::Args, Debug)]
pub(crate) struct Options {
    #[command(flatten)]
    door: Door,
    /// Where producers connect
    #[arg(long, value_name = "ADDRESS", value_parser = loopback)]
    receiver: SocketAddr,
    /// A producer's key
    #[arg(long, env = "POSTRIDER_API_KEY", hide_env_values = true)]
    api_key: String,
    /// The operators' port of the director, to tell how records ended
    #[arg(long, value_name = "ADDRESS", value_parser = loopback)]
    director_admin: Option<SocketAddr>,
    /// A process whose processor time is told; may be repeated
    #[arg(long = "process", value_name = "NAME=ID", value_parser = process::named)]
    processes: Vec<Process>,
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(1..=5_000_000))]
    notifications: u64,
    /// Recipients, each with one WebSocket
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..=18_000))]
    recipients: u64,
    /// Producers, each with one request under way
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=1000))]
    producers: u64,
    /// Notifications per request; above 1 they go to the batch endpoint
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1000))]
    batch: u64,
    /// Notifications per second, on a schedule that waits for nobody; 0: as fast as answers come
    #[arg(long, default_value_t = 0)]
    rate: u64,
    /// Added to each content, in bytes
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(..=60_000))]
    content_bytes: u16,
    /// How long everything may take, in seconds
    #[arg(long, default_value_t = 120)]
    limit_s: u64,
}

/// The figures, and whether everything that was sent was accepted, came in order and was acknowledged.
pub(crate) async fn run(options: &Options) -> anyhow::Result<(Map<String, Value>, bool)> {
    let plan = Plan {
        notifications: options.notifications,
        recipients: options.recipients,
        producers: options.producers.min(options.recipients),
        batch: options.batch,
        rate: options.rate,
        content_bytes: options.content_bytes.into(),
    };
    let run = uuid::Uuid::new_v4().simple().to_string()[..8].to_owned();
    let http = reqwest::Client::builder().no_proxy().tcp_nodelay(true).build()?;
    let clients = connect(options, &plan, &run).await?;
    let ended_before = ended(options, &http).await?;
    let processes: Vec<Process> = options.processes.iter().cloned().chain([Process::own()]).collect();
    let cpu_before = cpu(&processes)?;
    let start = Instant::now();
    let stop = CancellationToken::new();
    let listening: JoinSet<Heard> =
        clients.into_iter().map(|client| client.listen(start, stop.clone())).collect();
    let (receiver, api_key) = (options.receiver, options.api_key.clone());
    let producers = Arc::new(Producers { plan, receiver, api_key, run, http: http.clone(), start });
    let sending: JoinSet<Answered> = (0..plan.producers).map(|p| Arc::clone(&producers).send(p)).collect();
    let timer = async {
        tokio::time::sleep_until(start + Duration::from_secs(options.limit_s)).await;
        stop.cancel();
    };
    let everything = async { tokio::join!(sending.join_all(), listening.join_all()) };
    tokio::pin!(everything);
    let (answered, heard) = tokio::select! {
        done = &mut everything => done,
        () = timer => everything.await,
    };
    let cpu_after = cpu(&processes)?;
    let (mut figures, sound) = balance(&plan, answered, heard);
    let used = processes.iter().zip(cpu_before.iter().zip(cpu_after));
    let micros_each = used.map(|(process, (before, after))| {
        (process.name.clone(), json!(((after - before) * 1e6 / plan.notifications as f64).round()))
    });
    figures.insert("cpu_micros_per_notification".into(), micros_each.collect::<Map<_, _>>().into());
    let ended_after = ended(options, &http).await?;
    let changed = ended_after.into_iter().map(|(how, count)| {
        let before = ended_before.get(&how).copied().unwrap_or(0.0);
        (how, json!(count - before))
    });
    figures.insert("director_ended".into(), changed.collect::<Map<_, _>>().into());
    Ok((figures, sound))
}

async fn connect(options: &Options, plan: &Plan, run: &str) -> anyhow::Result<Vec<Client>> {
    let connecting = (0..plan.recipients).map(|recipient| async move {
        let socket = options.door.connect(&name(run, recipient)).await.context("a client")?;
        anyhow::Ok(Client { socket, share: plan.share_of_recipient(recipient) })
    });
    stream::iter(connecting).buffer_unordered(CONNECTING).try_collect().await
}

fn cpu(processes: &[Process]) -> anyhow::Result<Vec<f64>> {
    processes.iter().map(Process::cpu_seconds).collect()
}

/// How many records ended how, as the director counts.
async fn ended(options: &Options, http: &reqwest::Client) -> anyhow::Result<BTreeMap<String, f64>> {
    let Some(admin) = options.director_admin else { return Ok(BTreeMap::new()) };
    let text = http.get(format!("http://{admin}/metrics")).send().await?.error_for_status()?.text().await?;
    let lines = text.lines().filter_map(|line| line.strip_prefix("postrider_records_ended_total{"));
    let counts = lines.filter_map(|line| line.split_once("} "));
    counts.map(|(labels, count)| Ok((labels.replace('"', ""), count.parse()?))).collect()
}

/// Holds what was accepted against what was acknowledged.
fn balance(plan: &Plan, answered: Vec<Answered>, heard: Vec<Heard>) -> (Map<String, Value>, bool) {
    let refused: u64 = answered.iter().map(|answered| answered.refused).sum();
    let accepted_for = answered.iter().map(|answered| answered.last).max().unwrap_or_default();
    let acknowledged_for = heard.iter().map(|heard| heard.last).max().unwrap_or_default();
    let accepted: HashSet<_> = answered.iter().flat_map(|answered| answered.accepted.iter()).collect();
    let acknowledged: HashSet<_> = heard.iter().flat_map(|heard| heard.ids.iter()).collect();
    let missing = accepted.difference(&acknowledged).count();
    let out_of_order: u64 = heard.iter().map(|heard| heard.out_of_order).sum();
    let mut latencies: Vec<u64> = heard.iter().flat_map(|heard| heard.latencies.iter().copied()).collect();
    latencies.sort_unstable();
    let problems: Vec<_> = answered.iter().filter_map(|answered| answered.why.as_ref()).take(3).collect();
    let cut: Vec<_> = heard.iter().filter_map(|heard| heard.ended.as_ref()).collect();
    let per_second = |count: usize, duration: Duration| (count as f64 / duration.as_secs_f64()).round();
    let millis = |share: f64| percentile(&latencies, share) as f64 / 1000.0;
    let sound = refused == 0 && missing == 0 && out_of_order == 0 && cut.is_empty();
    let figures = json!({
        "measure": "deliver", "producers": plan.producers, "recipients": plan.recipients, "batch": plan.batch,
        "rate": plan.rate, "notifications": plan.notifications,
        "accepted": accepted.len(), "acknowledged": acknowledged.len(), "refused": refused, "missing": missing,
        "duplicates": heard.iter().map(|heard| heard.duplicates).sum::<u64>(),
        "out_of_order": out_of_order, "gaps": heard.iter().map(|heard| heard.gaps).sum::<u64>(),
        "accepted_per_second": per_second(accepted.len(), accepted_for),
        "acknowledged_per_second": if cut.is_empty() { json!(per_second(acknowledged.len(), acknowledged_for)) } else { Value::Null },
        "p50_ms": millis(0.50), "p99_ms": millis(0.99), "max_ms": millis(1.0),
        "clients_cut": cut.len(), "first_cut": cut.first(), "refusals": problems,
    });
    let Value::Object(figures) = figures else { return (Map::new(), false) };
    (figures, sound)
}

/// The value that a `share` of all is not above; 0 of none.
fn percentile(sorted: &[u64], share: f64) -> u64 {
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}
