//! The registry's metrics: their names, and what is counted under them. `engine` is `redis` or `memory`.

use super::Error;
use crate::telemetry;

/// Seconds from a port call to its answer, by what it asks and how that went. `operation` is the port's method.
const CALL_SECONDS: &str = "postrider_registry_call_seconds";

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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures_util::FutureExt as _;
    use metrics_exporter_prometheus::PrometheusBuilder;

    use crate::clock::SystemClock;
    use crate::position::PartitionId;
    use crate::registry::{Flags as _, memory};

    #[test]
    fn a_call_is_timed_by_engine_operation_and_outcome() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let registry = memory::Registry::new(Arc::new(SystemClock));
        metrics::with_local_recorder(&recorder, || {
            for (from, moved) in [(None, true), (None, false), (Some(1), true)] {
                let answer = registry.advance(PartitionId(0), from, 1).now_or_never();
                assert_eq!(answer.map(|answer| answer.is_ok()), Some(moved));
            }
        });
        let shown = recorder.handle().render();
        for (outcome, count) in [("ok", 2), ("conflict", 1)] {
            let labels = format!(r#"{{engine="memory",operation="advance",outcome="{outcome}"}}"#);
            let line = format!("postrider_registry_call_seconds_count{labels} {count}");
            assert!(shown.contains(&line), "{line} is not in\n{shown}");
        }
    }
}
