//! Why an executor cannot run.

/// None yet: an executor that takes nothing on cannot fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {}
