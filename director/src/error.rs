//! Why the director stops.

use shared::topic::Topic;

/// What stops the service as a whole. Engines that are away never do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The log refuses a consumer group for good.
    #[error("group {group} cannot read {topic:?}")]
    Group {
        /// The group.
        group: &'static str,
        /// What it reads.
        topic: Topic,
        /// Why not.
        #[source]
        source: shared::log::Error,
    },
    /// The worker of a partition ended although nobody asked it to.
    #[error("a worker of group {group} ended unexpectedly")]
    Worker {
        /// Its group.
        group: &'static str,
    },
}
