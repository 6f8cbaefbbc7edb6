//! What the sandbox uses, on the store: the modules of tenants beside those that come with the executor, and the small store
//! of tasks.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use shared::digest::Digest;
use shared::store::{self, KeyValues, Modules, Written};

use crate::builtins;
use crate::metrics;
use crate::sandbox::{Away, Entry, Expected, KeyValue, KeyValueError, Library, Space};

/// Modules by their digest.
pub(crate) struct Shelves(pub(crate) Arc<dyn Modules>);

#[async_trait]
impl Library for Shelves {
    async fn fetch(&self, digest: &Digest) -> Result<Option<Bytes>, Away> {
        if let Some(bytes) = builtins::bytes(digest) {
            return Ok(Some(Bytes::from_static(bytes)));
        }
        self.0.module_bytes(digest).await.map_err(|error| {
            metrics::engine_failure("store");
            Away(error.to_string())
        })
    }
}

/// The small store of tasks.
pub(crate) struct Spaces {
    pub(crate) values: Arc<dyn KeyValues>,
    /// Most entries of a tenant under one name.
    pub(crate) entries: u32,
}

#[async_trait]
impl KeyValue for Spaces {
    async fn get(&self, space: &Space, key: &str) -> Result<Option<Entry>, KeyValueError> {
        let found = self.values.get_value(&space.tenant, &space.name, key).await.map_err(away)?;
        Ok(found.map(|(value, version)| Entry { value, version }))
    }

    async fn set(
        &self,
        space: &Space,
        key: &str,
        value: Bytes,
        expected: Expected,
    ) -> Result<u64, KeyValueError> {
        let Space { tenant, name } = space;
        let written = self.values.set_value(tenant, name, key, &value, stored(expected), self.entries);
        done(written.await.map_err(away)?)
    }

    async fn delete(&self, space: &Space, key: &str, expected: Expected) -> Result<(), KeyValueError> {
        let written = self.values.delete_value(&space.tenant, &space.name, key, stored(expected));
        done(written.await.map_err(away)?).map(|_version| ())
    }
}

fn stored(expected: Expected) -> store::Expected {
    match expected {
        Expected::Anything => store::Expected::Anything,
        Expected::Nothing => store::Expected::Nothing,
        Expected::Version(version) => store::Expected::Version(version),
    }
}

fn done(written: Written) -> Result<u64, KeyValueError> {
    match written {
        Written::Done(version) => Ok(version),
        Written::Conflict => Err(KeyValueError::Conflict),
        Written::Full => Err(KeyValueError::Full),
    }
}

fn away(error: store::Error) -> KeyValueError {
    metrics::engine_failure("store");
    tracing::debug!(error = &error as &dyn std::error::Error, "a task was told that the store is away");
    KeyValueError::Unavailable
}

#[cfg(test)]
mod tests {
    use shared::config::StoreSettings;
    use shared::recipient::TenantId;
    use shared::store::Migrate as _;
    use shared::store::sqlite::Store;

    use super::*;

    #[tokio::test]
    async fn a_space_is_a_tenants_under_its_name_with_so_many_entries_and_away_when_the_store_is() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path().join("store.db"), &StoreSettings::default()).unwrap();
        store.migrate().await.unwrap();
        let values = Spaces { values: Arc::<Store>::clone(&store), entries: 1 };
        let space =
            |tenant: &str, name: &str| Space { tenant: TenantId::parse(tenant).unwrap(), name: name.into() };
        let (here, value) = (space("acme", "totals"), Bytes::from_static(b"7"));
        assert_eq!(values.get(&here, "k").await, Ok(None));
        let version = values.set(&here, "k", value.clone(), Expected::Nothing).await.unwrap();
        assert_eq!(values.get(&here, "k").await, Ok(Some(Entry { value: value.clone(), version })));
        for other in [space("other", "totals"), space("acme", "others")] {
            assert_eq!(values.get(&other, "k").await, Ok(None));
            assert!(values.set(&other, "k", value.clone(), Expected::Anything).await.is_ok());
        }
        let set = |key: &'static str, expected| values.set(&here, key, value.clone(), expected);
        assert_eq!(set("k", Expected::Nothing).await, Err(KeyValueError::Conflict));
        assert_eq!(set("l", Expected::Anything).await, Err(KeyValueError::Full));
        assert!(set("k", Expected::Version(version)).await.unwrap() > version);
        let stale = values.delete(&here, "k", Expected::Version(version)).await;
        assert_eq!(stale, Err(KeyValueError::Conflict));
        assert_eq!(values.delete(&here, "k", Expected::Anything).await, Ok(()));
        assert_eq!(values.delete(&here, "k", Expected::Anything).await, Ok(()));
        store.close().await;
        assert_eq!(values.get(&here, "k").await, Err(KeyValueError::Unavailable));
    }
}
