//! How what a partition may have in flight is shared.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use shared::config::{Mistakes, millis};

/// `[director.fairness]`: how recipients, tenants and nodes share what a partition may have in flight. Who is above its
/// share parks what it has (metric `postrider_director_gave_way`): it arrives by way of the store, in order.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FairnessSettings {
    /// From so much of `in_flight_records` or `in_flight_bytes` on, who is above its share parks; below, anyone may use
    /// what is free. 100 switches sharing off for all but urgency high.
    pub pressure_percent: usize,
    /// As `pressure_percent`, for recipients with a record of urgency high in flight: what lies between is their reserve.
    /// 100 switches sharing off for them.
    pub high_percent: usize,
    /// The most that one recipient's share can be; with many recipients in flight it is an equal part.
    pub recipient_percent: usize,
    /// So many records of one recipient are never above its share.
    pub floor_records: usize,
    /// Under pressure a verdict may take so long before the record is parked instead; never longer than
    /// `director.verdict_deadline_ms`.
    #[serde(with = "millis")]
    pub verdict_deadline_ms: Duration,
    /// How long a tenant or a node still counts among those that share when nothing of it is in flight any more.
    #[serde(with = "millis")]
    pub memory_ms: Duration,
    /// Most tenants, and most nodes, that count like that.
    pub remembered: usize,
    /// So many recipients with a record of urgency high have their turn before one without, in lookups, in batches for
    /// nodes and for `parked`.
    pub urgent_turns: usize,
    /// Most frames of one session in a batch for its node before the next session has its turn.
    pub session_frames: usize,
}

impl Default for FairnessSettings {
    fn default() -> Self {
        Self {
            pressure_percent: 75,
            high_percent: 90,
            recipient_percent: 10,
            floor_records: 16,
            verdict_deadline_ms: Duration::from_secs(2),
            memory_ms: Duration::from_secs(60),
            remembered: 10_000,
            urgent_turns: 4,
            session_frames: 32,
        }
    }
}

impl FairnessSettings {
    pub(super) fn check(&self, mistakes: &mut Mistakes) {
        mistakes.within("fairness.pressure_percent", self.pressure_percent, 1..=100);
        mistakes.within("fairness.high_percent", self.high_percent, self.pressure_percent.min(100)..=100);
        mistakes.within("fairness.recipient_percent", self.recipient_percent, 1..=100);
        mistakes.within("fairness.remembered", self.remembered, 0..=10_000_000);
        mistakes.within("fairness.urgent_turns", self.urgent_turns, 1..=1000);
        mistakes.within("fairness.session_frames", self.session_frames, 1..=100_000);
    }
}
