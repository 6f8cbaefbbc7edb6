//! The port behind `postrider:task/key-value`, and its adapter in memory. A real store is another adapter.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use shared::recipient::TenantId;

/// Whose entries: a tenant's, under the name that was granted. Nobody sees those of another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Space {
    /// The tenant of the input.
    pub tenant: TenantId,
    /// The name in the grant.
    pub name: Arc<str>,
}

/// A value and which write made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The value.
    pub value: Bytes,
    /// Above zero; larger with each write of the key.
    pub version: u64,
}

/// What a write expects to find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Whatever there is.
    Anything,
    /// No entry.
    Nothing,
    /// The entry of this version.
    Version(u64),
}

/// Why a call did nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The entry is not what was expected.
    #[error("the entry is at another version")]
    Conflict,
    /// There is no room.
    #[error("there is no room for another entry")]
    Full,
    /// The store is away.
    #[error("the store is away")]
    Unavailable,
}

/// A small store that outlives attempts. Sizes were checked before; calls are dropped when an attempt's time is up, and
/// what a dropped call has done is then undefined: all of it or nothing.
#[async_trait]
pub trait KeyValue: Send + Sync {
    /// Reads an entry.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    async fn get(&self, space: &Space, key: &str) -> Result<Option<Entry>, Error>;

    /// Writes an entry if what is there is as `expected`, and answers its new version.
    ///
    /// # Errors
    /// All.
    async fn set(&self, space: &Space, key: &str, value: Bytes, expected: Expected) -> Result<u64, Error>;

    /// Removes an entry if it is as `expected`; one that is not there is no error.
    ///
    /// # Errors
    /// [`Error::Conflict`], [`Error::Unavailable`].
    async fn delete(&self, space: &Space, key: &str, expected: Expected) -> Result<(), Error>;
}

/// Entries in this process's memory, gone with it.
#[derive(Debug)]
pub struct Memory {
    most_entries: usize,
    entries: Mutex<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    entries: HashMap<(Space, String), Entry>,
    /// The last version given: no version is given twice, not even after an entry was removed.
    version: u64,
}

impl Memory {
    /// Room for `most_entries` in all.
    #[must_use]
    pub fn new(most_entries: usize) -> Self {
        Self { most_entries, entries: Mutex::default() }
    }
}

fn agrees(expected: Expected, found: Option<&Entry>) -> bool {
    match expected {
        Expected::Anything => true,
        Expected::Nothing => found.is_none(),
        Expected::Version(version) => found.is_some_and(|entry| entry.version == version),
    }
}

#[async_trait]
impl KeyValue for Memory {
    async fn get(&self, space: &Space, key: &str) -> Result<Option<Entry>, Error> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(entries.entries.get(&(space.clone(), key.to_owned())).cloned())
    }

    async fn set(&self, space: &Space, key: &str, value: Bytes, expected: Expected) -> Result<u64, Error> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let Entries { entries, version } = &mut *entries;
        let count = entries.len();
        let slot = entries.entry((space.clone(), key.to_owned()));
        let found = if let Slot::Occupied(slot) = &slot { Some(slot.get()) } else { None };
        if !agrees(expected, found) {
            return Err(Error::Conflict);
        }
        if found.is_none() && count >= self.most_entries {
            return Err(Error::Full);
        }
        *version += 1;
        slot.insert_entry(Entry { value, version: *version });
        Ok(*version)
    }

    async fn delete(&self, space: &Space, key: &str, expected: Expected) -> Result<(), Error> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (space.clone(), key.to_owned());
        let found = entries.entries.get(&key);
        if found.is_some() && !agrees(expected, found) {
            return Err(Error::Conflict);
        }
        entries.entries.remove(&key);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn space(tenant: &str, name: &str) -> Space {
        Space { tenant: TenantId::parse(tenant).unwrap(), name: name.into() }
    }

    #[tokio::test]
    async fn a_write_with_an_expectation_happens_only_once() {
        let (store, acme) = (Memory::new(10), space("acme", "counts"));
        let first = store.set(&acme, "k", "1".into(), Expected::Nothing).await.unwrap();
        assert_eq!(store.set(&acme, "k", "1".into(), Expected::Nothing).await, Err(Error::Conflict));
        let second = store.set(&acme, "k", "2".into(), Expected::Version(first)).await.unwrap();
        assert_eq!(store.set(&acme, "k", "3".into(), Expected::Version(first)).await, Err(Error::Conflict));
        assert_eq!(store.delete(&acme, "k", Expected::Version(first)).await, Err(Error::Conflict));
        assert_eq!(store.get(&acme, "k").await, Ok(Some(Entry { value: "2".into(), version: second })));
        store.delete(&acme, "k", Expected::Version(second)).await.unwrap();
        assert!(store.set(&acme, "k", "4".into(), Expected::Anything).await.unwrap() > second);
    }

    #[tokio::test]
    async fn tenants_and_names_are_walls_and_room_is_limited() {
        let store = Memory::new(2);
        store.set(&space("acme", "a"), "k", "1".into(), Expected::Anything).await.unwrap();
        for other in [space("other", "a"), space("acme", "b")] {
            assert_eq!(store.get(&other, "k").await, Ok(None));
        }
        store.set(&space("other", "a"), "k", "2".into(), Expected::Anything).await.unwrap();
        let full = store.set(&space("acme", "b"), "k", "3".into(), Expected::Anything).await;
        assert_eq!(full, Err(Error::Full));
        store.set(&space("acme", "a"), "k", "4".into(), Expected::Anything).await.unwrap();
    }
}
