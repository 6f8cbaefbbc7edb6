//! Latencies in microseconds, in an HDR histogram of three significant digits up to an hour.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// The longest latency that is told apart, in microseconds.
const LONGEST: u64 = 3_600_000_000;

/// Latencies in microseconds.
#[derive(Clone, Debug)]
pub struct Latencies(Histogram<u64>);

/// Values with how often each was recorded: how a histogram travels and is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts(pub Vec<(u64, u64)>);

/// What one reads first, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// How many were recorded.
    pub count: u64,
    /// Half of all were faster.
    pub p50_ms: f64,
    /// Nine of ten.
    pub p90_ms: f64,
    /// 99 of 100.
    pub p99_ms: f64,
    /// 999 of 1000.
    pub p999_ms: f64,
    /// The slowest.
    pub max_ms: f64,
}

impl Latencies {
    /// None yet.
    ///
    /// # Errors
    /// Never with these bounds.
    pub fn new() -> anyhow::Result<Self> {
        Ok(Self(Histogram::new_with_bounds(1, LONGEST, 3)?))
    }

    /// Records one.
    pub fn record(&mut self, micros: u64) {
        self.0.saturating_record(micros.max(1));
    }

    /// Records what another histogram counted.
    pub fn add(&mut self, counts: &Counts) {
        for (value, count) in &counts.0 {
            self.0.saturating_record_n((*value).max(1), *count);
        }
    }

    /// Hands out what was recorded, and forgets it.
    pub fn take(&mut self) -> Counts {
        let counts = self.counts();
        self.0.reset();
        counts
    }

    /// What was recorded.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let recorded = self.0.iter_recorded();
        Counts(recorded.map(|step| (step.value_iterated_to(), step.count_at_value())).collect())
    }

    /// The value that this share of all (0 to 1) does not exceed, in milliseconds.
    #[must_use]
    pub fn quantile_ms(&self, share: f64) -> f64 {
        if self.0.is_empty() { 0.0 } else { self.0.value_at_quantile(share) as f64 / 1000.0 }
    }

    /// What one reads first.
    #[must_use]
    pub fn summary(&self) -> Summary {
        Summary {
            count: self.0.len(),
            p50_ms: self.quantile_ms(0.5),
            p90_ms: self.quantile_ms(0.9),
            p99_ms: self.quantile_ms(0.99),
            p999_ms: self.quantile_ms(0.999),
            max_ms: self.quantile_ms(1.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merged_histograms_are_one_of_everything() -> anyhow::Result<()> {
        let (mut whole, mut merged) = (Latencies::new()?, Latencies::new()?);
        for part in 0..4_u64 {
            let mut latencies = Latencies::new()?;
            for step in 0..1000 {
                let micros = 1 + part * 37 + step * step;
                latencies.record(micros);
                whole.record(micros);
            }
            let counts = latencies.take();
            assert_eq!(latencies.summary().count, 0, "taken");
            let text = serde_json::to_string(&counts)?;
            merged.add(&serde_json::from_str(&text)?);
        }
        assert_eq!(merged.counts(), whole.counts());
        assert_eq!(merged.summary(), whole.summary());
        assert_eq!(merged.summary().count, 4000);
        Ok(())
    }

    #[test]
    fn three_digits_are_kept_and_nothing_overflows() -> anyhow::Result<()> {
        let mut latencies = Latencies::new()?;
        latencies.record(0);
        latencies.record(123_456);
        assert!((latencies.quantile_ms(1.0) - 123.456).abs() < 0.124);
        latencies.record(u64::MAX);
        assert!(latencies.quantile_ms(1.0) >= LONGEST as f64 / 1000.0);
        Ok(())
    }
}
