//! A session and the client behind it, who takes whatever is sent and acknowledges when told to.

use std::sync::Arc;
use std::time::Duration;

use postrider_distributor::session::{
    Acknowledging, Frame, Input, Limits, Opening, Output, Session, StreamId,
};
use shared::clock::Timestamp;
use shared::delivery::Verdict;
use shared::notification::Notification;
use shared::position::{Cursor, Epoch};
use shared::registry::{Flag, FlagReading};
use shared::store::{Page, StoredRow};

use super::sample;

/// How far `parked` has to be drained, and is.
const DRAINED: u64 = 10;

/// When everything happens.
pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_763_700_000_000);

/// As by default, with room for the batches that are measured.
const LIMITS: Limits = Limits {
    window: 256,
    gate_records: 256,
    gate_bytes: 1 << 20,
    page_rows: 256,
    refusals: 8,
    ack_deadline: Duration::from_secs(10),
    grace: Duration::from_secs(5),
    retry: Duration::from_secs(1),
};

/// Notifications for one recipient, one after the other.
pub(crate) struct Producer(u64);

impl Producer {
    pub(crate) fn new() -> Self {
        Self(0)
    }

    pub(crate) fn next(&mut self) -> Forwarded {
        self.0 += 1;
        (self.0, Arc::new(sample::notification(sample::recipient(1), self.0)))
    }

    pub(crate) fn batch(&mut self, count: u64) -> Vec<Forwarded> {
        (0..count).map(|_| self.next()).collect()
    }

    pub(crate) fn page(&mut self, count: u64) -> Page {
        let row = |(offset, notification): Forwarded| StoredRow {
            position: sample::position(offset),
            notification: Arc::unwrap_or_clone(notification),
        };
        let rows = self.batch(count).into_iter().map(row).collect();
        Page { rows, archived_upto: DRAINED, ..Page::default() }
    }
}

/// A notification and its offset.
pub(crate) type Forwarded = (u64, Arc<Notification>);

/// See the file.
pub(crate) struct Client {
    session: Session,
    outputs: Vec<Output>,
    /// The last sequence number that was sent.
    sent: u64,
    acknowledged: u64,
    verdicts: u64,
}

/// A session that has nothing to wait for.
pub(crate) fn live() -> Session {
    opened(Flag::Clean)
}

fn opened(flag: Flag) -> Session {
    let mut session = Session::open(Opening {
        partition: sample::PARTITION,
        cursor: Cursor::start(Epoch(1), sample::PARTITION),
        acknowledging: Acknowledging::Explicit,
        limits: Arc::new(LIMITS),
    });
    let reading = FlagReading { flag, version: 1, flagged_upto: Some(DRAINED) };
    let mut outputs = Vec::new();
    for input in [Input::Tick, Input::Registered, Input::ParkedEnd(DRAINED), Input::Flag(Some(reading))] {
        session.step(input, NOW, &mut outputs);
    }
    session
}

impl Client {
    fn new(session: Session) -> Self {
        Self { session, outputs: Vec::new(), sent: 0, acknowledged: 0, verdicts: 0 }
    }

    /// Whose session has nothing to wait for.
    pub(crate) fn live() -> Self {
        Self::new(live())
    }

    /// Whose session has asked for a page of the store.
    pub(crate) fn draining() -> Self {
        Self::new(opened(Flag::Backlog))
    }

    fn step(&mut self, input: Input) {
        self.session.step(input, NOW, &mut self.outputs);
        for output in self.outputs.drain(..) {
            match output {
                Output::Send(Frame::Notification { seq, .. }) => self.sent = seq,
                Output::Verdict { verdict: Verdict::Acknowledged, .. } => self.verdicts += 1,
                Output::Verdict { .. } | Output::GateFull => panic!("{output:?}"),
                _ => {}
            }
        }
    }

    pub(crate) fn forward(&mut self, (offset, notification): Forwarded) {
        let position = sample::position(offset);
        self.step(Input::Record { stream: StreamId(1), position, parked_upto: 1, notification });
    }

    pub(crate) fn page(&mut self, page: Page) {
        self.step(Input::Page(Some(page)));
    }

    /// Acknowledges so many more of those that were sent.
    pub(crate) fn acknowledge(&mut self, more: u64) {
        self.acknowledged += more;
        assert!(self.acknowledged <= self.sent, "{} of {}", self.acknowledged, self.sent);
        self.step(Input::Acknowledge { seq: self.acknowledged });
    }

    /// How many directors' records were answered.
    pub(crate) fn verdicts(&self) -> u64 {
        self.verdicts
    }
}
