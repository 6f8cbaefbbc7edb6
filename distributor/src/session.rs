//! The session: one client's connection to its notifications, as a pure state machine. Whoever drives it hands in an
//! [`Input`] and the time, and carries out every [`Output`] in order; nothing here waits, reads a clock or touches a
//! socket. `hub.rs` drives it in production, the property tests drive it through random interleavings.
//!
//! It keeps promise 3 (stored before new, positions strictly increasing) by merging two sources by position: pages of
//! the store, and the gate of forwarded records. A record leaves only when nothing stored below its own position is
//! left, proved up to its `parked_upto` by the flag or by the store.
//!
//! - `interface.rs`: the words; `gate.rs`: forwarded records that wait; `window.rs`: frames that were sent;
//!   `drain.rs`: proofs, pages, the next question; `merge.rs`: what is sent next; `ending.rs`: how a frame ends.
//! - **Positions sent are strictly increasing**, with one exception that the client asks for: a notification it refused
//!   for now (`nack` with "retry later") comes again after `retry`, under a new sequence number, and nothing else is sent
//!   before it. Frames after it that were sent already stay valid and can be acknowledged; the cursor waits for it.
//! - **A record below a position that was sent, and not sent itself**, was ended elsewhere (another session
//!   acknowledged it, and a director that does not know that forwards it again). It is not sent; it waits for the
//!   next frame above it and ends with that one, so the cursor alone decides.
//! - Before its first input a [`Input::Tick`] is due at once: it starts the clock of the handshake, so that a client is
//!   welcomed in time also while the registry is away.

mod drain;
mod ending;
mod gate;
mod interface;
mod merge;
mod window;

use std::sync::Arc;

use shared::clock::Timestamp;
use shared::delivery::Verdict;
use shared::notification::Notification;
use shared::position::{Cursor, Position};
use shared::store::GapRow;

use self::drain::{Drain, Question};
use self::ending::answer;
use self::gate::Gate;
pub use self::interface::{Acknowledging, Frame, Input, Limits, Opening, Output, State, StreamId};
use self::window::{Content, Standing, Waiter, Window};

/// The state machine. [`Session::step`] is its only way forward.
#[derive(Debug)]
pub struct Session {
    limits: Arc<Limits>,
    acknowledging: Acknowledging,
    gate: Gate,
    window: Window,
    drain: Drain,
    welcome_by: Option<Timestamp>,
    welcomed: bool,
    live: bool,
    drained_told: bool,
    drained_count: u64,
    /// The stored gap told last, of each cause.
    told: Vec<GapRow>,
    closed: bool,
}

impl Session {
    /// A session that has just been authenticated, before its route is registered.
    #[must_use]
    pub fn open(opening: Opening) -> Self {
        let Opening { partition, cursor, acknowledging, limits } = opening;
        debug_assert_eq!(cursor.partition, partition, "the transport replaces a cursor of another partition");
        Self {
            acknowledging,
            gate: Gate::new(),
            window: Window::new(limits.window, limits.refusals, cursor),
            drain: Drain::new(limits.retry),
            limits,
            welcome_by: None,
            welcomed: false,
            live: false,
            drained_told: false,
            drained_count: 0,
            told: Vec::new(),
            closed: false,
        }
    }

    /// Takes one input at `now`; appends what must be done to `outputs`, to be carried out in order.
    pub fn step(&mut self, input: Input, now: Timestamp, outputs: &mut Vec<Output>) {
        if self.closed {
            if let Input::Record { stream, position, .. } = input {
                outputs.push(answer(stream, position, Verdict::Gone));
            }
            return;
        }
        if self.welcome_by.is_none() {
            self.welcome_by = Some(now.after(self.limits.retry));
        }
        let page = matches!(input, Input::Page(_)).then_some(Question::Page);
        let answered = page.or(matches!(input, Input::Flag(_)).then_some(Question::Flag));
        self.take(input, now, outputs);
        if !self.closed {
            self.advance(answered, now, outputs);
        }
    }

    fn take(&mut self, input: Input, now: Timestamp, outputs: &mut Vec<Output>) {
        match input {
            Input::Registered => outputs.extend(self.drain.registered().then_some(Output::ReadParkedEnd)),
            Input::RegistryLost => self.drain.registry_lost(),
            Input::ParkedEnd(end) => {
                outputs.extend(self.drain.parked_end(end).then_some(Output::ReadParkedEnd));
            }
            Input::Flag(reading) => self.drain.flag(reading),
            Input::Page(page) => self.drain.page(page),
            Input::FlagCleared { cleared } => self.drain.flag_cleared(cleared),
            Input::Record { stream, position, parked_upto, notification } => {
                self.record((stream, position, parked_upto), notification, now, outputs);
            }
            Input::Poke { parked_upto } => self.drain.poked(parked_upto),
            Input::Resume(stream) => self.gate.resume(stream),
            Input::StreamLost(stream) => {
                self.gate.forget(stream);
                for entry in self.window.entries_mut() {
                    entry.waiting.retain(|waiter| waiter.stream != stream);
                }
            }
            Input::Acknowledge { seq } => self.acknowledge(seq, outputs),
            Input::AcknowledgeCursor(cursor) => self.acknowledge_cursor(cursor, outputs),
            Input::Refuse { seq, rejection } => self.refuse(seq, rejection, now, outputs),
            Input::Flushed { seq } => {
                if self.acknowledging == Acknowledging::Grace {
                    self.window.flushed(seq, now.after(self.limits.grace));
                }
            }
            Input::Tick => self.tick(now, outputs),
            Input::End => self.end(outputs),
        }
    }

    /// Everything that is due at `now` but what [`Session::advance`] looks at anyway.
    fn tick(&mut self, now: Timestamp, outputs: &mut Vec<Output>) {
        if let Some(seq) = self.window.graced(now) {
            self.acknowledge(seq, outputs);
        }
        self.give_up_overdue(now, outputs);
        if self.gate.deadline(self.limits.ack_deadline).is_some_and(|at| at <= now) {
            self.spill_gate(outputs);
        }
        self.send_again(now, outputs);
    }

    /// A director forwards a record.
    fn record(
        &mut self,
        (stream, position, parked_upto): (StreamId, Position, u64),
        notification: Arc<Notification>,
        now: Timestamp,
        outputs: &mut Vec<Output>,
    ) {
        if self.window.acked().covers(position) {
            // Whoever was told that it was refused may have died before it was a dead letter.
            let refusal = self.window.refusal(position);
            let verdict = refusal.map_or(Verdict::Acknowledged, Verdict::Rejected);
            return outputs.push(answer(stream, position, verdict));
        }
        if self.window.passed().covers(position) {
            return self.record_again((stream, position, parked_upto), &notification, now, outputs);
        }
        if self.gate.join(stream, position, parked_upto) {
            return;
        }
        if self.gate.is_behind(stream, parked_upto) || self.window.is_stalled() {
            return self.spill(stream, position, parked_upto, outputs);
        }
        if !self.gate.has_room(&notification, &self.limits) {
            outputs.push(Output::GateFull);
            return self.spill(stream, position, parked_upto, outputs);
        }
        self.gate.admit(stream, position, parked_upto, notification, now);
        if self.gate.head().is_some_and(|(head, _)| head == position) {
            self.drain.ask_at_once();
        }
    }

    /// A record that was sent, or passed over: the frame that answers for it does so to one more stream.
    fn record_again(
        &mut self,
        (stream, position, parked_upto): (StreamId, Position, u64),
        notification: &Notification,
        now: Timestamp,
        outputs: &mut Vec<Output>,
    ) {
        let Some(entry) = self.window.answering(position) else {
            return outputs.push(answer(stream, position, Verdict::Acknowledged));
        };
        let told = matches!(entry.content, Content::Gap { .. }) && notification.is_expired(now);
        let once_known = if told { Verdict::Expired } else { Verdict::Acknowledged };
        let verdict = match entry.standing {
            Standing::Overdue(_) => {
                entry.stored = true;
                return self.spill(stream, position, parked_upto, outputs);
            }
            Standing::Ended(rejection) if entry.position == position => {
                rejection.map_or(once_known, Verdict::Rejected)
            }
            Standing::Sent(_)
            | Standing::Flushed(_)
            | Standing::Outlived(_)
            | Standing::Again
            | Standing::Ended(_) => {
                entry.parked_upto = entry.parked_upto.max(parked_upto);
                let same = |waiter: &Waiter| (waiter.stream, waiter.position) == (stream, position);
                if !entry.waiting.iter().any(same) {
                    entry.waiting.push(Waiter { stream, position, once_known });
                }
                return;
            }
        };
        outputs.push(answer(stream, position, verdict));
    }

    /// Goes as far as what is known allows, then asks for what is not.
    fn advance(&mut self, answered: Option<Question>, now: Timestamp, outputs: &mut Vec<Output>) {
        self.welcome(now, outputs);
        self.merge(now, outputs);
        self.tidy(outputs);
        if !self.window.is_open() {
            return self.drain.pause();
        }
        if !self.welcomed && !self.drain.is_known() {
            return;
        }
        let head = self.gate.head();
        match answered {
            Some(Question::Page) => self.drain.rest(head, now),
            Some(Question::Flag) => self.drain.rest_from_flag(head, now),
            None => {}
        }
        outputs.extend(self.drain.question(head, now).map(|question| match question {
            Question::Flag => Output::ReadFlag,
            Question::Page => {
                Output::ReadPage { from: self.window.passed(), limit: self.limits.page_rows.max(1) }
            }
        }));
    }

    /// Welcomes the client as soon as it is known whether anything is stored, or when that takes too long.
    fn welcome(&mut self, now: Timestamp, outputs: &mut Vec<Output>) {
        let known = self.drain.is_known() && self.drain.is_flag_answered();
        let late = self.welcome_by.is_some_and(|at| at <= now);
        if !self.welcomed && (known || late) {
            self.welcomed = true;
            let stored = !(known && self.drain.is_through(0));
            outputs.push(Output::Send(Frame::Welcome { cursor: self.window.acked(), stored }));
        }
    }

    /// Deletes what a drain left behind the client, and clears the flag.
    fn tidy(&mut self, outputs: &mut Vec<Output>) {
        let acked = self.window.acked();
        let Some(tidying) = self.drain.tidy(acked) else { return };
        let deleted =
            outputs.iter().any(|output| matches!(output, Output::Delete(cursor) if *cursor == acked));
        if tidying.delete && !deleted {
            outputs.push(Output::Delete(acked));
        }
        outputs.extend(tidying.clear.map(|version| Output::ClearFlag { version }));
    }

    /// When [`Input::Tick`] is due next, if ever.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Timestamp> {
        if self.closed {
            return None;
        }
        let welcome = self.welcome_by.or(Some(Timestamp::default())).filter(|_| !self.welcomed);
        let gate = self.gate.deadline(self.limits.ack_deadline);
        [welcome, self.window.deadline(), gate, self.drain.deadline()].into_iter().flatten().min()
    }

    /// The sequence number of the last frame that has one, zero before the first. An acknowledgement beyond it is the
    /// client's mistake: the session ignores it, the transport answers an error.
    #[must_use]
    pub fn last_seq(&self) -> u64 {
        self.window.last_seq()
    }

    /// When the oldest frame was sent that waits for its client's word; `None` when none does.
    #[must_use]
    pub fn oldest_sent(&self) -> Option<Timestamp> {
        self.window.oldest_due().map(|due| due.before(self.limits.ack_deadline))
    }

    /// Content that waits in the gate, in bytes.
    #[must_use]
    pub fn gate_bytes(&self) -> usize {
        self.gate.bytes()
    }

    /// Where it stands.
    #[must_use]
    pub fn state(&self) -> State {
        match (self.closed, self.drain.is_opened(), self.live) {
            (true, _, _) => State::Closed,
            (false, false, _) => State::Handshake,
            (false, true, false) => State::Draining,
            (false, true, true) => State::Live,
        }
    }

    /// How far of `parked` nothing stored is left for it, as far as was proved.
    #[must_use]
    pub fn drained_upto(&self) -> u64 {
        self.drain.proved()
    }

    /// Everything behind it was processed by the client.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        self.window.acked()
    }
}
