//! Makes the topics, for `postrider topics`, and looks at those that are there.
//!
//! Topics are made with a `retention.ms` of their own, a day above [`MAX_TTL`]: the broker's default of seven days would
//! delete what is still alive and waits for its director or its archiver. Whoever lowers it on a topic gives up what lives
//! longer, and is told so by every later `postrider topics`.

use std::time::Duration;

use async_trait::async_trait;
use rdkafka::admin::{
    AdminClient, AdminOptions, ConfigResourceResult, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use std::sync::Arc;
use tokio::time::Instant;

use super::super::{Error, Provision, TopicState};
use super::client::{Counts, Names, base, counts, failed, found, millis, most_bytes};
use crate::config::{KafkaSettings, LogSettings};
use crate::notification::MAX_TTL;
use crate::topic::Topic;

/// How long making topics may take, until every broker asked knows them.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a record stands at least: longer than the longest-lived notification, and a day to notice a backlog.
const RETENTION: Duration = MAX_TTL.saturating_add(Duration::from_secs(24 * 3600));

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
        Ok(Self { client, names: Names::of(log), log: log.clone(), patience: kafka.request_timeout_ms })
    }

    async fn counts(&self) -> Result<Counts, Error> {
        let (client, names, patience) = (Arc::clone(&self.client), self.names.clone(), self.patience);
        let asked = tokio::task::spawn_blocking(move || counts(client.inner(), &names, patience));
        asked.await.map_err(|error| Error::Unavailable(Some(error.into())))?
    }

    async fn make(&self, missing: &[Topic], partitions: u32) -> Result<(), Error> {
        let most = Topic::ALL.map(|topic| most_bytes(topic, &self.log).to_string());
        let retention = millis(RETENTION);
        // With three copies an acknowledged record survives the loss of one broker, and so does appending.
        let in_sync = if self.log.replication >= 3 { "2" } else { "1" };
        let topics: Vec<NewTopic<'_>> = missing
            .iter()
            .map(|topic| {
                let replication = TopicReplication::Fixed(i32::from(self.log.replication));
                NewTopic::new(self.names.get(*topic), partitions.cast_signed(), replication)
                    .set("max.message.bytes", &most[*topic as usize])
                    .set("cleanup.policy", "delete")
                    .set("retention.ms", &retention)
                    .set("retention.bytes", "-1")
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

    /// What is set on `topics` that can cost records. A topic that may not be looked at has nothing to show.
    async fn faults(&self, topics: &[Topic]) -> Result<[Vec<String>; Topic::ALL.len()], Error> {
        let mut faults = <[Vec<String>; Topic::ALL.len()]>::default();
        let wanted: Vec<_> =
            topics.iter().map(|topic| ResourceSpecifier::Topic(self.names.get(*topic))).collect();
        let options = AdminOptions::new().request_timeout(Some(self.patience));
        for (topic, found) in topics.iter().zip(self.described(&wanted, &options).await?) {
            match found {
                Ok(resource) => {
                    let set = |key: &str| resource.get(key).and_then(|entry| entry.value.clone());
                    faults[*topic as usize] = wrong(*topic, &self.log, set);
                }
                Err(code) => {
                    tracing::warn!(topic = self.names.get(*topic), %code, "the settings of a topic cannot be seen");
                }
            }
        }
        Ok(faults)
    }

    async fn described(
        &self,
        wanted: &[ResourceSpecifier<'_>],
        options: &AdminOptions,
    ) -> Result<Vec<ConfigResourceResult>, Error> {
        // None asked for is an error to the driver.
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        self.client.describe_configs(wanted, options).await.map_err(failed)
    }
}

/// What is wrong with a topic that has these settings.
fn wrong(topic: Topic, log: &LogSettings, set: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let number = |key| set(key).and_then(|value| value.parse::<i64>().ok());
    let mut wrong = Vec::new();
    // A negative one is none.
    if let Some(kept) = number("retention.ms").filter(|kept| (0..RETENTION.as_millis() as i64).contains(kept))
    {
        let least = RETENTION.as_millis();
        wrong.push(format!(
            "retention.ms is {kept}, below {least}: records may be deleted while they are alive"
        ));
    }
    if let Some(bytes) = number("retention.bytes").filter(|bytes| *bytes >= 0) {
        wrong.push(format!("retention.bytes is {bytes}: records may be deleted while they are alive"));
    }
    let most = most_bytes(topic, log);
    if let Some(taken) = number("max.message.bytes").filter(|taken| *taken < most as i64) {
        wrong.push(format!("max.message.bytes is {taken}, below {most}: large records are refused"));
    }
    if let Some(policy) = set("cleanup.policy").filter(|policy| policy.contains("compact")) {
        wrong.push(format!(
            "cleanup.policy is {policy}: all but the last record of a recipient may be deleted"
        ));
    }
    wrong
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
        let mut faults = self.faults(&present).await?;
        let state = |topic: Topic| TopicState {
            topic,
            name: self.names.get(topic).to_owned(),
            partitions,
            created: missing.contains(&topic),
            faults: std::mem::take(&mut faults[topic as usize]),
        };
        Ok(Topic::ALL.into_iter().map(state).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong_with(set: &[(&str, &str)]) -> Vec<String> {
        let find =
            |key: &str| set.iter().find(|(name, _)| *name == key).map(|(_, value)| (*value).to_owned());
        wrong(Topic::Parked, &LogSettings::default(), find)
    }

    #[test]
    fn topics_that_keep_everything_have_no_fault() {
        let retention = millis(RETENTION);
        for kept in [retention.as_str(), "-1"] {
            let set = [("retention.ms", kept), ("retention.bytes", "-1"), ("cleanup.policy", "delete")];
            assert_eq!(wrong_with(&set), Vec::<String>::new());
        }
        assert_eq!(wrong_with(&[]), Vec::<String>::new(), "what is not seen is not blamed");
    }

    #[test]
    fn every_setting_that_can_cost_records_is_named() {
        let set = [
            ("retention.ms", "604800000"),
            ("retention.bytes", "1073741824"),
            ("max.message.bytes", "1048588"),
            ("cleanup.policy", "compact,delete"),
        ];
        let found = wrong_with(&set);
        assert_eq!(found.len(), set.len());
        assert!(
            found.iter().zip(set).all(|(text, (key, value))| text.starts_with(&format!("{key} is {value}")))
        );
    }
}
