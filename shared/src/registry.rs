//! The registry port: who is connected where, and whose stored notifications are known to be drained. Redis in
//! production, a map in the process for one machine. It may lose everything at any time: then its [`RegistryEpoch`]
//! changes, nodes announce their sessions again, and flags read [`Flag::Unknown`].
//!
//! Three narrow traits: [`Routes`], [`Nodes`], [`Flags`]. [`contract`] is the suite that every adapter passes. Every call
//! returns within the adapter's deadline.

pub mod contract;
mod entered;
mod entry;
pub mod memory;
mod metrics;
pub mod redis;

use std::time::Duration;

use async_trait::async_trait;

pub use self::entered::{Entered, Fingerprint, Mark};
use crate::delivery::{NodeId, SessionId};
use crate::position::PartitionId;
use crate::recipient::Recipient;

/// What went wrong, cut by what the caller can do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The registry is away or too slow; some of the batch may have been done. Every operation may be repeated.
    #[error("the registry is unavailable")]
    Unavailable(#[source] Option<Box<dyn std::error::Error + Send + Sync>>),
    /// What stands there is not what was expected; read again.
    #[error("the registry holds another value than expected")]
    Conflict,
    /// The registry refuses for good, or holds what no version of ours wrote.
    #[error("the registry refuses")]
    Rejected(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// One session, and the node that holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Route {
    /// The session.
    pub session: SessionId,
    /// Its node.
    pub node: NodeId,
}

/// The connection map.
#[async_trait]
pub trait Routes: Send + Sync + 'static {
    /// Enters each route beside the others of its recipient. Entering one twice changes nothing. When a recipient
    /// already has [`MAX_ROUTES_PER_RECIPIENT`] routes, the first of a node without a lease, else the oldest, gives way.
    async fn register(&self, routes: &[(Recipient, Route)]) -> Result<(), Error>;

    /// Removes exactly these routes: compare-and-delete by session, so that a late goodbye never removes a newer one.
    async fn remove(&self, routes: &[(Recipient, Route)]) -> Result<(), Error>;

    /// The routes of each recipient, in the order asked, oldest first, without those whose node has no lease. A lease
    /// that has lapsed may be believed up to a second longer; one that was taken is always seen.
    async fn lookup(&self, recipients: &[Recipient]) -> Result<Vec<Vec<Route>>, Error>;

    /// Whose routes were entered since `mark`, and the mark to ask with next. Every registration that was answered before
    /// this call is in the answer, if it is not in one before. The first mark is [`Mark::default`].
    async fn entered(&self, since: &Mark) -> Result<(Entered, Mark), Error>;
}

/// The most routes that one recipient can have at a time.
pub const MAX_ROUTES_PER_RECIPIENT: usize = 16;

/// Changes exactly when the registry lost its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RegistryEpoch(pub u64);

/// A node, and where directors reach it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// The node.
    pub id: NodeId,
    /// `host:port` of its link service.
    pub address: String,
}

/// The nodes that live: one lease each, instead of a time-out per connection.
#[async_trait]
pub trait Nodes: Send + Sync + 'static {
    /// Takes or renews the lease of `node` for `ttl`, by the registry's clock. Makes a registry epoch where there is
    /// none, and answers it.
    async fn renew(&self, node: &Node, ttl: Duration) -> Result<RegistryEpoch, Error>;

    /// Gives the lease up.
    async fn release(&self, node: NodeId) -> Result<(), Error>;

    /// Every node with a lease.
    async fn nodes(&self) -> Result<Vec<Node>, Error>;
}

/// What is known of a recipient's stored notifications.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flag {
    /// No entry: may have some.
    Unknown,
    /// Had none when this was set.
    Clean,
    /// Has some, or had.
    Backlog,
}

/// A flag as read, with what is needed to draw conclusions from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlagReading {
    /// The flag.
    pub flag: Flag,
    /// The version it carried: the highest `upto` it was ever marked with; zero for [`Flag::Unknown`].
    pub version: u64,
    /// How far `parked` of the recipient's partition was marked, read **before** the flag; `None` when the registry
    /// does not know. So `Clean` proves that nothing of this recipient parked below it is left.
    pub flagged_upto: Option<u64>,
}

/// Backlog flags and the progress of marking them.
#[async_trait]
pub trait Flags: Send + Sync + 'static {
    /// Sets each recipient to [`Flag::Backlog`] with version max(its version, `upto`), `upto` being one more than the
    /// parked offset that is marked.
    async fn mark(&self, marks: &[(Recipient, u64)]) -> Result<(), Error>;

    /// Moves `flagged_upto` of `partition` from `from` to `to`.
    ///
    /// # Errors
    /// [`Error::Conflict`] when it is not at `from` (a registry that lost its content is at `None`): marks may be lost
    /// too, so the flags stage starts over from what the store knows.
    async fn advance(&self, partition: PartitionId, from: Option<u64>, to: u64) -> Result<(), Error>;

    /// How far `partition` is marked.
    async fn flagged_upto(&self, partition: PartitionId) -> Result<Option<u64>, Error>;

    /// The flags of each recipient, which lives in the partition beside it, in the order asked.
    async fn read(&self, recipients: &[(Recipient, PartitionId)]) -> Result<Vec<FlagReading>, Error>;

    /// Sets each recipient to [`Flag::Clean`] if its version is still the one beside it (zero: if it still has no
    /// entry), keeping the version; answers whether it was set, in the order asked.
    async fn clear(&self, recipients: &[(Recipient, u64)]) -> Result<Vec<bool>, Error>;
}
