//! Deletes what clients acknowledged, in batches, the highest cursor of a recipient standing for the lower ones.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use rand::Rng as _;
use shared::delivery::SessionId;
use shared::position::Cursor;
use shared::recipient::Recipient;
use shared::retry::Backoff;
use shared::shutdown::Shutdown;
use shared::store::Inbox;
use tokio::sync::Notify;

use crate::config::StoreLimits;
use crate::hub::{Hub, lock};
use crate::metrics;

/// The flag of a session's recipient, by the version that it is cleared at.
pub(super) type Clear = (SessionId, u64);

/// Deletions that wait, one per recipient.
#[derive(Debug)]
pub(super) struct Deletes {
    waiting: Mutex<HashMap<Recipient, Cursor>>,
    /// Recipients whose deletion is under way.
    flying: Mutex<HashSet<Recipient>>,
    /// Flags to be cleared once what is stored of their recipient is deleted. A node that dies in between leaves a flag
    /// that says too much, which the next session clears; the other way round it would leave rows that nobody looks for.
    behind: Mutex<HashMap<Recipient, Vec<Clear>>>,
    /// Recipients of whom something waits to be dead-lettered, and how much: their rows stay until it is.
    held: Mutex<HashMap<Recipient, usize>>,
    filled: Notify,
    most: usize,
}

impl Deletes {
    pub(super) fn new(most: usize) -> Self {
        Self {
            waiting: Mutex::default(),
            flying: Mutex::default(),
            behind: Mutex::default(),
            held: Mutex::default(),
            filled: Notify::new(),
            most,
        }
    }

    /// Keeps `clear` until what is to be deleted of `recipient` is, and answers whether anything is.
    pub(super) fn put_behind(&self, recipient: &Recipient, clear: Clear) -> bool {
        let waiting = lock(&self.waiting);
        if !waiting.contains_key(recipient) && !lock(&self.flying).contains(recipient) {
            return false;
        }
        let mut behind = lock(&self.behind);
        let clears = behind.entry(recipient.clone()).or_default();
        // A session asks again when it has read a newer version.
        clears.retain(|(session, _version)| *session != clear.0);
        clears.push(clear);
        true
    }

    /// Puts one in. Beyond the bound it is given up: the rows stay until the recipient acknowledges more, and a client
    /// that comes with its cursor is not sent them again. Answers whether it is in.
    pub(super) fn put(&self, recipient: &Recipient, cursor: Cursor) -> bool {
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
            return false;
        }
        true
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
        lock(&self.flying).extend(recipients.iter().cloned());
        recipients.into_iter().filter_map(|recipient| waiting.remove_entry(&recipient)).collect()
    }

    /// What was [taken](Self::take) is deleted; answers the flags that may be cleared now.
    fn done(&self, deleted: &[(Recipient, Cursor)]) -> Vec<Clear> {
        let waiting = lock(&self.waiting);
        let mut flying = lock(&self.flying);
        let mut behind = lock(&self.behind);
        let mut clears = Vec::new();
        for (recipient, _cursor) in deleted {
            flying.remove(recipient);
            if !waiting.contains_key(recipient) {
                clears.extend(behind.remove(recipient).into_iter().flatten());
            }
        }
        clears
    }

    /// What was [taken](Self::take) is not deleted. A flag behind what is given up stays as it is.
    fn put_back(&self, taken: &[(Recipient, Cursor)]) {
        for (recipient, cursor) in taken {
            if !self.put(recipient, *cursor) {
                lock(&self.behind).remove(recipient);
            }
            lock(&self.flying).remove(recipient);
        }
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
        failures = if delete(&hub, &*inbox, limits.batch).await { 0 } else { failures.saturating_add(1) };
    }
    // Once more for each, and no longer: what stays is deleted with what the recipient acknowledges next.
    for _batch in 0..deletes.len().div_ceil(limits.batch) {
        if !delete(&hub, &*inbox, limits.batch).await {
            break;
        }
    }
    metrics::given_up("delete", deletes.len());
}

/// One batch; what fails is put back.
async fn delete(hub: &Hub, inbox: &dyn Inbox, batch: usize) -> bool {
    let deletes = &hub.drain.deletes;
    let acknowledged = deletes.take(batch);
    if acknowledged.is_empty() {
        return true;
    }
    match inbox.delete(&acknowledged).await {
        Ok(()) => {
            for (session, version) in deletes.done(&acknowledged) {
                hub.presence.ask_clear(session, version);
            }
            true
        }
        Err(error) => {
            super::note(&error);
            deletes.put_back(&acknowledged);
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
