//! Where partitions end: requests that come while one is under way share the next one. A request is answered only by
//! a round that started after it came.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::{Offset, TopicPartitionList};
use tokio::sync::oneshot;

use super::super::Error;
use super::client::{Counts, Names, base, counts, failed, found};
use crate::config::KafkaSettings;
use crate::position::PartitionId;
use crate::topic::Topic;

/// A partition whose leader just changed is asked for again so often at most, in a round, with this pause.
const TRIES: u32 = 6;
const PAUSE: Duration = Duration::from_millis(50);
/// How long a topic may take to be known to a broker that did not make it.
const SETTLES: Duration = Duration::from_secs(5);
/// Most requests that wait for the next round.
const MOST_WAITING: usize = 200_000;

type Answer = oneshot::Sender<Result<u64, Error>>;

pub(super) struct Asker {
    client: BaseConsumer,
    names: Names,
    patience: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: BTreeMap<(Topic, PartitionId), Vec<Answer>>,
    count: usize,
    round_under_way: bool,
}

impl Asker {
    pub(super) fn new(kafka: &KafkaSettings, names: Names) -> Result<Self, Error> {
        let mut config = base(kafka);
        // The end is the end of everything appended, whatever transactions others have open.
        config.set("isolation.level", "read_uncommitted").set("allow.auto.create.topics", "false");
        let client = config.create().map_err(failed)?;
        Ok(Self { client, names, patience: kafka.request_timeout_ms, state: Mutex::default() })
    }

    /// How the topics stand.
    async fn states(self: &Arc<Self>) -> Result<Counts, Error> {
        let asker = Arc::clone(self);
        let asked =
            tokio::task::spawn_blocking(move || counts(asker.client.client(), &asker.names, asker.patience));
        asked.await.map_err(|error| Error::Unavailable(Some(error.into())))?
    }

    /// The number of partitions of `wanted`. A topic that was just made is not known to every broker at once, so one that
    /// is missing is asked for again for [`SETTLES`].
    pub(super) async fn find(self: &Arc<Self>, wanted: &[Topic]) -> Result<u32, Error> {
        let deadline = Instant::now() + SETTLES;
        loop {
            let states = self.states().await?;
            let all = wanted.iter().all(|topic| states[*topic as usize].is_some());
            if all || Instant::now() >= deadline {
                return found(&self.names, &states, wanted);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Where the partition begins.
    pub(super) async fn first(self: &Arc<Self>, topic: Topic, partition: PartitionId) -> Result<u64, Error> {
        let asker = Arc::clone(self);
        let asked = tokio::task::spawn_blocking(move || {
            let (name, partition) = (asker.names.get(topic), partition.0.cast_signed());
            asker.client.fetch_watermarks(name, partition, asker.patience).map_err(failed)
        });
        let (first, _) = asked.await.map_err(|error| Error::Unavailable(Some(error.into())))??;
        u64::try_from(first).map_err(|error| Error::Unavailable(Some(error.into())))
    }

    pub(super) async fn end(self: Arc<Self>, topic: Topic, partition: PartitionId) -> Result<u64, Error> {
        let (answer, answered) = oneshot::channel();
        let patience = self.patience;
        {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            if state.count >= MOST_WAITING {
                return Err(Error::Unavailable(None));
            }
            state.count += 1;
            state.waiting.entry((topic, partition)).or_default().push(answer);
            if !state.round_under_way {
                state.round_under_way = true;
                let asker = Arc::clone(&self);
                tokio::task::spawn_blocking(move || asker.rounds());
            }
        }
        match tokio::time::timeout(patience, answered).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_dropped)) => Err(Error::Unavailable(None)),
            Err(elapsed) => Err(Error::Unavailable(Some(Box::new(elapsed)))),
        }
    }

    /// Rounds, until nobody waits. Blocks.
    fn rounds(&self) {
        loop {
            let waiting = {
                let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
                if state.waiting.is_empty() {
                    state.round_under_way = false;
                    return;
                }
                state.count = 0;
                std::mem::take(&mut state.waiting)
            };
            self.round(waiting);
        }
    }

    fn round(&self, waiting: BTreeMap<(Topic, PartitionId), Vec<Answer>>) {
        let deadline = Instant::now() + self.patience;
        let mut asked = self.ask(waiting.keys().copied(), self.patience);
        for _ in 1..TRIES {
            let settled = match &asked {
                Ok(list) => list.elements().iter().all(|element| element.error().is_ok()),
                Err(_) => false,
            };
            // Whoever waits for this round does so no longer than that.
            let left = deadline.saturating_duration_since(Instant::now());
            if settled || left <= PAUSE {
                break;
            }
            std::thread::sleep(PAUSE);
            // The driver asks whom it remembers as the leader, and nobody reminds this client, which reads no topic.
            if let Err(error) = counts(self.client.client(), &self.names, left - PAUSE) {
                tracing::debug!(%error, "who leads the partitions is not known");
            }
            let left = deadline.saturating_duration_since(Instant::now());
            asked = self.ask(waiting.keys().copied(), left.max(PAUSE));
        }
        for ((topic, partition), answers) in waiting {
            for answer in answers {
                let end = match &asked {
                    Ok(list) => end_in(list, self.names.get(topic), partition),
                    Err(error) => Err(failed(error.clone())),
                };
                // Whoever asked may have stopped waiting.
                let _nobody_waits = answer.send(end);
            }
        }
    }

    fn ask(
        &self,
        partitions: impl Iterator<Item = (Topic, PartitionId)>,
        patience: Duration,
    ) -> Result<TopicPartitionList, KafkaError> {
        let mut list = TopicPartitionList::new();
        for (topic, partition) in partitions {
            list.add_partition_offset(self.names.get(topic), partition.0.cast_signed(), Offset::End)?;
        }
        self.client.offsets_for_times(list, patience)
    }
}

fn end_in(list: &TopicPartitionList, topic: &str, partition: PartitionId) -> Result<u64, Error> {
    let element = list
        .find_partition(topic, partition.0.cast_signed())
        .ok_or_else(|| Error::Unavailable(Some("the broker did not answer for the partition".into())))?;
    element.error().map_err(|error| match error.rdkafka_error_code() {
        // It was there when we started: a broker that just came up, or lost its leader, does not know it yet.
        Some(Code::UnknownTopicOrPartition | Code::UnknownPartition | Code::UnknownTopic) => {
            Error::Unavailable(Some(Box::new(error)))
        }
        _ => failed(error),
    })?;
    match element.offset() {
        Offset::Offset(end) => u64::try_from(end).map_err(|error| Error::Unavailable(Some(error.into()))),
        other => Err(Error::Unavailable(Some(format!("the broker answered {other:?}").into()))),
    }
}
