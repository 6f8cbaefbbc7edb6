//! The log's metrics: their names, and what is counted under them. `engine` is `kafka` or `sqlite`. Counters are named
//! without `_total`, here as everywhere: the exporter appends it.

use std::time::Duration;

use metrics::{counter, histogram};

use super::Error;

/// Shows the counters that alerts watch before anything happened.
pub(super) fn show(engine: &'static str) {
    for reason in ["unavailable", "too_large", "rejected", "closed"] {
        counter!("postrider_log_append_failed", "engine" => engine, "reason" => reason).increment(0);
    }
}

/// Seconds from an append's call to its answer.
pub(super) fn appended(engine: &'static str, took: Duration) {
    histogram!("postrider_log_append_seconds", "engine" => engine).record(took.as_secs_f64());
}

/// Entries that were refused or failed.
pub(super) fn append_failed(engine: &'static str, error: &Error) {
    let reason = match error {
        Error::Unavailable(_) => "unavailable",
        Error::TooLarge => "too_large",
        Error::Rejected(_) => "rejected",
        Error::Closed => "closed",
    };
    counter!("postrider_log_append_failed", "engine" => engine, "reason" => reason).increment(1);
}

/// Records handed to consumers.
pub(super) fn fetched(engine: &'static str, records: usize) {
    counter!("postrider_log_fetched", "engine" => engine).increment(records as u64);
}

/// Rebalances that a member is told of; `kind` is `assigned`, `revoked` or `lost`.
pub(super) fn rebalanced(engine: &'static str, kind: &'static str) {
    counter!("postrider_log_rebalances", "engine" => engine, "kind" => kind).increment(1);
}

/// Errors that an adapter lives through by itself, by the part it happened in.
pub(super) fn trouble(engine: &'static str, part: &'static str) {
    counter!("postrider_log_trouble", "engine" => engine, "part" => part).increment(1);
}

/// Records of one SQLite transaction.
pub(super) fn group_committed(records: usize) {
    histogram!("postrider_log_group_commit_records").record(records as f64);
}

/// Records that retention deleted from SQLite.
pub(super) fn pruned(records: u64) {
    counter!("postrider_log_pruned").increment(records);
}

/// Kafka producers rebuilt after a fatal error.
pub(super) fn producer_rebuilt() {
    counter!("postrider_log_producer_rebuilds").increment(1);
}
