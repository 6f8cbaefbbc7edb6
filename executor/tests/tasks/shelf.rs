//! Modules of the tenant `acme` in memory, whose store can be away.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};

use async_trait::async_trait;
use bytes::Bytes;
use shared::clock::Timestamp;
use shared::digest::Digest;
use shared::recipient::TenantId;
use shared::store::{AliasRow, Error, ModuleRow, Modules};
use shared::task::{ModuleName, ModuleRef, ModuleVersion};

/// How the store answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Mood {
    #[default]
    Answers,
    Away,
    Hangs,
}

#[derive(Default)]
pub(crate) struct Shelf {
    modules: Mutex<HashMap<String, (ModuleRow, Bytes)>>,
    mood: Mutex<Mood>,
}

impl Shelf {
    /// Puts a module there as `name`, or another one in its place.
    pub(crate) fn put(&self, name: &str, wasm: &[u8], settings: &str) {
        let row = ModuleRow {
            tenant: TenantId::parse("acme").unwrap(),
            name: ModuleName::parse(name).unwrap(),
            version: ModuleVersion::parse("1").unwrap(),
            digest: Digest::of(wasm),
            size_bytes: wasm.len() as u64,
            settings: settings.to_owned(),
            created: Timestamp::default(),
            created_by: "tests".to_owned(),
        };
        self.modules().insert(name.to_owned(), (row, Bytes::copy_from_slice(wasm)));
    }

    pub(crate) fn is(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    fn modules(&self) -> MutexGuard<'_, HashMap<String, (ModuleRow, Bytes)>> {
        self.modules.lock().unwrap()
    }

    async fn answers(&self) -> Result<(), Error> {
        let mood = *self.mood.lock().unwrap();
        match mood {
            Mood::Answers => Ok(()),
            Mood::Away => Err(Error::Unavailable(None)),
            Mood::Hangs => std::future::pending().await,
        }
    }
}

fn unasked() -> Error {
    Error::Rejected("the executor only reads modules".into())
}

#[async_trait]
impl Modules for Shelf {
    async fn put_module(&self, _module: &ModuleRow, _bytes: &Bytes) -> Result<(), Error> {
        Err(unasked())
    }

    async fn find_module(&self, tenant: &TenantId, module: &ModuleRef) -> Result<Option<ModuleRow>, Error> {
        self.answers().await?;
        let found = self.modules().get(module.name.as_str()).map(|(row, _)| row.clone());
        Ok(found.filter(|row| row.tenant == *tenant))
    }

    async fn module_bytes(&self, digest: &Digest) -> Result<Option<Bytes>, Error> {
        self.answers().await?;
        let modules = self.modules();
        Ok(modules.values().find(|(row, _)| row.digest == *digest).map(|(_, bytes)| bytes.clone()))
    }

    async fn list_modules(
        &self,
        _tenant: &TenantId,
        _name: Option<&ModuleName>,
        _after: Option<(&ModuleName, &ModuleVersion)>,
        _limit: u32,
    ) -> Result<Vec<ModuleRow>, Error> {
        Err(unasked())
    }

    async fn aliases(&self, _tenant: &TenantId, _name: &ModuleName) -> Result<Vec<AliasRow>, Error> {
        Err(unasked())
    }

    async fn set_alias(
        &self,
        _tenant: &TenantId,
        _name: &ModuleName,
        _alias: &ModuleVersion,
        _version: Option<&ModuleVersion>,
        _by: &str,
        _now: Timestamp,
    ) -> Result<Option<AliasRow>, Error> {
        Err(unasked())
    }

    async fn delete_module(
        &self,
        _tenant: &TenantId,
        _name: &ModuleName,
        _version: &ModuleVersion,
    ) -> Result<bool, Error> {
        Err(unasked())
    }
}
