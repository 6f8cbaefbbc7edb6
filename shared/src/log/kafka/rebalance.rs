//! What happens when partitions come and go. librdkafka calls this on the thread that polls, and the rebalance goes on
//! when it returns; nothing here polls, and every wait has a deadline.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{Offset, TopicPartitionList};

use super::super::{Release, Turn, metrics};
use super::mailbox::Mailbox;
use crate::position::PartitionId;

/// How long one question to a broker may take while partitions are being assigned; it is asked again.
const QUESTION: Duration = Duration::from_secs(5);
/// How often a drain looks whether the member is being closed, and stores what is finished.
const SLICE: Duration = Duration::from_millis(50);

pub(super) struct Rebalances {
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) topic: String,
    pub(super) drain_timeout: Duration,
    /// Something was served by the last poll, which therefore answered nothing though more may wait.
    served: AtomicBool,
    /// Given up since the thread last looked.
    gone: Mutex<BTreeSet<PartitionId>>,
}

impl ClientContext for Rebalances {}

impl Rebalances {
    pub(super) fn new(mailbox: Arc<Mailbox>, topic: &str, drain_timeout: Duration) -> Self {
        let (served, gone) = (AtomicBool::new(false), Mutex::default());
        Self { mailbox, topic: topic.to_owned(), drain_timeout, served, gone }
    }

    pub(super) fn take_served(&self) -> bool {
        self.served.swap(false, Ordering::SeqCst)
    }

    pub(super) fn take_gone(&self) -> BTreeSet<PartitionId> {
        std::mem::take(&mut *self.gone.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Gives finished offsets to librdkafka, which commits them at its interval and before partitions are given up.
    pub(super) fn store_finished(&self, consumer: &BaseConsumer<Self>) {
        for (partition, next) in self.mailbox.take_finished() {
            let next = i64::try_from(next).unwrap_or(i64::MAX);
            if let Err(error) = consumer.store_offset(&self.topic, partition.0.cast_signed(), next - 1) {
                tracing::debug!(%partition, %error, "a finished offset is not stored; its records come again");
            }
        }
    }

    fn assigned(&self, consumer: &BaseConsumer<Self>, list: &TopicPartitionList) {
        let starts = self.starts(consumer, list);
        let mut explicit = TopicPartitionList::new();
        for (partition, offset) in starts.iter().flatten() {
            let offset = Offset::Offset(i64::try_from(*offset).unwrap_or(i64::MAX));
            if let Err(error) = explicit.add_partition_offset(&self.topic, partition.0.cast_signed(), offset)
            {
                tracing::error!(%partition, %error, "an offset cannot be assigned");
            }
        }
        let list = if starts.is_some() { &explicit } else { list };
        if let Err(error) = consumer.incremental_assign(list) {
            tracing::error!(%error, "partitions cannot be assigned");
            return;
        }
        let Some(starts) = starts.filter(|starts| !starts.is_empty()) else { return };
        // A partition that comes back must not be as it was left.
        if let Err(error) = consumer.resume(list) {
            tracing::warn!(%error, "partitions cannot be resumed");
        }
        metrics::rebalanced("kafka", "assigned");
        self.mailbox.assign(starts);
    }

    /// Where each partition is read from; nothing when the member is closed or loses them before a broker answers.
    fn starts(
        &self,
        consumer: &BaseConsumer<Self>,
        list: &TopicPartitionList,
    ) -> Option<Vec<(PartitionId, u64)>> {
        if list.count() == 0 {
            return Some(Vec::new());
        }
        loop {
            match starts(consumer, &self.topic, list) {
                Ok(starts) => return Some(starts),
                Err(error) => {
                    metrics::trouble("kafka", "assign");
                    tracing::warn!(%error, "where to read from is not known; asking again");
                }
            }
            if self.mailbox.is_closing() || consumer.assignment_lost() {
                return None;
            }
            std::thread::sleep(SLICE);
        }
    }

    fn revoked(&self, consumer: &BaseConsumer<Self>, list: &TopicPartitionList) {
        let partitions = self.mailbox.known(partitions_of(list));
        if consumer.assignment_lost() {
            if !partitions.is_empty() {
                metrics::rebalanced("kafka", "lost");
                self.mailbox.forget(&partitions);
                self.mailbox.tell(Turn::Lost(partitions.clone()));
            }
        } else {
            if !partitions.is_empty() && !self.mailbox.is_closing() {
                metrics::rebalanced("kafka", "revoked");
                self.drain(consumer, &partitions);
            }
            self.store_finished(consumer);
            self.mailbox.forget(&partitions);
        }
        self.gone.lock().unwrap_or_else(PoisonError::into_inner).extend(partitions);
        if let Err(error) = consumer.incremental_unassign(list) {
            tracing::error!(%error, "partitions cannot be given up");
        }
    }

    /// Waits until the member released the partitions, is closed, or the deadline passed.
    fn drain(&self, consumer: &BaseConsumer<Self>, partitions: &[PartitionId]) {
        let (release, released) = Release::new();
        self.mailbox.tell(Turn::Revoked(partitions.to_vec(), release));
        let deadline = Instant::now() + self.drain_timeout;
        while released.recv_timeout(SLICE) == Err(RecvTimeoutError::Timeout) {
            self.store_finished(consumer);
            if Instant::now() >= deadline {
                tracing::warn!(topic = self.topic, "revoked partitions did not drain in time");
                return;
            }
            if self.mailbox.is_closing() {
                return;
            }
        }
    }
}

impl ConsumerContext for Rebalances {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, kind: RDKafkaRespErr, list: &mut TopicPartitionList) {
        self.served.store(true, Ordering::SeqCst);
        match kind {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => self.assigned(consumer, list),
            _revoke => self.revoked(consumer, list),
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, _offsets: &TopicPartitionList) {
        self.served.store(true, Ordering::SeqCst);
        match result {
            Ok(()) | Err(KafkaError::ConsumerCommit(rdkafka::types::RDKafkaErrorCode::NoOffset)) => {}
            Err(error) => {
                metrics::trouble("kafka", "commit");
                tracing::warn!(%error, "finished offsets are not committed; they are with the next commit");
            }
        }
    }
}

fn partitions_of(list: &TopicPartitionList) -> Vec<PartitionId> {
    list.elements()
        .iter()
        .filter_map(|element| u32::try_from(element.partition()).ok())
        .map(PartitionId)
        .collect()
}

/// The group's committed offsets, and for partitions without one where they begin.
fn starts(
    consumer: &BaseConsumer<Rebalances>,
    topic: &str,
    list: &TopicPartitionList,
) -> KafkaResult<Vec<(PartitionId, u64)>> {
    let mut asked = TopicPartitionList::new();
    for partition in partitions_of(list) {
        asked.add_partition(topic, partition.0.cast_signed());
    }
    let committed = consumer.committed_offsets(asked, QUESTION)?;
    let mut starts = Vec::with_capacity(committed.count());
    for element in committed.elements() {
        element.error()?;
        let start = match element.offset() {
            Offset::Offset(offset) => offset,
            _none => consumer.fetch_watermarks(topic, element.partition(), QUESTION)?.0,
        };
        if let (Ok(partition), Ok(start)) = (u32::try_from(element.partition()), u64::try_from(start)) {
            starts.push((PartitionId(partition), start));
        }
    }
    Ok(starts)
}
