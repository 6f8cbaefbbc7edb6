//! The deadlines of all sessions, in one ordered map of slots of 100 ms, walked by one task: no timer per connection.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use shared::clock::Timestamp;
use shared::delivery::SessionId;
use shared::shutdown::Shutdown;
use tokio::time::MissedTickBehavior;

use crate::hub::{Hub, lock};

/// Width of a slot: what a deadline may be late by. Small beside every deadline of a session, large beside a step.
const SLOT: Duration = Duration::from_millis(100);

/// Which sessions to wake when.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    slots: Mutex<BTreeMap<Timestamp, HashSet<SessionId>>>,
}

impl Timers {
    /// The slot a deadline falls into: never before it, less than 100 ms after it.
    pub(crate) fn slot(deadline: Timestamp) -> Timestamp {
        let width = SLOT.as_millis() as u64;
        Timestamp::from_millis(deadline.as_millis().div_ceil(width).saturating_mul(width))
    }

    /// Wakes `session` at `slot`. Each session keeps the earliest slot it armed and ignores the others.
    pub(crate) fn arm(&self, slot: Timestamp, session: SessionId) {
        lock(&self.slots).entry(slot).or_default().insert(session);
    }

    /// Takes the sessions of the earliest slot not after `now`.
    fn due(&self, now: Timestamp) -> Option<(Timestamp, HashSet<SessionId>)> {
        let mut slots = lock(&self.slots);
        let (slot, _) = slots.first_key_value().filter(|(slot, _)| **slot <= now)?;
        let slot = *slot;
        slots.remove(&slot).map(|sessions| (slot, sessions))
    }
}

/// Wakes sessions until `shutdown`.
pub(crate) async fn run(hub: Arc<Hub>, shutdown: Shutdown) {
    let mut ticks = tokio::time::interval(SLOT);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = shutdown.begun() => return,
            _ = ticks.tick() => {}
        }
        let now = hub.clock().now();
        while let Some((slot, sessions)) = hub.timers.due(now) {
            for session in sessions {
                hub.tick(session, slot);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn a_slot_is_never_before_its_deadline() {
        assert_eq!(Timers::slot(at(1_000)), at(1_000));
        assert_eq!(Timers::slot(at(1_001)), at(1_100));
    }

    #[test]
    fn slots_come_due_in_order_and_once() {
        let timers = Timers::default();
        timers.arm(at(300), SessionId(3));
        timers.arm(at(100), SessionId(1));
        timers.arm(at(100), SessionId(1));
        assert_eq!(timers.due(at(99)), None);
        assert_eq!(timers.due(at(300)), Some((at(100), HashSet::from([SessionId(1)]))));
        assert_eq!(timers.due(at(300)), Some((at(300), HashSet::from([SessionId(3)]))));
        assert_eq!(timers.due(at(9_999)), None);
    }
}
