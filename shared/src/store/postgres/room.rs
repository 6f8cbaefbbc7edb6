//! Who has room: for recipients that were archived lately, what they hold at most. Only an archiver adds rows, and it
//! counts what it adds; deletions and expiry make the truth smaller. So whoever fits by this bound fits, and the quota needs
//! no look at the table; whoever does not is counted.
//!
//! A bound holds as long as nobody else archives the partition, and `archived_upto` shows that: it stands where this
//! process left it. While a recipient has rows of two generations in two partitions, each counts its own.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::position::PartitionId;
use crate::recipient::Recipient;

/// Most recipients remembered for a partition, about 300 KiB.
const MOST: usize = 14_000;

/// What recipients hold at most, by partition.
#[derive(Default)]
pub(super) struct Room {
    /// Names are kept as their hashes: a bound is a hint only as good as 64 bits, made with a key that nobody knows.
    hasher: RandomState,
    partitions: Mutex<HashMap<PartitionId, Bounds>>,
}

#[derive(Default)]
struct Bounds {
    /// How far the partition was archived when they were true.
    upto: u64,
    held: HashMap<u64, u64>,
}

/// The bounds of one partition, taken out while a batch is archived. Dropped when that fails: they are forgotten.
pub(super) struct Taken<'a> {
    room: &'a Room,
    partition: PartitionId,
    bounds: Bounds,
}

impl Room {
    fn partitions(&self) -> MutexGuard<'_, HashMap<PartitionId, Bounds>> {
        // Single inserts and removals: a poisoned map is still a true one.
        self.partitions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of `partition`, which is archived up to `upto`.
    pub(super) fn take(&self, partition: PartitionId, upto: u64) -> Taken<'_> {
        let known = self.partitions().remove(&partition).filter(|bounds| bounds.upto == upto);
        Taken { room: self, partition, bounds: known.unwrap_or_default() }
    }
}

impl Taken<'_> {
    /// What `recipient` holds at most, if that is known.
    pub(super) fn held(&self, recipient: &Recipient) -> Option<u64> {
        self.bounds.held.get(&self.key(recipient)).copied()
    }

    /// `recipient` holds at most `held`; `None`: it is to be counted.
    pub(super) fn set(&mut self, recipient: &Recipient, held: Option<u64>) {
        let key = self.key(recipient);
        match held {
            Some(held) => {
                if self.bounds.held.len() >= MOST && !self.bounds.held.contains_key(&key) {
                    self.bounds.held.clear();
                }
                self.bounds.held.insert(key, held);
            }
            None => {
                self.bounds.held.remove(&key);
            }
        }
    }

    /// The partition is archived up to `upto`, and this is what its recipients hold at most.
    pub(super) fn put_back(mut self, upto: u64) {
        self.bounds.upto = upto;
        self.room.partitions().insert(self.partition, std::mem::take(&mut self.bounds));
    }

    fn key(&self, recipient: &Recipient) -> u64 {
        self.room.hasher.hash_one(recipient)
    }
}
