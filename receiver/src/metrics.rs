//! The receiver's metrics, every name in one place.

use std::time::Duration;

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use shared::store::{DeadChange, TaskChange};

const REQUESTS: &str = "postrider_receiver_requests";
const REQUEST_SECONDS: &str = "postrider_receiver_request_seconds";
const ACCEPTED: &str = "postrider_receiver_accepted";
const REFUSED: &str = "postrider_receiver_refused";
const APPEND_SECONDS: &str = "postrider_receiver_append_seconds";
const IN_FLIGHT: &str = "postrider_receiver_in_flight_bytes";
const DEAD_LETTERS_CHANGED: &str = "postrider_receiver_dead_letters_changed";
const KEY_LOOKUPS: &str = "postrider_receiver_key_lookups";
const LOOKUPS: &str = "postrider_receiver_lookups";
const TASKS: &str = "postrider_receiver_tasks_accepted";
const TASKS_ENTERED: &str = "postrider_receiver_tasks_entered";
const TASKS_CHANGED: &str = "postrider_receiver_tasks_changed";
const CHECK_SECONDS: &str = "postrider_receiver_check_seconds";
const LAG: &str = "postrider_log_lag";
const LAG_POLLS: &str = "postrider_log_lag_polls";

/// Describes them, and shows gauges, and the counters that alerts watch, before anything happened.
pub(crate) fn describe() {
    describe_counter!(REQUESTS, "requests answered, by operation and status");
    describe_histogram!(REQUEST_SECONDS, Unit::Seconds, "from request head to answer, by operation");
    describe_counter!(ACCEPTED, "notifications durable on the log and answered so");
    describe_counter!(REFUSED, "refusals, batch items included, by problem code");
    describe_histogram!(APPEND_SECONDS, Unit::Seconds, "from append to the log's answer");
    describe_gauge!(IN_FLIGHT, Unit::Bytes, "memory reserved by requests under way");
    describe_counter!(
        DEAD_LETTERS_CHANGED,
        "dead letters that were asked to be requeued, or discarded, by change"
    );
    describe_counter!(KEY_LOOKUPS, "questions about an API key, by who answered");
    describe_counter!(LOOKUPS, "questions about modules and bindings, by what they are and who answered");
    describe_counter!(TASKS, "tasks durable on the log and answered so");
    describe_counter!(
        TASKS_ENTERED,
        "tasks entered into the store right after they were accepted, by outcome"
    );
    describe_counter!(TASKS_CHANGED, "tasks that were asked to be cancelled or tried again, by change");
    describe_histogram!(
        CHECK_SECONDS,
        Unit::Seconds,
        "checking an input or a module, the wait for a place included"
    );
    describe_gauge!(
        LAG,
        "records on the log that the group has not committed, as the receivers find, by group"
    );
    describe_counter!(LAG_POLLS, "questions to the log how far a group is behind, by outcome");
    gauge!(IN_FLIGHT).set(0.0);
    counter!(ACCEPTED).increment(0);
    counter!(TASKS).increment(0);
    for outcome in ["answered", "failed"] {
        counter!(LAG_POLLS, "outcome" => outcome).increment(0);
    }
}

pub(crate) fn lag(group: &'static str, records: u64) {
    gauge!(LAG, "group" => group).set(records as f64);
    counter!(LAG_POLLS, "outcome" => "answered").increment(1);
}

pub(crate) fn lag_unknown() {
    counter!(LAG_POLLS, "outcome" => "failed").increment(1);
}

pub(crate) fn request(operation: &'static str, status: u16, took: Duration) {
    counter!(REQUESTS, "operation" => operation, "status" => status.to_string()).increment(1);
    histogram!(REQUEST_SECONDS, "operation" => operation).record(took.as_secs_f64());
}

pub(crate) fn accepted(notifications: usize) {
    counter!(ACCEPTED).increment(notifications as u64);
}

pub(crate) fn refused(code: &'static str) {
    counter!(REFUSED, "code" => code).increment(1);
}

pub(crate) fn append(took: Duration) {
    histogram!(APPEND_SECONDS).record(took.as_secs_f64());
}

pub(crate) fn reserved(bytes: usize) {
    gauge!(IN_FLIGHT).increment(bytes as f64);
}

pub(crate) fn released(bytes: usize) {
    gauge!(IN_FLIGHT).decrement(bytes as f64);
}

pub(crate) fn dead_letters_changed(change: DeadChange, count: u64) {
    let change = match change {
        DeadChange::Requeue => "requeue",
        DeadChange::Discard => "discard",
    };
    counter!(DEAD_LETTERS_CHANGED, "change" => change).increment(count);
}

pub(crate) fn key_lookup(answered_by: &'static str) {
    counter!(KEY_LOOKUPS, "by" => answered_by).increment(1);
}

/// A question about `of`, which is modules or bindings.
pub(crate) fn lookup(of: &'static str, answered_by: &'static str) {
    counter!(LOOKUPS, "of" => of, "by" => answered_by).increment(1);
}

pub(crate) fn task_accepted() {
    counter!(TASKS).increment(1);
}

/// A task on the log was entered into the store, or was not in time.
pub(crate) fn task_entered(outcome: &'static str) {
    counter!(TASKS_ENTERED, "outcome" => outcome).increment(1);
}

pub(crate) fn task_changed(change: TaskChange) {
    let change = match change {
        TaskChange::Cancel => "cancel",
        TaskChange::Retry => "retry",
    };
    counter!(TASKS_CHANGED, "change" => change).increment(1);
}

pub(crate) fn check(took: Duration) {
    histogram!(CHECK_SECONDS).record(took.as_secs_f64());
}
