//! `bench run`: clients connect, producers send on schedule, everything that was accepted must be acknowledged once and in
//! order.

mod figures;
mod stop;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use self::stop::Stop;
use crate::control::{Choice, Transport};
use crate::floors;
use crate::load::{Cpu, Load, Totals};
use crate::metrics;
use crate::os;
use crate::result::Outcome;
use crate::schedule::Plan;
use crate::target::{Pipeline, Target};

/// What is sent, to whom, how.
#[derive(Args, Clone, Debug)]
pub struct Run {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    written: Written,
    /// Notifications per second, on a schedule that waits for nobody; 0: as fast as answers come
    #[arg(long, default_value_t = 0.0)]
    rate: f64,
    /// Requests under way at a time: connections of producers, each with its own recipients
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=4000))]
    in_flight: u64,
    /// Producing processes
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=64))]
    producers: u64,
    /// Notifications per request; above 1 they go to the batch endpoint
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1000))]
    batch: u64,
    /// How long each content is, in bytes
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u64).range(..=200_000))]
    payload: u64,
    /// Recipients, spread evenly among the clients
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=2_000_000))]
    recipients: u64,
    /// WebSockets that are held [default: as many as recipients, when no others are]
    #[arg(long)]
    ws: Option<u64>,
    /// Event streams that are held
    #[arg(long, default_value_t = 0)]
    sse: u64,
    /// Long-polls that are held
    #[arg(long, default_value_t = 0)]
    poll: u64,
    /// Notifications that are sent to a client ahead of its acknowledgement
    #[arg(long, default_value_t = 64)]
    window: u32,
    /// How long all clients may take to connect [default: a minute, and 5 s for each 1,000 of them]
    #[arg(long, value_parser = duration)]
    connect_within: Option<Duration>,
    /// How long it is sent before anything counts
    #[arg(long, default_value = "3s", value_parser = duration)]
    warm_up: Duration,
    /// How long it is sent
    #[arg(long, default_value = "10s", value_parser = duration, conflicts_with = "notifications")]
    duration: Duration,
    /// Instead of a duration: how many
    #[arg(long)]
    notifications: Option<u64>,
    /// How long the last ones may take after the last was sent
    #[arg(long, default_value = "60s", value_parser = duration)]
    settle: Duration,
    /// Stop a process (SIGSTOP) in the middle, with all it started; a name alone is that of a --process
    #[arg(long, value_name = "NAME[=PID]")]
    stop: Option<String>,
    /// When, after the measured phase began
    #[arg(long, default_value = "10s", value_parser = duration, requires = "stop")]
    at: Duration,
    /// For how long
    #[arg(long = "for", value_name = "FOR", default_value = "20s", value_parser = duration, requires = "stop")]
    lasts: Duration,
    /// Measure the floors as well, before the load
    #[arg(long)]
    floors: bool,
}

/// Where results go.
#[derive(Args, Clone, Debug)]
pub(crate) struct Written {
    /// The result, JSON
    #[arg(long, short, value_name = "FILE", default_value = "bench.json")]
    pub(crate) out: PathBuf,
    /// A report with plots, HTML
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// The commit that is measured [default: the working tree's]
    #[arg(long, env = "POSTRIDER_COMMIT")]
    pub(crate) commit: Option<String>,
    /// No progress
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

/// Reads `90`, `90s`, `15m`, `250ms`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|letter: char| letter.is_ascii_alphabetic()).unwrap_or(text.len());
    let number: f64 = text[..digits].parse().map_err(|error| format!("{error}"))?;
    let unit = match &text[digits..] {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        other => return Err(format!("{other:?} is no unit: ms, s, m or h")),
    };
    Duration::try_from_secs_f64(number * unit).map_err(|error| error.to_string())
}

impl Run {
    fn groups(&self) -> Vec<(Transport, u64)> {
        let others = self.sse + self.poll;
        let ws = self.ws.unwrap_or(if others == 0 { self.recipients } else { 0 });
        vec![(Transport::Ws, ws), (Transport::Sse, self.sse), (Transport::Poll, self.poll)]
    }

    fn plan(&self, clients: u64, run: &str) -> Plan {
        let connections = self.in_flight.min(self.recipients);
        Plan {
            run: run.to_owned(),
            recipients: self.recipients,
            clients,
            connections,
            process: 0,
            processes: self.producers.min(connections),
            batch: self.batch,
            payload: usize::try_from(self.payload).unwrap_or(usize::MAX),
        }
    }

    /// Runs it; what was found, which is written already.
    ///
    /// # Errors
    /// When something could not be measured.
    pub async fn run(&self) -> anyhow::Result<Outcome> {
        let groups = self.groups();
        let clients: u64 = groups.iter().map(|(_, count)| count).sum();
        anyhow::ensure!(clients >= self.recipients, "{} recipients need as many clients", self.recipients);
        anyhow::ensure!(self.rate.is_finite() && self.rate >= 0.0, "--rate must be zero or more");
        let mut outcome = Outcome::begin("run", self.written.commit.clone())?;
        self.describe(&groups, &mut outcome);
        if self.floors {
            interruptible(floors::measure(&self.target.engines, &mut outcome)).await?;
        }
        let mut pipeline = self.target.open(clients).await?;
        let started = pipeline.started.take();
        let measured = interruptible(self.measure(&pipeline, &groups, &mut outcome)).await;
        if let Some(started) = started {
            outcome.problems.extend(started.warnings());
            started.stop().await?;
        }
        measured?;
        outcome.end()?;
        self.written.write(&outcome)?;
        Ok(outcome)
    }

    fn describe(&self, groups: &[(Transport, u64)], outcome: &mut Outcome) {
        for (transport, count) in groups {
            outcome.set(&format!("{transport:?}").to_lowercase(), *count);
        }
        for (name, value) in [
            ("in_flight", self.in_flight),
            ("producers", self.producers),
            ("batch", self.batch),
            ("payload", self.payload),
            ("recipients", self.recipients),
        ] {
            outcome.set(name, value);
        }
        outcome.set("rate", self.rate);
        outcome.set("warm_up_s", self.warm_up.as_secs_f64());
        match self.notifications {
            Some(notifications) => outcome.set("notifications", notifications),
            None => outcome.set("duration_s", self.duration.as_secs_f64()),
        }
        self.target.describe(outcome);
        if let Some(stop) = &self.stop {
            outcome.set("stop", stop.as_str());
            outcome.set("stop_at_s", self.at.as_secs_f64());
            outcome.set("stop_for_s", self.lasts.as_secs_f64());
        }
    }

    async fn measure(
        &self,
        pipeline: &Pipeline,
        groups: &[(Transport, u64)],
        outcome: &mut Outcome,
    ) -> anyhow::Result<()> {
        let clients: u64 = groups.iter().map(|(_, count)| count).sum();
        let run = uuid::Uuid::new_v4().simple().to_string()[..8].to_owned();
        let plan = self.plan(clients, &run);
        let mut load = Load::new(std::env::current_exe()?, self.written.quiet)?;
        let memory = os::memory(&pipeline.processes)?;
        load.hold(pipeline, &run, groups, self.window, Choice::InTurn).await?;
        let within = self.connect_within.unwrap_or(Duration::from_secs(60 + clients / 200));
        load.open(groups, clients, within).await?;
        load.produce(pipeline, &plan).await?;
        load.watch(pipeline);
        if !self.warm_up.is_zero() {
            load.say("warming up");
            load.send(&plan, self.rate, u64::MAX, self.warm_up).await?;
            self.sent(&mut load, self.warm_up).await?;
            load.forget()?;
        }
        load.say("measuring");
        let counters = metrics::counters(&pipeline.metrics).await?;
        let before = (load.totals, load.cpu()?);
        let notifications = self.notifications.unwrap_or(u64::MAX);
        let lasts = if self.notifications.is_some() { Duration::from_secs(24 * 3600) } else { self.duration };
        let stop = self.stop.as_deref().map(|name| Stop::new(name, &pipeline.processes, self.at, self.lasts));
        let settled = self.phase(&mut load, &plan, notifications, lasts, stop.transpose()?).await?;
        let cpu = load.cpu()?;
        if !settled {
            load.say("not everything was acknowledged in time");
        }
        told(&load, &before, &cpu, self.rate, outcome);
        outcome.metrics = metrics::growth(&counters, metrics::counters(&pipeline.metrics).await?);
        let after = os::memory(&pipeline.processes)?;
        figures::of_memory(&memory, &after, outcome);
        outcome.ledger = Some(load.balance(self.recipients, clients).await?);
        load.hand_over(outcome);
        Ok(())
    }

    /// Sends what is measured, and waits until everything is acknowledged; whether it was.
    async fn phase(
        &self,
        load: &mut Load,
        plan: &Plan,
        notifications: u64,
        lasts: Duration,
        stop: Option<Stop>,
    ) -> anyhow::Result<bool> {
        load.began = Some(load.send(plan, self.rate, notifications, lasts).await?);
        if let Some(stop) = stop {
            stop.run(load).await?;
        }
        self.sent(load, lasts).await
    }

    async fn sent(&self, load: &mut Load, lasts: Duration) -> anyhow::Result<bool> {
        let sent = load.until(lasts.saturating_add(Duration::from_secs(120)), Load::sent).await?;
        anyhow::ensure!(sent, "the producers did not come to an end");
        load.settle(self.settle).await
    }
}

/// What a load came to since `before`.
pub(crate) fn told(load: &Load, before: &(Totals, Cpu), cpu: &Cpu, rate: f64, outcome: &mut Outcome) {
    figures::of_load(load, &before.0, rate, outcome);
    figures::of_cpu(&before.1, cpu, load.totals.fresh - before.0.fresh, outcome);
}

impl Written {
    /// Writes the result, and the report when one is wanted.
    pub(crate) fn write(&self, outcome: &Outcome) -> anyhow::Result<()> {
        outcome.write(&self.out)?;
        match &self.html {
            Some(path) => crate::report::write(std::slice::from_ref(outcome), path),
            None => Ok(()),
        }
    }
}

/// Until an interrupt: what was started is stopped in order all the same.
pub(crate) async fn interruptible<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::select! {
        done = work => done,
        interrupted = tokio::signal::ctrl_c() => {
            interrupted?;
            anyhow::bail!("interrupted")
        }
    }
}
