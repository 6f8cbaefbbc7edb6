//! Why an executor cannot run.

/// What stops the service as a whole. Engines that are away never do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no sandbox with these settings on this machine.
    #[error(transparent)]
    Sandbox(#[from] crate::sandbox::Error),
    /// A group cannot go on.
    #[error(transparent)]
    Group(#[from] shared::group::Error),
}
