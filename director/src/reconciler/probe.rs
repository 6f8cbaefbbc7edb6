//! What stands at positions that are committed and have no end: a record, which is then unaccounted; nothing, for logs have
//! gaps (control records of transactions); or nothing any more.

use shared::log::{Error, Fetched, Reader};
use shared::position::PartitionId;
use shared::record;
use shared::topic::Topic;

use super::account::{Account, Verdicts};
use crate::metrics;

/// Most positions judged together.
const CHUNK: usize = 10_000;

/// See the module.
pub(super) struct Probe<'a> {
    pub(super) reader: &'a dyn Reader,
    pub(super) partition: PartitionId,
    /// How many more may be unaccounted.
    pub(super) room: usize,
    pub(super) log_lines: usize,
}

impl Probe<'_> {
    /// Judges the positions of `account` below `upto` that have no end, or as many as there is room for.
    ///
    /// # Errors
    /// When the log does not answer.
    pub(super) async fn judge(&self, account: &Account, upto: u64) -> Result<Verdicts, Error> {
        let open = account.open(upto, CHUNK);
        let mut verdicts = Verdicts { missing: Vec::new(), upto: open.first().copied().unwrap_or(upto) };
        let (mut vacant, mut left) = (Vec::new(), &open[..]);
        while let Some(from) = left.first().copied().filter(|_| verdicts.missing.len() < self.room) {
            let records = self.reader.read(Topic::Notifications, self.partition, from, upto).await?;
            // What was read tells of everything up to its last record.
            let seen = records.last().map_or(upto, |last| last.offset + 1);
            let (judged, rest) = left.split_at(left.partition_point(|offset| *offset < seen));
            for offset in judged {
                match records.binary_search_by_key(offset, |record| record.offset) {
                    Ok(_) if verdicts.missing.len() >= self.room => break,
                    Ok(at) => {
                        self.tell(&records[at], verdicts.missing.len());
                        verdicts.missing.push(*offset);
                    }
                    Err(_) => vacant.push(*offset),
                }
                verdicts.upto = *offset + 1;
            }
            left = rest;
        }
        if verdicts.missing.len() < self.room && open.len() < CHUNK {
            verdicts.upto = upto;
        }
        self.tell_sums(&verdicts, &vacant).await?;
        Ok(verdicts)
    }

    fn tell(&self, record: &Fetched, told: usize) {
        if told < self.log_lines {
            let id = record::id(&record.entry).unwrap_or("unknown");
            let (partition, offset) = (self.partition, record.offset);
            tracing::error!(%partition, offset, id, "unaccounted: committed, and nothing on the log tells of its end");
        }
    }

    async fn tell_sums(&self, verdicts: &Verdicts, vacant: &[u64]) -> Result<(), Error> {
        let missing = verdicts.missing.len();
        if missing > self.log_lines {
            tracing::error!(partition = %self.partition, more = missing - self.log_lines, "unaccounted, not named one by one");
        }
        if vacant.is_empty() {
            return Ok(());
        }
        let first = self.reader.first(Topic::Notifications, self.partition).await?;
        let deleted = vacant.partition_point(|offset| *offset < first);
        if deleted > 0 {
            metrics::unjudged("record_deleted", deleted);
            tracing::error!(
                partition = %self.partition, positions = deleted, below = first,
                "committed without an end, and retention deleted the records: they cannot be told from gaps of the log"
            );
        }
        Ok(())
    }
}
