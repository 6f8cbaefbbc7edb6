//! The executor on embedded engines: what becomes of records that ask for tasks, and of those that are to be enriched.

#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "tasks/embedded.rs"]
mod engines;
#[path = "tasks/enrichment.rs"]
mod enrichment;
#[path = "tasks/guests.rs"]
mod guests;
#[path = "tasks/interference.rs"]
mod interference;
#[path = "tasks/loss.rs"]
mod loss;
#[path = "tasks/running.rs"]
mod running;
#[path = "tasks/shelf.rs"]
mod shelf;
#[path = "tasks/stage.rs"]
mod stage;

const ALICE: &str = "acme/alice";
const BOB: &str = "acme/bob";
