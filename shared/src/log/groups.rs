//! The consumer groups that there are: who names one takes it from here.

use crate::topic::Topic;

/// Directors: they deliver.
pub const DIRECTOR: &str = "director";
/// The archiver's marking of recipients.
pub const ARCHIVER_FLAGS: &str = "archiver-flags";
/// The archiver's storing of rows.
pub const ARCHIVER_ROWS: &str = "archiver-rows";
/// The archiver's keeping of dead letters.
pub const ARCHIVER_DEAD: &str = "archiver-dead";
/// Executors, for tasks.
pub const EXECUTOR_TASKS: &str = "executor.tasks";
/// Executors, for what is enriched before it is delivered.
pub const EXECUTOR_ENRICHMENT: &str = "executor.enrichment";

/// Those whose lag says how far the pipeline is behind, with what each reads.
pub const WATCHED: [(&str, Topic); 6] = [
    (DIRECTOR, Topic::Notifications),
    (ARCHIVER_FLAGS, Topic::Parked),
    (ARCHIVER_ROWS, Topic::Parked),
    (ARCHIVER_DEAD, Topic::Dead),
    (EXECUTOR_TASKS, Topic::Notifications),
    (EXECUTOR_ENRICHMENT, Topic::Notifications),
];
