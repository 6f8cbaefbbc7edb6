//! What all Kafka clients here share: settings, names of topics, and errors by what the caller can do.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::client::{Client, ClientContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

use super::super::Error;
use crate::config::{KafkaSettings, LogSettings};
use crate::position::Epoch;
use crate::topic::Topic;

/// Bytes that Kafka's format adds to a record at most, for the headers we write.
const FORMAT_BYTES: usize = 16 * 1024;

/// For how long what the brokers said last is believed: longer than they may be away (the driver would else take three
/// times `kafka.metadata_refresh_ms`).
const METADATA_KEPT: Duration = Duration::from_secs(1800);
/// The longest that can be: the driver makes microseconds of it in 32 bits. What overflows them has expired as soon as it
/// was said, and every question for a leader waits in vain.
const METADATA_KEPT_MOST: Duration = Duration::from_millis(i32::MAX as u64 / 1000);

/// The largest record of a topic, as Kafka counts.
pub(super) fn most_bytes(topic: Topic, log: &LogSettings) -> usize {
    topic.most_bytes(log.max_record_bytes) + FORMAT_BYTES
}

/// The settings that every client starts from.
pub(super) fn base(kafka: &KafkaSettings) -> ClientConfig {
    let mut config = ClientConfig::new();
    let kept = METADATA_KEPT.max(kafka.metadata_refresh_ms * 3).min(METADATA_KEPT_MOST);
    config
        .set("bootstrap.servers", &kafka.brokers)
        .set("client.id", "postrider")
        .set("socket.keepalive.enable", "true")
        .set("socket.nagle.disable", "true")
        .set("reconnect.backoff.ms", "50")
        // A broker that is back is found within a second.
        .set("reconnect.backoff.max.ms", "1000")
        // A leader's death makes the driver ask once, which may be before there is another leader.
        .set("topic.metadata.refresh.interval.ms", millis(kafka.metadata_refresh_ms))
        // While nobody answers, what is known of the topics is kept.
        .set("metadata.max.age.ms", millis(kept))
        .set("log.connection.close", "false");
    config
}

/// Whole milliseconds, as librdkafka takes them.
pub(super) fn millis(duration: Duration) -> String {
    duration.as_millis().to_string()
}

/// Names of the topics on the brokers.
#[derive(Clone, Debug)]
pub(super) struct Names([String; Topic::ALL.len()]);

impl Names {
    pub(super) fn of(log: &LogSettings) -> Self {
        Self(Topic::ALL.map(|topic| topic.name(&log.prefix, Epoch(log.epoch))))
    }

    pub(super) fn get(&self, topic: Topic) -> &str {
        &self.0[topic as usize]
    }
}

/// The number of partitions of each topic; none for a topic that is not there.
pub(super) type Counts = [Option<u32>; Topic::ALL.len()];

/// Asks the brokers how the topics stand. Blocks.
pub(super) fn counts<C: ClientContext>(
    client: &Client<C>,
    names: &Names,
    patience: Duration,
) -> Result<Counts, Error> {
    // All at once: asking for a single topic that is missing could make it.
    let metadata = client.fetch_metadata(None, patience).map_err(failed)?;
    Ok(Topic::ALL.map(|topic| {
        let found = metadata.topics().iter().find(|found| found.name() == names.get(topic))?;
        let partitions = u32::try_from(found.partitions().len()).ok()?;
        (found.error().is_none() && partitions > 0).then_some(partitions)
    }))
}

/// The one number of partitions of `wanted`.
pub(super) fn found(names: &Names, counts: &Counts, wanted: &[Topic]) -> Result<u32, Error> {
    let missing: Vec<&str> = wanted
        .iter()
        .filter(|topic| counts[**topic as usize].is_none())
        .map(|topic| names.get(*topic))
        .collect();
    if !missing.is_empty() {
        let why = format!("missing topics: {}; `postrider topics` makes them", missing.join(", "));
        return Err(Error::Rejected(why.into()));
    }
    let mut present = wanted.iter().filter_map(|topic| counts[*topic as usize]);
    let partitions = present.next().unwrap_or(0);
    if present.any(|other| other != partitions) {
        return Err(Error::Rejected("the topics have different numbers of partitions".into()));
    }
    Ok(partitions)
}

/// A driver's error by what the caller can do.
pub(super) fn failed(error: KafkaError) -> Error {
    match error.rdkafka_error_code() {
        Some(Code::MessageSizeTooLarge | Code::InvalidMessageSize) => Error::TooLarge,
        Some(code) if is_final(code) => Error::Rejected(Box::new(error)),
        Some(_) => Error::Unavailable(Some(Box::new(error))),
        None if matches!(error, KafkaError::ClientConfig(..) | KafkaError::Nul(_)) => {
            Error::Rejected(Box::new(error))
        }
        None => Error::Unavailable(Some(Box::new(error))),
    }
}

/// Whether trying again cannot help.
pub(super) fn is_final(code: Code) -> bool {
    matches!(
        code,
        Code::UnknownTopic
            | Code::UnknownTopicOrPartition
            | Code::UnknownPartition
            | Code::InvalidTopic
            | Code::InvalidRecord
            | Code::InvalidPartitions
            | Code::InvalidReplicationFactor
            | Code::PolicyViolation
            | Code::Authentication
            | Code::SaslAuthenticationFailed
            | Code::TopicAuthorizationFailed
            | Code::GroupAuthorizationFailed
            | Code::ClusterAuthorizationFailed
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_driver_keeps_of_the_topics_does_not_overflow_it() {
        for seconds in [1, 600, 3600] {
            let metadata_refresh_ms = Duration::from_secs(seconds);
            let config = base(&KafkaSettings { metadata_refresh_ms, ..KafkaSettings::default() });
            let kept_ms: i32 = config.get("metadata.max.age.ms").unwrap().parse().unwrap();
            assert!(kept_ms.checked_mul(1000).is_some(), "{kept_ms}");
        }
    }
}
