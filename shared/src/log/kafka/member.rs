//! One member of a consumer group, as the port has it.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use tokio::sync::oneshot;

use super::super::{Consumer, Error, Interest, Progress, Turn};
use super::client::{base, failed, millis};
use super::mailbox::Mailbox;
use super::poll::Poller;
use super::rebalance::Rebalances;
use crate::config::{KafkaSettings, LogSettings};

/// So much is handed on without patience.
const MANY_BYTES: &str = "262144";

pub(super) struct Member {
    mailbox: Arc<Mailbox>,
    stopped: Option<oneshot::Receiver<()>>,
    patience: Duration,
}

impl Member {
    pub(super) fn join(
        log: &LogSettings,
        kafka: &KafkaSettings,
        topic: &str,
        group: &str,
        interest: Interest,
    ) -> Result<Self, Error> {
        // The poll thread waits for a drain; the group must bear that, and a few questions to brokers.
        let max_poll = kafka.session_timeout_ms.max(kafka.drain_timeout_ms * 2 + Duration::from_secs(30));
        let mut config = base(kafka);
        config
            .set("group.id", format!("{}{group}", log.prefix))
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("session.timeout.ms", millis(kafka.session_timeout_ms))
            .set("heartbeat.interval.ms", millis((kafka.session_timeout_ms / 10).min(Duration::from_secs(3))))
            .set("max.poll.interval.ms", millis(max_poll))
            .set("enable.auto.commit", "true")
            .set("auto.commit.interval.ms", millis(kafka.commit_interval_ms))
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "earliest")
            .set("allow.auto.create.topics", "false")
            // The default of a second stalls a consumer whose queue was full for a moment.
            .set("fetch.queue.backoff.ms", "5")
            .set("fetch.error.backoff.ms", "100")
            .set("queued.max.messages.kbytes", (16 * 1024).max(log.max_record_bytes / 512).to_string());
        if interest.patience.is_zero() {
            config.set("fetch.wait.max.ms", "50");
        } else {
            config.set("fetch.wait.max.ms", millis(interest.patience)).set("fetch.min.bytes", MANY_BYTES);
        }
        let mailbox = Arc::new(Mailbox::default());
        let context = Rebalances::new(Arc::clone(&mailbox), topic, kafka.drain_timeout_ms);
        let mut consumer: BaseConsumer<Rebalances> = config.create_with_context(context).map_err(failed)?;
        let roused = Arc::clone(&mailbox);
        consumer.set_nonempty_callback(move || roused.rouse());
        consumer.subscribe(&[topic]).map_err(failed)?;
        let poller = Poller {
            consumer,
            mailbox: Arc::clone(&mailbox),
            interest,
            passed: RefCell::default(),
            batch_records: log.batch_records,
            batch_bytes: log.batch_kbytes * 1024,
        };
        let (stop, stopped) = oneshot::channel();
        std::thread::Builder::new()
            .name(format!("log-{group}"))
            .spawn(move || {
                poller.run();
                drop(stop);
            })
            .map_err(|error| Error::Unavailable(Some(error.into())))?;
        Ok(Self { mailbox, stopped: Some(stopped), patience: kafka.drain_timeout_ms })
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.mailbox.close();
    }
}

#[async_trait]
impl Consumer for Member {
    async fn next(&mut self) -> Result<Turn, Error> {
        self.mailbox.next().await
    }

    fn progress(&self) -> Arc<dyn Progress> {
        Arc::clone(&self.mailbox) as Arc<dyn Progress>
    }

    async fn close(mut self: Box<Self>) {
        self.mailbox.close();
        if let Some(stopped) = self.stopped.take()
            && tokio::time::timeout(self.patience, stopped).await.is_err()
        {
            tracing::warn!("a member did not leave its group in time; what it had not committed comes again");
        }
    }
}
