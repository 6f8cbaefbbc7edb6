//! Asking the store within a deadline, and what a producer is told when it does not answer.

use std::time::Duration;

use shared::store::Error;
use tokio::time::{Instant, timeout_at};

use crate::refusal::{Reason, Refusal};

/// What the store answers before `deadline`; that it holds another value than expected is `conflict`.
pub(crate) async fn or_conflict<T>(
    deadline: Instant,
    conflict: Reason,
    call: impl Future<Output = Result<T, Error>>,
) -> Result<T, Refusal> {
    match timeout_at(deadline, call).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(Error::Conflict)) if conflict != Reason::StoreRefused => Err(Refusal::plain(conflict)),
        Ok(Err(error @ Error::Unavailable(_))) => {
            tracing::warn!(%error, cause = ?std::error::Error::source(&error), "the store does not answer");
            Err(Refusal::plain(Reason::StoreUnavailable))
        }
        Ok(Err(error @ (Error::Rejected(_) | Error::Conflict))) => {
            tracing::error!(%error, cause = ?std::error::Error::source(&error), "the store refuses");
            Err(Refusal::plain(Reason::StoreRefused))
        }
        Err(_elapsed) => Err(Refusal::plain(Reason::StoreUnavailable)),
    }
}

/// What the store answers before `deadline` to a call that expects nothing of what stands there.
pub(crate) async fn by<T>(
    deadline: Instant,
    call: impl Future<Output = Result<T, Error>>,
) -> Result<T, Refusal> {
    or_conflict(deadline, Reason::StoreRefused, call).await
}

/// As [`by`], for so long.
pub(crate) async fn within<T>(
    limit: Duration,
    call: impl Future<Output = Result<T, Error>>,
) -> Result<T, Refusal> {
    by(Instant::now() + limit, call).await
}
