//! Ports that do not do what they say.

use std::sync::Arc;

use async_trait::async_trait;
use shared::log::{
    Appender, Consumer, Entry, Error, Fetched, Interest, Placed, Progress, Reader, Subscriber, Turn,
};
use shared::position::PartitionId;
use shared::topic::Topic;

/// Says that it appended to one topic, and did not.
pub(crate) struct Deaf {
    topic: Topic,
    log: Arc<dyn Appender>,
}

impl Deaf {
    pub(crate) fn to(topic: Topic, log: Arc<dyn Appender>) -> Self {
        Self { topic, log }
    }
}

#[async_trait]
impl Appender for Deaf {
    async fn append(&self, topic: Topic, entries: Vec<Entry>) -> Vec<Result<Placed, Error>> {
        if topic != self.topic {
            return self.log.append(topic, entries).await;
        }
        entries.iter().map(|_| Ok(Placed { partition: PartitionId(0), offset: 1 << 30 })).collect()
    }
}

/// Commits further than a group says it has finished.
pub(crate) struct Hasty {
    pub(crate) log: Arc<dyn Subscriber>,
    pub(crate) group: &'static str,
    pub(crate) by: u64,
}

#[async_trait]
impl Subscriber for Hasty {
    async fn subscribe(
        &self,
        topic: Topic,
        group: &str,
        interest: Interest,
    ) -> Result<Box<dyn Consumer>, Error> {
        let member = self.log.subscribe(topic, group, interest).await?;
        Ok(if group == self.group { Box::new(HastyMember(member, self.by)) } else { member })
    }
}

struct HastyMember(Box<dyn Consumer>, u64);

#[async_trait]
impl Consumer for HastyMember {
    async fn next(&mut self) -> Result<Turn, Error> {
        self.0.next().await
    }

    fn progress(&self) -> Arc<dyn Progress> {
        Arc::new(HastyProgress(self.0.progress(), self.1))
    }

    async fn close(self: Box<Self>) {
        self.0.close().await;
    }
}

struct HastyProgress(Arc<dyn Progress>, u64);

impl Progress for HastyProgress {
    fn finish(&self, partition: PartitionId, next: u64) {
        self.0.finish(partition, next + self.1);
    }

    fn pause(&self, partition: PartitionId) {
        self.0.pause(partition);
    }

    fn resume(&self, partition: PartitionId) {
        self.0.resume(partition);
    }

    fn seek(&self, partition: PartitionId, offset: u64) {
        self.0.seek(partition, offset);
    }
}

/// Reads nothing.
pub(crate) struct Blind;

#[async_trait]
impl Reader for Blind {
    async fn first(&self, _topic: Topic, _partition: PartitionId) -> Result<u64, Error> {
        Err(Error::Unavailable(None))
    }

    async fn read(
        &self,
        _topic: Topic,
        _partition: PartitionId,
        _from: u64,
        _to: u64,
    ) -> Result<Vec<Fetched>, Error> {
        Err(Error::Unavailable(None))
    }
}
