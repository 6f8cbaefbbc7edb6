//! The dead stage: `dead` to the store, as the rows stage does with `parked`.

use std::sync::Arc;

use futures_util::future::{BoxFuture, FutureExt as _};
use shared::log::{Fetched, Headers};
use shared::position::{Epoch, PartitionId, Position};
use shared::recipient::TenantId;
use shared::record::{dead, parked};
use shared::store::DeadRow;

use super::Archiver;
use super::stage::{self, Stage};
use crate::calls::{Conflict, persist};
use crate::consumer::{self, Assignment};

/// Makes a dead stage for each partition.
pub(super) struct Crew(pub(super) Archiver);

impl consumer::Crew for Crew {
    fn work(&self, assignment: Assignment) -> BoxFuture<'static, ()> {
        let settings = Arc::new(self.0.settings.clone());
        let stage = Dead { archiver: self.0.clone(), partition: assignment.partition };
        let backoff = self.0.backoff;
        stage::run(stage, assignment, settings, backoff).boxed()
    }
}

struct Dead {
    archiver: Archiver,
    partition: PartitionId,
}

impl Stage for Dead {
    const NAME: &'static str = "dead";

    async fn begin(&self) -> Result<u64, Conflict> {
        let letters = &self.archiver.dead_letters;
        persist(self.archiver.backoff, "reading dead_upto", || letters.dead_upto(self.partition)).await
    }

    async fn shift(&self, batch: &[Fetched], from: u64, to: u64) -> Result<(), Conflict> {
        let rows: Vec<DeadRow> = batch.iter().map(row).collect();
        let letters = &self.archiver.dead_letters;
        persist(self.archiver.backoff, "archiving dead letters", || {
            letters.archive_dead(self.partition, from, to, &rows)
        })
        .await
    }
}

/// Every record becomes a row. One that nobody of ours wrote has no coordinates: it gets those on `dead`, in generation
/// zero, which no topic has.
fn row(fetched: &Fetched) -> DeadRow {
    let entry = &fetched.entry;
    let foreign = Position { epoch: Epoch(0), partition: fetched.partition, offset: fetched.offset };
    let (code, detail) = dead::reason(entry)
        .unwrap_or_else(|error| ("malformed".into(), format!("on the dead topic without a reason: {error}")));
    let key = String::from_utf8_lossy(&entry.key).into_owned();
    let own =
        |headers: &Headers| headers.iter().filter(|(name, _)| !name.starts_with("pr_")).cloned().collect();
    DeadRow {
        position: parked::position(entry).unwrap_or(foreign),
        tenant: key.split(['/', '#']).next().and_then(|tenant| TenantId::parse(tenant).ok()),
        key,
        code,
        detail,
        headers: own(&entry.headers),
        payload: entry.payload.clone(),
        time: fetched.timestamp,
    }
}
