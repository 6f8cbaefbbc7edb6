//! `bench idle`: connections that do nothing. Memory is told as the slope between the first step and the last, so that
//! what a process needs anyway is not in it.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::Args;

use crate::control::{Choice, Transport};
use crate::load::Load;
use crate::os;
use crate::result::Better::{Lower, Neither};
use crate::result::{Outcome, Step};
use crate::run::{Written, duration, interruptible, told};
use crate::schedule::Plan;
use crate::target::{Pipeline, Target};

/// How many connections, how long.
#[derive(Args, Clone, Debug)]
pub struct Idle {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    written: Written,
    /// WebSockets at the last step [default: the last of --steps, when no others are held]
    #[arg(long)]
    ws: Option<u64>,
    /// Event streams at the last step
    #[arg(long, default_value_t = 0)]
    sse: u64,
    /// Long-polls at the last step
    #[arg(long, default_value_t = 0)]
    poll: u64,
    /// At how many connections to measure; growing [default: a fifth of all, all]
    #[arg(long, value_delimiter = ',')]
    steps: Vec<u64>,
    /// How long each step rests before it is measured
    #[arg(long, default_value = "5s", value_parser = duration)]
    rest: Duration,
    /// How long the processor time of each step is measured: some of the server's pings
    #[arg(long, default_value = "30s", value_parser = duration)]
    window: Duration,
    /// How long the last step is held after that
    #[arg(long, default_value = "0s", value_parser = duration)]
    hold: Duration,
    /// In the end send one notification to each
    #[arg(long)]
    then_one_each: bool,
    /// At how many notifications per second; 0: as fast as answers come
    #[arg(long, default_value_t = 0.0, requires = "then_one_each")]
    rate: f64,
    /// How many of them are in a request
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=1000))]
    batch: u64,
    /// How long the last acknowledgement may take
    #[arg(long, default_value = "120s", value_parser = duration)]
    settle: Duration,
}

impl Idle {
    fn groups(&self) -> Vec<(Transport, u64)> {
        let others = self.sse + self.poll;
        let last = self.steps.last().copied().unwrap_or(10_000);
        let ws = self.ws.unwrap_or(if others == 0 { last } else { 0 });
        vec![(Transport::Ws, ws), (Transport::Sse, self.sse), (Transport::Poll, self.poll)]
    }

    /// Runs it; what was found, which is written already.
    ///
    /// # Errors
    /// When something could not be measured.
    pub async fn run(&self) -> anyhow::Result<Outcome> {
        let groups = self.groups();
        let clients: u64 = groups.iter().map(|(_, count)| count).sum();
        let steps =
            if self.steps.is_empty() { vec![(clients / 5).max(1), clients] } else { self.steps.clone() };
        let growing =
            steps.is_sorted_by(|a, b| a < b) && steps.iter().all(|step| (1..=clients).contains(step));
        anyhow::ensure!(growing, "--steps must grow up to the number of connections, {clients}");
        let mut outcome = Outcome::begin("idle", self.written.commit.clone())?;
        for (transport, count) in &groups {
            outcome.set(&format!("{transport:?}").to_lowercase(), *count);
        }
        outcome.set("steps", steps.clone());
        outcome.set("window_s", self.window.as_secs_f64());
        outcome.set("hold_s", self.hold.as_secs_f64());
        self.target.describe(&mut outcome);
        let mut pipeline = self.target.open(clients).await?;
        let started = pipeline.started.take();
        let measured = interruptible(self.measure(&pipeline, &groups, &steps, &mut outcome)).await;
        if let Some(started) = started {
            outcome.problems.extend(started.warnings());
            started.stop().await?;
        }
        measured?;
        outcome.end()?;
        self.written.write(&outcome)?;
        Ok(outcome)
    }

    async fn measure(
        &self,
        pipeline: &Pipeline,
        groups: &[(Transport, u64)],
        steps: &[u64],
        outcome: &mut Outcome,
    ) -> anyhow::Result<()> {
        let clients: u64 = groups.iter().map(|(_, count)| count).sum();
        let run = uuid::Uuid::new_v4().simple().to_string()[..8].to_owned();
        let mut load = Load::new(std::env::current_exe()?, self.written.quiet)?;
        load.hold(pipeline, &run, groups, 64, Choice::Filled { clients }).await?;
        load.watch(pipeline);
        outcome.steps.push(self.step(&mut load, 0).await?);
        for step in steps {
            load.open(groups, *step, Duration::from_secs(120 + step / 200)).await?;
            load.until(self.rest, |_| false).await?;
            outcome.steps.push(self.step(&mut load, *step).await?);
        }
        figures(outcome);
        if !self.hold.is_zero() {
            load.say(format_args!("holding {clients} connections"));
            load.until(self.hold, |_| false).await?;
        }
        outcome.figure("dropped", load.totals.dropped as f64, "", Lower);
        if self.then_one_each {
            self.one_each(&mut load, pipeline, &run, clients, outcome).await?;
        }
        outcome.ledger = Some(load.balance(clients, clients).await?);
        load.hand_over(outcome);
        Ok(())
    }

    /// Reads memory, and processor time for a while.
    async fn step(&self, load: &mut Load, connections: u64) -> anyhow::Result<Step> {
        let before = load.cpu()?;
        let idles = if connections == 0 { Duration::from_secs(1) } else { self.window };
        load.until(idles, |_| false).await?;
        let used = load.cpu()?.into_iter().map(|(name, after)| {
            let used = after - before.get(&name).copied().unwrap_or(0.0);
            (name, used * 1e6 / idles.as_secs_f64() / connections.max(1) as f64)
        });
        let (cpu_us, memory) = (used.collect(), load.memory()?);
        let machine = os::machine()?;
        load.say(format_args!("{connections} connections, {} MiB available", machine.available / 1024));
        Ok(Step { connections, memory, machine, cpu_us })
    }

    async fn one_each(
        &self,
        load: &mut Load,
        pipeline: &Pipeline,
        run: &str,
        clients: u64,
        outcome: &mut Outcome,
    ) -> anyhow::Result<()> {
        // Each connection has as many recipients as go into its requests, so that nobody gets two.
        let connections = 64.min(clients.div_ceil(self.batch));
        let batch = largest_divisor(clients, connections, self.batch);
        let plan = Plan {
            run: run.to_owned(),
            recipients: clients,
            clients,
            connections,
            process: 0,
            processes: 1,
            batch,
            payload: 128,
        };
        load.produce(pipeline, &plan).await?;
        load.watch(pipeline);
        let before = (load.totals, load.cpu()?);
        load.began = Some(load.send(&plan, self.rate, clients, Duration::from_secs(24 * 3600)).await?);
        let within = Duration::from_secs(300 + clients / 1000);
        anyhow::ensure!(load.until(within, Load::sent).await?, "the producers did not come to an end");
        load.settle(self.settle).await?;
        let cpu = load.cpu()?;
        told(load, &before, &cpu, self.rate, outcome);
        Ok(())
    }
}

/// The largest batch up to `wanted` into which every connection's recipients divide.
fn largest_divisor(clients: u64, connections: u64, wanted: u64) -> u64 {
    let divides =
        |batch: &u64| clients.is_multiple_of(connections) && (clients / connections).is_multiple_of(*batch);
    (1..=wanted).rev().find(divides).unwrap_or(1)
}

/// Slopes between the first step and the last, and what the last step costs.
fn figures(outcome: &mut Outcome) {
    let (Some(first), Some(last)) = (outcome.steps.get(1).cloned(), outcome.steps.last().cloned()) else {
        return;
    };
    let base = outcome.steps[0].clone();
    // With one step only, from nothing.
    let from = if first.connections == last.connections { base.clone() } else { first };
    let between = (last.connections - from.connections).max(1) as f64;
    let slope = |before: u64, after: u64| (after as f64 - before as f64) * 1024.0 / between;
    let of = |step: &Step, name: &str| step.memory.get(name).copied().unwrap_or_default();
    let (mut private, mut cpu) = (BTreeMap::new(), BTreeMap::new());
    for (name, memory) in &last.memory {
        private.insert(name.clone(), slope(of(&from, name).private, memory.private));
    }
    for (name, used) in &last.cpu_us {
        let idle = base.cpu_us.get(name).copied().unwrap_or(0.0) / last.connections.max(1) as f64;
        cpu.insert(name.clone(), (*used, *used - idle));
    }
    for (name, bytes) in private {
        outcome.figure(format!("bytes_per_connection.{name}"), bytes, "B", Lower);
    }
    for (name, (used, beyond)) in cpu {
        outcome.figure(format!("idle_cpu_us.{name}"), used, "µs/s", Lower);
        outcome.figure(format!("idle_cpu_us_beyond_base.{name}"), beyond, "µs/s", Neither);
    }
    let machine = |of: fn(&os::Machine) -> u64| (of(&from.machine), of(&last.machine));
    let (slab, tcp, free) = (machine(|m| m.slab), machine(|m| m.tcp), machine(|m| m.available));
    outcome.figure("bytes_per_connection.kernel_slab_both_ends", slope(slab.0, slab.1), "B", Neither);
    outcome.figure("bytes_per_connection.kernel_tcp_both_ends", slope(tcp.0, tcp.1), "B", Neither);
    outcome.figure("bytes_per_connection.machine_both_ends", slope(free.1, free.0), "B", Neither);
    outcome.figure("connections", last.connections as f64, "", Neither);
    let whole = base.machine.available as f64 - last.machine.available as f64;
    outcome.figure("machine_gib_both_ends", whole / 1024.0 / 1024.0, "GiB", Lower);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_gets_two() {
        assert_eq!(largest_divisor(1_000_000, 64, 100), 25);
        assert_eq!(largest_divisor(6400, 64, 100), 100);
        assert_eq!(largest_divisor(7, 1, 100), 7);
        assert_eq!(largest_divisor(65, 64, 100), 1);
    }

    #[test]
    fn memory_is_a_slope_between_steps() {
        let step = |connections, private| Step {
            connections,
            memory: BTreeMap::from([(
                "distributor".to_owned(),
                os::Memory { private, ..os::Memory::default() },
            )]),
            cpu_us: BTreeMap::from([("distributor".to_owned(), 0.4)]),
            ..Step::default()
        };
        let steps = vec![step(0, 500), step(1000, 10_000), step(3000, 14_000)];
        let mut outcome = Outcome { steps, ..Outcome::default() };
        figures(&mut outcome);
        let value = |name: &str| outcome.figures[name].value;
        assert!((value("bytes_per_connection.distributor") - 2048.0).abs() < 1e-9);
        assert!((value("idle_cpu_us.distributor") - 0.4).abs() < 1e-9);
    }
}
