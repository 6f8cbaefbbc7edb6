//! What keeps the service from starting or running.

use std::net::SocketAddr;

/// Why the distributor does not start, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A listener cannot be bound.
    #[error("cannot listen on {address}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The link listens on every interface and nobody said which address directors are to use.
    #[error(
        "link.listen is {0}, which names no interface: set distributor.link.advertise to what directors can reach"
    )]
    NoAdvertise(SocketAddr),
    /// There is no key to verify client tokens with, or none that can be used.
    #[error("client tokens cannot be verified")]
    Key(#[source] crate::auth::KeyError),
    /// The link's server failed.
    #[error("the link server failed")]
    Link(#[source] tonic::transport::Error),
    /// A part that runs as long as the service ended before it.
    #[error("a part of the distributor broke")]
    Broken(#[source] Option<tokio::task::JoinError>),
}
