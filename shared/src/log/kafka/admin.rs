//! Makes the topics, for `postrider topics`.

use std::time::Duration;

use async_trait::async_trait;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use std::sync::Arc;
use tokio::time::Instant;

use super::super::{Error, Provision, TopicState};
use super::client::{Counts, Names, base, counts, failed, found, most_bytes};
use crate::config::{KafkaSettings, LogSettings};
use crate::topic::Topic;

/// How long making topics may take, until every broker asked knows them.
const PATIENCE: Duration = Duration::from_secs(30);

/// Makes and inspects the topics.
pub struct Admin {
    client: Arc<AdminClient<DefaultClientContext>>,
    names: Names,
    log: LogSettings,
    patience: Duration,
}

impl Admin {
    /// A client; it connects when it is used.
    ///
    /// # Errors
    /// [`Error::Rejected`] when the settings cannot work.
    pub fn new(log: &LogSettings, kafka: &KafkaSettings) -> Result<Self, Error> {
        let client = Arc::new(base(kafka).create().map_err(failed)?);
        Ok(Self { client, names: Names::of(log), log: log.clone(), patience: kafka.delivery_timeout_ms })
    }

    async fn counts(&self) -> Result<Counts, Error> {
        let (client, names, patience) = (Arc::clone(&self.client), self.names.clone(), self.patience);
        let asked = tokio::task::spawn_blocking(move || counts(client.inner(), &names, patience));
        asked.await.map_err(|error| Error::Unavailable(Some(error.into())))?
    }

    async fn make(&self, missing: &[Topic], partitions: u32) -> Result<(), Error> {
        let most = Topic::ALL.map(|topic| most_bytes(topic, &self.log).to_string());
        // With three copies an acknowledged record survives the loss of one broker, and so does appending.
        let in_sync = if self.log.replication >= 3 { "2" } else { "1" };
        let topics: Vec<NewTopic<'_>> = missing
            .iter()
            .map(|topic| {
                let replication = TopicReplication::Fixed(i32::from(self.log.replication));
                NewTopic::new(self.names.get(*topic), partitions.cast_signed(), replication)
                    .set("max.message.bytes", &most[*topic as usize])
                    .set("min.insync.replicas", in_sync)
                    .set("message.timestamp.type", "LogAppendTime")
                    .set("unclean.leader.election.enable", "false")
            })
            .collect();
        let options = AdminOptions::new().operation_timeout(Some(PATIENCE)).request_timeout(Some(PATIENCE));
        for made in self.client.create_topics(&topics, &options).await.map_err(failed)? {
            match made {
                Ok(_) | Err((_, Code::TopicAlreadyExists)) => {}
                Err((name, code)) => {
                    tracing::error!(topic = name, %code, "a topic cannot be made");
                    return Err(failed(KafkaError::MetadataFetch(code)));
                }
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Provision for Admin {
    async fn ensure(&self) -> Result<Vec<TopicState>, Error> {
        let before = self.counts().await?;
        let (present, missing): (Vec<Topic>, Vec<Topic>) =
            Topic::ALL.into_iter().partition(|topic| before[*topic as usize].is_some());
        // Topics that are there decide: a key must have the same partition in each.
        let partitions =
            if present.is_empty() { self.log.partitions } else { found(&self.names, &before, &present)? };
        let deadline = Instant::now() + PATIENCE;
        let mut after = before;
        if !missing.is_empty() {
            self.make(&missing, partitions).await?;
            while after.iter().any(Option::is_none) && Instant::now() < deadline {
                tokio::time::sleep(Duration::from_millis(100)).await;
                after = self.counts().await?;
            }
        }
        found(&self.names, &after, &Topic::ALL)?;
        let state = |topic| TopicState {
            topic,
            name: self.names.get(topic).to_owned(),
            partitions,
            created: missing.contains(&topic),
        };
        Ok(Topic::ALL.into_iter().map(state).collect())
    }
}
