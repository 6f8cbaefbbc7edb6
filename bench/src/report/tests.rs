//! What the page shows.

use super::*;
use crate::histogram::Latencies;
use crate::ledger::Balance;
use crate::result::{Distribution, Sample};

fn outcome() -> anyhow::Result<Outcome> {
    let mut latencies = Latencies::new()?;
    (1..10_000).for_each(|micros| latencies.record(micros));
    let sample = |second: u32| Sample {
        at_s: f64::from(second),
        asked: 1000.0,
        acknowledged: 990.0,
        p99_ms: 2.5,
        cores: [("director".to_owned(), 0.4)].into(),
        stopped: (3..6).contains(&second),
        ..Sample::default()
    };
    let mut outcome = Outcome {
        schema: crate::result::SCHEMA,
        kind: "run".into(),
        acknowledged: Some(Distribution { summary: latencies.summary(), counts: latencies.counts() }),
        samples: (0..10).map(sample).collect(),
        ledger: Some(Balance { accepted: 5, acknowledged: 5, ..Balance::default() }),
        problems: vec!["<script>".into()],
        ..Outcome::default()
    };
    outcome.figure("cpu_us.director", 4.0, "µs", Better::Lower);
    Ok(outcome)
}

#[test]
fn a_page_shows_everything_and_needs_nothing_else() -> anyhow::Result<()> {
    let page = page(&[outcome()?])?;
    for shown in [
        "each acknowledged once and in order",
        "cpu_us.director",
        "Latency by percentile",
        "class=\"stop\"",
        "&lt;script&gt;",
    ] {
        assert!(page.contains(shown), "{shown}");
    }
    for absent in ["<script", "http://", "https://", "NaN", "inf"] {
        assert!(!page.contains(absent), "{absent}");
    }
    assert!(page.contains("prefers-color-scheme:dark"));
    Ok(())
}

#[test]
fn a_fault_is_the_first_thing_one_reads_and_two_results_are_compared() -> anyhow::Result<()> {
    let mut worse = outcome()?;
    worse.ledger = Some(Balance { accepted: 5, acknowledged: 4, lost: 1, ..Balance::default() });
    worse.figure("cpu_us.director", 8.0, "µs", Better::Lower);
    let page = page(&[outcome()?, worse])?;
    assert!(page.contains("class=\"verdict bad\">5 accepted: 1 lost"));
    assert!(page.contains("2.000 µs  worse"), "compared");
    Ok(())
}
