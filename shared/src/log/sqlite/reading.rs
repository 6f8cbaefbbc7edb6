//! Reading outside of groups, and the offsets of groups that nobody joins. What is told stands in the file.

use async_trait::async_trait;
use tokio::sync::oneshot;

use super::super::{Commits, Ends, Error, Fetched, Lag, Reader};
use super::Log;
use super::file::failed;
use super::writer::Request;
use crate::position::PartitionId;
use crate::topic::Topic;

impl Log {
    fn check(&self, partition: PartitionId) -> Result<(), Error> {
        if partition.0 < self.core.partitions {
            return Ok(());
        }
        Err(Error::Rejected(format!("there is no partition {partition}").into()))
    }
}

#[async_trait]
impl Reader for Log {
    async fn first(&self, topic: Topic, partition: PartitionId) -> Result<u64, Error> {
        self.check(partition)?;
        Ok(self.core.first(topic, partition))
    }

    async fn read(
        &self,
        topic: Topic,
        partition: PartitionId,
        from: u64,
        to: u64,
    ) -> Result<Vec<Fetched>, Error> {
        self.check(partition)?;
        Ok(self.core.read(topic, partition, from, to).await?.records)
    }
}

#[async_trait]
impl Commits for Log {
    async fn committed(
        &self,
        group: &str,
        topic: Topic,
        partition: PartitionId,
    ) -> Result<Option<u64>, Error> {
        self.check(partition)?;
        let slot = self.core.slot(topic);
        let next: Option<i64> = sqlx::query_scalar(
            "select next from commits where slot = ? and group_name = ? and partition = ?",
        )
        .bind(i64::from(slot.0))
        .bind(group)
        .bind(i64::from(partition.0))
        .fetch_optional(&self.core.readers)
        .await
        .map_err(failed)?;
        Ok(next.map(i64::cast_unsigned))
    }

    async fn commit(
        &self,
        group: &str,
        partition: PartitionId,
        offsets: &[(Topic, u64)],
    ) -> Result<(), Error> {
        self.check(partition)?;
        let earliest = |topic| {
            (0..self.core.partitions).map(|other| self.core.first(topic, PartitionId(other))).collect()
        };
        self.core.groups.put(group, partition, offsets, earliest);
        let (answer, saved) = oneshot::channel();
        self.requests.send(Request::Save(answer)).await.map_err(|_stopped| Error::Closed)?;
        match tokio::time::timeout(self.core.delivery_timeout, saved).await {
            Ok(Ok(saved)) => saved,
            Ok(Err(_stopped)) => Err(Error::Closed),
            Err(elapsed) => Err(Error::Unavailable(Some(Box::new(elapsed)))),
        }
    }
}

#[async_trait]
impl Lag for Log {
    async fn lag(&self, group: &str, topic: Topic) -> Result<u64, Error> {
        let mut behind = 0;
        for partition in (0..self.core.partitions).map(PartitionId) {
            let committed = self.committed(group, topic, partition).await?;
            let begin = committed.unwrap_or_else(|| self.core.first(topic, partition));
            behind += self.end(topic, partition).await?.saturating_sub(begin);
        }
        Ok(behind)
    }
}
