//! The session: one client's connection to its notifications, as a pure state machine. Whoever drives it hands in an
//! [`Input`] and the time, and carries out every [`Output`] in order; nothing here waits, reads a clock or touches a
//! socket. `hub.rs` drives it in production, the property tests drive it through random interleavings.
//!
//! It keeps promise 3 (stored before new, positions strictly increasing) by merging two sources by position: pages of
//! the store, and the gate of forwarded records. A record leaves only when nothing stored below its own position is
//! left, proved up to its `parked_upto` by the flag or by the store.

mod interface;

use shared::clock::Timestamp;
use shared::position::Cursor;

pub use interface::{Acknowledging, Frame, Input, Limits, Opening, Output, State, StreamId};

/// The state machine. `step` is its only way forward.
#[derive(Debug)]
pub struct Session {
    #[expect(dead_code, reason = "placeholder of the skeleton")]
    opening: Opening,
}

impl Session {
    /// A session that has just been authenticated, before its route is registered.
    #[must_use]
    pub fn open(opening: Opening) -> Self {
        Self { opening }
    }

    /// Takes one input at `now`; appends what must be done to `outputs`, to be carried out in order.
    pub fn step(&mut self, _input: Input, _now: Timestamp, _outputs: &mut Vec<Output>) {
        unimplemented!()
    }

    /// When [`Input::Tick`] is due next, if ever.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Timestamp> {
        unimplemented!()
    }

    /// The sequence number of the last frame that has one, zero before the first. An acknowledgement beyond it is the
    /// client's mistake: the session ignores it, the transport answers an error.
    #[must_use]
    pub fn last_seq(&self) -> u64 {
        unimplemented!()
    }

    /// Where it stands.
    #[must_use]
    pub fn state(&self) -> State {
        unimplemented!()
    }

    /// Everything behind it was processed by the client.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        self.opening.cursor
    }
}
