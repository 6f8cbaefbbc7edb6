//! The executor's metrics, every name in one place.

use std::time::Duration;

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use shared::group::Counts;
use shared::position::PartitionId;
use shared::task::TaskState;

use crate::plan;
use crate::sandbox::Usage;

const ENDED: &str = "postrider_tasks_ended";
const END_SECONDS: &str = "postrider_tasks_end_seconds";
const ATTEMPTS: &str = "postrider_tasks_attempts";
const ATTEMPT_SECONDS: &str = "postrider_tasks_attempt_seconds";
const FUEL: &str = "postrider_tasks_fuel";
const OUTPUTS: &str = "postrider_tasks_outputs";
const BACKLOG: &str = "postrider_tasks_backlog";
const RUNNING: &str = "postrider_tasks_running";
const LEASES_LOST: &str = "postrider_tasks_leases_lost";
const FOUND: &str = "postrider_tasks_found";
const PURGED: &str = "postrider_tasks_purged";
const ENRICHED: &str = "postrider_enrichment_ended";
const ENRICHMENT_SECONDS: &str = "postrider_enrichment_seconds";
const SANDBOX_WAITING: &str = "postrider_sandbox_waiting";
const LOOKUPS: &str = "postrider_executor_module_lookups";
const IN_FLIGHT: &str = "postrider_executor_in_flight_records";
const IN_FLIGHT_BYTES: &str = "postrider_executor_in_flight_bytes";
const PAUSES: &str = "postrider_executor_pauses";
const ENGINE_FAILURES: &str = "postrider_executor_engine_failures";
const GAVE_UP: &str = "postrider_executor_records_given_up";
const FIRED: &str = "postrider_schedules_fired";
const LAG_SECONDS: &str = "postrider_schedules_lag_seconds";
const LEADS: &str = "postrider_schedules_leads";

/// Describes them, and shows gauges, and the counters that alerts watch, before anything happened.
pub(crate) fn describe() {
    describe_counter!(ENDED, "tasks that came to an end, by state and failure");
    describe_histogram!(END_SECONDS, Unit::Seconds, "from acceptance to the end of a task, by state");
    describe_counter!(ATTEMPTS, "attempts in the sandbox, by what they are for and how they ended");
    describe_histogram!(ATTEMPT_SECONDS, Unit::Seconds, "an attempt, by what it is for");
    describe_counter!(FUEL, "fuel burnt by attempts, by what they are for");
    describe_counter!(OUTPUTS, "notifications appended for what tasks answered");
    describe_gauge!(BACKLOG, "tasks in the store that are not at an end, by state, up to 100000");
    describe_gauge!(RUNNING, "tasks that have a place to run");
    describe_counter!(LEASES_LOST, "attempts that were another instance's before they ended");
    describe_counter!(FOUND, "tasks found in the store that somebody should run");
    describe_counter!(PURGED, "tasks forgotten after their retention");
    describe_counter!(ENRICHED, "notifications that were to be enriched, by result");
    describe_histogram!(
        ENRICHMENT_SECONDS,
        Unit::Seconds,
        "from acceptance until what is delivered is on the log, by result"
    );
    describe_gauge!(SANDBOX_WAITING, "attempts that wait for their turn in the sandbox");
    describe_counter!(LOOKUPS, "questions to the store which module is meant, by result");
    describe_gauge!(IN_FLIGHT, "records that wait or are acted on, by group and partition");
    describe_gauge!(IN_FLIGHT_BYTES, Unit::Bytes, "bytes that wait or are acted on, by group and partition");
    describe_counter!(PAUSES, "times fetching paused because too much was in flight, by group");
    describe_counter!(ENGINE_FAILURES, "calls that an engine did not answer, by engine");
    describe_counter!(GAVE_UP, "records left unfinished when a partition was given up, by group");
    describe_counter!(FIRED, "times of schedules, by what became of them");
    describe_histogram!(LAG_SECONDS, Unit::Seconds, "from the time of a schedule to its record on the log");
    describe_gauge!(LEADS, "whether this executor fires schedules");
    gauge!(LEADS).set(0.0);
    gauge!(RUNNING).set(0.0);
    gauge!(SANDBOX_WAITING).set(0.0);
    counter!(ENDED, "state" => TaskState::Completed.as_str(), "failure" => "none").increment(0);
    counter!(ENDED, "state" => TaskState::Cancelled.as_str(), "failure" => "none").increment(0);
    for failure in plan::CODES {
        counter!(ENDED, "state" => TaskState::Failed.as_str(), "failure" => failure).increment(0);
    }
    counter!(LEASES_LOST).increment(0);
    for engine in ["log", "store"] {
        counter!(ENGINE_FAILURES, "engine" => engine).increment(0);
    }
}

/// Where what happens to the executor's groups is counted.
pub(crate) const COUNTS: Counts = Counts { paused, away: log_away };

fn paused(group: &'static str) {
    counter!(PAUSES, "group" => group).increment(1);
}

pub(crate) fn log_away() {
    engine_failure("log");
}

pub(crate) fn engine_failure(engine: &'static str) {
    counter!(ENGINE_FAILURES, "engine" => engine).increment(1);
}

pub(crate) fn gave_up(group: &'static str, records: usize) {
    counter!(GAVE_UP, "group" => group).increment(records as u64);
}

pub(crate) fn in_flight(group: &'static str, partition: PartitionId, records: usize, bytes: usize) {
    gauge!(IN_FLIGHT, "group" => group, "partition" => partition.to_string()).set(records as f64);
    gauge!(IN_FLIGHT_BYTES, "group" => group, "partition" => partition.to_string()).set(bytes as f64);
}

/// A task is at its end. `failure` is `none` unless it failed.
pub(crate) fn ended(state: TaskState, failure: &'static str, took: Duration) {
    counter!(ENDED, "state" => state.as_str(), "failure" => failure).increment(1);
    histogram!(END_SECONDS, "state" => state.as_str()).record(took.as_secs_f64());
}

/// What an attempt is for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose {
    Task,
    Enrichment,
}

impl Purpose {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Task => "task",
            Self::Enrichment => "enrichment",
        }
    }
}

/// An attempt in the sandbox. `outcome` is `done`, `retry`, `rejected` or a failure's code.
pub(crate) fn attempt(purpose: Purpose, outcome: &'static str, took: Duration, usage: Usage) {
    let purpose = purpose.as_str();
    counter!(ATTEMPTS, "for" => purpose, "outcome" => outcome).increment(1);
    histogram!(ATTEMPT_SECONDS, "for" => purpose).record(took.as_secs_f64());
    counter!(FUEL, "for" => purpose).increment(usage.fuel);
}

pub(crate) fn outputs(count: usize) {
    counter!(OUTPUTS).increment(count as u64);
}

pub(crate) fn backlog(counts: [u64; 3]) {
    for (state, count) in
        [TaskState::Pending, TaskState::Running, TaskState::Retrying].into_iter().zip(counts)
    {
        gauge!(BACKLOG, "state" => state.as_str()).set(count as f64);
    }
}

pub(crate) fn running(tasks: usize, waiting: usize) {
    gauge!(RUNNING).set(tasks as f64);
    gauge!(SANDBOX_WAITING).set(waiting as f64);
}

pub(crate) fn lease_lost() {
    counter!(LEASES_LOST).increment(1);
}

pub(crate) fn found(tasks: usize) {
    counter!(FOUND).increment(tasks as u64);
}

pub(crate) fn purged(tasks: u64) {
    counter!(PURGED).increment(tasks);
}

/// `result` is `enriched`, `filtered`, `plain`, `expired` or `dead_lettered`.
pub(crate) fn enriched(result: &'static str, took: Duration) {
    counter!(ENRICHED, "result" => result).increment(1);
    histogram!(ENRICHMENT_SECONDS, "result" => result).record(took.as_secs_f64());
}

/// `result` is `answered`, `last_known` or a failure's code.
pub(crate) fn module_lookup(result: &'static str) {
    counter!(LOOKUPS, "result" => result).increment(1);
}

/// How a time of a schedule came to fire.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fired {
    OnTime,
    Missed,
}

/// A time of a schedule has its record on the log, `lag` after it.
pub(crate) fn schedule_fired(how: Fired, lag: Duration) {
    let result = match how {
        Fired::OnTime => "on_time",
        Fired::Missed => "made_up",
    };
    counter!(FIRED, "result" => result).increment(1);
    histogram!(LAG_SECONDS).record(lag.as_secs_f64());
}

/// Records that the log never takes.
pub(crate) fn schedule_refused(count: u64) {
    if count > 0 {
        counter!(FIRED, "result" => "refused").increment(count);
    }
}

/// Times that do not fire, counted once for each look at a schedule.
pub(crate) fn schedule_not_fired(skipped: bool, broken: bool) {
    if skipped {
        counter!(FIRED, "result" => "skipped").increment(1);
    }
    if broken {
        counter!(FIRED, "result" => "broken").increment(1);
    }
}

/// Whether this executor has the lease of who fires.
pub(crate) fn schedules_lead(leads: bool) {
    gauge!(LEADS).set(if leads { 1.0 } else { 0.0 });
}
