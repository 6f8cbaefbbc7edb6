//! How many connections are let in per second. Pure: time is an argument.

use std::time::Instant;

/// A bucket that holds one second's worth and is filled evenly.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rate {
    per_second: f64,
    left: f64,
    at: Instant,
}

impl Rate {
    /// A full bucket; zero `per_second` is no limit.
    pub(super) fn new(per_second: u32, now: Instant) -> Self {
        let per_second = f64::from(per_second);
        Self { per_second, left: per_second, at: now }
    }

    /// Takes one, if there is one.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        if self.per_second == 0.0 {
            return true;
        }
        let earned = now.saturating_duration_since(self.at).as_secs_f64() * self.per_second;
        self.left = (self.left + earned).min(self.per_second);
        self.at = now;
        let there = self.left >= 1.0;
        if there {
            self.left -= 1.0;
        }
        there
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn without_a_limit_everyone_is_let_in() {
        let now = Instant::now();
        let mut rate = Rate::new(0, now);
        assert!((0..100_000).all(|_| rate.take(now)));
    }

    proptest! {
        #[test]
        fn no_more_than_a_burst_and_the_rate_are_let_in(per_second in 1_u32..1000, gaps in proptest::collection::vec(0_u64..50, 1..500)) {
            let begun = Instant::now();
            let (mut rate, mut now, mut taken) = (Rate::new(per_second, begun), begun, 0_u32);
            for gap in gaps {
                now += Duration::from_millis(gap);
                taken += u32::from(rate.take(now));
                let allowed = f64::from(per_second) * (1.0 + now.duration_since(begun).as_secs_f64());
                prop_assert!(f64::from(taken) <= allowed + 1e-6);
            }
            // Whoever waits a second finds a full bucket.
            now += Duration::from_secs(1);
            prop_assert!((0..per_second).all(|_| rate.take(now)));
        }
    }
}
