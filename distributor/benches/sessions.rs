//! What the distributor's pure core costs: a record's way through a session to its verdict, alone, in a window and
//! through the gate; pages of the store; frames to text and back, for the transports; and its whole way, see
//! `sessions/whole.rs`. `just bench-micro` runs it. An iteration is one notification, or a batch where its name says so.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a benchmark fails by panicking")]

#[path = "sessions/client.rs"]
mod client;
#[path = "sessions/frames.rs"]
mod frames;
#[allow(dead_code, reason = "shared with the benchmarks of the other crates, which use all of it")]
#[path = "../../shared/benches/records/sample.rs"]
mod sample;
#[path = "sessions/whole.rs"]
mod whole;

use divan::counter::ItemsCount;
use divan::{AllocProfiler, Bencher};
// For the encoding of SSE, which is compiled from its source: it is no part of the library's face.
use postrider_distributor::{protocol, session};

use client::{Client, Producer};

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

/// How many are in a batch.
const BATCH: u64 = 100;

fn main() {
    divan::main();
}

/// A record comes, its frame goes out, its acknowledgement comes, its verdict goes out; so many are unacknowledged.
#[divan::bench(args = [0, 16, 60])]
fn record_to_verdict_behind(bencher: Bencher<'_, '_>, behind: u64) {
    let (mut client, mut producer) = (Client::live(), Producer::new());
    producer.batch(behind).into_iter().for_each(|record| client.forward(record));
    bencher.with_inputs(|| producer.next()).bench_local_values(|record| {
        client.forward(record);
        client.acknowledge(1);
    });
}

/// A window of records, and one acknowledgement for all of them.
#[divan::bench(counters = [ItemsCount::new(BATCH)])]
fn acknowledged_at_once_batch_of_100(bencher: Bencher<'_, '_>) {
    let (mut client, mut producer) = (Client::live(), Producer::new());
    bencher.with_inputs(|| producer.batch(BATCH)).bench_local_values(|batch| {
        batch.into_iter().for_each(|record| client.forward(record));
        client.acknowledge(BATCH);
    });
}

/// Records that come while the store is asked, wait in the gate, and leave it when the store is read empty.
#[divan::bench(counters = [ItemsCount::new(BATCH)])]
fn gate_and_merge_batch_of_100(bencher: Bencher<'_, '_>) {
    let inputs = || (Client::draining(), Producer::new().batch(BATCH), Producer::new().page(0));
    bencher.with_inputs(inputs).bench_local_values(|(mut client, batch, page)| {
        batch.into_iter().for_each(|record| client.forward(record));
        client.page(page);
        client.acknowledge(BATCH);
        assert_eq!(client.verdicts(), BATCH);
        client
    });
}

/// A page of the store to its frames, acknowledged at once.
#[divan::bench(counters = [ItemsCount::new(BATCH)])]
fn page_of_100_drained(bencher: Bencher<'_, '_>) {
    let inputs = || (Client::draining(), Producer::new().page(BATCH));
    bencher.with_inputs(inputs).bench_local_values(|(mut client, page)| {
        client.page(page);
        client.acknowledge(BATCH);
        client
    });
}
