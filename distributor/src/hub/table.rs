//! Where sessions are found: by id, and by recipient. Sharded, so that directors' streams and connections on different
//! threads rarely meet at a lock. Used by the hub only.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use hashbrown::HashTable;
use shared::delivery::SessionId;
use shared::recipient::{Recipient, TenantId};
use smallvec::SmallVec;

use super::cell::Cell;
use super::{Refused, lock};

/// Enough that 64 threads rarely collide; the cost of one is a lock and an empty map.
const SHARDS: usize = 64;

/// Bounds of the table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Most sessions.
    pub(super) sessions: usize,
    /// Most sessions of one recipient.
    pub(super) per_recipient: usize,
    /// Most sessions of one tenant; zero: no such bound.
    pub(super) per_tenant: usize,
}

type Siblings = SmallVec<[Arc<Cell>; 1]>;
/// Sessions by what they say of themselves: a table of keys beside them would double what it costs to find one.
type Shard = Mutex<HashTable<Arc<Cell>>>;

/// Every session of this node.
#[derive(Debug)]
pub(super) struct Table {
    bounds: Bounds,
    count: AtomicUsize,
    /// Sessions by tenant, while it has any; only where there is a bound.
    by_tenant: Mutex<HashMap<TenantId, usize>>,
    hasher: RandomState,
    by_id: Vec<Shard>,
    by_recipient: Vec<Shard>,
}

impl Table {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            count: AtomicUsize::new(0),
            by_tenant: Mutex::default(),
            hasher: RandomState::new(),
            by_id: (0..SHARDS).map(|_shard| Mutex::default()).collect(),
            by_recipient: (0..SHARDS).map(|_shard| Mutex::default()).collect(),
        }
    }

    fn shard_of_id(&self, id: SessionId) -> (&Shard, u64) {
        // Ids are random: their low bits choose the shard, and a table looks at other ones first.
        (&self.by_id[id.0 as usize % SHARDS], id.0.rotate_right(32))
    }

    fn shard_of_recipient(&self, recipient: &Recipient) -> (&Shard, u64) {
        let hash = self.hash(recipient);
        (&self.by_recipient[hash as usize % SHARDS], hash.rotate_right(32))
    }

    fn hash(&self, recipient: &Recipient) -> u64 {
        self.hasher.hash_one(recipient)
    }

    fn enter_by_recipient(&self, cell: &Arc<Cell>) -> Result<(), Refused> {
        let (shard, hash) = self.shard_of_recipient(cell.recipient());
        let mut shard = lock(shard);
        let siblings = shard.iter_hash(hash).filter(|other| other.recipient() == cell.recipient()).count();
        if siblings >= self.bounds.per_recipient {
            return Err(Refused::RecipientFull);
        }
        let again = |cell: &Arc<Cell>| self.hash(cell.recipient()).rotate_right(32);
        shard.insert_unique(hash, Arc::clone(cell), again);
        Ok(())
    }

    /// Enters a session, within the bounds.
    pub(super) fn insert(&self, cell: &Arc<Cell>) -> Result<(), Refused> {
        let taken = self.count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |count| {
            (count < self.bounds.sessions).then_some(count + 1)
        });
        taken.map_err(|_full| Refused::Full)?;
        if !self.enter_tenant(cell.recipient()) {
            self.count.fetch_sub(1, Ordering::SeqCst);
            return Err(Refused::TenantFull);
        }
        if let Err(refused) = self.enter_by_recipient(cell) {
            self.leave_tenant(cell.recipient());
            self.count.fetch_sub(1, Ordering::SeqCst);
            return Err(refused);
        }
        let (shard, hash) = self.shard_of_id(cell.id());
        lock(shard).insert_unique(hash, Arc::clone(cell), |cell| self.shard_of_id(cell.id()).1);
        Ok(())
    }

    fn enter_tenant(&self, recipient: &Recipient) -> bool {
        if self.bounds.per_tenant == 0 {
            return true;
        }
        let mut tenants = lock(&self.by_tenant);
        let count = tenants.get(&recipient.tenant).copied().unwrap_or_default();
        if count >= self.bounds.per_tenant {
            return false;
        }
        tenants.insert(recipient.tenant.clone(), count + 1);
        true
    }

    fn leave_tenant(&self, recipient: &Recipient) {
        if self.bounds.per_tenant == 0 {
            return;
        }
        if let Entry::Occupied(mut count) = lock(&self.by_tenant).entry(recipient.tenant.clone()) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }

    /// Takes a session out; answers whether it was there.
    pub(super) fn remove(&self, cell: &Cell) -> bool {
        let (shard, hash) = self.shard_of_id(cell.id());
        if take(shard, hash, cell.id()).is_none() {
            return false;
        }
        let (shard, hash) = self.shard_of_recipient(cell.recipient());
        take(shard, hash, cell.id());
        self.leave_tenant(cell.recipient());
        self.count.fetch_sub(1, Ordering::SeqCst);
        true
    }

    pub(super) fn get(&self, id: SessionId) -> Option<Arc<Cell>> {
        let (shard, hash) = self.shard_of_id(id);
        lock(shard).find(hash, |cell| cell.id() == id).cloned()
    }

    pub(super) fn of(&self, recipient: &Recipient) -> Siblings {
        let (shard, hash) = self.shard_of_recipient(recipient);
        lock(shard).iter_hash(hash).filter(|cell| cell.recipient() == recipient).cloned().collect()
    }

    pub(super) fn len(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }

    /// The ids of all sessions, as they are found shard by shard.
    pub(super) fn ids(&self) -> Vec<SessionId> {
        let mut ids = Vec::with_capacity(self.len());
        for shard in &self.by_id {
            ids.extend(lock(shard).iter().map(|cell| cell.id()));
        }
        ids
    }

    /// Whether nothing at all is held any more.
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
            && lock(&self.by_tenant).is_empty()
            && self.by_id.iter().all(|shard| lock(shard).is_empty())
            && self.by_recipient.iter().all(|shard| lock(shard).is_empty())
    }
}

/// Takes the session `id` out of a shard.
fn take(shard: &Shard, hash: u64, id: SessionId) -> Option<Arc<Cell>> {
    let mut shard = lock(shard);
    let found = shard.find_entry(hash, |cell| cell.id() == id).ok()?;
    Some(found.remove().0)
}
