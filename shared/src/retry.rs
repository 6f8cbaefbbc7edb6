//! How often and how long to try again: exponential backoff with full jitter, and a budget that keeps retries a small
//! share of the work. Pure: randomness and time are arguments.

use std::time::Duration;

/// Exponential backoff with full jitter: the n-th delay is uniform between zero and min(`cap`, `base` · 2ⁿ).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// Ceiling of the first delay.
    pub base: Duration,
    /// Ceiling of every delay.
    pub cap: Duration,
}

impl Backoff {
    /// The ceiling of the delay before attempt `attempt` (from zero).
    #[must_use]
    pub fn ceiling(&self, attempt: u32) -> Duration {
        self.base.saturating_mul(2_u32.saturating_pow(attempt.min(31))).min(self.cap)
    }

    /// The delay before attempt `attempt`, for a `unit` drawn uniformly from 0 to 1.
    #[must_use]
    pub fn delay(&self, attempt: u32, unit: f64) -> Duration {
        self.ceiling(attempt).mul_f64(unit.clamp(0.0, 1.0))
    }
}

/// A budget of retries: every first attempt earns a fraction of a retry, up to a reserve.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    balance_millis: u64,
    earn_millis: u64,
    reserve_millis: u64,
}

impl Budget {
    /// A full budget of `reserve` retries, to which each first attempt adds `percent` hundredths of one.
    #[must_use]
    pub fn new(percent: u32, reserve: u32) -> Self {
        let reserve_millis = u64::from(reserve) * 1000;
        Self { balance_millis: reserve_millis, earn_millis: u64::from(percent) * 10, reserve_millis }
    }

    /// Counts a first attempt.
    pub fn earn(&mut self) {
        self.balance_millis = (self.balance_millis + self.earn_millis).min(self.reserve_millis);
    }

    /// Takes one retry, if the budget has it.
    pub fn spend(&mut self) -> bool {
        let affordable = self.balance_millis >= 1000;
        if affordable {
            self.balance_millis -= 1000;
        }
        affordable
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_delay_never_exceeds_its_ceiling(base in 1_u64..5_000, cap in 1_u64..60_000, attempt: u32, unit in 0.0..=1.0) {
            let backoff = Backoff { base: Duration::from_millis(base), cap: Duration::from_millis(cap) };
            prop_assert!(backoff.delay(attempt, unit) <= backoff.ceiling(attempt));
            prop_assert!(backoff.ceiling(attempt) <= backoff.cap);
        }

        #[test]
        fn retries_stay_a_share_of_first_attempts(percent in 1_u32..100, reserve in 1_u32..50, first in 0_u64..2_000) {
            let mut budget = Budget::new(percent, reserve);
            let mut retries = 0_u64;
            for _ in 0..first {
                budget.earn();
                while budget.spend() { retries += 1; }
            }
            prop_assert!(retries <= u64::from(reserve) + first * u64::from(percent) / 100);
        }
    }
}
