//! What a transport holds of a session: take frames, say what the client said, learn that it is over.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use shared::delivery::{Rejection, SessionId};
use shared::position::Cursor;
use shared::recipient::Recipient;

use super::cell::Cell;
use super::{Hub, Transport, lock};
use crate::session::{Frame, Input, State};

/// The node is going away; the client is to come back, elsewhere, after a time of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closing {
    /// How long the client should wait before it reconnects; spread over clients, so that they do not come at once.
    pub after: Duration,
    /// Why.
    pub reason: ClosingReason,
}

impl Closing {
    /// [`Closing::after`] as `goaway` says it.
    #[must_use]
    pub fn after_ms(&self) -> u64 {
        u64::try_from(self.after.as_millis()).unwrap_or(u64::MAX)
    }

    /// [`Closing::after`] as `Retry-After` says it, in whole seconds from one.
    #[must_use]
    pub fn after_s(&self) -> u64 {
        self.after_ms().div_ceil(1000).max(1)
    }
}

/// Why a node asks its clients to leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClosingReason {
    /// The process stops.
    Shutdown,
}

impl ClosingReason {
    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Shutdown => "shutdown",
        }
    }
}

/// The client acknowledges or refuses what it was never sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("sequence number {seq} is beyond the last one sent, {sent}")]
pub struct BeyondSent {
    /// What the client said.
    pub seq: u64,
    /// The last one that was sent.
    pub sent: u64,
}

/// The cursor is of another partition or of a generation of the topics that does not exist yet: not this recipient's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the cursor is not one of this recipient")]
pub struct ForeignCursor;

/// One session, as its transport sees it. Cloning shares it; dropping it ends nothing, see [`Handle::guard`].
#[derive(Clone)]
pub struct Handle {
    pub(super) hub: Arc<Hub>,
    pub(super) cell: Arc<Cell>,
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Handle").field(&self.cell.id()).finish()
    }
}

impl Handle {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.cell.id()
    }

    /// Whose it is.
    #[must_use]
    pub fn recipient(&self) -> &Recipient {
        self.cell.recipient()
    }

    /// What it was opened with.
    #[must_use]
    pub fn transport(&self) -> Transport {
        self.cell.transport()
    }

    /// Whether the cursor the client came with was not believed, so that it starts from the beginning of what is
    /// stored; the client is to be told.
    #[must_use]
    pub fn cursor_ignored(&self) -> bool {
        self.cell.cursor_ignored()
    }

    /// At most `max` frames, in order; the caller writes them to the client in this order.
    #[must_use]
    pub fn take(&self, max: usize) -> Vec<Frame> {
        let mut core = lock(&self.cell.core);
        std::iter::from_fn(|| core.take()).take(max).collect()
    }

    /// The next frame; the caller writes it to the client behind those taken before.
    #[must_use]
    pub fn take_next(&self) -> Option<Frame> {
        lock(&self.cell.core).take()
    }

    /// Waits until there are frames to take, a probe is wanted, the node begins to close, or the session is over.
    ///
    /// # Cancel safety
    /// Cancel safe; any number may wait at a time.
    pub async fn ready(&self) {
        let mut waiting = Waiting { cell: &self.cell, waker: None };
        std::future::poll_fn(|context| {
            if waiting.waker.as_ref().is_some_and(|waker| !waker.will_wake(context.waker())) {
                waiting.leave();
            }
            let polled = self.poll_ready(context);
            waiting.waker = polled.is_pending().then(|| context.waker().clone());
            polled
        })
        .await;
    }

    /// As [`Handle::ready`], for one task that waits until the session is over: it is woken whenever that may have become
    /// true, and is not forgotten before.
    pub fn poll_ready(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut core = lock(&self.cell.core);
        if core.is_ready() {
            return Poll::Ready(());
        }
        core.wait(context.waker());
        Poll::Pending
    }

    /// Has the task woken by whatever happens next to the session, though it can take nothing now.
    pub fn watch(&self, context: &mut Context<'_>) {
        lock(&self.cell.core).wait(context.waker());
    }

    /// The client has processed every frame up to `seq`.
    ///
    /// # Errors
    /// When nothing with this sequence number was taken yet.
    pub fn acknowledge(&self, seq: u64) -> Result<(), BeyondSent> {
        self.check_sent(seq)?;
        self.input(Input::Acknowledge { seq });
        Ok(())
    }

    /// The client has processed everything behind `cursor`.
    ///
    /// # Errors
    /// When the cursor is not one of this recipient; then nothing is acknowledged.
    pub fn acknowledge_cursor(&self, cursor: Cursor) -> Result<(), ForeignCursor> {
        if !self.hub.is_own(cursor, self.cell.partition()) {
            return Err(ForeignCursor);
        }
        self.input(Input::AcknowledgeCursor(cursor));
        Ok(())
    }

    /// The client refuses the notification `seq`; without a rejection it wants it again later. While more refusals wait
    /// to be dead-lettered than may, each is taken as one of those.
    ///
    /// # Errors
    /// When nothing with this sequence number was taken yet.
    pub fn refuse(&self, seq: u64, rejection: Option<Rejection>) -> Result<(), BeyondSent> {
        self.check_sent(seq)?;
        let rejection = rejection.filter(|_| self.hub.drain.takes_refusals());
        self.input(Input::Refuse { seq, rejection });
        Ok(())
    }

    /// Frames up to `seq` were handed to the operating system.
    pub fn flushed(&self, seq: u64) {
        self.input(Input::Flushed { seq });
    }

    /// Everything behind it was processed by the client.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        lock(&self.cell.core).session.cursor()
    }

    /// Where the session stands; [`State::Closed`] once it is over, whoever ended it.
    #[must_use]
    pub fn state(&self) -> State {
        let core = lock(&self.cell.core);
        if core.ended { State::Closed } else { core.session.state() }
    }

    /// Whether the session wants its connection probed; asking takes the wish.
    #[must_use]
    pub fn take_probe(&self) -> bool {
        std::mem::take(&mut lock(&self.cell.core).probe)
    }

    /// Set once the node goes away: tell the client, and end the session.
    #[must_use]
    pub fn closing(&self) -> Option<Closing> {
        let mut core = lock(&self.cell.core);
        core.closing_seen = core.closing.is_some();
        core.closing
    }

    /// Ends the session: what it holds goes back to its directors, its route is removed, the table forgets it. Ending
    /// twice does nothing.
    pub fn end(&self) {
        self.hub.end(&self.cell);
    }

    /// Ends the session when dropped.
    #[must_use]
    pub fn guard(&self) -> SessionGuard {
        SessionGuard(self.clone())
    }

    fn check_sent(&self, seq: u64) -> Result<(), BeyondSent> {
        let sent = lock(&self.cell.core).taken_seq;
        if seq <= sent { Ok(()) } else { Err(BeyondSent { seq, sent }) }
    }

    fn input(&self, input: Input) {
        self.hub.step(&self.cell, input);
    }
}

/// Who waits in [`Handle::ready`], and does not when that is given up.
struct Waiting<'a> {
    cell: &'a Cell,
    waker: Option<Waker>,
}

impl Waiting<'_> {
    fn leave(&mut self) {
        if let Some(waker) = self.waker.take() {
            lock(&self.cell.core).leave(&waker);
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.leave();
    }
}

/// Owned by the connection of a session: when it goes, the session is over.
#[derive(Debug)]
pub struct SessionGuard(Handle);

impl Drop for SessionGuard {
    fn drop(&mut self) {
        self.0.end();
    }
}
