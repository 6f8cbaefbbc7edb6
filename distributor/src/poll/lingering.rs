//! Sessions between two polls: found again by id or cursor, used by one poll at a time, ended when nobody comes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use shared::clock::{Clock, Timestamp};
use shared::delivery::SessionId;
use shared::position::Cursor;
use shared::recipient::Recipient;
use tokio::sync::{OwnedMutexGuard, watch};

use crate::hub::{ForeignCursor, Handle, SessionGuard};
use crate::protocol::cursor_after;
use crate::session::Frame;

/// The long-poll sessions of this node; the hub's caps bound them.
#[derive(Debug, Default)]
pub(crate) struct Lingering(Mutex<HashMap<SessionId, Arc<Polled>>>);

/// A session that is polled. Dropping it ends the session.
#[derive(Debug)]
pub(super) struct Polled {
    handle: Handle,
    #[expect(dead_code, reason = "held to be dropped")]
    guard: SessionGuard,
    turn: Arc<tokio::sync::Mutex<Turn>>,
    /// Counts polls that want the session for themselves.
    wanted: watch::Sender<u64>,
}

/// What the poll that uses the session may touch.
#[derive(Debug)]
struct Turn {
    /// What the last poll asked with.
    asked: Option<Cursor>,
    /// What the last poll returned, or the session starts with.
    returned: Cursor,
    /// Notifications and gaps that were taken and are not acknowledged.
    unacknowledged: Vec<Frame>,
    idle_since: Timestamp,
}

impl Lingering {
    /// Enters a session that was just opened.
    pub(super) fn enter(&self, handle: Handle, asked: Option<Cursor>, now: Timestamp) -> Arc<Polled> {
        let turn = Turn { asked, returned: handle.cursor(), unacknowledged: Vec::new(), idle_since: now };
        let polled = Arc::new(Polled {
            guard: handle.guard(),
            turn: Arc::new(tokio::sync::Mutex::new(turn)),
            wanted: watch::Sender::new(0),
            handle,
        });
        self.lock().insert(polled.handle.id(), Arc::clone(&polled));
        polled
    }

    pub(super) fn get(&self, id: SessionId) -> Option<Arc<Polled>> {
        self.lock().get(&id).cloned()
    }

    /// Ends the sessions that nobody polled for `linger`, and, when the node goes away, those that nobody polls now.
    pub(crate) fn sweep(&self, now: Timestamp, linger: Duration) {
        let over = |polled: &Arc<Polled>| {
            polled
                .turn
                .try_lock()
                .is_ok_and(|turn| turn.idle_since.after(linger) <= now || polled.handle.closing().is_some())
        };
        // Dropped, and so ended, only when the lock is free again.
        let _ended: Vec<_> = self.lock().extract_if(|_, polled| over(polled)).collect();
    }

    /// Ends the session of `recipient` that has been idle longest; answers whether there was one.
    pub(super) fn end_idle_of(&self, recipient: &Recipient) -> bool {
        let mut sessions = self.lock();
        let idle = sessions.values().filter(|polled| polled.handle.recipient() == recipient);
        let idle = idle.filter_map(|polled| {
            polled.turn.try_lock().ok().map(|turn| (turn.idle_since, polled.handle.id()))
        });
        let oldest = idle.min_by_key(|(since, _)| *since).and_then(|(_, id)| sessions.remove(&id));
        // Dropped, and so ended, only when the lock is free again.
        drop(sessions);
        oldest.is_some()
    }

    /// Ends all of them, each as soon as no poll uses it.
    pub(crate) fn clear(&self) {
        drop(std::mem::take(&mut *self.lock()));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SessionId, Arc<Polled>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Polled {
    pub(super) fn handle(&self) -> &Handle {
        &self.handle
    }
}

/// A session in the hands of one poll. Giving it back, also when the client went away meanwhile, starts its lingering.
pub(super) struct Held {
    polled: Arc<Polled>,
    turn: OwnedMutexGuard<Turn>,
    wanted: watch::Receiver<u64>,
    clock: Arc<dyn Clock>,
}

impl Held {
    /// Takes a session that no poll uses.
    pub(super) fn idle(polled: Arc<Polled>, clock: &Arc<dyn Clock>) -> Option<Self> {
        let turn = Arc::clone(&polled.turn).try_lock_owned().ok()?;
        let wanted = polled.wanted.subscribe();
        Some(Self { polled, turn, wanted, clock: Arc::clone(clock) })
    }

    /// Takes a session, asking the poll that uses it to return at once.
    pub(super) async fn displacing(polled: Arc<Polled>, clock: &Arc<dyn Clock>) -> Self {
        polled.wanted.send_modify(|count| *count += 1);
        let wanted = polled.wanted.subscribe();
        let turn = Arc::clone(&polled.turn).lock_owned().await;
        Self { polled, turn, wanted, clock: Arc::clone(clock) }
    }

    /// Waits until another poll wants the session.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(super) async fn displaced(&self) {
        let mut wanted = self.wanted.clone();
        // The sender lives as long as the session that is held.
        if wanted.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    pub(super) fn handle(&self) -> &Handle {
        &self.polled.handle
    }

    /// Whether a client that gives this cursor goes on with this session.
    pub(super) fn stands_at(&self, cursor: Cursor) -> bool {
        self.turn.returned == cursor || self.turn.asked == Some(cursor)
    }

    /// Goes on with the session: the client has everything behind `cursor`, and is given again what lies beyond.
    pub(super) fn go_on(&mut self, cursor: Option<Cursor>) -> Result<(), ForeignCursor> {
        self.turn.asked = cursor;
        let Some(cursor) = cursor else { return Ok(()) };
        self.polled.handle.acknowledge_cursor(cursor)?;
        self.turn.unacknowledged.retain(|frame| match frame {
            Frame::Notification { position, .. } | Frame::Gap { last: position, .. } => {
                !cursor.covers(*position)
            }
            Frame::Welcome { .. } | Frame::Drained { .. } => false,
        });
        if (cursor.epoch, cursor.next) > (self.turn.returned.epoch, self.turn.returned.next) {
            self.turn.returned = cursor;
        }
        Ok(())
    }

    /// Takes frames until `max` are unacknowledged.
    pub(super) fn take(&mut self, max: usize) {
        loop {
            let room = max.saturating_sub(self.turn.unacknowledged.len());
            let frames = self.polled.handle.take(room);
            if frames.is_empty() {
                return;
            }
            for frame in frames {
                match frame {
                    Frame::Welcome { cursor, .. } => self.turn.returned = cursor,
                    Frame::Drained { .. } => {}
                    Frame::Notification { .. } | Frame::Gap { .. } => self.turn.unacknowledged.push(frame),
                }
            }
        }
    }

    pub(super) fn has_something(&self) -> bool {
        !self.turn.unacknowledged.is_empty()
    }

    pub(super) fn unacknowledged(&self) -> impl Iterator<Item = &Frame> {
        self.turn.unacknowledged.iter()
    }

    /// The cursor behind the first `max` of them, which the next poll is to give back.
    pub(super) fn give_back(&mut self, max: usize) -> Cursor {
        let given = self.turn.unacknowledged.len().min(max);
        if let Some(cursor) = self.turn.unacknowledged[..given].last().and_then(cursor_after) {
            self.turn.returned = cursor;
        }
        self.turn.returned
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.turn.idle_since = self.clock.now();
    }
}
