//! Driving sessions: an input steps the machine under its session's lock, and what it wants is carried out at once, in
//! order, without waiting.

use std::collections::VecDeque;
use std::sync::Arc;

use shared::clock::Timestamp;
use shared::delivery::{SessionId, Verdict};
use shared::link::Forwarded;
use shared::position::Cursor;

use super::cell::{Cell, Core};
use super::{Hub, Transport, lock};
use crate::metrics;
use crate::session::{Input, Output, Session, StreamId};
use crate::timers::Timers;

/// What a thread's buffer of outputs may grow to before it is given back.
const KEPT_OUTPUTS: usize = 1024;

thread_local! {
    static OUTPUTS: std::cell::Cell<Vec<Output>> = const { std::cell::Cell::new(Vec::new()) };
}

impl Hub {
    /// Hands an answer or a poke to a session; one that is over ignores it.
    pub(crate) fn input(&self, session: SessionId, input: Input) {
        if let Some(cell) = self.table.get(session) {
            self.step(&cell, input);
        }
    }

    /// Hands over the end of `parked` that was asked for by question `asked`; an older answer proves too little.
    pub(crate) fn parked_end(&self, session: SessionId, asked: u64, end: u64) {
        let Some(cell) = self.table.get(session) else { return };
        let mut core = lock(&cell.core);
        if core.end_asked == asked {
            self.step_locked(&cell, &mut core, Input::ParkedEnd(end));
        }
    }

    /// Hands a forwarded record to its session. One that is not here, or is not of the record's recipient, is gone.
    pub(crate) fn forward(&self, stream: StreamId, session: SessionId, forwarded: Forwarded) {
        let Forwarded { position, parked_upto, notification } = forwarded;
        let cell = self.table.get(session).filter(|cell| *cell.recipient() == notification.recipient);
        if let Some(cell) = cell {
            let mut core = lock(&cell.core);
            if !core.ended {
                let notification = Arc::new(notification);
                let input = Input::Record { stream, position, parked_upto, notification };
                return self.step_locked(&cell, &mut core, input);
            }
        }
        self.verdicts.push(stream, session, position, &Verdict::Gone);
    }

    /// Wakes a session whose deadline, as armed for `armed`, has come.
    pub(crate) fn tick(&self, session: SessionId, armed: Timestamp) {
        let Some(cell) = self.table.get(session) else { return };
        let mut core = lock(&cell.core);
        if core.armed != Some(armed) {
            return;
        }
        core.armed = None;
        if core.session.next_deadline().is_some_and(|deadline| deadline <= self.clock.now()) {
            self.step_locked(&cell, &mut core, Input::Tick);
        } else {
            self.arm(&cell, &mut core);
        }
    }

    /// Steps a session; one that is over ignores it.
    pub(super) fn step(&self, cell: &Cell, input: Input) {
        let mut core = lock(&cell.core);
        self.step_locked(cell, &mut core, input);
    }

    fn step_locked(&self, cell: &Cell, core: &mut Core, input: Input) {
        if core.ended {
            return;
        }
        let mut outputs = OUTPUTS.take();
        let (now, before) = (self.clock.now(), Measured::of(&core.session, &input));
        core.session.step(input, now, &mut outputs);
        before.compare(&core.session, cell.transport(), now);
        for output in outputs.drain(..) {
            self.dispatch(cell, core, output);
        }
        if outputs.capacity() <= KEPT_OUTPUTS {
            OUTPUTS.set(outputs);
        }
        core.spans.acknowledged(core.session.cursor());
        if core.is_ready() {
            core.wake();
        }
        self.arm(cell, core);
    }

    /// Carries out one output without waiting. Called under the session's lock, so that outputs keep their order.
    fn dispatch(&self, cell: &Cell, core: &mut Core, output: Output) {
        match output {
            Output::Send(frame) => {
                metrics::sent(&frame, cell.transport());
                let frame = core.spans.sending(frame, cell.id(), cell.transport());
                core.push(frame);
            }
            Output::Verdict { stream, position, verdict } => {
                core.spans.answered(position, &verdict, cell.id());
                self.verdicts.push(stream, cell.id(), position, &verdict);
            }
            Output::ReadParkedEnd => {
                core.end_asked += 1;
                self.presence.ask_end(cell.partition(), cell.id(), core.end_asked);
            }
            Output::ReadFlag => self.presence.ask_flag(cell.id()),
            Output::ClearFlag { version } => {
                if self.drain.may_clear(cell.recipient(), cell.id(), version) {
                    self.presence.ask_clear(cell.id(), version);
                }
            }
            Output::ReadPage { from, limit } => self.drain.ask_page(cell.id(), from, limit),
            Output::Delete(cursor) => self.drain.ask_delete(cell.recipient(), cursor),
            Output::Reject { position, notification, rejection } => {
                core.spans.refused(position);
                self.drain.reject(position, notification, rejection);
            }
            Output::Probe => core.probe = true,
            Output::GateFull => metrics::gate_full(),
        }
    }

    fn arm(&self, cell: &Cell, core: &mut Core) {
        let Some(deadline) = core.session.next_deadline() else { return };
        let slot = Timers::slot(deadline);
        if core.armed.is_none_or(|armed| slot < armed) {
            core.armed = Some(slot);
            self.timers.arm(slot, cell.id());
        }
    }

    /// Ends a session, once.
    pub(super) fn end(&self, cell: &Cell) {
        {
            let mut core = lock(&cell.core);
            if core.ended {
                return;
            }
            self.step_locked(cell, &mut core, Input::End);
            core.ended = true;
            core.outbox = VecDeque::new();
            core.spans.close();
            core.wake();
        }
        if self.table.remove(cell) {
            self.presence.remove(cell.recipient(), cell.id());
            metrics::session_ended(cell.transport());
        }
    }
}

/// What is measured of a step: how it stood before.
struct Measured {
    gate_bytes: usize,
    cursor: Cursor,
    /// When the oldest frame was sent that an acknowledgement may be for.
    sent: Option<Timestamp>,
}

impl Measured {
    fn of(session: &Session, input: &Input) -> Self {
        let acknowledges = matches!(input, Input::Acknowledge { .. } | Input::AcknowledgeCursor(_));
        let sent = if acknowledges { session.oldest_sent() } else { None };
        Self { gate_bytes: session.gate_bytes(), cursor: session.cursor(), sent }
    }

    fn compare(self, session: &Session, transport: Transport, now: Timestamp) {
        if session.gate_bytes() != self.gate_bytes {
            metrics::gate_changed(self.gate_bytes, session.gate_bytes());
        }
        if let Some(sent) = self.sent
            && session.cursor() != self.cursor
        {
            metrics::acknowledged(transport, now.since(sent));
        }
    }
}
