//! Shares: who holds more of what a partition may have in flight than is theirs. Pure bookkeeping for the lanes, which
//! park early what is above.
//!
//! Three kinds share one bound: recipients, tenants, nodes. As long as there is room, anyone may use it. Under pressure a
//! holder is above its share when it holds more than the bound divided by the number of those that share it:
//! - a tenant, among the tenants that had a record in the partition lately;
//! - a node, among the nodes that held one lately;
//! - a recipient, among the lanes there are, and never above a percentage of the bound; a small number of records is
//!   never above it.
//!
//! So a single one that floods is above its share, and equals that fill the bound together are not: then there is simply
//! too much, and fetching pauses, which parks nothing that moves: what awaits a verdict for longer than the shorter
//! deadline that holds under pressure is parked, for whoever waits behind it. Of urgency high a reserve is kept: it feels
//! pressure later.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

use shared::delivery::NodeId;
use shared::recipient::TenantId;

/// How the bound is shared.
#[derive(Clone, Copy, Debug)]
pub struct Fairness {
    /// Records that the partition may have in flight.
    pub records: usize,
    /// Bytes of them.
    pub bytes: usize,
    /// Of the bound, in hundredths: from here on who is above its share parks.
    pub pressure_percent: usize,
    /// As `pressure_percent`, for a lane with a record of urgency high.
    pub high_percent: usize,
    /// The most of the bound that is one recipient's share, in hundredths.
    pub recipient_percent: usize,
    /// So many records of one recipient are never above its share.
    pub floor_records: usize,
    /// How long a verdict may take under pressure.
    pub verdict_deadline: Duration,
    /// How long a tenant or node that holds nothing still counts among those that share.
    pub memory: Duration,
    /// Most tenants, and most nodes, that are counted though they hold nothing.
    pub remembered: usize,
}

/// Whose share it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sharer {
    /// One recipient.
    Recipient,
    /// All recipients of one tenant.
    Tenant,
    /// All sessions of one node.
    Node,
}

impl Sharer {
    /// The word in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Recipient => "recipient",
            Self::Tenant => "tenant",
            Self::Node => "node",
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Weight {
    pub(super) records: usize,
    pub(super) bytes: usize,
}

impl Weight {
    fn exceeds(self, limit: Self) -> bool {
        self.records > limit.records || self.bytes > limit.bytes
    }

    fn percent(self, percent: usize) -> Self {
        Self { records: self.records * percent / 100, bytes: self.bytes * percent / 100 }
    }

    fn divided(self, among: usize) -> Self {
        Self { records: self.records / among.max(1), bytes: self.bytes / among.max(1) }
    }

    fn shift(&mut self, before: Self, after: Self) {
        self.records = (self.records + after.records).saturating_sub(before.records);
        self.bytes = (self.bytes + after.bytes).saturating_sub(before.bytes);
    }
}

/// What a lane holds, and which node it waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Load {
    pub(super) weight: Weight,
    pub(super) node: Option<NodeId>,
    /// Whether a record of urgency high is in it.
    pub(super) is_urgent: bool,
}

#[derive(Debug)]
struct Holders<K> {
    held: HashMap<K, (Weight, Instant)>,
}

impl<K: Hash + Eq + Clone> Holders<K> {
    fn new() -> Self {
        Self { held: HashMap::new() }
    }

    fn shift(&mut self, holder: &K, before: Weight, after: Weight, now: Instant) {
        if let Some((weight, seen)) = self.held.get_mut(holder) {
            weight.shift(before, after);
            *seen = now;
        } else if after != Weight::default() {
            self.held.insert(holder.clone(), (after, now));
        }
    }

    fn of(&self, holder: &K) -> Weight {
        self.held.get(holder).map(|(weight, _)| *weight).unwrap_or_default()
    }

    fn forget(&mut self, now: Instant, memory: Duration, remembered: usize) {
        let keep = |seen: Instant| now.saturating_duration_since(seen) < memory;
        self.held.retain(|_, (weight, seen)| *weight != Weight::default() || keep(*seen));
        let idle = self.held.values().filter(|(weight, _)| *weight == Weight::default()).count();
        let mut surplus = idle.saturating_sub(remembered);
        self.held.retain(|_, (weight, _)| {
            let stays = surplus == 0 || *weight != Weight::default();
            surplus -= usize::from(!stays);
            stays
        });
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Shares {
    settings: Fairness,
    total: Weight,
    tenants: Holders<TenantId>,
    nodes: Holders<NodeId>,
    /// When it is worth looking again who may be forgotten.
    forget_at: Option<Instant>,
}

impl Shares {
    pub(super) fn new(settings: Fairness) -> Self {
        let (tenants, nodes) = (Holders::new(), Holders::new());
        Self { settings, total: Weight::default(), tenants, nodes, forget_at: None }
    }

    /// A lane of `tenant` holds `after` instead of `before`.
    pub(super) fn shift(&mut self, tenant: &TenantId, before: Load, after: Load, now: Instant) {
        let none = Weight::default();
        if before.weight != after.weight {
            self.total.shift(before.weight, after.weight);
            self.tenants.shift(tenant, before.weight, after.weight, now);
        }
        if let Some(node) = before.node {
            let after = if after.node == before.node { after.weight } else { none };
            self.nodes.shift(&node, before.weight, after, now);
        }
        if let Some(node) = after.node.filter(|_| after.node != before.node) {
            self.nodes.shift(&node, none, after.weight, now);
        }
    }

    /// Whose share a lane of `tenant` is above, if the partition is under pressure and it is; `lanes` is how many there
    /// are.
    pub(super) fn excess(&self, tenant: &TenantId, lane: Load, lanes: usize) -> Option<Sharer> {
        let (bound, floor_records) = (self.bound(), self.settings.floor_records);
        let pressure =
            if lane.is_urgent { self.settings.high_percent } else { self.settings.pressure_percent };
        if !self.total.exceeds(bound.percent(pressure)) {
            return None;
        }
        let most = bound.percent(self.settings.recipient_percent);
        let fair = bound.divided(lanes);
        let fair = Weight { records: fair.records.min(most.records), bytes: fair.bytes.min(most.bytes) };
        if lane.weight.records > floor_records && lane.weight.exceeds(fair) {
            return Some(Sharer::Recipient);
        }
        if self.tenants.of(tenant).exceeds(bound.divided(self.tenants.held.len())) {
            return Some(Sharer::Tenant);
        }
        let node = lane.node.map(|node| self.nodes.of(&node)).unwrap_or_default();
        node.exceeds(bound.divided(self.nodes.held.len())).then_some(Sharer::Node)
    }

    /// How long a verdict may take now, where it otherwise may take `usual`.
    pub(super) fn verdict_deadline(&self, usual: Duration) -> Duration {
        if self.total.exceeds(self.bound().percent(self.settings.pressure_percent)) {
            usual.min(self.settings.verdict_deadline)
        } else {
            usual
        }
    }

    fn bound(&self) -> Weight {
        Weight { records: self.settings.records, bytes: self.settings.bytes }
    }

    /// Time has passed.
    pub(super) fn forget(&mut self, now: Instant) {
        let Fairness { memory, remembered, .. } = self.settings;
        if self.forget_at.is_some_and(|at| now < at) {
            return;
        }
        self.forget_at = Some(now + memory / 8);
        self.tenants.forget(now, memory, remembered);
        self.nodes.forget(now, memory, remembered);
    }

    /// What all lanes hold.
    #[cfg(test)]
    pub(super) fn total(&self) -> Weight {
        self.total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAIRNESS: Fairness = Fairness {
        records: 100,
        bytes: 100_000,
        pressure_percent: 75,
        high_percent: 90,
        recipient_percent: 10,
        floor_records: 4,
        verdict_deadline: Duration::from_secs(2),
        memory: Duration::from_secs(60),
        remembered: 10,
    };

    fn tenant(name: &str) -> TenantId {
        TenantId::parse(name).unwrap()
    }

    fn load(records: usize, node: u64) -> Load {
        let weight = Weight { records, bytes: records * 100 };
        Load { weight, node: Some(NodeId(node)), is_urgent: false }
    }

    struct Partition {
        shares: Shares,
        now: Instant,
        lanes: usize,
    }

    impl Partition {
        fn new() -> Self {
            Self { shares: Shares::new(FAIRNESS), now: Instant::now(), lanes: 0 }
        }

        /// Lanes of one record each.
        fn fill(&mut self, name: &str, node: u64, lanes: usize) {
            for _ in 0..lanes {
                self.shares.shift(&tenant(name), Load::default(), load(1, node), self.now);
            }
            self.lanes += lanes;
        }

        fn excess(&self, name: &str, lane: Load) -> Option<Sharer> {
            self.shares.excess(&tenant(name), lane, self.lanes)
        }
    }

    #[test]
    fn with_room_left_nobody_is_above_their_share() {
        let mut partition = Partition::new();
        partition.fill("small", 1, 1);
        partition.fill("flood", 1, 74);
        assert_eq!(partition.excess("flood", load(1, 1)), None);
        assert_eq!(partition.excess("flood", load(60, 1)), None);
    }

    #[test]
    fn under_pressure_a_tenant_that_floods_is_above_its_share_and_a_small_one_is_not() {
        let mut partition = Partition::new();
        partition.fill("small", 1, 1);
        partition.fill("flood", 1, 75);
        assert_eq!(partition.excess("flood", load(1, 1)), Some(Sharer::Tenant));
        assert_eq!(partition.excess("small", load(1, 1)), None);
    }

    #[test]
    fn a_tenant_alone_fills_the_bound_and_one_seen_lately_is_no_longer_alone() {
        let mut partition = Partition::new();
        partition.fill("flood", 1, 99);
        assert_eq!(partition.excess("flood", load(1, 1)), None);
        partition.shares.shift(&tenant("small"), Load::default(), load(1, 1), partition.now);
        partition.shares.shift(&tenant("small"), load(1, 1), Load::default(), partition.now);
        assert_eq!(partition.excess("flood", load(1, 1)), Some(Sharer::Tenant));
        partition.shares.forget(partition.now + FAIRNESS.memory);
        assert_eq!(partition.excess("flood", load(1, 1)), None);
    }

    #[test]
    fn equals_that_fill_the_bound_together_are_not_above_their_share() {
        let mut partition = Partition::new();
        for name in ["a", "b", "c", "d"] {
            partition.fill(name, 1, 25);
        }
        assert_eq!(partition.excess("a", load(1, 1)), None);
    }

    #[test]
    fn a_recipient_that_floods_is_above_its_share_and_a_few_records_never_are() {
        let mut partition = Partition::new();
        partition.fill("small", 1, 90);
        assert_eq!(partition.excess("small", load(4, 1)), None, "the floor");
        assert_eq!(partition.excess("small", load(5, 1)), Some(Sharer::Recipient));
        partition.lanes = 2;
        assert_eq!(partition.excess("small", load(10, 1)), None, "a tenth");
        assert_eq!(partition.excess("small", load(11, 1)), Some(Sharer::Recipient));
    }

    #[test]
    fn a_node_that_does_not_answer_is_above_its_share_and_the_others_are_not() {
        let mut partition = Partition::new();
        partition.fill("acme", 1, 2);
        partition.fill("acme", 2, 80);
        assert_eq!(partition.excess("acme", load(1, 2)), Some(Sharer::Node));
        assert_eq!(partition.excess("acme", load(1, 1)), None);
    }

    #[test]
    fn a_reserve_is_kept_for_urgency_high() {
        let mut partition = Partition::new();
        partition.fill("small", 1, 1);
        partition.fill("flood", 1, 80);
        let urgent = Load { is_urgent: true, ..load(1, 1) };
        assert_eq!(partition.excess("flood", urgent), None);
        partition.fill("flood", 1, 10);
        assert_eq!(partition.excess("flood", urgent), Some(Sharer::Tenant));
    }

    #[test]
    fn bytes_count_as_records_do() {
        let mut partition = Partition::new();
        partition.fill("small", 1, 1);
        let large = Load { weight: Weight { records: 1, bytes: 76_000 }, node: None, is_urgent: false };
        partition.shares.shift(&tenant("flood"), Load::default(), large, partition.now);
        assert_eq!(partition.excess("flood", large), Some(Sharer::Tenant));
    }

    #[test]
    fn no_more_idle_ones_are_remembered_than_the_limit() {
        let mut partition = Partition::new();
        for number in 0..50 {
            let name = tenant(&format!("t{number}"));
            partition.shares.shift(&name, Load::default(), load(1, number), partition.now);
            partition.shares.shift(&name, load(1, number), Load::default(), partition.now);
        }
        partition.fill("flood", 1, 3);
        partition.shares.forget(partition.now);
        assert_eq!(partition.shares.tenants.held.len(), FAIRNESS.remembered + 1);
        assert_eq!(partition.shares.total().records, 3);
    }
}
