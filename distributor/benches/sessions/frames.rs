//! Frames to text and back: content that JSON holds as it is, as a string, and not at all; acknowledgements; the event of
//! `text/event-stream`.

use std::sync::Arc;

use bytes::Bytes;
use divan::{Bencher, black_box};
use postrider_distributor::protocol::{ClientFrame, Opened, encode_into};
use postrider_distributor::session::Frame;
use shared::delivery::{NodeId, SessionId, SessionName};
use shared::notification::ContentType;

use super::sample;

#[allow(dead_code, unused_imports, reason = "the transport and its tests use the rest of it")]
#[path = "../../src/sse/encode.rs"]
mod sse;

/// What a session is told of itself.
pub(crate) fn opened() -> Opened {
    let session = SessionName { session: SessionId(0xab), node: Some(NodeId(7)) };
    Opened { session, ping_ms: 25_000, window: 64 }
}

fn frame(content_type: &str) -> Frame {
    let mut notification = sample::notification(sample::recipient(1), 1);
    notification.content_type = ContentType::parse(content_type).unwrap();
    if content_type != "application/json" {
        notification.content = Bytes::from("a".repeat(sample::CONTENT_BYTES));
    }
    Frame::Notification { seq: 7, position: sample::position(41), notification: Arc::new(notification) }
}

#[divan::bench(args = ["application/json", "text/plain", "application/octet-stream"])]
fn frame_encode(bencher: Bencher<'_, '_>, content_type: &str) {
    let (frame, opened) = (frame(content_type), opened());
    let mut text = Vec::new();
    bencher.bench_local(|| {
        text.clear();
        encode_into(black_box(&frame), &opened, &mut text);
    });
}

#[divan::bench]
fn sse_event_encode(bencher: Bencher<'_, '_>) {
    let (frame, opened) = (frame("application/json"), opened());
    let mut chunk = String::new();
    bencher.bench_local(|| {
        chunk.clear();
        sse::event(black_box(&frame), &opened, &mut chunk);
    });
}

#[divan::bench(args = [
    r#"{"frame":"ack","seq":123456}"#,
    r#"{"frame":"nack","seq":123456,"code":"retry-later"}"#,
    r#"{"frame":"ping"}"#,
])]
fn client_frame_decode(bencher: Bencher<'_, '_>, text: &str) {
    assert!(ClientFrame::decode(text).is_ok());
    bencher.bench_local(|| ClientFrame::decode(black_box(text)));
}
