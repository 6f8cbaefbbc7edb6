//! The hub: every session of this node, and what drives them. No task and no channel per session: whoever has an input
//! (a connection, a director's stream, an engine's answer, the timer wheel) takes the session's lock, steps the machine
//! and carries out what it wants, in order and without waiting: frames go to the session's outbox, everything else to
//! the pending work of the output edges, which do it in batches and answer through [`Hub::input`].
//!
//! The transports use [`Hub::open`], [`Handle`] and [`Hub::sessions_of`].

mod cell;
mod drive;
mod handle;
mod pending;
mod spans;
mod table;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use shared::clock::Clock;
use shared::delivery::SessionId;
use shared::position::{Cursor, Epoch, PartitionId};
use shared::recipient::Recipient;
use shared::topic;

pub(crate) use self::cell::Cell;
pub use self::handle::{BeyondSent, Closing, ClosingReason, ForeignCursor, Handle, SessionGuard};
pub(crate) use self::pending::Pending;
use self::table::{Bounds, Table};
use crate::config::{Caps, SessionLimits};
use crate::drain::Drain;
use crate::metrics;
use crate::presence::Presence;
use crate::session::{Acknowledging, Input, Limits, Opening, Session};
use crate::timers::Timers;
use crate::verdicts::Verdicts;

/// How a client is connected. Words of metrics, and of who may be sent what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// `GET /v1/ws`.
    WebSocket,
    /// `GET /v1/sse`.
    Sse,
    /// `GET /v1/poll`.
    Poll,
}

impl Transport {
    /// The word in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::WebSocket => "ws",
            Self::Sse => "sse",
            Self::Poll => "poll",
        }
    }
}

/// What a transport knows of a client that has just been authenticated.
#[derive(Clone, Debug)]
pub struct Opened {
    /// Whose notifications it gets.
    pub recipient: Recipient,
    /// Where it says it stands, if it says so.
    pub cursor: Option<Cursor>,
    /// How its acknowledgements are learnt.
    pub acknowledging: Acknowledging,
    /// The window it asks for; never more than the setting.
    pub window: Option<u32>,
    /// How it is connected.
    pub transport: Transport,
}

/// Why a client gets no session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refused {
    /// This node holds as many sessions as it may.
    #[error("this node is full")]
    Full,
    /// The recipient has as many sessions as it may.
    #[error("the recipient has too many sessions")]
    RecipientFull,
    /// The tenant has as many sessions here as it may.
    #[error("the tenant has too many sessions at this node")]
    TenantFull,
    /// This node is going away.
    #[error("this node is going away")]
    Draining,
}

impl Refused {
    /// The word in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::RecipientFull => "recipient_full",
            Self::TenantFull => "tenant_full",
            Self::Draining => "draining",
        }
    }
}

/// What the hub is made with.
#[derive(Clone, Debug)]
pub struct Scope {
    /// Limits of every session.
    pub session: SessionLimits,
    /// Caps of this node.
    pub caps: Caps,
    /// Partitions of every topic.
    pub partitions: u32,
    /// Generation of the topics.
    pub epoch: Epoch,
}

/// Every session of this node.
pub struct Hub {
    scope: Scope,
    /// The limits that the latest session was given.
    latest: Mutex<Arc<Limits>>,
    clock: Arc<dyn Clock>,
    table: Table,
    draining: AtomicBool,
    pub(crate) verdicts: Verdicts,
    pub(crate) drain: Drain,
    pub(crate) presence: Presence,
    pub(crate) timers: Timers,
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hub").field("sessions", &self.table.len()).finish_non_exhaustive()
    }
}

impl Hub {
    /// A hub without sessions. Its output edges are run by the service.
    #[must_use]
    pub fn new(scope: Scope, clock: Arc<dyn Clock>) -> Arc<Self> {
        let Caps { sessions, per_recipient, per_tenant, .. } = scope.caps;
        let bounds = Bounds { sessions, per_recipient, per_tenant };
        Arc::new(Self {
            table: Table::new(bounds),
            drain: Drain::new(scope.caps.deletes, scope.caps.refusals),
            presence: Presence::new(scope.caps.removals),
            latest: Mutex::new(Arc::new(limits(&scope.session, scope.session.window))),
            scope,
            clock,
            draining: AtomicBool::new(false),
            verdicts: Verdicts::default(),
            timers: Timers::default(),
        })
    }

    /// Opens a session: enters it, and asks for its route to be registered. The caller owns its end: keep
    /// [`Handle::guard`] with the connection, or call [`Handle::end`].
    ///
    /// # Errors
    /// When a cap is reached or the node is going away; nothing is held then.
    pub fn open(self: &Arc<Self>, opened: Opened) -> Result<Handle, Refused> {
        let resumes = opened.cursor.is_some();
        let entered = self.enter(opened);
        match &entered {
            Ok(handle) => metrics::session_opened(handle.transport(), resumes && !handle.cursor_ignored()),
            Err(refused) => metrics::session_refused(*refused),
        }
        entered
    }

    fn enter(self: &Arc<Self>, opened: Opened) -> Result<Handle, Refused> {
        if self.draining.load(Ordering::SeqCst) {
            return Err(Refused::Draining);
        }
        let partition = self.partition_of(&opened.recipient);
        let believed = opened.cursor.filter(|cursor| self.is_own(*cursor, partition));
        let opening = Opening {
            partition,
            // Epoch zero: what was stored under an older generation of the topics is not behind this client.
            cursor: believed.unwrap_or_else(|| Cursor::start(Epoch(0), partition)),
            acknowledging: opened.acknowledging,
            limits: self.limits(opened.window),
        };
        let cell = Arc::new(Cell::new(
            SessionId::random(),
            opened.recipient,
            partition,
            opened.transport,
            opened.cursor.is_some() && believed.is_none(),
            Session::open(opening),
        ));
        self.table.insert(&cell)?;
        if self.draining.load(Ordering::SeqCst) {
            // The drain began meanwhile and may not have seen this one.
            self.table.remove(&cell);
            return Err(Refused::Draining);
        }
        // Begins the session's own time: it welcomes its client also while no engine answers.
        self.step(&cell, Input::Tick);
        self.presence.register(cell.id());
        Ok(Handle { hub: Arc::clone(self), cell })
    }

    /// The limits of a session that asks for `window`: one value for all that ask for the same as the one before.
    fn limits(&self, window: Option<u32>) -> Arc<Limits> {
        let settings = &self.scope.session;
        let window = window.map_or(settings.window, |asked| asked.clamp(1, settings.window));
        let mut latest = lock(&self.latest);
        if latest.window != window {
            *latest = Arc::new(limits(settings, window));
        }
        Arc::clone(&latest)
    }

    /// Whether a cursor is one that a recipient of `partition` can have.
    pub(crate) fn is_own(&self, cursor: Cursor, partition: PartitionId) -> bool {
        cursor.partition == partition && cursor.epoch <= self.scope.epoch
    }

    /// The sessions of a recipient at this node.
    #[must_use]
    pub fn sessions_of(self: &Arc<Self>, recipient: &Recipient) -> Vec<Handle> {
        let handle = |cell| Handle { hub: Arc::clone(self), cell };
        self.table.of(recipient).into_iter().map(handle).collect()
    }

    /// The session of this id, if it is at this node.
    #[must_use]
    pub fn session(self: &Arc<Self>, id: SessionId) -> Option<Handle> {
        self.table.get(id).map(|cell| Handle { hub: Arc::clone(self), cell })
    }

    /// The partition a recipient lives in.
    #[must_use]
    pub fn partition_of(&self, recipient: &Recipient) -> PartitionId {
        topic::partition_of(recipient.key().as_bytes(), self.scope.partitions)
    }

    /// The generation of the topics.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.scope.epoch
    }

    /// The time.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// How many sessions there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether no session, and nothing of one, is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Ids of all sessions, as found at some time during the call.
    pub(crate) fn ids(&self) -> Vec<SessionId> {
        self.table.ids()
    }

    /// The session of this id.
    pub(crate) fn cell(&self, id: SessionId) -> Option<Arc<Cell>> {
        self.table.get(id)
    }

    /// How much may wait of what each session asks for once: twice the sessions there are, some of it being of sessions
    /// that are over.
    pub(crate) fn most_waiting(&self) -> usize {
        self.table.len().saturating_mul(2).saturating_add(1024)
    }

    /// Refuses new sessions from now on.
    pub(crate) fn refuse_new(&self) {
        self.draining.store(true, Ordering::SeqCst);
    }

    /// Tells a session's transport that the node goes away.
    pub(crate) fn close(&self, id: SessionId, closing: Closing) {
        let Some(cell) = self.table.get(id) else { return };
        let mut core = lock(&cell.core);
        core.closing = Some(closing);
        core.wake();
    }

    /// Has every transport look around once.
    pub(crate) fn wake_all(&self) {
        for cell in self.ids().into_iter().filter_map(|id| self.table.get(id)) {
            lock(&cell.core).wake();
        }
    }

    /// Ends a session by its id.
    pub(crate) fn end_by_id(&self, id: SessionId) {
        if let Some(cell) = self.table.get(id) {
            self.end(&cell);
        }
    }
}

fn limits(settings: &SessionLimits, window: u32) -> Limits {
    Limits {
        window,
        gate_records: settings.gate_records,
        gate_bytes: settings.gate_bytes,
        page_rows: settings.page_rows,
        refusals: settings.refusals,
        ack_deadline: settings.ack_deadline_ms,
        grace: settings.grace_ms,
        retry: settings.retry_ms,
    }
}

/// Takes a lock. A thread that panicked while it held one has left a session half stepped at worst, and that session
/// gives everything back when its connection ends; the others must go on.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
