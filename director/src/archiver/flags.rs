//! The flags stage: marks the recipients of parked records `backlog` in the registry, then says how far.
//!
//! The order is what makes "the flag reads clean, and `flagged_upto` ≥ *p*" a proof that nothing parked below *p* is left
//! for a recipient: `flagged_upto` moves over a record only after its recipient was marked, so at `flagged_upto` ≥ *p* the
//! mark of every record below *p* is in the flag's past, and clean was set after it, by a session that had read the store
//! empty that far. A registry that lost its content has lost `flagged_upto` too (`None`), and with it every proof, until
//! this stage has marked again whoever has rows: those archived up to *a*, read **before** the scan, by the scan, and the
//! rest by reading `parked` from *a* on.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::future::{BoxFuture, FutureExt as _};
use shared::log::Fetched;
use shared::position::PartitionId;
use shared::recipient::Recipient;

use super::Archiver;
use super::stage::{self, Stage};
use super::sweep::{self, Tempo};
use crate::calls::{Conflict, persist};
use crate::consumer::{self, Assignment};

/// Makes a flags stage for each partition, with the slow scan beside it.
pub(super) struct Crew(pub(super) Archiver);

impl consumer::Crew for Crew {
    fn work(&self, assignment: Assignment) -> BoxFuture<'static, ()> {
        let archiver = self.0.clone();
        async move {
            let (drain, partition) = (assignment.drain.clone(), assignment.partition);
            let sweeping = async {
                tokio::select! {
                    () = drain.cancelled() => {}
                    () = sweep::mark(&archiver, partition) => {}
                }
            };
            let settings = Arc::new(archiver.settings.clone());
            let marks = Marks { archiver: archiver.clone(), partition };
            tokio::join!(stage::run(marks, assignment, settings, archiver.backoff), sweeping);
        }
        .boxed()
    }
}

struct Marks {
    archiver: Archiver,
    partition: PartitionId,
}

impl Marks {
    /// Starts over in a registry that knows nothing of the partition.
    async fn reset(&self) -> Result<u64, Conflict> {
        let Archiver { flags, .. } = &self.archiver;
        tracing::info!(partition = %self.partition, "the registry knows no flags; marking whoever has rows");
        let upto = sweep::scan(&self.archiver, self.partition, Tempo::Fast).await?;
        persist(self.archiver.backoff, "setting flagged_upto", || flags.advance(self.partition, None, upto))
            .await?;
        Ok(upto)
    }
}

impl Stage for Marks {
    const NAME: &'static str = "flags";

    async fn begin(&self) -> Result<u64, Conflict> {
        let flags = &self.archiver.flags;
        let flagged =
            persist(self.archiver.backoff, "reading flagged_upto", || flags.flagged_upto(self.partition));
        match flagged.await? {
            Some(upto) => Ok(upto),
            None => self.reset().await,
        }
    }

    async fn shift(&self, batch: &[Fetched], from: u64, to: u64) -> Result<(), Conflict> {
        let Archiver { flags, backoff, .. } = &self.archiver;
        let marks = marks(batch);
        persist(*backoff, "marking recipients", || flags.mark(&marks)).await?;
        persist(*backoff, "advancing flagged_upto", || async {
            match flags.advance(self.partition, Some(from), to).await {
                // An advance whose answer was lost has happened.
                Err(shared::registry::Error::Conflict)
                    if flags.flagged_upto(self.partition).await? == Some(to) =>
                {
                    Ok(())
                }
                advanced => advanced,
            }
        })
        .await
    }
}

/// The highest offset of each recipient, and one more. A record without a readable key has no recipient to mark; the rows
/// stage makes a dead letter of it.
fn marks(batch: &[Fetched]) -> Vec<(Recipient, u64)> {
    let mut upto: HashMap<Recipient, u64> = HashMap::new();
    for record in batch {
        let key = std::str::from_utf8(&record.entry.key).ok();
        if let Some(recipient) = key.and_then(|key| Recipient::parse_key(key).ok()) {
            upto.insert(recipient, record.offset + 1);
        }
    }
    upto.into_iter().collect()
}
