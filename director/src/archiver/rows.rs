//! The rows stage: `parked` to the store. The rows of a batch and how far it reaches are one transaction, so a page read
//! empty at `archived_upto` ≥ *p* proves that nothing parked below *p* is left for its recipient.

use std::sync::Arc;

use futures_util::future::{BoxFuture, FutureExt as _};
use shared::group::{self, Assignment};
use shared::log::{Entry, Fetched};
use shared::outcome::DeadReason;
use shared::position::{Epoch, PartitionId, Position};
use shared::record::dead::Letter;
use shared::record::{self, Kind, parked, run};
use shared::store::StoredRow;

use super::Archiver;
use super::stage::{self, Stage};
use super::sweep;
use crate::calls::{Conflict, persist};
use crate::metrics;

/// Makes a rows stage for each partition; the one of partition zero also expires rows, once for the whole group.
pub(super) struct Crew(pub(super) Archiver);

impl group::Crew for Crew {
    fn work(&self, assignment: Assignment) -> BoxFuture<'static, ()> {
        let archiver = self.0.clone();
        async move {
            let (drain, partition) = (assignment.drain.clone(), assignment.partition);
            let expiring = async {
                if partition == PartitionId(0) {
                    tokio::select! {
                        () = drain.cancelled() => {}
                        () = sweep::expire(&archiver) => {}
                    }
                }
            };
            let settings = Arc::new(archiver.settings.clone());
            let rows = Rows { archiver: archiver.clone(), partition };
            tokio::join!(stage::run(rows, assignment, settings, archiver.backoff), expiring);
        }
        .boxed()
    }
}

struct Rows {
    archiver: Archiver,
    partition: PartitionId,
}

impl Stage for Rows {
    const NAME: &'static str = "rows";

    async fn begin(&self) -> Result<u64, Conflict> {
        let inbox = &self.archiver.inbox;
        persist(self.archiver.backoff, "reading archived_upto", || inbox.archived_upto(self.partition)).await
    }

    async fn shift(&self, batch: &[Fetched], from: u64, to: u64) -> Result<(), Conflict> {
        let mut rows = Vec::with_capacity(batch.len());
        let mut letters = Vec::new();
        for fetched in batch {
            let copies = match run::unpack(&fetched.entry) {
                Ok(copies) => copies,
                Err(error) => {
                    letters.push(letter(fetched, &fetched.entry, error.to_string()));
                    continue;
                }
            };
            for copy in copies {
                match read(&copy, self.partition) {
                    Ok(row) => rows.push(row),
                    Err(detail) => letters.push(letter(fetched, &copy, detail)),
                }
            }
        }
        // First these: moved on, nobody would read the records again.
        if !letters.is_empty() {
            self.archiver.parker.bury(&letters).await;
        }
        let Archiver { inbox, clock, .. } = &self.archiver;
        let gaps = persist(self.archiver.backoff, "archiving parked records", || {
            inbox.archive(self.partition, from, to, &rows, clock.now())
        });
        for (cause, count) in gaps.await? {
            metrics::gaps(cause.as_str(), count);
        }
        Ok(())
    }
}

fn read(copy: &Entry, partition: PartitionId) -> Result<StoredRow, String> {
    let position = parked::position(copy).map_err(|error| error.to_string())?;
    let (kind, notification) = record::decode(copy).map_err(|error| error.to_string())?;
    if position.partition != partition {
        return Err("it was parked in another partition than its own".into());
    }
    match kind {
        Kind::Notification => Ok(StoredRow { position, notification }),
        Kind::Enrichment | Kind::Task => Err("what is for the executor cannot be stored for a client".into()),
    }
}

/// Where its own coordinates cannot be read, those on `parked` have to do, in generation zero, which no topic has.
fn letter(fetched: &Fetched, copy: &Entry, detail: String) -> Letter {
    let foreign = Position { epoch: Epoch(0), partition: fetched.partition, offset: fetched.offset };
    let position = parked::position(copy).unwrap_or(foreign);
    Letter {
        position,
        entry: copy.clone(),
        reason: DeadReason::Malformed(format!("unreadable at offset {} of parked: {detail}", fetched.offset)),
    }
}
