//! A session driven by hand: one input at a time, outputs as short words.

use postrider_distributor::session::{Frame, Input, Opening, Output, Session, State, StreamId};
use shared::clock::Timestamp;
use shared::registry::{Flag, FlagReading};
use shared::store::{GapRow, Page, StoredRow};

use super::fixture::{at, notification, opening};

/// The expiry of what does not expire.
pub(crate) const NEVER: Timestamp = Timestamp::from_millis(u64::MAX);
pub(crate) const A: StreamId = StreamId(1);
pub(crate) const B: StreamId = StreamId(2);

/// A session with its clock; what it wants is told in short words.
pub(crate) struct Driven {
    pub(crate) session: Session,
    pub(crate) now: Timestamp,
}

impl Driven {
    pub(crate) fn open(opening: Opening) -> Self {
        Self { session: Session::open(opening), now: Timestamp::from_millis(1_000) }
    }

    /// Proved clean up to `end`: live, nothing stored.
    pub(crate) fn live(opening: Opening, end: u64) -> Self {
        let mut driven = Self::open(opening);
        assert_eq!(driven.step(Input::Registered), ["end?"]);
        assert_eq!(driven.step(Input::ParkedEnd(end)), ["flag?"]);
        let told = driven.step(flag(Flag::Clean, 0, end));
        assert_eq!(told, [&format!("welcome {} false", driven.session.cursor().next), "drained 0"]);
        assert_eq!(driven.session.state(), State::Live);
        driven
    }

    /// Has to drain up to `end`; the page is asked for.
    pub(crate) fn draining(opening: Opening, end: u64) -> Self {
        let mut driven = Self::open(opening);
        driven.step(Input::Registered);
        driven.step(Input::ParkedEnd(end));
        let told = driven.step(flag(Flag::Backlog, end, end));
        let next = driven.session.cursor().next;
        assert_eq!(told, [format!("welcome {next} true"), format!("page? {next}")]);
        driven
    }

    pub(crate) fn step(&mut self, input: Input) -> Vec<String> {
        let mut outputs = Vec::new();
        self.session.step(input, self.now, &mut outputs);
        outputs.iter().map(word).collect()
    }

    pub(crate) fn record(&mut self, stream: StreamId, offset: u64, parked_upto: u64) -> Vec<String> {
        self.record_until(stream, offset, parked_upto, NEVER)
    }

    pub(crate) fn record_until(
        &mut self,
        stream: StreamId,
        offset: u64,
        parked_upto: u64,
        expires: Timestamp,
    ) -> Vec<String> {
        let notification = notification(offset, expires);
        self.step(Input::Record { stream, position: at(offset), parked_upto, notification })
    }

    /// Waits until the session's own deadline, and no longer.
    pub(crate) fn wait(&mut self) -> Vec<String> {
        let due = self.session.next_deadline().expect("a deadline");
        let early = Timestamp::from_millis(due.as_millis().saturating_sub(1)).max(self.now);
        if early < due {
            self.now = early;
            assert_eq!(
                self.step(Input::Tick),
                Vec::<String>::new(),
                "a tick before the deadline does nothing"
            );
        }
        self.now = due.max(self.now);
        self.step(Input::Tick)
    }
}

pub(crate) fn word(output: &Output) -> String {
    match output {
        Output::Send(Frame::Welcome { cursor, stored }) => format!("welcome {} {stored}", cursor.next),
        Output::Send(Frame::Notification { seq, position, .. }) => format!("send {seq}:{}", position.offset),
        Output::Send(Frame::Drained { count }) => format!("drained {count}"),
        Output::Send(Frame::Gap { seq, cause, count, first, last }) => {
            format!("gap {seq}:{}-{} {count} {}", first.offset, last.offset, cause.as_str())
        }
        Output::Verdict { stream, position, verdict } => {
            format!("{verdict:?} {} to {}", position.offset, stream.0).to_lowercase()
        }
        Output::ReadParkedEnd => "end?".to_owned(),
        Output::ReadFlag => "flag?".to_owned(),
        Output::ReadPage { from, .. } => format!("page? {}", from.next),
        Output::Delete(cursor) => format!("delete {}", cursor.next),
        Output::ClearFlag { version } => format!("clear {version}"),
        Output::Reject { position, rejection, .. } => {
            format!("reject {} {}", position.offset, rejection.as_str())
        }
        Output::Probe => "probe".to_owned(),
        Output::GateFull => "full".to_owned(),
    }
}

pub(crate) fn flag(flag: Flag, version: u64, upto: u64) -> Input {
    Input::Flag(Some(FlagReading { flag, version, flagged_upto: Some(upto) }))
}

pub(crate) fn page(offsets: &[u64], more: bool, archived_upto: u64) -> Input {
    page_until(
        &offsets.iter().map(|offset| (*offset, NEVER)).collect::<Vec<_>>(),
        more,
        vec![],
        archived_upto,
    )
}

pub(crate) fn page_until(
    rows: &[(u64, Timestamp)],
    more: bool,
    gaps: Vec<GapRow>,
    archived_upto: u64,
) -> Input {
    let row = |(offset, expires): &(u64, Timestamp)| StoredRow {
        position: at(*offset),
        notification: (*notification(*offset, *expires)).clone(),
    };
    Input::Page(Some(Page { rows: rows.iter().map(row).collect(), more, gaps, archived_upto }))
}

/// A session at `next` whose window holds more than a test sends.
pub(crate) fn wide(next: u64) -> Opening {
    let mut opening = opening(next);
    std::sync::Arc::make_mut(&mut opening.limits).window = 8;
    opening
}
