//! What the words of the pipeline cost where every notification meets them: the record on the log, the frames between
//! director and distributor, the partition of a key, the tracker of a partition, the packed entry of the registry.
//! `just bench-micro` runs it. The columns of the allocator count one iteration; where an iteration is a batch, its name
//! says so.

#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

#[path = "records/link.rs"]
mod link;
#[path = "records/registry.rs"]
mod registry;
#[allow(dead_code, reason = "shared with the benchmarks of the services, which use all of it")]
#[path = "records/sample.rs"]
mod sample;

use bytes::Bytes;
use divan::counter::ItemsCount;
use divan::{AllocProfiler, Bencher, black_box};
use shared::clock::Timestamp;
use shared::delivery;
use shared::group::offsets::Tracker;
use shared::outcome::End;
use shared::position::{Cursor, Epoch};
use shared::record::outcomes::{self, Outcome};
use shared::record::{decode, encode};
use shared::topic::partition_of;

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

/// How many are in a batch.
const BATCH: u64 = 100;

fn main() {
    divan::main();
}

#[divan::bench]
fn record_encode(bencher: Bencher<'_, '_>) {
    let notification = sample::notification(sample::recipient(1), 1);
    bencher.bench_local(|| encode(black_box(&notification)));
}

#[divan::bench]
fn record_decode(bencher: Bencher<'_, '_>) {
    let entry = encode(&sample::notification(sample::recipient(1), 1));
    bencher.bench_local(|| decode(black_box(&entry)).unwrap());
}

#[divan::bench]
fn record_decode_traced(bencher: Bencher<'_, '_>) {
    let mut notification = sample::notification(sample::recipient(1), 1);
    notification.trace.parent = Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".into());
    notification.metadata = Some(r#"{"campaign":"spring"}"#.into());
    let entry = encode(&notification);
    bencher.bench_local(|| decode(black_box(&entry)).unwrap());
}

fn outcomes() -> Vec<Outcome> {
    let outcome = |number| Outcome {
        offset: number,
        id: sample::notification(sample::recipient(1), number).id,
        end: End::Acknowledged,
        time: Timestamp::from_millis(1_763_700_000_000 + number),
    };
    (0..BATCH).map(outcome).collect()
}

#[divan::bench(counters = [ItemsCount::new(BATCH)])]
fn outcomes_encode_batch_of_100(bencher: Bencher<'_, '_>) {
    let (key, batch) = (Bytes::from_static(b"partition-0-1"), outcomes());
    bencher.bench_local(|| outcomes::encode(key.clone(), Epoch(1), sample::PARTITION, black_box(&batch)));
}

#[divan::bench(counters = [ItemsCount::new(BATCH)])]
fn outcomes_decode_batch_of_100(bencher: Bencher<'_, '_>) {
    let entry =
        outcomes::encode(Bytes::from_static(b"partition-0-1"), Epoch(1), sample::PARTITION, &outcomes());
    bencher.bench_local(|| outcomes::decode(black_box(&entry.payload)).unwrap());
}

#[divan::bench]
fn cursor_encode(bencher: Bencher<'_, '_>) {
    let cursor = Cursor::after(sample::position(123_456_789));
    bencher.bench_local(|| black_box(cursor).encode());
}

#[divan::bench]
fn cursor_decode(bencher: Bencher<'_, '_>) {
    let text = Cursor::after(sample::position(123_456_789)).encode();
    bencher.bench_local(|| Cursor::decode(black_box(&text)).unwrap());
}

/// What routes a record: topics that clients subscribe to are not served, so nothing matches patterns.
#[divan::bench]
fn partition_of_a_key(bencher: Bencher<'_, '_>) {
    let key = sample::recipient(123_456_789).key();
    bencher.bench_local(|| partition_of(black_box(key.as_bytes()), black_box(96)));
}

/// A record is started and the one `behind` records earlier is finished, which is what may be committed next.
#[divan::bench(args = [0, 1_000, 50_000])]
fn tracker_in_order(bencher: Bencher<'_, '_>, behind: u64) {
    let mut tracker = Tracker::new(0);
    let mut waiting: std::collections::VecDeque<_> =
        (0..behind).map(|offset| tracker.take(offset).unwrap()).collect();
    let mut offset = behind;
    bencher.bench_local(|| {
        waiting.push_back(tracker.take(offset).unwrap());
        offset += 1;
        tracker.finish(waiting.pop_front().unwrap())
    });
}

/// A hundred records are started and finished from the last to the first: nothing may be committed before the last step.
#[divan::bench(counters = [ItemsCount::new(BATCH)])]
fn tracker_backwards_batch_of_100(bencher: Bencher<'_, '_>) {
    let mut tracker = Tracker::new(0);
    let mut tickets = Vec::with_capacity(BATCH as usize);
    let mut offset = 0;
    bencher.bench_local(|| {
        tickets.extend((offset..offset + BATCH).filter_map(|offset| tracker.take(offset)));
        offset += BATCH;
        tickets.drain(..).rev().filter_map(|ticket| tracker.finish(ticket)).last()
    });
}
