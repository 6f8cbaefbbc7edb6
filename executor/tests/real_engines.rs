//! The same on a real Kafka and a real Postgres. Needs POSTRIDER_TEST_KAFKA_BROKERS and POSTRIDER_TEST_POSTGRES_URL
//! (`scripts/test` sets them).

#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "tasks/real.rs"]
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
