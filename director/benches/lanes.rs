//! What the director's pure core costs: a record's way through the lanes to its end, with one recipient and many in flight,
//! with room and under pressure (fair shares), and to `parked`; and its whole way, see `lanes/whole.rs`.
//! `just bench-micro` runs it. An iteration is one notification, or a batch where its name says so.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a benchmark fails by panicking")]

#[path = "lanes/partition.rs"]
mod partition;
#[allow(dead_code, reason = "shared with the benchmarks of the other crates, which use all of it")]
#[path = "../../shared/benches/records/sample.rs"]
mod sample;
#[path = "lanes/whole.rs"]
mod whole;

use divan::{AllocProfiler, Bencher};
use postrider_director::Config;
use postrider_director::lane::Settings;
use postrider_director::routing::route;
use shared::group::offsets::Tracker;

use partition::{Partition, SOURCE, record};

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

/// How many are in a batch.
const BATCH: u64 = 100;

/// So many that each has come to an end before it is the same one's turn.
const MANY: u64 = 1_000_000;

fn main() {
    divan::main();
}

/// As by default, with room for whatever is in flight: the cost of pressure is measured apart.
fn roomy() -> Settings {
    let mut settings = Config::default().lanes();
    settings.fairness.records = 1_000_000;
    settings.fairness.bytes = 1 << 40;
    settings
}

fn cycle(bencher: Bencher<'_, '_>, settings: Settings, recipients: u64, depth: u64) {
    let mut partition = Partition::new(settings, recipients, depth);
    let mut next = depth;
    bencher
        .with_inputs(|| {
            next += 1;
            (record(next - 1, recipients), (next - 1) % recipients)
        })
        .bench_local_values(|(record, recipient)| {
            partition.forward(record, recipient);
            partition.acknowledge();
        });
}

#[divan::bench]
fn route_a_fetched_record(bencher: Bencher<'_, '_>) {
    let ticket = Tracker::new(0).take(0).unwrap();
    bencher
        .with_inputs(|| sample::fetched(&sample::notification(sample::recipient(1), 1), 0))
        .bench_local_values(|fetched| route(fetched, ticket, SOURCE));
}

/// Each record for somebody who has no other in flight: a lane comes and goes with it.
#[divan::bench(args = [0, 1_000, 10_000])]
fn lane_comes_and_goes_in_flight(bencher: Bencher<'_, '_>, depth: u64) {
    cycle(bencher, roomy(), MANY, depth);
}

/// All for one recipient, who has so many in flight.
#[divan::bench(args = [1, 32, 1_000])]
fn one_lane_in_flight(bencher: Bencher<'_, '_>, depth: u64) {
    cycle(bencher, roomy(), 1, depth);
}

/// So many recipients take turns, each with two in flight: no lane comes or goes.
#[divan::bench(args = [100, 10_000])]
fn lanes_that_stay(bencher: Bencher<'_, '_>, recipients: u64) {
    cycle(bencher, roomy(), recipients, recipients * 2);
}

/// Four fifths of what may be in flight is, and nobody is above a share, which has to be found for every record.
#[divan::bench(args = [1_000, 10_000])]
fn under_pressure_in_flight(bencher: Bencher<'_, '_>, depth: u64) {
    let mut settings = roomy();
    settings.fairness.records = depth as usize * 5 / 4;
    settings.fairness.pressure_percent = 50;
    cycle(bencher, settings, MANY, depth);
}

/// Recipients who are away: looked up, parked, looked for once more.
#[divan::bench]
fn parked(bencher: Bencher<'_, '_>) {
    let mut partition = Partition::new(roomy(), MANY, 0);
    let mut next = 0;
    bencher
        .with_inputs(|| {
            next += 1;
            record(next - 1, MANY)
        })
        .bench_local_values(|record| partition.park(record));
}
