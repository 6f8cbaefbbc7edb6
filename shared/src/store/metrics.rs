//! The store's metrics: their names, and what is counted under them. `engine` is `postgres` or `sqlite`.

use super::Error;
use crate::telemetry;

/// Seconds from a port call to its answer, by what it asks and how that went. `operation` is the port's method.
const CALL_SECONDS: &str = "postrider_store_call_seconds";

/// Times `call`.
pub(super) async fn timed<T>(
    engine: &'static str,
    operation: &'static str,
    call: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    telemetry::timed((CALL_SECONDS, engine, operation), word, call).await
}

fn word(error: &Error) -> &'static str {
    match error {
        Error::Unavailable(_) => "unavailable",
        Error::Conflict => "conflict",
        Error::Rejected(_) => "rejected",
    }
}
