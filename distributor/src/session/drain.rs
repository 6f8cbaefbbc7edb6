//! What a session knows of the stored: how far it must drain, how far it is proved, the page it is sending, and the
//! question it asks next. Two proofs serve alike: a clean flag with `flagged_upto`, or a page read to its end with
//! `archived_upto`; both are about offsets of `parked` and stay valid whatever happens later.
//!
//! One question at a time. When the answers do not suffice (the archiver lags, an engine is away) it asks again
//! after a growing delay, so there is always either an answer or a deadline to come. A clean flag whose progress is behind
//! is asked again before the store is: both follow the log by as little, and a store that is away takes its whole deadline
//! to say nothing.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use shared::clock::Timestamp;
use shared::notification::Notification;
use shared::position::{Cursor, Position};
use shared::registry::{Flag, FlagReading};
use shared::store::{GapRow, Page};

/// Ceiling of the delay between two rounds of questions: an archiver that lags is asked twice in its 4 s at worst.
const RETRY_CAP: Duration = Duration::from_secs(2);
/// How often a clean flag that is behind is asked again before the store is.
const FLAG_AGAIN: u32 = 5;
/// What part of a retry the first of these waits; each next one waits twice as long. A flag is behind by as long as its
/// stage of the archiver needs for a batch.
const FLAG_AGAIN_PART: u32 = 8;

/// What is known of the end of `parked`, which must have been read after the route was registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Unknown,
    Asked,
    /// Asked before the route was registered again: to be asked again.
    AskedTooEarly,
    Known,
}

/// What is asked of an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Question {
    Flag,
    Page,
}

/// What a page brought.
#[derive(Debug)]
pub(super) enum Item {
    Row(Position, Arc<Notification>),
    Gap(GapRow),
}

impl Item {
    /// Where it is merged: a gap at its end.
    pub(super) fn position(&self) -> Position {
        match self {
            Self::Row(position, _) => *position,
            Self::Gap(gap) => gap.last,
        }
    }
}

/// A page that is being sent.
#[derive(Debug)]
struct Loaded {
    items: VecDeque<Item>,
    /// Above it the store has rows that are not in the page; `None`: they are all here.
    horizon: Option<Position>,
    archived_upto: u64,
    /// The version at which the flag may be cleared once all of this is behind the client.
    clears: Option<u64>,
}

/// A page was sent to its end. Once everything sent by then is behind the client, nothing of it is worth storing.
#[derive(Debug)]
struct Conclusion {
    after: Cursor,
    archived_upto: u64,
    clears: Option<u64>,
}

/// What to do when a conclusion comes true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tidying {
    /// Whether to delete what is behind the client: what was parked after the client had it is found only so.
    pub(super) delete: bool,
    /// The version at which to clear the flag.
    pub(super) clear: Option<u64>,
}

/// See the file's description.
#[derive(Debug)]
pub(super) struct Drain {
    registered: bool,
    end: End,
    /// Whether `end` was ever known.
    opened: bool,
    need: u64,
    proved: u64,
    asked: Option<Question>,
    /// Whether the flag was asked in this round already.
    flag_tried: bool,
    /// How often it was asked again, being clean and behind, since all was proved or the store was found away.
    flag_again: u32,
    reading: Option<FlagReading>,
    page: Option<Box<Loaded>>,
    /// Whether the store is known to have rows beyond what was read.
    more: bool,
    /// Whether to look once more although all is proved: the flag may be waiting to be cleared.
    recheck: bool,
    retry: Duration,
    retry_at: Option<Timestamp>,
    attempts: u32,
    /// Whether the store did not answer when it was asked last.
    store_away: bool,
    /// Whether the registry has answered for the flag, or failed to, at all.
    flag_answered: bool,
    concluded: Option<Box<Conclusion>>,
    /// How far the store was read when what is behind the client was deleted last.
    deleted_at: Option<u64>,
}

impl Drain {
    pub(super) fn new(retry: Duration) -> Self {
        Self {
            registered: false,
            end: End::Unknown,
            opened: false,
            need: 0,
            proved: 0,
            asked: None,
            flag_tried: false,
            flag_again: 0,
            reading: None,
            page: None,
            more: false,
            recheck: false,
            retry: retry.max(Duration::from_millis(1)),
            retry_at: None,
            attempts: 0,
            store_away: false,
            flag_answered: false,
            concluded: None,
            deleted_at: None,
        }
    }

    /// The route stands. Answers whether to read the end of `parked` now.
    pub(super) fn registered(&mut self) -> bool {
        self.registered = true;
        let idle = !matches!(self.end, End::Asked | End::AskedTooEarly);
        self.end = if idle { End::Asked } else { End::AskedTooEarly };
        idle
    }

    /// The route is gone from the registry, and what the registry said of flags with it.
    pub(super) fn registry_lost(&mut self) {
        self.registered = false;
        self.reading = None;
        if let Some(concluded) = &mut self.concluded {
            concluded.clears = None;
        }
    }

    /// The end of `parked` is `end`. Answers whether to read it again, since the route was registered after the asking.
    pub(super) fn parked_end(&mut self, end: u64) -> bool {
        self.need = self.need.max(end);
        let again = self.end == End::AskedTooEarly;
        self.end = if again { End::Asked } else { End::Known };
        if !again && !self.opened {
            self.opened = true;
            self.recheck = true;
        }
        self.ask_at_once();
        again
    }

    /// How far `parked` is proved to be drained.
    pub(super) fn proved(&self) -> u64 {
        self.proved
    }

    /// Whether what must be drained first has ever been known.
    pub(super) fn is_opened(&self) -> bool {
        self.opened
    }

    /// Whether what must be drained is known, of the route as it stands.
    pub(super) fn is_known(&self) -> bool {
        self.end == End::Known
    }

    /// Something was parked below `upto`. When that is drained already, the flag says otherwise by now, or did: look again.
    pub(super) fn poked(&mut self, upto: u64) {
        if upto > self.need {
            self.need = upto;
            self.ask_at_once();
        }
        self.recheck |= upto <= self.proved;
    }

    /// The next question need not wait.
    pub(super) fn ask_at_once(&mut self) {
        self.retry_at = None;
        self.attempts = 0;
    }

    /// Takes a reading of the flag.
    pub(super) fn flag(&mut self, reading: Option<FlagReading>) {
        self.asked = None;
        (self.flag_tried, self.flag_answered) = (true, true);
        self.reading = reading;
        let Some(FlagReading { flag, flagged_upto: Some(upto), .. }) = reading else { return };
        if flag == Flag::Backlog && self.recheck {
            // All is proved and something is marked: a deletion may have been lost with its node.
            self.deleted_at = None;
        }
        if flag == Flag::Clean {
            self.proved = self.proved.max(upto);
            self.recheck = false;
        }
    }

    /// Takes a page; what is not above `passed` was sent already and is skipped.
    pub(super) fn page(&mut self, page: Option<Page>) {
        self.asked = None;
        (self.flag_tried, self.store_away) = (false, page.is_none());
        let Some(page) = page else {
            self.flag_again = 0;
            return;
        };
        self.recheck = false;
        let horizon = page.rows.last().filter(|_| page.more).map(|row| row.position);
        let gaps = page.gaps.into_iter().filter(|gap| horizon.is_none_or(|horizon| gap.last <= horizon));
        let rows = page.rows.into_iter().map(|row| Item::Row(row.position, Arc::new(row.notification)));
        let mut items: Vec<Item> = rows.chain(gaps.map(Item::Gap)).collect();
        items.sort_by_key(Item::position);
        let clears = if horizon.is_none() { self.clearable(page.archived_upto) } else { None };
        self.more = horizon.is_some();
        let (items, archived_upto) = (items.into(), page.archived_upto);
        self.page = Some(Box::new(Loaded { items, horizon, archived_upto, clears }));
    }

    /// The version at which the flag may be cleared when the store is drained at `archived_upto`. The reading was taken
    /// before the page: there is one question at a time.
    fn clearable(&self, archived_upto: u64) -> Option<u64> {
        let reading = self.reading.filter(|_| self.registered)?;
        let marked_upto = match reading.flag {
            Flag::Clean => return None,
            Flag::Backlog => reading.version,
            Flag::Unknown => reading.flagged_upto?,
        };
        (archived_upto >= marked_upto).then_some(reading.version)
    }

    /// The position of the next item of the page above `passed`; hands those that are not to `skip`. Concludes the page
    /// when there is none.
    pub(super) fn next_position(&mut self, passed: Cursor, mut skip: impl FnMut(Item)) -> Option<Position> {
        let page = self.page.as_mut()?;
        while let Some(item) = page.items.pop_front_if(|item| passed.covers(item.position())) {
            skip(item);
        }
        if let Some(item) = page.items.front() {
            return Some(item.position());
        }
        if page.horizon.is_none() {
            let (archived_upto, clears) = (page.archived_upto, page.clears);
            self.proved = self.proved.max(archived_upto);
            self.concluded = Some(Box::new(Conclusion { after: passed, archived_upto, clears }));
        }
        self.page = None;
        None
    }

    /// Takes the next item of the page.
    pub(super) fn take(&mut self) -> Option<Item> {
        self.page.as_mut()?.items.pop_front()
    }

    /// Whether a record at `position` that came with `parked_upto` may leave, everything of the page below it being sent:
    /// nothing stored below it is left.
    pub(super) fn lets_leave(&self, position: Position, parked_upto: u64) -> bool {
        let want = self.need.max(parked_upto);
        let by_page = |page: &Loaded| {
            page.archived_upto >= want && page.horizon.is_none_or(|horizon| position < horizon)
        };
        self.is_known() && (self.proved >= want || self.page.as_deref().is_some_and(by_page))
    }

    /// Whether nothing stored is left, up to at least `parked_upto`.
    pub(super) fn is_through(&self, parked_upto: u64) -> bool {
        let want = self.need.max(parked_upto);
        self.is_known() && self.proved >= want && self.page.is_none() && !self.more
    }

    /// Nothing can be sent now, so nothing is asked.
    pub(super) fn pause(&mut self) {
        (self.retry_at, self.attempts, self.flag_tried, self.flag_again) = (None, 0, false, 0);
    }

    /// Whether the registry has answered for the flag, or failed to.
    pub(super) fn is_flag_answered(&self) -> bool {
        self.flag_answered
    }

    /// What to ask now for the sake of the gate's `head`, if anything.
    pub(super) fn question(&mut self, head: Option<(Position, u64)>, now: Timestamp) -> Option<Question> {
        if self.asked.is_some() {
            return None;
        }
        if !self.wants(head) {
            self.pause();
            return None;
        }
        if self.retry_at.is_some_and(|at| at > now) {
            return None;
        }
        self.retry_at = None;
        let page = self.flag_tried || !self.registered || !self.is_known() || self.more;
        self.asked = Some(if page { Question::Page } else { Question::Flag });
        self.asked
    }

    /// The answers of a round are in; when they do not suffice for `head`, the next round waits. A page that says that
    /// there is more does not: the next one is asked for at once.
    pub(super) fn rest(&mut self, head: Option<(Position, u64)>, now: Timestamp) {
        if self.wants(head) && (!self.more || self.store_away) {
            let doubled = self.retry.saturating_mul(2_u32.saturating_pow(self.attempts.min(16)));
            self.retry_at = Some(now.after(doubled.min(RETRY_CAP.max(self.retry))));
            self.attempts = self.attempts.saturating_add(1);
        }
    }

    /// The flag was read. When it is clean and does not reach what `head` needs, it is asked once more before the store is.
    pub(super) fn rest_from_flag(&mut self, head: Option<(Position, u64)>, now: Timestamp) {
        let clean = self.reading.is_some_and(|reading| reading.flag == Flag::Clean);
        if clean && !self.more && self.flag_again < FLAG_AGAIN && self.wants(head) {
            let first = self.retry / FLAG_AGAIN_PART;
            self.retry_at = Some(now.after(first.saturating_mul(1 << self.flag_again)));
            self.flag_again += 1;
            self.flag_tried = false;
        }
    }

    fn wants(&self, head: Option<(Position, u64)>) -> bool {
        if self.more && self.page.is_none() {
            return true;
        }
        match (self.end, head) {
            (End::Known, Some((position, upto))) => self.recheck || !self.lets_leave(position, upto),
            (End::Known, None) => self.recheck || self.proved < self.need,
            (End::Unknown | End::Asked | End::AskedTooEarly, _) => !self.opened,
        }
    }

    /// When to ask again.
    pub(super) fn deadline(&self) -> Option<Timestamp> {
        self.retry_at.filter(|_| self.asked.is_none())
    }

    /// What a page that was sent to its end allows now, the client being at `acked`.
    pub(super) fn tidy(&mut self, acked: Cursor) -> Option<Tidying> {
        if !self.is_through(0) {
            return None;
        }
        let Conclusion { archived_upto, clears, .. } = *self.concluded.take_if(|concluded| {
            (concluded.after.epoch, concluded.after.next) <= (acked.epoch, acked.next)
        })?;
        let delete = acked.next > 0 && self.deleted_at.is_none_or(|upto| upto < archived_upto);
        if delete {
            self.deleted_at = Some(archived_upto);
        }
        Some(Tidying { delete, clear: clears.filter(|_| self.registered) })
    }

    /// The flag was cleared, or had moved on.
    pub(super) fn flag_cleared(&mut self, cleared: bool) {
        self.reading =
            self.reading.filter(|_| cleared).map(|reading| FlagReading { flag: Flag::Clean, ..reading });
    }
}
