//! The words a session is spoken to and answers with: [`Input`] and [`Output`], [`Frame`] for the client, and what it
//! starts with.

use std::sync::Arc;
use std::time::Duration;

use shared::delivery::{Rejection, Verdict};
use shared::notification::Notification;
use shared::position::{Cursor, PartitionId, Position};
use shared::registry::FlagReading;
use shared::store::{GapCause, Page};

/// A director's stream at this node, unique in the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub u64);

/// How a client's acknowledgement is learnt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Acknowledging {
    /// The client says so (WebSocket, long-poll, SSE where the client promised to).
    Explicit,
    /// The client says so, or a flushed frame's connection lived on for the grace period (SSE), and a moment longer, so
    /// that a node that was stopped meanwhile hears of its death first.
    Grace,
}

/// Limits of one session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most notifications sent and not acknowledged.
    pub window: u32,
    /// Most records waiting in the gate.
    pub gate_records: usize,
    /// Most content waiting in the gate, in bytes.
    pub gate_bytes: usize,
    /// Most rows per page of the store.
    pub page_rows: u32,
    /// Most positions refused for good that are remembered behind the cursor: a director that forwards one of them again
    /// is told so again.
    pub refusals: usize,
    /// How long a live notification may be unacknowledged before its directors are told `spilled`.
    pub ack_deadline: Duration,
    /// How long after its flush a frame counts as acknowledged on a connection that lives, with
    /// [`Acknowledging::Grace`].
    pub grace: Duration,
    /// How long to wait before asking an engine again that was unavailable.
    pub retry: Duration,
}

/// What happens to a session.
#[derive(Clone, Debug)]
pub enum Input {
    /// Its route stands in the registry (first time, or again after the registry lost it).
    Registered,
    /// The registry lost its content; the route is being announced again.
    RegistryLost,
    /// The end of `parked` of its partition, read after [`Output::ReadParkedEnd`] was put out.
    ParkedEnd(u64),
    /// Answer to [`Output::ReadFlag`]; `None`: the registry is unavailable.
    Flag(Option<FlagReading>),
    /// Answer to [`Output::ReadPage`]; `None`: the store is unavailable.
    Page(Option<Page>),
    /// Answer to [`Output::ClearFlag`].
    FlagCleared {
        /// Whether it was set clean.
        cleared: bool,
    },
    /// A director forwards a record.
    Record {
        /// By which stream.
        stream: StreamId,
        /// Its position.
        position: Position,
        /// How far `parked` must be drained before it.
        parked_upto: u64,
        /// The notification.
        notification: Arc<Notification>,
    },
    /// Something of this recipient was parked below `parked_upto`.
    Poke {
        /// How far to drain.
        parked_upto: u64,
    },
    /// What this session spilled was acknowledged elsewhere; it takes records of this stream again.
    Resume(StreamId),
    /// A stream ended; nothing that came by it is answered any more.
    StreamLost(StreamId),
    /// The client has processed every frame up to this sequence number.
    Acknowledge {
        /// Sequence number.
        seq: u64,
    },
    /// The client has processed everything behind this cursor (long-poll, `POST /v1/ack`).
    AcknowledgeCursor(Cursor),
    /// The client refuses one notification.
    Refuse {
        /// Its sequence number.
        seq: u64,
        /// Why; `None`: it wants it again later.
        rejection: Option<Rejection>,
    },
    /// Frames up to this sequence number were handed to the operating system ([`Acknowledging::Grace`]).
    Flushed {
        /// Sequence number.
        seq: u64,
    },
    /// Time passed: [`Session::next_deadline`] was reached.
    Tick,
    /// The connection is gone or is being closed: give everything back.
    End,
}

/// What a session wants done.
#[derive(Clone, Debug)]
pub enum Output {
    /// Write a frame to the client.
    Send(Frame),
    /// Tell a director what became of a record.
    Verdict {
        /// Whose.
        stream: StreamId,
        /// Which.
        position: Position,
        /// What.
        verdict: Verdict,
    },
    /// Read the end of `parked` of the partition; answer [`Input::ParkedEnd`], trying until it is there.
    ReadParkedEnd,
    /// Read flag and `flagged_upto`; answer [`Input::Flag`].
    ReadFlag,
    /// Read a page of the store; answer [`Input::Page`].
    ReadPage {
        /// From where.
        from: Cursor,
        /// How many rows.
        limit: u32,
    },
    /// Delete what is stored behind this cursor, some time soon, in a batch with others.
    Delete(Cursor),
    /// Set the flag clean if its version is still this; answer [`Input::FlagCleared`].
    ClearFlag {
        /// The version.
        version: u64,
    },
    /// The client refused this for good: append it to `dead`, whoever else is told and does so too; a dead letter is one
    /// by its position. A stored row of it goes with a later [`Output::Delete`], which waits for that.
    Reject {
        /// Its position.
        position: Position,
        /// The notification.
        notification: Arc<Notification>,
        /// Why.
        rejection: Rejection,
    },
    /// The client is slow to acknowledge: find out whether the connection lives.
    Probe,
    /// The gate has no room for one more record, whose stream falls behind: count it.
    GateFull,
}

/// What goes to a client. The transports turn it into their wire form.
#[derive(Clone, Debug)]
pub enum Frame {
    /// First of all frames.
    Welcome {
        /// Where the session starts: reconnecting with it loses nothing.
        cursor: Cursor,
        /// Whether stored notifications may come before new ones.
        stored: bool,
    },
    /// A notification.
    Notification {
        /// Sequence number in this session, from 1 without gaps over notifications and gaps.
        seq: u64,
        /// Its position.
        position: Position,
        /// The notification.
        notification: Arc<Notification>,
    },
    /// The stored ones are through.
    Drained {
        /// How many were sent since the last `Drained`.
        count: u64,
    },
    /// Positions that will never come.
    Gap {
        /// Sequence number.
        seq: u64,
        /// Why.
        cause: GapCause,
        /// How many.
        count: u64,
        /// The lowest.
        first: Position,
        /// The highest: the cursor after this frame.
        last: Position,
    },
}

/// What a session starts with.
#[derive(Clone, Debug)]
pub struct Opening {
    /// The partition its recipient lives in.
    pub partition: PartitionId,
    /// Where the client stands; [`Cursor::start`] for one that has nothing.
    pub cursor: Cursor,
    /// How acknowledgements are learnt.
    pub acknowledging: Acknowledging,
    /// Limits.
    pub limits: Arc<Limits>,
}

/// Where a session stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Its route is not yet known to stand, or what must be drained first is not yet known.
    Handshake,
    /// Stored notifications may be left below what it must drain.
    Draining,
    /// Nothing to wait for.
    Live,
    /// Over.
    Closed,
}
