//! The dead stage: `dead` to the store, as the rows stage does with `parked`. Beside that of partition zero run the
//! requeues, once for the whole group.

use std::sync::Arc;

use futures_util::future::{BoxFuture, FutureExt as _};
use shared::group::{self, Assignment};
use shared::log::{Entry, Fetched, Headers};
use shared::notification::NotificationId;
use shared::position::{Epoch, PartitionId, Position};
use shared::recipient::{Recipient, TenantId};
use shared::record::{self, Kind, dead, parked};
use shared::store::DeadRow;

use super::Archiver;
use super::requeue;
use super::stage::{self, Stage};
use crate::calls::{Conflict, persist};

/// Makes a dead stage for each partition.
pub(super) struct Crew(pub(super) Archiver);

impl group::Crew for Crew {
    fn work(&self, assignment: Assignment) -> BoxFuture<'static, ()> {
        let archiver = self.0.clone();
        async move {
            let (drain, partition) = (assignment.drain.clone(), assignment.partition);
            let requeueing = async {
                if partition == PartitionId(0) {
                    requeue::run(&archiver, &drain).await;
                }
            };
            let settings = Arc::new(archiver.settings.clone());
            let dead = Dead { archiver: archiver.clone(), partition };
            tokio::join!(stage::run(dead, assignment, settings, archiver.backoff), requeueing);
        }
        .boxed()
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

/// Most of a key, or of a detail, that is kept. Every key that anybody could be delivered by is shorter.
const TEXT_BYTES: usize = 4 * 1024;

/// Every record becomes a row. One that nobody of ours wrote has no coordinates: it gets those on `dead`, in generation
/// zero, which no topic has.
fn row(fetched: &Fetched) -> DeadRow {
    let dead = &fetched.entry;
    let foreign = Position { epoch: Epoch(0), partition: fetched.partition, offset: fetched.offset };
    let (code, detail) = dead::reason(dead)
        .unwrap_or_else(|error| ("malformed".into(), format!("on the dead topic without a reason: {error}")));
    let key = String::from_utf8_lossy(&dead.key).into_owned();
    let own =
        |headers: &Headers| headers.iter().filter(|(name, _)| !name.starts_with("pr_")).cloned().collect();
    let entry = Entry { headers: own(&dead.headers), ..dead.clone() };
    let cut = dead::is_cut(dead);
    DeadRow {
        position: parked::position(dead).unwrap_or(foreign),
        tenant: key.split(['/', '#']).next().and_then(|tenant| TenantId::parse(tenant).ok()),
        recipient: Recipient::parse_key(&key).ok().map(|recipient| recipient.id),
        key: short(key),
        code: short(code),
        detail: short(detail),
        time: fetched.timestamp,
        notification: record::id(&entry).and_then(|id| NotificationId::parse(id).ok()),
        cut,
        requeueable: !cut && reads_whole(&entry),
        headers: entry.headers,
        payload: entry.payload,
    }
}

/// Whether a record reads as a notification that can be delivered, or enriched.
pub(super) fn reads_whole(entry: &Entry) -> bool {
    match record::decode(entry) {
        Ok((Kind::Notification, _)) => true,
        Ok((Kind::Enrichment, _)) => record::task::enrichment(&entry.headers).is_ok(),
        Ok((Kind::Task, _)) | Err(_) => false,
    }
}

fn short(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(TEXT_BYTES));
    text
}
