//! How a frame ends: the client acknowledges or refuses it, its deadline passes, or the session is over. What ends is
//! answered to whoever forwarded it.

use shared::clock::Timestamp;
use shared::delivery::{Rejection, Verdict};
use shared::position::{Cursor, Position};

use super::Session;
use super::interface::{Output, StreamId};
use super::window::{Content, Stall, Standing, Waiter};

impl Session {
    /// The client has processed every frame up to `seq`, but those it wants again.
    pub(super) fn acknowledge(&mut self, seq: u64, outputs: &mut Vec<Output>) {
        if seq > self.window.last_seq() {
            return;
        }
        for entry in self.window.entries_mut().filter(|entry| entry.seq <= seq) {
            match entry.standing {
                Standing::Again | Standing::Ended(_) => {}
                Standing::Sent(_) | Standing::Flushed(_) | Standing::Outlived(_) | Standing::Overdue(_) => {
                    entry.standing = Standing::Ended(None);
                    outputs.extend(entry.waiting.drain(..).map(known));
                }
            }
        }
        self.leave(Jump::Within, outputs);
    }

    /// The client has processed everything behind `cursor`, whoever sent it.
    pub(super) fn acknowledge_cursor(&mut self, cursor: Cursor, outputs: &mut Vec<Output>) {
        let passed = self.window.passed();
        let beyond = (passed.epoch, passed.next) < (cursor.epoch, cursor.next);
        self.window.jump(cursor);
        self.leave(if beyond { Jump::Beyond } else { Jump::Within }, outputs);
        while let Some((position, gated)) = self.gate.take_behind(self.window.acked()) {
            let acknowledged = |stream| answer(stream, position, Verdict::Acknowledged);
            outputs.extend(gated.streams.into_iter().map(acknowledged));
        }
    }

    /// The client refuses the frame it got as `seq`: for good, or, without a rejection, for now.
    pub(super) fn refuse(
        &mut self,
        seq: u64,
        rejection: Option<Rejection>,
        now: Timestamp,
        outputs: &mut Vec<Output>,
    ) {
        let Some(entry) = self.window.by_seq(seq) else { return };
        let Content::Notification(notification) = &entry.content else { return };
        if matches!(entry.standing, Standing::Ended(_) | Standing::Again) {
            return;
        }
        let own = entry.position;
        match rejection {
            Some(rejection) => {
                entry.standing = Standing::Ended(Some(rejection));
                // Whoever waits is told, and may never hear it: what it then parks lies behind the client, and is deleted.
                outputs.push(Output::Reject { position: own, notification: notification.clone(), rejection });
                // What the frame only passed over was not refused: it ends when the cursor moves past it.
                entry.waiting.retain(|waiter| {
                    let refused = waiter.position == own;
                    if refused {
                        outputs.push(answer(waiter.stream, own, Verdict::Rejected(rejection)));
                    }
                    !refused
                });
                self.leave(Jump::Within, outputs);
            }
            None => {
                entry.standing = Standing::Again;
                entry.stored = true;
                let (spilled, upto) = (std::mem::take(&mut entry.waiting), entry.parked_upto);
                for Waiter { stream, position, .. } in spilled {
                    self.spill(stream, position, upto, outputs);
                }
                self.window.hold_until(now.after(self.limits.retry));
            }
        }
    }

    /// Frames whose deadline passed: the records go back to their directors, and with them everything that waits in the
    /// gate, since it would come behind them.
    pub(super) fn give_up_overdue(&mut self, now: Timestamp, outputs: &mut Vec<Output>) {
        let Some(stall) = self.window.mark_overdue(now) else { return };
        let mut spilled = Vec::new();
        for entry in self.window.entries_mut().filter(|entry| matches!(entry.standing, Standing::Overdue(_)))
        {
            entry.stored |= !entry.waiting.is_empty();
            let upto = entry.parked_upto;
            spilled.extend(entry.waiting.drain(..).map(|waiter| (waiter, upto)));
        }
        for (Waiter { stream, position, .. }, upto) in spilled {
            self.spill(stream, position, upto, outputs);
        }
        self.spill_gate(outputs);
        if stall == Stall::Begins {
            outputs.push(Output::Probe);
        }
    }

    /// Gives back everything that waits in the gate.
    pub(super) fn spill_gate(&mut self, outputs: &mut Vec<Output>) {
        for (position, gated) in self.gate.take_all() {
            for stream in gated.streams {
                self.spill(stream, position, gated.parked_upto, outputs);
            }
        }
    }

    /// Tells a stream that its record, and every later one, belongs into the store.
    pub(super) fn spill(
        &mut self,
        stream: StreamId,
        position: Position,
        upto: u64,
        outputs: &mut Vec<Output>,
    ) {
        self.gate.fall_behind(stream, upto);
        outputs.push(answer(stream, position, Verdict::Spilled));
    }

    /// Sends again what the client wanted again.
    pub(super) fn send_again(&mut self, now: Timestamp, outputs: &mut Vec<Output>) {
        self.window.send_again(now, self.limits.ack_deadline, |entry| {
            if matches!(entry.content, Content::Gap { .. }) {
                let own = entry.position;
                for waiter in entry.waiting.iter_mut().filter(|waiter| waiter.position == own) {
                    waiter.once_known = Verdict::Expired;
                }
            }
            outputs.push(Output::Send(entry.frame()));
        });
    }

    /// The session is over: everything is given back.
    pub(super) fn end(&mut self, outputs: &mut Vec<Output>) {
        self.window.close(|entry| {
            let gone = |Waiter { stream, position, .. }| answer(stream, position, Verdict::Gone);
            outputs.extend(entry.waiting.into_iter().map(gone));
        });
        for (position, gated) in self.gate.take_all() {
            outputs.extend(gated.streams.into_iter().map(|stream| answer(stream, position, Verdict::Gone)));
        }
        self.closed = true;
    }

    /// Moves the cursor past what ended, and has it deleted where it may be stored.
    fn leave(&mut self, jump: Jump, outputs: &mut Vec<Output>) {
        let stored = self.window.settle(|entry| {
            outputs.extend(entry.waiting.into_iter().map(known));
        });
        if stored || jump == Jump::Beyond {
            outputs.push(Output::Delete(self.window.acked()));
        }
    }
}

/// Whether the client has more than this session sent it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Jump {
    Within,
    Beyond,
}

/// The verdict for who waited until the client had the frame.
fn known(Waiter { stream, position, once_known }: Waiter) -> Output {
    answer(stream, position, once_known)
}

/// A verdict as an output.
pub(super) fn answer(stream: StreamId, position: Position, verdict: Verdict) -> Output {
    Output::Verdict { stream, position, verdict }
}
