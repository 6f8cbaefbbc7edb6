//! Modules, their aliases and what is bound to them, as the store keeps them. A module's settings are text here: the parts
//! that use them read them.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use super::Error;
use crate::clock::Timestamp;
use crate::digest::Digest;
use crate::name::name;
use crate::recipient::TenantId;
use crate::task::{ModuleName, ModuleRef, ModuleVersion, OnTimeout};

/// One version of a module, without its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModuleRow {
    /// Whose.
    pub tenant: TenantId,
    /// Its name.
    pub name: ModuleName,
    /// Its version, which is no alias.
    pub version: ModuleVersion,
    /// The SHA-256 of its bytes.
    pub digest: Digest,
    /// How many those are.
    pub size_bytes: u64,
    /// What it is granted, its limits and the schema of its input: a JSON object as text, see `docs/TASKS.md`.
    pub settings: String,
    /// When it was put there.
    pub created: Timestamp,
    /// Who put it there: the id of a key, or `cli`.
    pub created_by: String,
}

/// An alias of a module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AliasRow {
    /// The alias.
    pub alias: ModuleVersion,
    /// What it stands for.
    pub version: ModuleVersion,
    /// What it stood for before, which a roll back goes to.
    pub previous: Option<ModuleVersion>,
    /// Since when.
    pub changed: Timestamp,
    /// Who changed it.
    pub changed_by: String,
}

/// Modules of tenants.
#[async_trait]
pub trait Modules: Send + Sync + 'static {
    /// Enters a version with its bytes. The first version of a module is [`LIVE`](crate::task::LIVE) at once. The same
    /// again, with the same digest and settings, changes nothing.
    ///
    /// # Errors
    /// [`Error::Conflict`] when the version is there with another digest or other settings, or its name is an alias.
    async fn put_module(&self, module: &ModuleRow, bytes: &Bytes) -> Result<(), Error>;

    /// The version that `module` names, by itself or by an alias.
    async fn find_module(&self, tenant: &TenantId, module: &ModuleRef) -> Result<Option<ModuleRow>, Error>;

    /// The bytes of this digest, whoever's module it is.
    async fn module_bytes(&self, digest: &Digest) -> Result<Option<Bytes>, Error>;

    /// Versions of `name` (of all modules, for `None`), by name and the newest first, those behind `after` only; at most
    /// `limit`.
    async fn list_modules(
        &self,
        tenant: &TenantId,
        name: Option<&ModuleName>,
        after: Option<(&ModuleName, &ModuleVersion)>,
        limit: u32,
    ) -> Result<Vec<ModuleRow>, Error>;

    /// Aliases of `name`, ascending.
    async fn aliases(&self, tenant: &TenantId, name: &ModuleName) -> Result<Vec<AliasRow>, Error>;

    /// Lets `alias` stand for `version`, or, for `None`, for what it stood for before. Answers the alias as it is then.
    /// Setting what is set changes nothing. None: there is no such module version, alias, or nothing before.
    ///
    /// # Errors
    /// [`Error::Conflict`] when `alias` is the name of a version.
    async fn set_alias(
        &self,
        tenant: &TenantId,
        name: &ModuleName,
        alias: &ModuleVersion,
        version: Option<&ModuleVersion>,
        by: &str,
        now: Timestamp,
    ) -> Result<Option<AliasRow>, Error>;

    /// Removes a version and, when no other has its digest, its bytes. Answers whether there was one.
    ///
    /// # Errors
    /// [`Error::Conflict`] while an alias stands for it.
    async fn delete_module(
        &self,
        tenant: &TenantId,
        name: &ModuleName,
        version: &ModuleVersion,
    ) -> Result<bool, Error>;
}

name! {
    /// What a binding or a schedule is called inside its tenant. At most 64 bytes.
    EntryName, 64, "A-Z a-z 0-9 - _ .", |byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)
}

/// Notifications of a type are enriched by a module before they are delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BindingRow {
    /// Whose.
    pub tenant: TenantId,
    /// Its name.
    pub name: EntryName,
    /// A notification type, or the beginning of one and `*`.
    pub kind: String,
    /// By which module.
    pub module: ModuleRef,
    /// As [`crate::task::Enrichment::deadline`].
    pub deadline: Duration,
    /// As [`crate::task::Enrichment::on_timeout`].
    pub on_timeout: OnTimeout,
    /// When it was put there.
    pub changed: Timestamp,
}

/// Bindings of tenants.
#[async_trait]
pub trait Bindings: Send + Sync + 'static {
    /// Enters a binding, or another one in its place.
    ///
    /// # Errors
    /// [`Error::Conflict`] when the tenant has `most` others.
    async fn put_binding(&self, binding: &BindingRow, most: u32) -> Result<(), Error>;

    /// All of `tenant`, by name.
    async fn bindings(&self, tenant: &TenantId) -> Result<Vec<BindingRow>, Error>;

    /// Removes one; answers whether there was one.
    async fn delete_binding(&self, tenant: &TenantId, name: &EntryName) -> Result<bool, Error>;
}
