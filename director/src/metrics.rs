//! The director's metrics, every name in one place.

use std::time::Duration;

use metrics::{
    Counter, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};
use shared::delivery::Rejection;
use shared::group::Counts;
use shared::log::groups;
use shared::outcome::{DeadReason, End, ParkReason};
use shared::position::PartitionId;
use shared::store::{GapCause, Settled};

use crate::lane::Sharer;

const ENDED: &str = "postrider_records_ended";
const PARKED: &str = "postrider_director_parked";
const PARKED_RUNS: &str = "postrider_director_parked_runs";
const DEAD: &str = "postrider_director_dead_lettered";
const END_SECONDS: &str = "postrider_director_end_seconds";
const IN_FLIGHT: &str = "postrider_director_in_flight_records";
const IN_FLIGHT_BYTES: &str = "postrider_director_in_flight_bytes";
const OUTCOMES: &str = "postrider_director_outcomes_told";
const OUTCOME_BATCHES: &str = "postrider_director_outcome_batches";
const RETRIES: &str = "postrider_director_retries";
const GAVE_WAY: &str = "postrider_director_gave_way";
const STREAMS: &str = "postrider_director_streams";
const BREAKERS: &str = "postrider_director_breakers_open";
const STREAMS_LOST: &str = "postrider_director_streams_lost";
const COMMIT: &str = "postrider_director_commit_position";
const COMMIT_STALL: &str = "postrider_director_commit_stall_seconds";
const PAUSES: &str = "postrider_director_pauses";
const ENGINE_FAILURES: &str = "postrider_director_engine_failures";
const LOOKUP_SECONDS: &str = "postrider_director_lookup_seconds";
const REGISTRY_AWAY: &str = "postrider_director_registry_away";
const LOOKUPS_SPARED: &str = "postrider_director_lookups_spared";
const GAVE_UP: &str = "postrider_director_records_given_up";
const ARCHIVED: &str = "postrider_archiver_records";
const ARCHIVER_UPTO: &str = "postrider_archiver_position";
const GAPS: &str = "postrider_archiver_gaps";
const SWEPT: &str = "postrider_archiver_swept";
const EXPIRED: &str = "postrider_archiver_expired";
const REQUEUED: &str = "postrider_archiver_requeues";
const REQUEUES_WAITING: &str = "postrider_archiver_requeues_waiting";
const PURGED: &str = "postrider_archiver_dead_letters_purged";
const THROTTLED: &str = "postrider_archiver_throttled";
const UNACCOUNTED: &str = "postrider_unaccounted";
const RECONCILER_BEHIND: &str = "postrider_reconciler_behind_seconds";
const RECONCILER_UPTO: &str = "postrider_reconciler_position";
const RECONCILED: &str = "postrider_reconciler_positions";
const UNJUDGED: &str = "postrider_reconciler_unjudged";
const UNREADABLE: &str = "postrider_reconciler_unreadable";
const RESTARTS: &str = "postrider_archiver_restarts";

/// Describes them, and shows gauges before anything happened.
pub(crate) fn describe() {
    describe_counter!(ENDED, "records that reached their end, by end");
    describe_counter!(PARKED, "records parked, by reason");
    describe_counter!(PARKED_RUNS, "runs that records were parked in; parked by runs is how many a run held");
    describe_counter!(DEAD, "records dead-lettered, by reason");
    describe_histogram!(END_SECONDS, Unit::Seconds, "from acceptance to the end of a record, by end");
    describe_gauge!(IN_FLIGHT, "records that wait or are in flight, by partition");
    describe_gauge!(IN_FLIGHT_BYTES, Unit::Bytes, "bytes that wait or are in flight, by partition");
    describe_counter!(OUTCOMES, "ends handed to the outcomes topic");
    describe_counter!(OUTCOME_BATCHES, "batches of them");
    describe_counter!(RETRIES, "lanes that waited to try again");
    describe_counter!(
        GAVE_WAY,
        "recipients parked early because one was above its share in flight, by whose share"
    );
    describe_gauge!(STREAMS, "streams open to nodes");
    describe_gauge!(BREAKERS, "nodes left alone after repeated failures");
    describe_counter!(STREAMS_LOST, "streams to nodes that ended");
    describe_gauge!(COMMIT, "offset below which everything has ended, by partition");
    describe_gauge!(
        COMMIT_STALL,
        Unit::Seconds,
        "since the commit moved, while something is in flight, by partition"
    );
    describe_counter!(PAUSES, "times fetching paused because too much was in flight, by group");
    describe_counter!(ENGINE_FAILURES, "calls that an engine did not answer, by engine");
    describe_histogram!(LOOKUP_SECONDS, Unit::Seconds, "a batch of route lookups");
    describe_gauge!(REGISTRY_AWAY, "1 while the registry is left alone after repeated failures");
    describe_counter!(LOOKUPS_SPARED, "recipients parked unasked because the registry is left alone");
    describe_counter!(GAVE_UP, "records left unfinished when a partition was given up; they are redelivered");
    describe_counter!(ARCHIVED, "records the archiver moved, by stage");
    describe_gauge!(
        ARCHIVER_UPTO,
        "offset up to which a stage of the archiver has come, by stage and partition"
    );
    describe_counter!(GAPS, "parked records that became a gap, by cause");
    describe_counter!(SWEPT, "recipients marked again because they have stored rows");
    describe_counter!(EXPIRED, "stored rows that expired");
    describe_counter!(REQUEUED, "requeues of dead letters that were settled, by end");
    describe_gauge!(REQUEUES_WAITING, "requeues of dead letters that are asked for, up to 100000");
    describe_counter!(PURGED, "dead letters purged after their retention");
    describe_counter!(THROTTLED, "batches that waited for a stage's rate, by stage");
    describe_counter!(RESTARTS, "times a stage of the archiver started over after a conflict, by stage");
    gauge!(STREAMS).set(0.0);
    gauge!(BREAKERS).set(0.0);
    gauge!(REGISTRY_AWAY).set(0.0);
    show();
}

/// Shows the counters that alerts and dashboards watch before anything happened.
fn show() {
    for end in End::ALL {
        counter!(ENDED, "end" => end.as_str()).increment(0);
    }
    let malformed = DeadReason::Malformed(String::new());
    let too_large = DeadReason::TooLarge(String::new());
    let refused = [Rejection::Refused, Rejection::Undecodable].map(DeadReason::Rejected);
    for reason in refused.iter().chain([&malformed, &too_large, &DeadReason::Misplaced]) {
        counter!(DEAD, "reason" => reason.code()).increment(0);
    }
    for engine in ["log", "registry", "store"] {
        counter!(ENGINE_FAILURES, "engine" => engine).increment(0);
    }
    for group in [groups::DIRECTOR, groups::ARCHIVER_FLAGS, groups::ARCHIVER_ROWS, groups::ARCHIVER_DEAD] {
        counter!(PAUSES, "group" => group).increment(0);
    }
    for sharer in [Sharer::Recipient, Sharer::Tenant, Sharer::Node] {
        counter!(GAVE_WAY, "share" => sharer.as_str()).increment(0);
    }
    for stage in ["flags", "rows", "dead"] {
        counter!(THROTTLED, "stage" => stage).increment(0);
        counter!(RESTARTS, "stage" => stage).increment(0);
    }
    for cause in GapCause::ALL {
        counter!(GAPS, "cause" => cause.as_str()).increment(0);
    }
    counter!(RETRIES).increment(0);
    counter!(STREAMS_LOST).increment(0);
    counter!(LOOKUPS_SPARED).increment(0);
    counter!(GAVE_UP).increment(0);
}

/// Describes what the reconciler shows, and shows it before it looked for the first time.
pub(crate) fn describe_reconciler() {
    describe_gauge!(
        UNACCOUNTED,
        "records committed by the directors of which nothing on the log tells the end"
    );
    describe_gauge!(
        RECONCILER_BEHIND,
        Unit::Seconds,
        "age of the oldest commit, in any partition, that was not compared with the ends on the log"
    );
    describe_gauge!(RECONCILER_UPTO, "offset below which every commit was compared, by partition");
    describe_counter!(RECONCILED, "positions compared");
    describe_counter!(
        UNJUDGED,
        "positions that cannot be accounted for because retention was faster, by reason"
    );
    describe_counter!(UNREADABLE, "records that should tell of ends and cannot be read, by topic");
    gauge!(UNACCOUNTED).set(0.0);
    for reason in ["ends_deleted", "record_deleted"] {
        counter!(UNJUDGED, "reason" => reason).increment(0);
    }
}

pub(crate) fn unaccounted(count: usize) {
    gauge!(UNACCOUNTED).set(count as f64);
}

pub(crate) fn reconciler_behind(behind: Duration) {
    gauge!(RECONCILER_BEHIND).set(behind.as_secs_f64());
}

pub(crate) fn reconciled_upto(partition: PartitionId, upto: u64) {
    gauge!(RECONCILER_UPTO, "partition" => partition.to_string()).set(upto as f64);
}

pub(crate) fn reconciled(positions: u64) {
    counter!(RECONCILED).increment(positions);
}

pub(crate) fn unjudged(reason: &'static str, positions: usize) {
    counter!(UNJUDGED, "reason" => reason).increment(positions as u64);
}

pub(crate) fn unreadable(topic: &'static str) {
    counter!(UNREADABLE, "topic" => topic).increment(1);
}

pub(crate) fn dead_letter_ended() {
    counter!(ENDED, "end" => End::DeadLettered.as_str()).increment(1);
}

/// How records of one partition end: found once, for it is counted for every record.
pub(crate) struct Ends(Vec<(End, Counter, Histogram)>);

impl Ends {
    pub(crate) fn new() -> Self {
        let found = |end: End| {
            (end, counter!(ENDED, "end" => end.as_str()), histogram!(END_SECONDS, "end" => end.as_str()))
        };
        Self(End::ALL.into_iter().map(found).collect())
    }

    pub(crate) fn ended(&self, end: End, took: Duration) {
        if let Some((_, count, seconds)) = self.0.iter().find(|(own, ..)| *own == end) {
            count.increment(1);
            seconds.record(took.as_secs_f64());
        }
    }
}

pub(crate) fn parked(reason: ParkReason) {
    counter!(PARKED, "reason" => reason.as_str()).increment(1);
}

pub(crate) fn parked_runs(runs: usize) {
    counter!(PARKED_RUNS).increment(runs as u64);
}

pub(crate) fn dead_lettered(reason: &DeadReason) {
    counter!(DEAD, "reason" => reason.code()).increment(1);
}

pub(crate) fn outcomes(count: usize) {
    counter!(OUTCOMES).increment(count as u64);
    counter!(OUTCOME_BATCHES).increment(1);
}

pub(crate) fn retry() {
    counter!(RETRIES).increment(1);
}

pub(crate) fn gave_way(sharer: Sharer) {
    counter!(GAVE_WAY, "share" => sharer.as_str()).increment(1);
}

pub(crate) fn in_flight(partition: PartitionId, records: usize, bytes: usize) {
    gauge!(IN_FLIGHT, "partition" => partition.to_string()).set(records as f64);
    gauge!(IN_FLIGHT_BYTES, "partition" => partition.to_string()).set(bytes as f64);
}

pub(crate) fn commit(partition: PartitionId, next: u64) {
    gauge!(COMMIT, "partition" => partition.to_string()).set(next as f64);
}

pub(crate) fn commit_stalled(partition: PartitionId, since: Duration) {
    gauge!(COMMIT_STALL, "partition" => partition.to_string()).set(since.as_secs_f64());
}

/// Where what happens to the director's groups is counted.
pub(crate) const COUNTS: Counts = Counts { paused, away: || engine_failure("log") };

fn paused(group: &'static str) {
    counter!(PAUSES, "group" => group).increment(1);
}

pub(crate) fn streams(open: usize) {
    gauge!(STREAMS).set(open as f64);
}

pub(crate) fn breakers_open(open: usize) {
    gauge!(BREAKERS).set(open as f64);
}

pub(crate) fn stream_lost() {
    counter!(STREAMS_LOST).increment(1);
}

pub(crate) fn engine_failure(engine: &'static str) {
    counter!(ENGINE_FAILURES, "engine" => engine).increment(1);
}

pub(crate) fn lookup(took: Duration) {
    histogram!(LOOKUP_SECONDS).record(took.as_secs_f64());
}

pub(crate) fn registry_away(away: bool) {
    gauge!(REGISTRY_AWAY).set(f64::from(u8::from(away)));
}

pub(crate) fn lookups_spared(recipients: usize) {
    counter!(LOOKUPS_SPARED).increment(recipients as u64);
}

pub(crate) fn gave_up(records: usize) {
    counter!(GAVE_UP).increment(records as u64);
}

pub(crate) fn archived(stage: &'static str, partition: PartitionId, records: usize, upto: u64) {
    counter!(ARCHIVED, "stage" => stage).increment(records as u64);
    gauge!(ARCHIVER_UPTO, "stage" => stage, "partition" => partition.to_string()).set(upto as f64);
}

pub(crate) fn gaps(cause: &'static str, count: u64) {
    counter!(GAPS, "cause" => cause).increment(count);
}

pub(crate) fn swept(recipients: usize) {
    counter!(SWEPT).increment(recipients as u64);
}

pub(crate) fn expired(rows: u64) {
    counter!(EXPIRED).increment(rows);
}

pub(crate) fn requeued(settled: Settled) {
    let end = match settled {
        Settled::Requeued(_) => "requeued",
        Settled::Expired => "expired",
        Settled::Unfit => "unfit",
    };
    counter!(REQUEUED, "end" => end).increment(1);
}

pub(crate) fn requeues_waiting(count: u64) {
    gauge!(REQUEUES_WAITING).set(count as f64);
}

pub(crate) fn dead_letters_purged(count: u64) {
    counter!(PURGED).increment(count);
}

pub(crate) fn throttled(stage: &'static str) {
    counter!(THROTTLED, "stage" => stage).increment(1);
}

pub(crate) fn restarted(stage: &'static str) {
    counter!(RESTARTS, "stage" => stage).increment(1);
}
