//! Backlog flags in Redis.

use std::collections::HashMap;

use async_trait::async_trait;

use super::super::entry::pack_version;
use super::super::{Error, FlagReading, Flags, metrics};
use super::{ENGINE, Registry, connection, scripts};
use crate::position::PartitionId;
use crate::recipient::Recipient;

#[async_trait]
impl Flags for Registry {
    async fn mark(&self, marks: &[(Recipient, u64)]) -> Result<(), Error> {
        if marks.is_empty() {
            return Ok(());
        }
        let call = async {
            let mut pipeline = redis::pipe();
            for (recipient, upto) in marks {
                let (bucket, field) = self.place(recipient);
                let mut command = scripts::call(&scripts::MARK, &bucket);
                command.arg(&field[..]).arg(pack_version(*upto).as_ref());
                pipeline.add_command(command).ignore();
            }
            self.connection.send(&pipeline).await
        };
        metrics::timed(ENGINE, "mark", call).await
    }

    async fn advance(&self, partition: PartitionId, from: Option<u64>, to: u64) -> Result<(), Error> {
        let call = async {
            let mut command = scripts::call(&scripts::ADVANCE, &self.flagged_key);
            let from = from.map_or_else(String::new, |from| from.to_string());
            command.arg(partition.0).arg(from).arg(to);
            let mut pipeline = redis::pipe();
            pipeline.add_command(command);
            let (moved,): (bool,) = self.connection.send(&pipeline).await?;
            if moved { Ok(()) } else { Err(Error::Conflict) }
        };
        metrics::timed(ENGINE, "advance", call).await
    }

    async fn flagged_upto(&self, partition: PartitionId) -> Result<Option<u64>, Error> {
        let call = async {
            let mut pipeline = redis::pipe();
            pipeline.hget(&self.flagged_key, partition.0);
            let (upto,) = self.connection.send(&pipeline).await?;
            Ok(upto)
        };
        metrics::timed(ENGINE, "flagged_upto", call).await
    }

    async fn read(&self, recipients: &[(Recipient, PartitionId)]) -> Result<Vec<FlagReading>, Error> {
        if recipients.is_empty() {
            return Ok(Vec::new());
        }
        let call = async {
            let mut columns: HashMap<PartitionId, usize> = HashMap::new();
            let mut progress = redis::cmd("HMGET");
            progress.arg(&self.flagged_key);
            for (_, partition) in recipients {
                let next = columns.len();
                columns.entry(*partition).or_insert_with(|| {
                    progress.arg(partition.0);
                    next
                });
            }
            // Redis runs a pipeline in order: the progress is read before every flag, as the port asks.
            let mut pipeline = redis::pipe();
            pipeline.add_command(progress);
            for (recipient, _) in recipients {
                let (bucket, field) = self.place(recipient);
                pipeline.hget(bucket, &field[..]);
            }
            let mut values: Vec<redis::Value> = self.connection.send(&pipeline).await?;
            let entries = values.split_off(1);
            let progress = values.pop().unwrap_or(redis::Value::Nil);
            let parse = |error: redis::ParsingError| connection::classify(error.into());
            let progress: Vec<Option<u64>> = redis::from_redis_value(progress).map_err(parse)?;
            let reading = |((recipient, partition), value): (&(Recipient, PartitionId), redis::Value)| {
                let entry = self.unpack(recipient, redis::from_redis_value(value).map_err(parse)?)?;
                let flagged_upto =
                    columns.get(partition).and_then(|column| progress.get(*column)).copied().flatten();
                Ok(FlagReading { flag: entry.flag, version: entry.version, flagged_upto })
            };
            recipients.iter().zip(entries).map(reading).collect()
        };
        metrics::timed(ENGINE, "read", call).await
    }

    async fn clear(&self, recipients: &[(Recipient, u64)]) -> Result<Vec<bool>, Error> {
        if recipients.is_empty() {
            return Ok(Vec::new());
        }
        let call = async {
            let mut pipeline = redis::pipe();
            for (recipient, version) in recipients {
                let (bucket, field) = self.place(recipient);
                let mut command = scripts::call(&scripts::CLEAR, &bucket);
                command.arg(&field[..]).arg(pack_version(*version).as_ref());
                pipeline.add_command(command);
            }
            self.connection.send(&pipeline).await
        };
        metrics::timed(ENGINE, "clear", call).await
    }
}
