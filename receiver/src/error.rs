//! Why the receiver cannot start.

use std::net::SocketAddr;

/// What stops the service as a whole; a request that is refused is a [`crate::refusal::Refusal`].
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The listener could not be bound.
    #[error("cannot listen on {address}")]
    Bind {
        /// Where.
        address: SocketAddr,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
}
