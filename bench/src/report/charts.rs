//! Which plots a result has.

use std::collections::BTreeSet;

use super::chart::{Chart, Series};
use crate::histogram::Counts;
use crate::result::{Outcome, Sample, Step};

/// All plots that have something to show.
pub(super) fn of(outcome: &Outcome) -> Vec<Chart> {
    let samples = &outcome.samples;
    let marked = stopped(samples);
    let over_time = |title: &str, series: Vec<Series>, logarithmic: bool| Chart {
        title: title.into(),
        series,
        logarithmic,
        unit: " s",
        marked: marked.clone(),
        ..Chart::default()
    };
    let one = |name: &str, of: fn(&Sample) -> f64| series(samples, name, |sample| Some(of(sample)));
    let rates = vec![
        one("asked", |sample| sample.asked),
        one("accepted", |sample| sample.accepted),
        one("acknowledged", |sample| sample.acknowledged),
    ];
    let latencies = vec![one("p50", |sample| sample.p50_ms), one("p99", |sample| sample.p99_ms)];
    let mut charts = vec![
        over_time("Notifications per second", rates, false),
        over_time("From the time it was due to its acknowledgement, in ms, each second", latencies, true),
        percentiles(outcome),
        over_time("In flight", vec![one("in flight", |sample| sample.in_flight as f64)], false),
        over_time("Cores in use", named(samples, |sample| &sample.cores), false),
        over_time("Resident memory, MiB", named(samples, |sample| &sample.resident_mib), false),
        per_process(outcome),
        idle_memory(&outcome.steps),
    ];
    charts.retain(|chart| !chart.is_empty());
    charts
}

fn series(samples: &[Sample], name: &str, of: impl Fn(&Sample) -> Option<f64>) -> Series {
    let points = samples.iter().filter_map(|sample| Some((sample.at_s, of(sample)?))).collect();
    Series { name: name.into(), points }
}

/// A line for each process.
fn named(samples: &[Sample], of: fn(&Sample) -> &std::collections::BTreeMap<String, f64>) -> Vec<Series> {
    let names: BTreeSet<&String> = samples.iter().flat_map(|sample| of(sample).keys()).collect();
    names.into_iter().map(|name| series(samples, name, |sample| of(sample).get(name).copied())).collect()
}

/// The stretches in which a process stood still.
fn stopped(samples: &[Sample]) -> Vec<(f64, f64)> {
    let mut stretches: Vec<(f64, f64)> = Vec::new();
    for two in samples.windows(2).filter(|two| two[1].stopped) {
        match stretches.last_mut() {
            Some(last) if last.1 >= two[0].at_s => last.1 = two[1].at_s,
            _another => stretches.push((two[0].at_s, two[1].at_s)),
        }
    }
    stretches
}

/// The share of all that is faster, the slowest ones drawn out: each step to the right is ten times rarer.
fn percentiles(outcome: &Outcome) -> Chart {
    let both =
        [("to the receiver's answer", &outcome.accepted), ("to the acknowledgement", &outcome.acknowledged)];
    let known = both.iter().filter_map(|(name, distribution)| Some((name, distribution.as_ref()?)));
    let series = known
        .map(|(name, distribution)| Series { name: (*name).into(), points: curve(&distribution.counts) });
    let names =
        [(0.0, "0 %"), (1.0, "90 %"), (2.0, "99 %"), (3.0, "99.9 %"), (4.0, "99.99 %"), (5.0, "99.999 %")];
    Chart {
        title: "Latency by percentile, in ms".into(),
        series: series.collect(),
        logarithmic: true,
        names: names.map(|(at, name)| (at, name.to_owned())).to_vec(),
        ..Chart::default()
    }
}

fn curve(counts: &Counts) -> Vec<(f64, f64)> {
    let total: u64 = counts.0.iter().map(|(_, count)| count).sum();
    let mut below = 0;
    let mut points = Vec::new();
    for (micros, count) in &counts.0 {
        let rarer = (total as f64 / (total - below) as f64).log10();
        // A page needs no more points than it has dots.
        if points.last().is_none_or(|(last, _)| rarer - last > 0.005) {
            points.push((rarer, *micros as f64 / 1000.0));
        }
        below += count;
    }
    if let (Some((micros, _)), true) = (counts.0.last(), total > 1) {
        points.push(((total as f64).log10(), *micros as f64 / 1000.0));
    }
    points
}

/// Processor time per notification as steps, one for each process.
fn per_process(outcome: &Outcome) -> Chart {
    let mut bars = Chart { title: "Processor time per notification, µs".into(), ..Chart::default() };
    let each = outcome.figures.iter().filter_map(|(name, figure)| {
        let name = name.strip_prefix("cpu_us.").filter(|name| !name.starts_with("all"))?;
        Some((name, figure.value))
    });
    for (number, (name, value)) in each.enumerate() {
        let x = number as f64;
        let points = vec![(x - 0.35, 0.0), (x - 0.35, value), (x + 0.35, value), (x + 0.35, 0.0)];
        bars.series.push(Series { name: format!("{name}: {}", crate::compare::short(value)), points });
        bars.names.push((x, name.to_owned()));
    }
    bars
}

/// Memory at each step of an idle run.
fn idle_memory(steps: &[Step]) -> Chart {
    let names: BTreeSet<&String> = steps.iter().flat_map(|step| step.memory.keys()).collect();
    let line = |name: &String| {
        let points = steps.iter().filter_map(|step| {
            let memory = step.memory.get(name)?;
            Some((step.connections as f64, memory.private as f64 / 1024.0))
        });
        Series { name: name.clone(), points: points.collect() }
    };
    let mut series: Vec<Series> = names.into_iter().map(line).collect();
    let kernel = steps
        .iter()
        .map(|step| (step.connections as f64, (step.machine.slab + step.machine.tcp) as f64 / 1024.0));
    series.push(Series { name: "kernel, both ends".into(), points: kernel.collect() });
    Chart { title: "Memory by idle connections, MiB".into(), series, ..Chart::default() }
}
