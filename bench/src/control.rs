//! What the commanding process and its workers tell each other: a line of JSON each, over the worker's standard input and
//! output. A worker ends when its input does.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::histogram::Counts;
use crate::ledger::Entries;
use crate::schedule::Plan;
use crate::token::Signer;

/// The first line: what a worker is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Setup {
    Produce(Produce),
    Hold(Hold),
    /// A server that answers every POST without doing anything: a floor.
    Answer,
    /// Connections to a raw server, read and forgotten: a floor.
    Drain {
        server: SocketAddr,
        connections: usize,
        from: IpAddr,
    },
}

/// A worker that sends.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Produce {
    /// Where; connections take them in turn.
    pub(crate) receivers: Vec<SocketAddr>,
    pub(crate) api_key: String,
    pub(crate) plan: Plan,
}

/// A worker that holds connections.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Hold {
    /// Distributors.
    pub(crate) doors: Vec<SocketAddr>,
    /// Which is whose.
    pub(crate) choice: Choice,
    /// The address that connections come from, so that an address's ports suffice.
    pub(crate) from: IpAddr,
    pub(crate) signer: Signer,
    /// Begins the name of every recipient.
    pub(crate) run: String,
    /// Who they are, by the number of the client.
    pub(crate) clients: Vec<Client>,
    /// Handshakes at a time.
    pub(crate) opening: usize,
    /// Notifications that are sent ahead of acknowledgement.
    pub(crate) window: u32,
}

/// Which distributor a client takes, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Choice {
    /// They take them in turn.
    InTurn,
    /// One distributor is filled after the other, when there are so many clients in all: with a hundred processes on a few
    /// cores connecting is ten times as fast while only some of them are at work.
    Filled { clients: u64 },
}

impl Choice {
    pub(crate) fn door(self, client: u64, doors: usize) -> usize {
        let doors = doors as u64;
        (match self {
            Self::InTurn => client % doors,
            Self::Filled { clients } => (client * doors / clients).min(doors - 1),
        }) as usize
    }
}

/// Consecutive clients with one transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Client {
    pub(crate) transport: Transport,
    pub(crate) first: u64,
    pub(crate) count: u64,
}

/// How a client is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Transport {
    /// WebSocket.
    Ws,
    /// Server-sent events, acknowledging by POST.
    Sse,
    /// Long-poll.
    Poll,
}

/// What a worker is told after its setup.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Order {
    /// Have so many clients connected.
    Open(u64),
    /// Send.
    Send(Phase),
    /// Latencies of notifications that were to be sent from then on count.
    Count { from: u64 },
    /// Latencies of those that were to be sent from then on until then are told apart as well.
    Mark { from: u64, until: u64 },
    /// Tell what happened now.
    Tell,
    /// Make sure that every acknowledgement was taken, hand out the ledger.
    Finish,
}

/// How much is sent, from when. Times in microseconds of the machine's monotonic clock.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Phase {
    pub(crate) from: u64,
    /// Nothing is begun from then on.
    pub(crate) until: u64,
    /// Most requests.
    pub(crate) requests: u64,
    /// Requests per second; 0: the next as soon as one is answered.
    pub(crate) rate: f64,
}

/// What a worker tells.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Report {
    /// It is there; with an address where it serves.
    Ready(Option<SocketAddr>),
    /// As many clients as were asked for are connected.
    Opened,
    Tick(Box<Tick>),
    /// Everything of the phase was answered.
    Sent,
    /// A part of the ledger: by the number of the recipient or the client.
    Entries(Vec<(u64, Entries)>),
    /// The ledger is complete.
    Done {
        unconfirmed: u64,
    },
    /// It cannot go on.
    Failed(String),
}

/// What happened since the last tick, each second.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Tick {
    /// Notifications of producers: asked, answered 202, answered with a problem, never answered.
    pub(crate) asked: u64,
    pub(crate) accepted: u64,
    pub(crate) refused: u64,
    pub(crate) unanswered: u64,
    /// Notifications that came to clients; those of them that had not come before; those that clients acknowledged.
    pub(crate) came: u64,
    pub(crate) fresh: u64,
    pub(crate) acknowledged: u64,
    /// Connections that ended.
    pub(crate) dropped: u64,
    /// Connections that are live now.
    pub(crate) live: u64,
    /// The latest acknowledgement or answer, on the monotonic clock.
    pub(crate) last: u64,
    /// From when each was to be sent to its answer, or to its acknowledgement.
    pub(crate) latencies: Counts,
    /// Those of the time that was marked.
    pub(crate) marked: Counts,
    /// What went wrong, the first ones.
    pub(crate) problems: Vec<String>,
}
