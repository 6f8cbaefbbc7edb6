//! The thread of one member: it alone polls, pauses, seeks and closes its consumer.
//!
//! It sleeps until librdkafka has something or the member wants something. `StreamConsumer` is not used: its partition
//! queues can lose a wake-up; and dropping a consumer blocks, so it is dropped here.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers as _, Message};
use rdkafka::{Offset, TopicPartitionList};

use super::super::{Entry, Error, Fetched, Interest, metrics};
use super::client::is_final;
use super::mailbox::Mailbox;
use super::rebalance::Rebalances;
use crate::clock::Timestamp;
use crate::position::PartitionId;
use crate::record::header_name;

/// The shortest time from one round to the next while records come: what comes meanwhile is handed on together, so that
/// nobody is woken for each of them. Who was idle for longer is not delayed.
const PACE: Duration = Duration::from_millis(1);
/// The longest sleep: what is finished is stored this often, and a wake-up that was lost costs no more.
const TICK: Duration = Duration::from_millis(50);

pub(super) struct Poller {
    pub(super) consumer: BaseConsumer<Rebalances>,
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) interest: Interest,
    /// The last record of each partition that is not wanted, until it is told or one that is wanted comes.
    pub(super) passed: RefCell<BTreeMap<PartitionId, Fetched>>,
    pub(super) batch_records: usize,
    pub(super) batch_bytes: usize,
}

impl Poller {
    /// Until the member is closed or of no more use.
    pub(super) fn run(self) {
        let mut last = Error::Closed;
        let (mut round, mut told) = (Instant::now(), Instant::now());
        loop {
            self.mailbox.wait(TICK);
            if self.mailbox.is_closing() {
                break;
            }
            std::thread::sleep(PACE.saturating_sub(round.elapsed()));
            round = Instant::now();
            self.obey();
            if let Err(error) = self.take_all() {
                tracing::error!(error = ?error, "the member is of no more use");
                last = error;
                break;
            }
            if told.elapsed() >= TICK && self.mailbox.has_room() {
                told = Instant::now();
                self.tell_passed();
            }
        }
        self.consumer.context().store_finished(&self.consumer);
        self.mailbox.close();
        let Self { consumer, mailbox, .. } = self;
        // Commits what is stored and leaves the group.
        drop(consumer);
        mailbox.end(last);
    }

    fn list(&self, partition: PartitionId) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        list.add_partition(&self.consumer.context().topic, partition.0.cast_signed());
        list
    }

    fn obey(&self) {
        self.consumer.context().store_finished(&self.consumer);
        let controls = self.mailbox.take_controls();
        // Seeks first: a partition that is resumed must not show what lies before.
        for (partition, offset) in controls.seeks {
            self.passed.borrow_mut().remove(&partition);
            let raw = Offset::Offset(i64::try_from(offset).unwrap_or(i64::MAX));
            let topic = &self.consumer.context().topic;
            let sought = self.consumer.seek(topic, partition.0.cast_signed(), raw, Duration::from_secs(1));
            if let Err(error) = sought {
                tracing::debug!(%partition, %error, "a partition cannot be sought yet; trying again");
                self.mailbox.seek_later(partition, offset);
            }
        }
        for (partition, paused) in controls.paused {
            let list = self.list(partition);
            let done = if paused { self.consumer.pause(&list) } else { self.consumer.resume(&list) };
            if let Err(error) = done {
                tracing::warn!(%partition, paused, %error, "a partition is not paused or resumed");
            }
        }
        if !controls.finished.is_empty() {
            controls.finished.into_iter().for_each(|(partition, next)| {
                crate::log::Progress::finish(&*self.mailbox, partition, next);
            });
        }
    }

    /// Takes what librdkafka has, batch by batch, while the member has room.
    fn take_all(&self) -> Result<(), Error> {
        while self.mailbox.has_room() {
            let more = self.take_some()?;
            if !more {
                break;
            }
        }
        Ok(())
    }

    /// Hands on one batch for each partition; answers whether there may be more.
    fn take_some(&self) -> Result<bool, Error> {
        let mut batches: BTreeMap<PartitionId, Vec<Fetched>> = BTreeMap::new();
        let (mut records, mut bytes, mut more) = (0, 0, true);
        while records < self.batch_records && bytes < self.batch_bytes {
            let polled = self.consumer.poll(Duration::ZERO);
            let served = self.consumer.context().take_served();
            for partition in self.consumer.context().take_gone() {
                batches.remove(&partition);
                self.passed.borrow_mut().remove(&partition);
            }
            match polled {
                Some(Ok(record)) if self.interest.wants(headers(&record)) => {
                    if let Some(fetched) = fetched(&record) {
                        records += 1;
                        bytes += fetched.entry.size_bytes();
                        batches.entry(fetched.partition).or_default().push(fetched);
                    }
                }
                Some(Ok(record)) => {
                    records += 1;
                    if let Some(bare) = placed(&record, Entry::default()) {
                        self.passed.borrow_mut().insert(bare.partition, bare);
                    }
                }
                Some(Err(error)) => self.hear(error)?,
                None if served => {}
                None => {
                    more = false;
                    break;
                }
            }
        }
        metrics::fetched("kafka", records);
        for (partition, records) in batches {
            self.hand_on(partition, records);
        }
        Ok(more)
    }

    /// What was passed before the last of `records` needs no telling any more.
    fn hand_on(&self, partition: PartitionId, records: Vec<Fetched>) {
        let mut passed = self.passed.borrow_mut();
        let last = records.last().map(|record| record.offset);
        if passed.get(&partition).is_some_and(|passed| last > Some(passed.offset)) {
            passed.remove(&partition);
        }
        self.mailbox.fetched(partition, records);
    }

    fn tell_passed(&self) {
        for (partition, passed) in self.passed.take() {
            self.mailbox.fetched(partition, vec![passed]);
        }
    }

    /// Errors that librdkafka lives through by itself are told; others end the member.
    fn hear(&self, error: KafkaError) -> Result<(), Error> {
        let ends = match &error {
            KafkaError::MessageConsumptionFatal(_) => true,
            KafkaError::MessageConsumption(code) => {
                use rdkafka::error::RDKafkaErrorCode as Code;
                // A topic may be unknown to a broker that just came up.
                is_final(*code) && !matches!(code, Code::UnknownTopicOrPartition | Code::UnknownPartition)
            }
            _ => false,
        };
        if ends {
            return Err(Error::Rejected(Box::new(error)));
        }
        metrics::trouble("kafka", "consumer");
        tracing::warn!(%error, topic = self.consumer.context().topic, "consumer");
        Ok(())
    }
}

fn headers<'a>(record: &'a BorrowedMessage<'_>) -> impl Iterator<Item = (&'a str, &'a [u8])> {
    let headers = record.headers().into_iter().flat_map(|headers| headers.iter());
    headers.map(|header| (header.key, header.value.unwrap_or_default()))
}

/// `entry` where `record` stands.
fn placed(record: &BorrowedMessage<'_>, entry: Entry) -> Option<Fetched> {
    let partition = PartitionId(u32::try_from(record.partition()).ok()?);
    let offset = u64::try_from(record.offset()).ok()?;
    let timestamp = record.timestamp().to_millis().and_then(|millis| u64::try_from(millis).ok()).unwrap_or(0);
    Some(Fetched { partition, offset, timestamp: Timestamp::from_millis(timestamp), entry })
}

/// One allocation for the whole record; its parts share it.
pub(super) fn fetched(record: &BorrowedMessage<'_>) -> Option<Fetched> {
    let (key, payload) = (record.key().unwrap_or_default(), record.payload().unwrap_or_default());
    let (count, values) =
        headers(record).fold((0, 0), |(count, values), (_, value)| (count + 1, values + value.len()));
    let mut whole = BytesMut::with_capacity(key.len() + values + payload.len());
    let mut share = |part: &[u8]| {
        whole.extend_from_slice(part);
        whole.split().freeze()
    };
    let key = share(key);
    let mut own = Vec::with_capacity(count);
    own.extend(headers(record).map(|(name, value)| (header_name(name), share(value))));
    placed(record, Entry { key, headers: own, payload: share(payload) })
}
