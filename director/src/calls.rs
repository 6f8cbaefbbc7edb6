//! Calls to engines that are repeated until they are answered: what waits meanwhile is held, and holding it pauses the
//! fetching, so an engine that is away costs lag and nothing else.

use std::error::Error as StdError;

use shared::retry::Backoff;
use shared::{log, registry, store};

use crate::metrics;

/// An engine's error, as far as repeating is concerned.
pub(crate) trait EngineError: StdError + Send + Sync + 'static {
    /// The engine, for metrics.
    const ENGINE: &'static str;

    /// Whether the caller must read again instead of repeating.
    fn is_conflict(&self) -> bool;
}

impl EngineError for registry::Error {
    const ENGINE: &'static str = "registry";
    fn is_conflict(&self) -> bool {
        match self {
            Self::Conflict => true,
            Self::Unavailable(_) | Self::Rejected(_) => false,
        }
    }
}

impl EngineError for store::Error {
    const ENGINE: &'static str = "store";
    fn is_conflict(&self) -> bool {
        match self {
            Self::Conflict => true,
            Self::Unavailable(_) | Self::Rejected(_) => false,
        }
    }
}

impl EngineError for log::Error {
    const ENGINE: &'static str = "log";
    fn is_conflict(&self) -> bool {
        match self {
            Self::Unavailable(_) | Self::TooLarge | Self::Rejected(_) | Self::Closed => false,
        }
    }
}

/// What stands in the engine is not what was expected.
#[derive(Debug)]
pub(crate) struct Conflict;

/// Repeats `call` with backoff until it is done or answers a conflict. An engine that refuses is repeated too: an
/// operator has to mend it, and giving a record up is not an answer.
///
/// # Cancel safety
/// Dropping the future drops the call under way, whose outcome is then unknown.
pub(crate) async fn persist<T, E: EngineError, F: Future<Output = Result<T, E>>>(
    backoff: Backoff,
    what: &'static str,
    mut call: impl FnMut() -> F,
) -> Result<T, Conflict> {
    let mut attempt = 0;
    loop {
        match call().await {
            Ok(answer) => return Ok(answer),
            Err(error) if error.is_conflict() => return Err(Conflict),
            Err(error) => {
                metrics::engine_failure(E::ENGINE);
                if attempt == 0 || attempt % 16 == 15 {
                    tracing::warn!(what, attempt, error = &error as &dyn StdError, "will be tried again");
                }
                tokio::time::sleep(backoff.delay(attempt, rand::random())).await;
                attempt = attempt.saturating_add(1);
            }
        }
    }
}
