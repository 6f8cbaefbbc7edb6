//! How often and how long the lanes of one partition try again, by urgency, and which of them wait to do so.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use shared::notification::Urgency;
use shared::recipient::Recipient;
use shared::retry::{Backoff, Budget};

/// How hard delivery is tried before the record is parked.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Most retries in a row.
    pub attempts: u32,
    /// Longest time from the first failure on.
    pub deadline: Duration,
    /// Delays between.
    pub backoff: Backoff,
}

/// Patience by urgency, and the budget that all lanes of a partition share.
#[derive(Clone, Copy, Debug)]
pub struct RetryPolicy {
    /// For urgency high.
    pub high: Patience,
    /// For urgency normal.
    pub normal: Patience,
    /// For urgencies low and very low.
    pub low: Patience,
    /// Retries earned by a first attempt, in hundredths.
    pub budget_percent: u32,
    /// Most retries saved up.
    pub budget_reserve: u32,
}

impl RetryPolicy {
    fn patience(&self, urgency: Urgency) -> Patience {
        match urgency {
            Urgency::High => self.high,
            Urgency::Normal => self.normal,
            Urgency::Low | Urgency::VeryLow => self.low,
        }
    }
}

/// The failures of one lane since its last success.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Failures {
    count: u32,
    since: Option<Instant>,
}

/// Grants retries, and knows which are due.
#[derive(Debug)]
pub(super) struct Retries {
    policy: RetryPolicy,
    budget: Budget,
    jitter: StdRng,
    waiting: BTreeMap<(Instant, u64), Recipient>,
    /// Makes keys of `waiting` unique.
    serial: u64,
}

impl Retries {
    pub(super) fn new(policy: RetryPolicy, seed: u64) -> Self {
        let budget = Budget::new(policy.budget_percent, policy.budget_reserve);
        Self { policy, budget, jitter: StdRng::seed_from_u64(seed), waiting: BTreeMap::new(), serial: 0 }
    }

    pub(super) fn earn(&mut self) {
        self.budget.earn();
    }

    /// Counts a failure of a lane whose most urgent record is of `urgency`; answers when to try again, or `None` when
    /// that was enough.
    pub(super) fn grant(
        &mut self,
        recipient: &Recipient,
        urgency: Urgency,
        failures: &mut Failures,
        now: Instant,
    ) -> Option<Instant> {
        let patience = self.policy.patience(urgency);
        let since = *failures.since.get_or_insert(now);
        let in_time = now.saturating_duration_since(since) < patience.deadline;
        if failures.count >= patience.attempts || !in_time || !self.budget.spend() {
            return None;
        }
        let delay = patience.backoff.delay(failures.count, self.jitter.random());
        failures.count += 1;
        let until = now + delay;
        self.serial += 1;
        self.waiting.insert((until, self.serial), recipient.clone());
        Some(until)
    }

    pub(super) fn due(&self) -> Option<Instant> {
        self.waiting.first_key_value().map(|((until, _), _)| *until)
    }

    pub(super) fn take_due(&mut self, now: Instant) -> Option<Recipient> {
        let first = self.waiting.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }
}
