//! Why the director stops.

/// What stops the service as a whole. Engines that are away never do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A group cannot go on.
    #[error(transparent)]
    Group(#[from] shared::group::Error),
}
