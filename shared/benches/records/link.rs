//! Frames between director and distributor, to bytes and back. A batch is one message of the stream, as both sides make it.

use bytes::{Bytes, BytesMut};
use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use prost::Message as _;
use shared::delivery::{SessionId, Verdict};
use shared::link::{Forwarded, read_verdict, record, verdict, wire};

use super::{BATCH, sample};

fn records() -> wire::ToNode {
    let frame = |number| {
        let notification = sample::notification(sample::recipient(number), number);
        record(SessionId(number), sample::position(number), 7, &notification)
    };
    wire::ToNode { frames: (0..BATCH).map(frame).collect() }
}

fn verdicts() -> wire::ToDirector {
    let frame = |number| verdict(SessionId(number), sample::position(number), &Verdict::Acknowledged);
    wire::ToDirector { verdicts: (0..BATCH).map(frame).collect() }
}

#[divan::bench]
fn frame_of_a_notification(bencher: Bencher<'_, '_>) {
    let notification = sample::notification(sample::recipient(1), 1);
    let position = sample::position(1);
    bencher.bench_local(|| record(SessionId(1), position, 7, black_box(&notification)));
}

#[divan::bench(counters = [ItemsCount::new(BATCH)])]
fn frames_encode_batch_of_100(bencher: Bencher<'_, '_>) {
    let batch = records();
    let mut buffer = BytesMut::new();
    bencher.bench_local(|| {
        buffer.clear();
        black_box(&batch).encode(&mut buffer).unwrap();
    });
}

#[divan::bench(counters = [ItemsCount::new(BATCH)])]
fn frames_decode_batch_of_100(bencher: Bencher<'_, '_>) {
    let bytes = Bytes::from(records().encode_to_vec());
    bencher.bench_local(|| {
        let batch = wire::ToNode::decode(bytes.clone()).unwrap();
        for frame in batch.frames {
            let Some(wire::frame::Body::Record(record)) = frame.body else { continue };
            black_box(Forwarded::try_from(record).unwrap());
        }
    });
}

#[divan::bench(counters = [ItemsCount::new(BATCH)])]
fn verdicts_encode_batch_of_100(bencher: Bencher<'_, '_>) {
    let batch = verdicts();
    let mut buffer = BytesMut::new();
    bencher.bench_local(|| {
        buffer.clear();
        black_box(&batch).encode(&mut buffer).unwrap();
    });
}

#[divan::bench(counters = [ItemsCount::new(BATCH)])]
fn verdicts_decode_batch_of_100(bencher: Bencher<'_, '_>) {
    let bytes = Bytes::from(verdicts().encode_to_vec());
    bencher.bench_local(|| {
        let batch = wire::ToDirector::decode(bytes.clone()).unwrap();
        for frame in batch.verdicts {
            black_box(read_verdict(frame).unwrap());
        }
    });
}
