//! What stands in the store and among the dead letters, read through the store's port.

use std::collections::HashMap;
use std::sync::Arc;

use shared::config::{LogSettings, PostgresSettings, Secret, StoreSettings};
use shared::position::{Cursor, Epoch, PartitionId};
use shared::recipient::Recipient;
use shared::store::{DeadFilter, DeadReview, Error, GapCause, Inbox, PageRequest, postgres, sqlite};

use super::wire::Mark;
use crate::stack::account::{AtRest, Resting};
use crate::stack::{Column, Stack};

/// Rows, recipients or dead letters read at a time.
const PAGE: u32 = 500;

/// The store of a stack, beside its own processes.
pub struct Store {
    inbox: Arc<dyn Inbox>,
    dead: Arc<dyn DeadReview>,
    partitions: u32,
}

impl Store {
    pub fn of(stack: &Stack) -> Self {
        let settings: toml::Table = std::fs::read_to_string(&stack.settings).unwrap().parse().unwrap();
        let partitions = settings.get("log").and_then(|log| log.get("partitions")?.as_integer());
        let partitions = partitions
            .map_or_else(|| LogSettings::default().partitions, |number| u32::try_from(number).unwrap());
        let limits = StoreSettings::default();
        match stack.column {
            Column::Embedded => {
                let store = sqlite::Store::open(stack.dir().join("data/store.db"), &limits).unwrap();
                Self { inbox: Arc::clone(&store) as Arc<dyn Inbox>, dead: store, partitions }
            }
            Column::Distributed => {
                let url = Secret::new(settings["postgres"]["url"].as_str().unwrap().to_owned());
                let postgres = PostgresSettings { url, connections: 2, ..PostgresSettings::default() };
                let store = postgres::Store::connect(&postgres, &limits).unwrap();
                Self { inbox: Arc::clone(&store) as Arc<dyn Inbox>, dead: store, partitions }
            }
        }
    }

    /// Everything.
    pub async fn read(&self) -> Result<AtRest, Error> {
        let mut at_rest = AtRest::default();
        for partition in (0..self.partitions).map(PartitionId) {
            let mut after: Option<Recipient> = None;
            loop {
                let found = self.inbox.recipients(partition, after.as_ref(), PAGE).await?;
                for recipient in &found {
                    self.read_recipient(partition, recipient, &mut at_rest).await?;
                }
                let Some(last) = found.last() else { break };
                after = Some(last.clone());
            }
        }
        self.read_dead(&mut at_rest).await?;
        Ok(at_rest)
    }

    async fn read_recipient(
        &self,
        partition: PartitionId,
        recipient: &Recipient,
        at_rest: &mut AtRest,
    ) -> Result<(), Error> {
        // A scenario may have recipients of its own beside the load's.
        let Ok(number) = recipient.id.to_string().trim_start_matches('r').parse() else { return Ok(()) };
        let mut from = Cursor::start(Epoch(0), partition);
        loop {
            let request = PageRequest { recipient: recipient.clone(), partition, from, limit: PAGE };
            let page = self.inbox.pages(&[request]).await?.pop().unwrap_or_default();
            for row in &page.rows {
                at_rest.stored.push(Resting {
                    attempt: mark(&row.notification.content),
                    id: row.notification.id.to_string().parse().expect("ids are UUIDs"),
                    code: String::new(),
                });
            }
            match page.rows.last() {
                Some(last) if page.more => from = Cursor::after(last.position),
                Some(_) | None => {
                    let expired = page.gaps.iter().filter(|gap| gap.cause == GapCause::Expired);
                    let count: u64 = expired.map(|gap| gap.count).sum();
                    at_rest.expired.insert(number, count);
                    return Ok(());
                }
            }
        }
    }

    async fn read_dead(&self, at_rest: &mut AtRest) -> Result<(), Error> {
        let mut after = None;
        loop {
            let found = self.dead.list_dead(&DeadFilter::default(), after, PAGE).await?;
            let Some(last) = found.last() else { return Ok(()) };
            after = Some((last.time, last.position));
            for summary in found {
                let Some(letter) = self.dead.get_dead(None, summary.position).await? else { continue };
                let id = summary.notification.and_then(|id| id.as_str().parse().ok());
                at_rest.dead.push(Resting {
                    attempt: mark(&letter.payload),
                    id: id.unwrap_or_default(),
                    code: summary.code,
                });
            }
        }
    }
}

/// The mark that the producer gave it.
pub fn mark(content: &[u8]) -> Option<u64> {
    serde_json::from_slice(content).ok().and_then(|content| Mark::of(&content).attempt)
}
