//! Watches from outside how far the log's groups are behind, so that a group whose members are all dead has a lag too.

use std::sync::Arc;
use std::time::Duration;

use shared::log::{Lag, groups};
use shared::shutdown::Shutdown;
use tokio::time::MissedTickBehavior;

use crate::metrics;

/// Asks about every group each `every`, until `shutdown`. While the log does not answer, what was last known stays.
pub(crate) async fn watch(log: Arc<dyn Lag>, every: Duration, shutdown: &Shutdown) {
    let mut rounds = tokio::time::interval(every);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let rounds = async {
        loop {
            rounds.tick().await;
            for (group, topic) in groups::WATCHED {
                match log.lag(group, topic).await {
                    Ok(records) => metrics::lag(group, records),
                    Err(error) => {
                        tracing::debug!(%error, group, "how far the group is behind is not known");
                        metrics::lag_unknown();
                    }
                }
            }
        }
    };
    tokio::select! {
        () = rounds => {}
        () = shutdown.begun() => {}
    }
}
