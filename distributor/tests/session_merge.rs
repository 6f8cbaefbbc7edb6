//! One director that parks what is spilled, one store, one client that starts at any cursor and now and then wants a
//! notification again: whatever the timing, everything above its cursor is sent, first sights strictly increasing, and
//! every record is answered.

#[path = "session_world/fixture.rs"]
mod fixture;

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use fixture::{at, cursor, notification, opening};
use postrider_distributor::session::{Frame, Input, Output, Session, StreamId};
use proptest::prelude::*;
use shared::clock::Timestamp;
use shared::delivery::Verdict;
use shared::registry::{Flag, FlagReading};
use shared::store::{Page, StoredRow};

const NEVER: Timestamp = Timestamp::from_millis(u64::MAX);
const STREAM: StreamId = StreamId(1);

struct Table {
    session: Session,
    now: Timestamp,
    rows: BTreeSet<u64>,
    parked: u64,
    forwarded: VecDeque<u64>,
    awaited: BTreeSet<u64>,
    spilled: BTreeSet<u64>,
    parking: bool,
    asked: VecDeque<Output>,
    wire: VecDeque<(u64, u64)>,
    highest: Option<u64>,
    refused: BTreeSet<u64>,
    sights: Vec<u64>,
}

impl Table {
    fn input(&mut self, input: Input) -> Result<(), TestCaseError> {
        let mut outputs = Vec::new();
        self.session.step(input, self.now, &mut outputs);
        for output in outputs {
            match output {
                Output::Send(Frame::Notification { seq, position, .. }) => {
                    let offset = position.offset;
                    if !self.refused.remove(&offset) {
                        prop_assert!(self.highest < Some(offset), "{offset} after {:?}", self.highest);
                        self.highest = Some(offset);
                        self.sights.push(offset);
                    }
                    self.wire.push_back((seq, offset));
                }
                Output::Verdict { position, verdict, .. } => {
                    prop_assert!(self.awaited.remove(&position.offset), "{position:?} is answered twice");
                    if verdict == Verdict::Spilled {
                        self.spilled.insert(position.offset);
                    }
                }
                Output::Delete(cursor) => self.rows.retain(|offset| *offset >= cursor.next),
                Output::Send(_) | Output::Probe | Output::GateFull | Output::Reject { .. } => {}
                question => self.asked.push_back(question),
            }
        }
        Ok(())
    }

    fn answer(&mut self) -> Result<(), TestCaseError> {
        let input = match self.asked.pop_front() {
            Some(Output::ReadParkedEnd) => Input::ParkedEnd(self.parked),
            Some(Output::ReadFlag) => {
                let (version, flagged_upto) = (self.parked, Some(self.parked));
                Input::Flag(Some(FlagReading { flag: Flag::Backlog, version, flagged_upto }))
            }
            Some(Output::ReadPage { from, limit }) => {
                let row = |offset: &u64| StoredRow {
                    position: at(*offset),
                    notification: (*notification(*offset, NEVER)).clone(),
                };
                let above = self.rows.range(from.next..);
                let rows: Vec<_> = above.clone().take(limit as usize).map(row).collect();
                let more = above.count() > rows.len();
                Input::Page(Some(Page { rows, more, gaps: Vec::new(), archived_upto: self.parked }))
            }
            Some(Output::ClearFlag { .. }) => Input::FlagCleared { cleared: false },
            _ => return Ok(()),
        };
        self.input(input)
    }

    /// Parks what was spilled, in order: when everything before it has ended.
    fn park(&mut self) {
        while let Some(offset) = self.spilled.first().copied() {
            if self.awaited.first().is_some_and(|awaited| *awaited < offset) {
                return;
            }
            self.spilled.remove(&offset);
            self.rows.insert(offset);
            self.parked += 1;
        }
    }

    /// A lane that parks forwards again when everything in it has ended.
    fn is_parking(&mut self) -> bool {
        self.parking = (self.parking || !self.spilled.is_empty()) && !self.awaited.is_empty();
        self.parking
    }

    fn act(&mut self, choice: u8) -> Result<(), TestCaseError> {
        self.is_parking();
        self.park();
        match choice % 8 {
            0 | 1 | 6 if self.is_parking() => Ok(()),
            0 | 1 => {
                let Some(offset) = self.forwarded.pop_front() else { return Ok(()) };
                self.awaited.insert(offset);
                self.record(offset)
            }
            2 | 3 => self.answer(),
            4 => match self.wire.pop_front() {
                Some((seq, offset)) if choice >= 200 => {
                    self.refused.insert(offset);
                    self.input(Input::Refuse { seq, rejection: None })
                }
                Some((seq, _)) => self.input(Input::Acknowledge { seq }),
                None => Ok(()),
            },
            5 => self.input(Input::Poke { parked_upto: self.parked }),
            6 => match self.awaited.iter().nth(usize::from(choice / 8)).copied() {
                Some(offset) => self.record(offset),
                None => Ok(()),
            },
            _ => {
                self.now = self.now.after(Duration::from_millis(30 * u64::from(choice % 3)));
                let due = self.session.next_deadline().is_some_and(|at| at <= self.now);
                if due { self.input(Input::Tick) } else { Ok(()) }
            }
        }
    }

    fn record(&mut self, offset: u64) -> Result<(), TestCaseError> {
        let (position, parked_upto) = (at(offset), self.parked);
        self.input(Input::Record {
            stream: STREAM,
            position,
            parked_upto,
            notification: notification(offset, NEVER),
        })
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn everything_above_any_cursor_is_sent_in_order_and_every_record_is_answered(
        all in proptest::collection::btree_set(0_u64..40, 0..16),
        (taken, stored) in (0_usize..17, 0_usize..17),
        start in 0_u64..42,
        choices in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        // The first ones are stored; the director takes up at one of them, or just behind them.
        let all: Vec<u64> = all.into_iter().collect();
        let stored = stored.min(all.len());
        let rows: BTreeSet<u64> = all[..stored].iter().copied().collect();
        let forwarded: VecDeque<u64> = all[taken.min(stored)..].iter().copied().collect();
        let expected: Vec<u64> = all.into_iter().filter(|offset| *offset >= start).collect();
        let parked = rows.len() as u64;
        let mut table = Table {
            session: Session::open(opening(start)),
            now: Timestamp::from_millis(1_000),
            rows,
            parked,
            forwarded,
            awaited: BTreeSet::new(),
            spilled: BTreeSet::new(),
            parking: false,
            asked: VecDeque::new(),
            wire: VecDeque::new(),
            highest: None,
            refused: BTreeSet::new(),
            sights: Vec::new(),
        };
        prop_assert_eq!(table.session.cursor(), cursor(start));
        table.input(Input::Registered)?;
        for choice in choices {
            table.act(choice)?;
        }
        for round in 0..600_u16 {
            table.act([0, 2, 4, 5, 7, 2, 4, 23][usize::from(round % 8)])?;
        }
        prop_assert_eq!(&table.sights, &expected);
        prop_assert!(table.awaited.is_empty(), "unanswered: {:?}", table.awaited);
        prop_assert!(table.rows.range(start..).next().is_none(), "left in the store: {:?}", table.rows);
    }
}
