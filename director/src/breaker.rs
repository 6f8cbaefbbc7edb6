//! A circuit breaker, for one node or for the registry: after so many failures in a row it is left alone for a while, then
//! tried once. Pure.

use std::time::{Duration, Instant};

use shared::retry::Backoff;

/// Closed at first.
#[derive(Debug, Default)]
pub(crate) struct Breaker {
    failures: u32,
    open_until: Option<Instant>,
}

impl Breaker {
    /// Whether it may be tried at `now`.
    pub(crate) fn allows(&self, now: Instant) -> bool {
        self.open_until.is_none_or(|until| until <= now)
    }

    /// As [`Breaker::allows`], and if that is to find out whether it is back, nobody else is allowed before the outcome
    /// is known, or `patience` is over.
    pub(crate) fn admits(&mut self, now: Instant, patience: Duration) -> bool {
        let allowed = self.allows(now);
        if allowed && self.open_until.is_some() {
            self.open_until = Some(now + patience);
        }
        allowed
    }

    /// Closes it.
    pub(crate) fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// Counts a failure; from the `threshold`-th in a row on it is open for a time that grows, at least half of each
    /// ceiling and jittered by `unit` (0 to 1).
    pub(crate) fn failed(&mut self, now: Instant, threshold: u32, backoff: Backoff, unit: f64) {
        self.failures = self.failures.saturating_add(1);
        if let Some(beyond) = self.failures.checked_sub(threshold) {
            self.open_until = Some(now + backoff.delay(beyond, 0.5 + unit / 2.0));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Backoff = Backoff { base: Duration::from_secs(1), cap: Duration::from_secs(4) };

    #[test]
    fn it_opens_at_the_threshold_tries_once_after_a_while_and_closes_on_success() {
        let (mut breaker, start) = (Breaker::default(), Instant::now());
        breaker.failed(start, 2, BACKOFF, 1.0);
        assert!(breaker.allows(start));
        breaker.failed(start, 2, BACKOFF, 1.0);
        assert!(!breaker.allows(start));
        let later = start + Duration::from_secs(1);
        assert!(breaker.allows(later));
        breaker.failed(later, 2, BACKOFF, 1.0);
        assert!(!breaker.allows(later + Duration::from_secs(1)), "the second time it is left alone longer");
        breaker.succeeded();
        assert!(breaker.allows(later));
    }

    #[test]
    fn one_alone_finds_out_whether_it_is_back() {
        let (mut breaker, start) = (Breaker::default(), Instant::now());
        let patience = Duration::from_secs(10);
        assert!(breaker.admits(start, patience) && breaker.admits(start, patience), "closed");
        breaker.failed(start, 1, BACKOFF, 1.0);
        let later = start + Duration::from_secs(1);
        assert!(!breaker.admits(start, patience));
        assert!(breaker.admits(later, patience) && !breaker.admits(later, patience));
        assert!(breaker.admits(later + patience, patience), "who tried it was never heard of again");
        breaker.succeeded();
        assert!(breaker.admits(later, patience));
    }
}
