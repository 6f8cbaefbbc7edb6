//! Reads how far `parked` goes, once for all sessions of a partition that asked before the read began.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use rand::Rng as _;
use shared::delivery::SessionId;
use shared::log::Ends;
use shared::position::PartitionId;
use shared::retry::Backoff;
use shared::shutdown::Shutdown;
use shared::topic::Topic;
use tokio::sync::Notify;

use crate::config::RegistryLimits;
use crate::drain::Causes;
use crate::hub::{Hub, lock};
use crate::metrics;

/// Who asked, and by which question of theirs; a later question of a session replaces its earlier one.
type Askers = HashMap<SessionId, u64>;

/// Questions that wait, by partition.
#[derive(Debug, Default)]
pub(super) struct Questions {
    waiting: Mutex<BTreeMap<PartitionId, Askers>>,
    filled: Notify,
}

impl Questions {
    pub(super) fn ask(&self, partition: PartitionId, session: SessionId, asked: u64) {
        lock(&self.waiting).entry(partition).or_default().insert(session, asked);
        self.filled.notify_one();
    }

    /// Takes the questions of the first partition above `after`, going around.
    fn take(&self, after: PartitionId) -> Option<(PartitionId, Askers)> {
        let mut waiting = lock(&self.waiting);
        let above = (std::ops::Bound::Excluded(after), std::ops::Bound::Unbounded);
        let partition = waiting.range(above).next().or_else(|| waiting.iter().next()).map(|(key, _)| *key)?;
        waiting.remove_entry(&partition)
    }

    fn put_back(&self, partition: PartitionId, askers: Askers) {
        if askers.is_empty() {
            return;
        }
        let mut waiting = lock(&self.waiting);
        let newer = waiting.entry(partition).or_default();
        for (session, asked) in askers {
            newer.entry(session).or_insert(asked);
        }
    }
}

/// Answers questions until `shutdown`, a bounded number of partitions at a time.
pub(crate) async fn run(hub: Arc<Hub>, ends: Arc<dyn Ends>, limits: RegistryLimits, shutdown: Shutdown) {
    let questions = &hub.presence.ends;
    let backoff = Backoff { base: limits.backoff_ms, cap: limits.backoff_cap_ms };
    let mut reads = FuturesUnordered::new();
    let mut last = PartitionId(u32::MAX);
    let mut failures = 0_u32;
    loop {
        while reads.len() < limits.concurrency {
            let Some((partition, askers)) = questions.take(last) else { break };
            last = partition;
            let ends = Arc::clone(&ends);
            reads.push(async move { (partition, askers, ends.end(Topic::Parked, partition).await) });
        }
        let read = tokio::select! {
            () = shutdown.begun() => return,
            Some(read) = reads.next() => read,
            () = questions.filled.notified(), if reads.len() < limits.concurrency => continue,
        };
        let (partition, mut askers, outcome) = read;
        match outcome {
            Ok(end) => {
                failures = 0;
                for (session, asked) in askers {
                    hub.parked_end(session, asked, end);
                }
            }
            Err(error) => {
                askers.retain(|session, _| hub.cell(*session).is_some());
                metrics::engine_failed("log");
                tracing::debug!(error = %Causes(&error), %partition, "the end of parked cannot be read");
                questions.put_back(partition, askers);
                let pause = backoff.delay(failures, rand::rng().random());
                failures = failures.saturating_add(1);
                tokio::select! {
                    () = shutdown.begun() => return,
                    () = tokio::time::sleep(pause) => {}
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_question_replaces_an_earlier_one_of_its_session() {
        let questions = Questions::default();
        questions.ask(PartitionId(1), SessionId(7), 1);
        let Some((_, first)) = questions.take(PartitionId(0)) else { panic!("nothing asked") };
        questions.ask(PartitionId(1), SessionId(7), 2);
        questions.put_back(PartitionId(1), first);
        assert_eq!(
            questions.take(PartitionId(0)),
            Some((PartitionId(1), HashMap::from([(SessionId(7), 2)])))
        );
    }

    #[test]
    fn partitions_take_turns() {
        let questions = Questions::default();
        for partition in [0, 1, 2] {
            questions.ask(PartitionId(partition), SessionId(1), 1);
        }
        let taken = questions.take(PartitionId(1)).map(|(partition, _)| partition);
        assert_eq!(taken, Some(PartitionId(2)));
        let taken = questions.take(PartitionId(2)).map(|(partition, _)| partition);
        assert_eq!(taken, Some(PartitionId(0)));
    }
}
