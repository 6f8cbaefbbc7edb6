//! What a load comes to.

use std::collections::BTreeMap;

use crate::histogram::{Latencies, Summary};
use crate::load::{Load, Totals};
use crate::os::Memory;
use crate::result::Better::{Higher, Lower, Neither};
use crate::result::{Distribution, Outcome, Sample};

/// Rates and latencies.
pub(super) fn of_load(load: &Load, before: &Totals, rate: f64, outcome: &mut Outcome) {
    let totals = &load.totals;
    let began = load.began.unwrap_or_default();
    let per_second = |count: u64, last: u64| count as f64 * 1e6 / last.saturating_sub(began).max(1) as f64;
    let accepted = per_second(totals.accepted - before.accepted, totals.last_accepted);
    let acknowledged = per_second(totals.fresh - before.fresh, totals.last_acknowledged);
    outcome.figure("notifications", (totals.fresh - before.fresh) as f64, "", Neither);
    outcome.figure("accepted_per_second", accepted, "1/s", Higher);
    outcome.figure("acknowledged_per_second", acknowledged, "1/s", Higher);
    latencies("accept", &load.recorded.accepted.summary(), outcome);
    latencies("acknowledge", &load.recorded.acknowledged.summary(), outcome);
    outcome.accepted = Some(distribution(&load.recorded.accepted));
    outcome.acknowledged = Some(distribution(&load.recorded.acknowledged));
    if load.ever_stopped {
        of_stop(load, rate, outcome);
    }
}

fn distribution(latencies: &Latencies) -> Distribution {
    Distribution { summary: latencies.summary(), counts: latencies.counts() }
}

fn latencies(what: &str, summary: &Summary, outcome: &mut Outcome) {
    for (name, value) in [
        ("p50", summary.p50_ms),
        ("p90", summary.p90_ms),
        ("p99", summary.p99_ms),
        ("p999", summary.p999_ms),
        ("max", summary.max_ms),
    ] {
        outcome.figure(format!("{what}_{name}_ms"), value, "ms", Lower);
    }
}

/// Latencies while a process stood still against those before, and how fast what waited was made good.
fn of_stop(load: &Load, rate: f64, outcome: &mut Outcome) {
    let before = load.recorded.before_stop.quantile_ms(0.99);
    let meanwhile = load.recorded.while_stopped.quantile_ms(0.99);
    outcome.figure("p99_before_stop_ms", before, "ms", Lower);
    outcome.figure("p99_while_stopped_ms", meanwhile, "ms", Lower);
    if before > 0.0 && meanwhile > 0.0 {
        outcome.figure("p99_while_stopped_ratio", meanwhile / before, "×", Lower);
    }
    let live = steady(&load.samples, rate);
    if let Some(caught_up) = catch_up(&load.samples)
        && live > 0.0
    {
        outcome.figure("catch_up_per_second", caught_up, "1/s", Higher);
        outcome.figure("catch_up_ratio", caught_up / live, "×", Higher);
    }
}

/// What is acknowledged per second when nothing is wrong.
fn steady(samples: &[Sample], rate: f64) -> f64 {
    if rate > 0.0 {
        return rate;
    }
    let before: Vec<f64> =
        samples.iter().take_while(|sample| !sample.stopped).map(|sample| sample.acknowledged).collect();
    before.iter().sum::<f64>() / before.len().max(1) as f64
}

/// Acknowledged per second from the end of the stop until no more was in flight than before it.
fn catch_up(samples: &[Sample]) -> Option<f64> {
    let begin = samples.iter().position(|sample| sample.stopped)?;
    let end = begin + samples[begin..].iter().position(|sample| !sample.stopped)?;
    let usual = samples[..begin].iter().map(|sample| sample.in_flight).max().unwrap_or(0);
    if samples[end.saturating_sub(1)].in_flight <= usual * 2 {
        return None;
    }
    // The first second began while it stood still; the one in which it was made good counts.
    let after = samples.get(end + 1..)?;
    let over = after.iter().position(|sample| sample.in_flight <= usual * 2).map_or(after.len(), |at| at + 1);
    let waiting: Vec<f64> = after[..over].iter().map(|sample| sample.acknowledged).collect();
    (!waiting.is_empty()).then(|| waiting.iter().sum::<f64>() / waiting.len() as f64)
}

/// Processor time per notification, of each process, of the pipeline and of everything.
pub(super) fn of_cpu(
    before: &BTreeMap<String, f64>,
    after: &BTreeMap<String, f64>,
    notifications: u64,
    outcome: &mut Outcome,
) {
    let (mut pipeline, mut all) = (0.0, 0.0);
    for (name, after) in after {
        let used = after - before.get(name).copied().unwrap_or(0.0);
        let each = used * 1e6 / notifications.max(1) as f64;
        outcome.figure(format!("cpu_us.{name}"), each, "µs", Lower);
        all += each;
        if !matches!(name.as_str(), "generator" | "clients") {
            pipeline += each;
        }
    }
    outcome.figure("cpu_us.all_but_load", pipeline, "µs", Lower);
    outcome.figure("cpu_us.all", all, "µs", Lower);
}

/// Memory of each process before the clients came and after the load.
pub(super) fn of_memory(
    before: &BTreeMap<String, Memory>,
    after: &BTreeMap<String, Memory>,
    outcome: &mut Outcome,
) {
    for (name, after) in after {
        let before = before.get(name).copied().unwrap_or_default();
        outcome.memory.insert(name.clone(), [before, *after]);
        outcome.figure(format!("private_mib.{name}"), after.private as f64 / 1024.0, "MiB", Lower);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn catching_up_is_measured_from_the_end_of_the_stop() {
        let sample = |acknowledged, in_flight, stopped| Sample {
            acknowledged,
            in_flight,
            stopped,
            ..Sample::default()
        };
        let samples = [
            sample(100.0, 5, false),
            sample(100.0, 6, false),
            sample(0.0, 100, true),
            sample(0.0, 200, true),
            sample(150.0, 190, false),
            sample(400.0, 100, false),
            sample(300.0, 50, false),
            sample(110.0, 4, false),
        ];
        assert_eq!(catch_up(&samples), Some(270.0));
        assert!((steady(&samples, 0.0) - 100.0).abs() < f64::EPSILON);
        assert_eq!(catch_up(&samples[..2]), None);
    }
}
