//! How often and how long the lanes of one partition try again, by urgency, and which of them wait to do so.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use shared::delivery::NodeId;
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

/// Patience by urgency, and the budget for each that may fail: a node that does spends its own and no other's.
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

/// Who failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Blame {
    Registry,
    Node(NodeId),
}

/// Budgets kept of nodes that are not failing at the moment. Forgetting one fills it up.
const BUDGETS: usize = 4096;

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
    budgets: HashMap<Blame, Budget>,
    jitter: StdRng,
    waiting: BTreeMap<(Instant, u64), Recipient>,
    /// Makes keys of `waiting` unique.
    serial: u64,
}

impl Retries {
    pub(super) fn new(policy: RetryPolicy, seed: u64) -> Self {
        Self {
            policy,
            budgets: HashMap::new(),
            jitter: StdRng::seed_from_u64(seed),
            waiting: BTreeMap::new(),
            serial: 0,
        }
    }

    /// Counts a first attempt with whoever may fail it.
    pub(super) fn earn(&mut self, blame: Blame) {
        // One that is not there is full.
        if let Some(budget) = self.budgets.get_mut(&blame) {
            budget.earn();
        }
    }

    fn spend(&mut self, blame: Blame) -> bool {
        if self.budgets.len() >= BUDGETS {
            self.budgets.clear();
        }
        let RetryPolicy { budget_percent, budget_reserve, .. } = self.policy;
        self.budgets.entry(blame).or_insert_with(|| Budget::new(budget_percent, budget_reserve)).spend()
    }

    /// Counts a failure, by `blame`, of a lane whose most urgent record is of `urgency`; answers when to try again, or `None` when
    /// that was enough.
    pub(super) fn grant(
        &mut self,
        recipient: &Recipient,
        urgency: Urgency,
        blame: Blame,
        failures: &mut Failures,
        now: Instant,
    ) -> Option<Instant> {
        let patience = self.policy.patience(urgency);
        let since = *failures.since.get_or_insert(now);
        let in_time = now.saturating_duration_since(since) < patience.deadline;
        if failures.count >= patience.attempts || !in_time || !self.spend(blame) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_fails_spends_its_own_budget_and_no_others() {
        let patience = Patience {
            attempts: 1000,
            deadline: Duration::from_secs(60),
            backoff: Backoff { base: Duration::from_millis(1), cap: Duration::from_millis(1) },
        };
        let policy = RetryPolicy {
            high: patience,
            normal: patience,
            low: patience,
            budget_percent: 20,
            budget_reserve: 3,
        };
        let (mut retries, now) = (Retries::new(policy, 1), Instant::now());
        let recipient = Recipient::parse_key("acme/alice").unwrap();
        let mut granted = |blame| {
            retries.grant(&recipient, Urgency::Normal, blame, &mut Failures::default(), now).is_some()
        };
        let (failing, sound) = (Blame::Node(NodeId(1)), Blame::Node(NodeId(2)));
        assert_eq!((0..10).filter(|_| granted(failing)).count(), 3);
        assert!(granted(sound) && granted(Blame::Registry));
    }
}
