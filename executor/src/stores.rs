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
