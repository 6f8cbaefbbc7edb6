//! Limits of lanes, small enough that each is met, and how a number drawn chooses.

use shared::retry::Backoff;

use crate::lane::*;

pub(super) fn settings() -> Settings {
    let patience = Patience {
        attempts: 2,
        deadline: Duration::from_secs(60),
        backoff: Backoff { base: Duration::from_millis(100), cap: Duration::from_secs(1) },
    };
    let retry = RetryPolicy {
        high: patience,
        normal: patience,
        low: patience,
        budget_percent: 50,
        budget_reserve: 8,
    };
    let run = RunLimits { records: 3, bytes: 1 << 20 };
    let fairness = Fairness {
        records: 10,
        bytes: 1 << 20,
        pressure_percent: 60,
        high_percent: 90,
        recipient_percent: 30,
        floor_records: 2,
        verdict_deadline: Duration::from_secs(3),
        memory: Duration::from_secs(5),
        remembered: 1,
    };
    let known = KnownLimits { recipients: 0, keep: Duration::from_secs(20) };
    Settings { verdict_deadline: Duration::from_secs(30), parked_memory: 1, known, retry, run, fairness }
}

/// A number drawn once, used to choose among several.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pick(pub(super) usize);

impl Pick {
    pub(super) fn index(self, among: usize) -> usize {
        // Mixed with `among`, so that two choices made with one number do not go together.
        let mixed = (self.0 as u64 ^ ((among as u64) << 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed >> 33) as usize % among
    }
}
