//! The metrics of HTTP edges: their names, and what is counted under them, over all edges of the process.

use metrics::{counter, gauge};

use super::TurnedAway;

/// An open connection, counted until it is dropped.
#[derive(Debug)]
pub(super) struct Open(());

impl Open {
    pub(super) fn count() -> Self {
        gauge!("postrider_connections_open").increment(1.0);
        Self(())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        gauge!("postrider_connections_open").decrement(1.0);
    }
}

/// Shows the counters that alerts watch before anything happened.
pub(super) fn show() {
    counter!("postrider_connections_full").increment(0);
    counter!("postrider_accept_failures").increment(0);
    for stage in ["first_byte", "write", "turned_away"] {
        counter!("postrider_connections_timed_out", "stage" => stage).increment(0);
    }
    for why in TurnedAway::ALL {
        counter!("postrider_connections_turned_away", "cause" => why.as_str()).increment(0);
    }
}

/// The last place under the cap was taken: whoever comes now waits for one.
pub(super) fn full() {
    counter!("postrider_connections_full").increment(1);
}

/// A connection could not be accepted; descriptors have run out, most likely.
pub(super) fn accept_failed() {
    counter!("postrider_accept_failures").increment(1);
}

/// A connection was given up because a `stage` of it took too long.
pub(super) fn timed_out(stage: &'static str) {
    counter!("postrider_connections_timed_out", "stage" => stage).increment(1);
}

/// A connection, or behind proxies a request, that was told to come again.
pub(super) fn turned_away(why: TurnedAway) {
    counter!("postrider_connections_turned_away", "cause" => why.as_str()).increment(1);
}
