//! Deletes what clients acknowledged, in batches, the highest cursor of a recipient standing for the lower ones.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex};

use rand::Rng as _;
use shared::position::Cursor;
use shared::recipient::Recipient;
use shared::retry::Backoff;
use shared::shutdown::Shutdown;
use shared::store::Inbox;
use tokio::sync::Notify;

use crate::config::StoreLimits;
use crate::hub::{Hub, lock};
use crate::metrics;

/// Deletions that wait, one per recipient.
#[derive(Debug)]
pub(super) struct Deletes {
    waiting: Mutex<HashMap<Recipient, Cursor>>,
    /// Recipients of whom something waits to be dead-lettered, and how much: their rows stay until it is.
    held: Mutex<HashMap<Recipient, usize>>,
    filled: Notify,
    most: usize,
}

impl Deletes {
    pub(super) fn new(most: usize) -> Self {
        Self { waiting: Mutex::default(), held: Mutex::default(), filled: Notify::new(), most }
    }

    /// Puts one in. Beyond the bound it is given up: the rows stay until the recipient acknowledges more, and a client
    /// that comes with its cursor is not sent them again.
    pub(super) fn put(&self, recipient: &Recipient, cursor: Cursor) {
        let mut waiting = lock(&self.waiting);
        if let Some(known) = waiting.get_mut(recipient) {
            if (known.epoch, known.next) < (cursor.epoch, cursor.next) {
                *known = cursor;
            }
        } else if waiting.len() < self.most {
            waiting.insert(recipient.clone(), cursor);
            self.filled.notify_one();
        } else {
            metrics::given_up("delete", 1);
        }
    }

    pub(super) fn len(&self) -> usize {
        lock(&self.waiting).len()
    }

    /// Keeps the rows of `recipient` until as many [`Deletes::release`].
    pub(super) fn hold(&self, recipient: &Recipient) {
        *lock(&self.held).entry(recipient.clone()).or_default() += 1;
    }

    /// Takes one hold off.
    pub(super) fn release(&self, recipient: &Recipient) {
        if let Entry::Occupied(mut holds) = lock(&self.held).entry(recipient.clone()) {
            *holds.get_mut() -= 1;
            if *holds.get() == 0 {
                holds.remove();
            }
        }
    }

    fn take(&self, max: usize) -> Vec<(Recipient, Cursor)> {
        let mut waiting = lock(&self.waiting);
        let held = lock(&self.held);
        let free = waiting.keys().filter(|recipient| !held.contains_key(*recipient));
        let recipients: Vec<Recipient> = free.take(max).cloned().collect();
        recipients.into_iter().filter_map(|recipient| waiting.remove_entry(&recipient)).collect()
    }

    async fn filled(&self) {
        while self.len() == 0 {
            self.filled.notified().await;
        }
    }
}

/// Deletes until `shutdown`, then what is left, once.
pub(crate) async fn run(hub: Arc<Hub>, inbox: Arc<dyn Inbox>, limits: StoreLimits, shutdown: Shutdown) {
    let backoff = Backoff { base: limits.backoff_ms, cap: limits.backoff_cap_ms };
    let deletes = &hub.drain.deletes;
    let mut failures = 0_u32;
    while !shutdown.has_begun() {
        let pause = match failures {
            0 => limits.delete_linger_ms,
            failed => backoff.delay(failed, rand::rng().random()),
        };
        tokio::select! {
            () = shutdown.begun() => break,
            () = deletes.filled() => {}
        }
        tokio::select! {
            () = shutdown.begun() => break,
            () = tokio::time::sleep(pause) => {}
        }
        failures = if delete(deletes, &*inbox, limits.batch).await { 0 } else { failures.saturating_add(1) };
    }
    // Once more for each, and no longer: what stays is deleted with what the recipient acknowledges next.
    for _batch in 0..deletes.len().div_ceil(limits.batch) {
        if !delete(deletes, &*inbox, limits.batch).await {
            break;
        }
    }
    metrics::given_up("delete", deletes.len());
}

/// One batch; what fails is put back.
async fn delete(deletes: &Deletes, inbox: &dyn Inbox, batch: usize) -> bool {
    let acknowledged = deletes.take(batch);
    if acknowledged.is_empty() {
        return true;
    }
    match inbox.delete(&acknowledged).await {
        Ok(()) => true,
        Err(error) => {
            super::note(&error);
            for (recipient, cursor) in &acknowledged {
                deletes.put(recipient, *cursor);
            }
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use shared::position::{Epoch, PartitionId};

    use super::*;

    fn cursor(next: u64) -> Cursor {
        Cursor { epoch: Epoch(1), partition: PartitionId(0), next }
    }

    fn recipient(name: &str) -> Recipient {
        Recipient::parse_key(&format!("acme/{name}")).unwrap()
    }

    #[test]
    fn the_highest_cursor_of_a_recipient_stands_for_the_lower_ones() {
        let deletes = Deletes::new(8);
        for next in [3, 9, 5] {
            deletes.put(&recipient("alice"), cursor(next));
        }
        assert_eq!(deletes.take(8), vec![(recipient("alice"), cursor(9))]);
        assert_eq!(deletes.len(), 0);
    }

    #[test]
    fn nothing_is_deleted_before_what_was_refused_is_dead_lettered() {
        let deletes = Deletes::new(8);
        deletes.hold(&recipient("alice"));
        deletes.put(&recipient("alice"), cursor(3));
        deletes.put(&recipient("bob"), cursor(4));
        assert_eq!(deletes.take(8), vec![(recipient("bob"), cursor(4))]);
        deletes.release(&recipient("alice"));
        assert_eq!(deletes.take(8), vec![(recipient("alice"), cursor(3))]);
        assert!(lock(&deletes.held).is_empty());
    }

    #[test]
    fn one_more_recipient_than_the_bound_is_given_up() {
        let deletes = Deletes::new(1);
        deletes.put(&recipient("alice"), cursor(1));
        deletes.put(&recipient("bob"), cursor(1));
        deletes.put(&recipient("alice"), cursor(2));
        assert_eq!(deletes.take(8), vec![(recipient("alice"), cursor(2))]);
    }
}
