//! What workers tell of a load, and what is made of it each second.

use std::collections::BTreeMap;

use tokio::time::Instant;

use super::{Load, Totals};
use crate::clock::micros;
use crate::control::{Report, Tick};
use crate::histogram::Latencies;
use crate::os;
use crate::result::Sample;

/// Most problems that are kept.
const PROBLEMS: usize = 20;

impl Load {
    pub(super) fn take(&mut self, worker: usize, report: Report) {
        match report {
            Report::Ready(_) => self.unready -= 1,
            Report::Opened => self.opening -= 1,
            Report::Sent => self.sending -= 1,
            Report::Done { unconfirmed } => {
                self.finishing -= 1;
                self.unconfirmed += unconfirmed;
            }
            Report::Entries(entries) if self.producers.contains(&worker) => {
                self.accepted_entries.extend(entries);
            }
            Report::Entries(entries) => self.client_entries.extend(entries),
            Report::Tick(tick) => self.tick(worker, *tick),
            // The fleet made an error of it.
            Report::Failed(_) => {}
        }
    }

    fn tick(&mut self, worker: usize, tick: Tick) {
        let totals = &mut self.totals;
        totals.asked += tick.asked;
        totals.accepted += tick.accepted;
        totals.refused += tick.refused;
        totals.unanswered += tick.unanswered;
        totals.came += tick.came;
        totals.acknowledged += tick.acknowledged;
        totals.fresh += tick.fresh;
        totals.dropped += tick.dropped;
        if self.producers.contains(&worker) {
            totals.last_accepted = totals.last_accepted.max(tick.last);
            self.recorded.accepted.add(&tick.latencies);
        } else {
            totals.last_acknowledged = totals.last_acknowledged.max(tick.last);
            self.live.insert(worker, tick.live);
            self.recorded.acknowledged.add(&tick.latencies);
            self.recorded.second.add(&tick.latencies);
            self.recorded.while_stopped.add(&tick.marked);
            if !self.ever_stopped {
                self.recorded.before_stop.add(&tick.latencies);
            }
        }
        let room = PROBLEMS.saturating_sub(self.problems.len());
        self.problems.extend(tick.problems.into_iter().take(room));
    }

    pub(super) fn sample(&mut self) -> anyhow::Result<()> {
        let now = Instant::now();
        let cpu = if self.watched.is_empty() { BTreeMap::new() } else { self.cpu()? };
        let (then, before, cpu_before) = std::mem::replace(&mut self.sampled, (now, self.totals, cpu));
        let seconds = (now - then).as_secs_f64();
        // Ticks come each second; a shorter stretch shows nothing.
        if seconds < 0.5 {
            return Ok(());
        }
        let per_second = |of: fn(&Totals) -> u64| (of(&self.totals) - of(&before)) as f64 / seconds;
        let cores = self.sampled.2.iter().filter_map(|(name, after)| {
            cpu_before.get(name).map(|before| (name.clone(), (after - before) / seconds))
        });
        let resident = os::resident(&self.watched).into_iter().map(|(name, kib)| (name, kib as f64 / 1024.0));
        let second = std::mem::replace(&mut self.recorded.second, Latencies::new()?);
        let sample = Sample {
            at_s: self.began.map_or(0.0, |began| (micros() as f64 - began as f64) / 1e6),
            asked: per_second(|totals| totals.asked),
            accepted: per_second(|totals| totals.accepted),
            acknowledged: per_second(|totals| totals.fresh),
            // Workers tell at different moments.
            in_flight: self.totals.asked.saturating_sub(self.totals.fresh),
            p50_ms: second.quantile_ms(0.5),
            p99_ms: second.quantile_ms(0.99),
            cores: cores.collect(),
            resident_mib: resident.collect(),
            stopped: self.stopped,
        };
        let live: u64 = self.live.values().sum();
        if sample.asked > 0.0 || sample.acknowledged > 0.0 {
            let Sample { asked, acknowledged, in_flight, p99_ms, .. } = sample;
            self.say(format_args!(
                "{live} live, {asked:.0}/s asked, {acknowledged:.0}/s acknowledged, {in_flight} in flight, p99 {p99_ms:.2} ms"
            ));
        } else if self.opening > 0 {
            self.say(format_args!("{live} clients are connected"));
        }
        if self.began.is_some() {
            self.samples.push(sample);
        }
        Ok(())
    }
}
