//! The merge: what is sent next. The lower of the page's next item and the gate's head goes out; a head that is above
//! no item goes out when a proof lets it. Everything else in the session only changes what stands in these two.

use std::sync::Arc;

use shared::clock::Timestamp;
use shared::delivery::Verdict;
use shared::notification::Notification;
use shared::position::Position;
use shared::store::{GapCause, GapRow};

use super::Session;
use super::drain::Item;
use super::gate::Gated;
use super::interface::{Frame, Output, StreamId};
use super::window::{Content, Waiter, Waiting};

/// Where the gap of expired positions that may still grow stands in the outputs of this step.
type Growing = Option<usize>;

impl Session {
    /// Sends whatever may be sent.
    pub(super) fn merge(&mut self, now: Timestamp, outputs: &mut Vec<Output>) {
        if !self.welcomed {
            return;
        }
        let mut growing = None;
        while self.window.is_open() {
            let item = self.next_item();
            let head = self.gate.head();
            match (item, head) {
                (Some(item), head) if head.is_none_or(|(position, _)| item <= position) => {
                    let gated = self.gate.take(item);
                    if let Some(item) = self.drain.take() {
                        self.send_item(item, gated, now, &mut growing, outputs);
                    }
                }
                (_, Some((position, parked_upto))) if self.drain.lets_leave(position, parked_upto) => {
                    if self.note_progress(outputs) {
                        growing = None;
                    }
                    if let Some(gated) = self.gate.take(position) {
                        self.send_live(position, gated, now, &mut growing, outputs);
                    }
                }
                _ => break,
            }
        }
        self.next_item();
        self.note_progress(outputs);
    }

    /// The position of the page's next item. An item that was sent before is a stored copy of it.
    fn next_item(&mut self) -> Option<Position> {
        let window = &mut self.window;
        let passed = window.passed();
        self.drain.next_position(passed, |item| {
            if let Some(entry) = window.answering(item.position()) {
                entry.stored = true;
            }
        })
    }

    /// Notes whether anything is left to wait for, and tells the client when nothing is any more. Answers whether it
    /// was told.
    fn note_progress(&mut self, outputs: &mut Vec<Output>) -> bool {
        let through = self.drain.is_through(self.gate.head().map_or(0, |(_, parked_upto)| parked_upto));
        let arrived = through && !self.live;
        self.live = through;
        let tell = arrived && (!self.drained_told || self.drained_count > 0);
        if tell {
            outputs.push(Output::Send(Frame::Drained { count: self.drained_count }));
            (self.drained_told, self.drained_count) = (true, 0);
        }
        tell
    }

    fn send_item(
        &mut self,
        item: Item,
        gated: Option<Gated>,
        now: Timestamp,
        growing: &mut Growing,
        outputs: &mut Vec<Output>,
    ) {
        let position = item.position();
        let parked_upto = gated.as_ref().map_or(0, |gated| gated.parked_upto);
        let waiting: Waiting =
            gated.iter().flat_map(|gated| &gated.streams).map(|stream| has_it(*stream, position)).collect();
        match item {
            Item::Row(position, notification) => {
                self.send_notification(
                    (position, parked_upto, notification),
                    (waiting, true),
                    now,
                    growing,
                    outputs,
                );
            }
            Item::Gap(row) => {
                let GapRow { cause, count, first, last } = self.untold(row);
                let content = Content::Gap { cause, count, first };
                *growing = None;
                self.send((last, parked_upto, content), (waiting, true), now, outputs);
            }
        }
    }

    /// What of a stored gap this session has not told. The store keeps one of each cause, which grows until its client is
    /// past all of it: one that was told and has grown comes whole again.
    fn untold(&mut self, row: GapRow) -> GapRow {
        let told =
            self.told.iter().position(|told| told.cause == row.cause).map(|at| self.told.swap_remove(at));
        self.told.push(row);
        match told {
            Some(told) if row.first <= told.last => {
                GapRow { count: row.count.saturating_sub(told.count), ..row }
            }
            Some(_) | None => row,
        }
    }

    fn send_live(
        &mut self,
        position: Position,
        gated: Gated,
        now: Timestamp,
        growing: &mut Growing,
        outputs: &mut Vec<Output>,
    ) {
        let waiting = gated.streams.iter().map(|stream| has_it(*stream, position)).collect();
        let what = (position, gated.parked_upto, gated.notification);
        self.send_notification(what, (waiting, false), now, growing, outputs);
    }

    /// Sends a notification, or, when it is past its expiry, tells that it will never come: it ends when the client knows.
    fn send_notification(
        &mut self,
        (position, parked_upto, notification): (Position, u64, Arc<Notification>),
        (mut waiting, stored): (Waiting, bool),
        now: Timestamp,
        growing: &mut Growing,
        outputs: &mut Vec<Output>,
    ) {
        if !notification.is_expired(now) {
            *growing = None;
            self.drained_count += u64::from(stored);
            return self.send(
                (position, parked_upto, Content::Notification(notification)),
                (waiting, stored),
                now,
                outputs,
            );
        }
        for waiter in &mut waiting {
            waiter.once_known = Verdict::Expired;
        }
        if let Some(output) = growing.and_then(|at| outputs.get_mut(at))
            && let Some(frame) = self.window.widen_gap(position, parked_upto, (&mut waiting, stored))
        {
            *output = Output::Send(frame);
            return;
        }
        let content = Content::Gap { cause: GapCause::Expired, count: 1, first: position };
        *growing = Some(outputs.len());
        self.send((position, parked_upto, content), (waiting, stored), now, outputs);
    }

    fn send(
        &mut self,
        (position, parked_upto, content): (Position, u64, Content),
        owed: (Waiting, bool),
        now: Timestamp,
        outputs: &mut Vec<Output>,
    ) {
        let overdue_at = now.after(self.limits.ack_deadline);
        let frame = self.window.push(position, parked_upto, content, owed, overdue_at);
        outputs.push(Output::Send(frame));
    }
}

/// Who waits for the client to have what stands at `position`.
fn has_it(stream: StreamId, position: Position) -> Waiter {
    Waiter { stream, position, once_known: Verdict::Acknowledged }
}
