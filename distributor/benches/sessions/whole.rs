//! The way of a notification through a distributor, but for the sockets and the lookup of the session: bytes of a
//! director's batch to frames of a hundred sessions, and their acknowledgements to the bytes of the verdicts.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use postrider_distributor::protocol::{ClientFrame, encode_into};
use postrider_distributor::session::{Input, Output, Session, StreamId};
use prost::Message as _;
use shared::delivery::SessionId;
use shared::link::{self, Forwarded, wire};

use super::client::{NOW, live};
use super::{BATCH, frames, sample};

/// What the director sends: the next record of each session.
fn records(round: u64) -> Bytes {
    let frame = |session| {
        let notification = sample::notification(sample::recipient(session), round);
        link::record(SessionId(session), sample::position(round * BATCH + session), 1, &notification)
    };
    wire::ToNode { frames: (0..BATCH).map(frame).collect() }.encode_to_vec().into()
}

/// To the text of the frames, in a buffer that all connections share.
fn out(sessions: &mut [Session], bytes: Bytes, outputs: &mut Vec<Output>, text: &mut Vec<u8>) {
    let opened = frames::opened();
    for frame in wire::ToNode::decode(bytes).unwrap().frames {
        let Some(wire::frame::Body::Record(record)) = frame.body else { panic!("no record") };
        let Forwarded { position, parked_upto, notification } = Forwarded::try_from(record).unwrap();
        let notification = Arc::new(notification);
        let input = Input::Record { stream: StreamId(1), position, parked_upto, notification };
        sessions[frame.session as usize].step(input, NOW, outputs);
        for output in outputs.drain(..) {
            let Output::Send(frame) = output else { panic!("{output:?}") };
            text.clear();
            encode_into(&frame, &opened, text);
            black_box(&text);
        }
    }
}

/// From the text of the acknowledgements.
fn back(sessions: &mut [Session], text: &str, outputs: &mut Vec<Output>, stream: &mut BytesMut) {
    let mut verdicts = Vec::with_capacity(sessions.len());
    for (session, number) in sessions.iter_mut().zip(0..) {
        let Ok(ClientFrame::Ack { seq, .. }) = ClientFrame::decode(text) else { panic!("{text}") };
        session.step(Input::Acknowledge { seq }, NOW, outputs);
        for output in outputs.drain(..) {
            let Output::Verdict { position, verdict, .. } = output else { panic!("{output:?}") };
            verdicts.push(link::verdict(SessionId(number), position, &verdict));
        }
    }
    assert_eq!(verdicts.len(), sessions.len());
    stream.clear();
    wire::ToDirector { verdicts }.encode(stream).unwrap();
}

#[divan::bench(counters = [ItemsCount::new(BATCH)])]
fn from_link_to_verdict_batch_of_100(bencher: Bencher<'_, '_>) {
    let mut sessions: Vec<Session> = (0..BATCH).map(|_| live()).collect();
    let (mut outputs, mut written, mut stream) = (Vec::new(), Vec::new(), BytesMut::new());
    let mut round = 0;
    bencher
        .with_inputs(|| {
            round += 1;
            (records(round), format!(r#"{{"frame":"ack","seq":{round}}}"#))
        })
        .bench_local_values(|(bytes, text)| {
            out(&mut sessions, bytes, &mut outputs, &mut written);
            back(&mut sessions, &text, &mut outputs, &mut stream);
        });
}
