//! Modules, their aliases and bindings in Postgres.

use async_trait::async_trait;
use bytes::Bytes;
use sqlx::{Connection as _, PgConnection};

use super::{Store, one_at_a_time};
use crate::clock::Timestamp;
use crate::digest::Digest;
use crate::recipient::TenantId;
use crate::store::columns::{millis, signed, text};
use crate::store::failure::{Failure, settle};
use crate::store::module_columns::{
    ALIASES, AliasColumns, COUNT_ALIASES_OF, DELETE_BYTES, DELETE_MODULE, FIND_MODULE, GET_ALIAS,
    GET_VERSION, HAS_MODULE, LIST_MODULES, ModuleColumns, PUT_ALIAS, PUT_BYTES, PUT_MODULE,
};
use crate::store::{AliasRow, Error, ModuleRow, Modules};
use crate::task::{LIVE, ModuleName, ModuleRef, ModuleVersion};

#[async_trait]
impl Modules for Store {
    async fn put_module(&self, module: &ModuleRow, bytes: &Bytes) -> Result<(), Error> {
        let work = async {
            let mut held = self.hold().await?;
            let mut transaction = held.begin().await?;
            let done = put(&mut transaction, module, bytes).await;
            let done = settle(transaction, done).await?;
            held.release();
            done
        };
        self.within("put_module", work).await
    }

    async fn find_module(&self, tenant: &TenantId, module: &ModuleRef) -> Result<Option<ModuleRow>, Error> {
        let work = async {
            let mut held = self.hold().await?;
            let version = module.version.as_ref().map_or(LIVE, ModuleVersion::as_str);
            let found: Option<ModuleColumns> = sqlx::query_as(FIND_MODULE)
                .bind(tenant.as_str())
                .bind(module.name.as_str())
                .bind(version)
                .fetch_optional(&mut *held)
                .await?;
            held.release();
            found.map(ModuleRow::try_from).transpose()
        };
        self.within("find_module", work).await
    }

    async fn module_bytes(&self, digest: &Digest) -> Result<Option<Bytes>, Error> {
        let work = async {
            let mut held = self.hold().await?;
            let found: Option<Vec<u8>> =
                sqlx::query_scalar("SELECT bytes FROM module_bytes WHERE digest = $1")
                    .bind(digest.to_string())
                    .fetch_optional(&mut *held)
                    .await?;
            held.release();
            Ok(found.map(Bytes::from))
        };
        self.within("module_bytes", work).await
    }

    async fn list_modules(
        &self,
        tenant: &TenantId,
        name: Option<&ModuleName>,
        after: Option<(&ModuleName, &ModuleVersion)>,
        limit: u32,
    ) -> Result<Vec<ModuleRow>, Error> {
        let work = async {
            let mut held = self.hold().await?;
            let found: Vec<ModuleColumns> = sqlx::query_as(LIST_MODULES)
                .bind(tenant.as_str())
                .bind(name.map(ModuleName::as_str))
                .bind(after.map(|(name, _version)| name.as_str()))
                .bind(after.map(|(_name, version)| version.as_str()))
                .bind(i64::from(limit))
                .fetch_all(&mut *held)
                .await?;
            held.release();
            found.into_iter().map(ModuleRow::try_from).collect()
        };
        self.within("list_modules", work).await
    }

    async fn aliases(&self, tenant: &TenantId, name: &ModuleName) -> Result<Vec<AliasRow>, Error> {
        let work = async {
            let mut held = self.hold().await?;
            let found: Vec<AliasColumns> = sqlx::query_as(ALIASES)
                .bind(tenant.as_str())
                .bind(name.as_str())
                .fetch_all(&mut *held)
                .await?;
            held.release();
            found.into_iter().map(AliasRow::try_from).collect()
        };
        self.within("aliases", work).await
    }

    async fn set_alias(
        &self,
        tenant: &TenantId,
        name: &ModuleName,
        alias: &ModuleVersion,
        version: Option<&ModuleVersion>,
        by: &str,
        now: Timestamp,
    ) -> Result<Option<AliasRow>, Error> {
        let work = async {
            let mut held = self.hold().await?;
            let mut transaction = held.begin().await?;
            let done = set_alias(&mut transaction, (tenant, name), alias, version, (by, now)).await;
            let done = settle(transaction, done).await?;
            held.release();
            done
        };
        self.within("set_alias", work).await
    }

    async fn delete_module(
        &self,
        tenant: &TenantId,
        name: &ModuleName,
        version: &ModuleVersion,
    ) -> Result<bool, Error> {
        let work = async {
            let mut held = self.hold().await?;
            let mut transaction = held.begin().await?;
            let done = delete(&mut transaction, (tenant, name), version).await;
            let done = settle(transaction, done).await?;
            held.release();
            done
        };
        self.within("delete_module", work).await
    }
}

async fn put(connection: &mut PgConnection, module: &ModuleRow, bytes: &Bytes) -> Result<(), Failure> {
    let of = (&module.tenant, &module.name);
    one_at_a_time(connection, &format!("module {}/{}", of.0, of.1)).await?;
    let digest = module.digest.to_string();
    if let Some(there) = version_of(connection, of, &module.version).await? {
        let same = there.digest == digest && there.settings == text(&module.settings);
        return if same { Ok(()) } else { Err(Failure::Conflict) };
    }
    let is_alias =
        module.version.as_str() == LIVE || alias_of(connection, of, &module.version).await?.is_some();
    if is_alias {
        return Err(Failure::Conflict);
    }
    let others: i64 = sqlx::query_scalar(HAS_MODULE)
        .bind(of.0.as_str())
        .bind(of.1.as_str())
        .fetch_one(&mut *connection)
        .await?;
    sqlx::query(PUT_BYTES)
        .bind(&digest)
        .bind(signed("size", module.size_bytes)?)
        .bind(&bytes[..])
        .execute(&mut *connection)
        .await?;
    sqlx::query(PUT_MODULE)
        .bind(of.0.as_str())
        .bind(of.1.as_str())
        .bind(module.version.as_str())
        .bind(&digest)
        .bind(signed("size", module.size_bytes)?)
        .bind(text(&module.settings))
        .bind(millis(module.created))
        .bind(text(&module.created_by))
        .execute(&mut *connection)
        .await?;
    if others == 0 {
        let live = ModuleVersion::parse(LIVE).map_err(|error| Failure::Value(Box::new(error)))?;
        put_alias(connection, of, &live, (&module.version, None), (&module.created_by, module.created))
            .await?;
    }
    Ok(())
}

async fn set_alias(
    connection: &mut PgConnection,
    of: (&TenantId, &ModuleName),
    alias: &ModuleVersion,
    version: Option<&ModuleVersion>,
    by: (&str, Timestamp),
) -> Result<Option<AliasRow>, Failure> {
    one_at_a_time(connection, &format!("module {}/{}", of.0, of.1)).await?;
    if version_of(connection, of, alias).await?.is_some() {
        return Err(Failure::Conflict);
    }
    let there = alias_of(connection, of, alias).await?;
    let before = there.as_ref().and_then(|there| there.previous.clone());
    let Some(version) = version.cloned().or(before) else { return Ok(None) };
    if let Some(there) = there.as_ref().filter(|there| there.version == version) {
        return Ok(Some(there.clone()));
    }
    if version_of(connection, of, &version).await?.is_none() {
        return Ok(None);
    }
    let previous = there.as_ref().map(|there| &there.version);
    put_alias(connection, of, alias, (&version, previous), by).await?;
    alias_of(connection, of, alias).await
}

async fn put_alias(
    connection: &mut PgConnection,
    (tenant, name): (&TenantId, &ModuleName),
    alias: &ModuleVersion,
    (version, previous): (&ModuleVersion, Option<&ModuleVersion>),
    (by, now): (&str, Timestamp),
) -> Result<(), Failure> {
    sqlx::query(PUT_ALIAS)
        .bind(tenant.as_str())
        .bind(name.as_str())
        .bind(alias.as_str())
        .bind(version.as_str())
        .bind(previous.map(ModuleVersion::as_str))
        .bind(millis(now))
        .bind(text(by))
        .execute(connection)
        .await?;
    Ok(())
}

async fn delete(
    connection: &mut PgConnection,
    (tenant, name): (&TenantId, &ModuleName),
    version: &ModuleVersion,
) -> Result<bool, Failure> {
    one_at_a_time(connection, &format!("module {tenant}/{name}")).await?;
    let aliases: i64 = sqlx::query_scalar(COUNT_ALIASES_OF)
        .bind(tenant.as_str())
        .bind(name.as_str())
        .bind(version.as_str())
        .fetch_one(&mut *connection)
        .await?;
    if aliases > 0 {
        return Err(Failure::Conflict);
    }
    let digest: Option<String> = sqlx::query_scalar(DELETE_MODULE)
        .bind(tenant.as_str())
        .bind(name.as_str())
        .bind(version.as_str())
        .fetch_optional(&mut *connection)
        .await?;
    let Some(digest) = digest else { return Ok(false) };
    // A version that is being put has the row until it is there itself, for the statement after this one to see.
    sqlx::query("SELECT 1 FROM module_bytes WHERE digest = $1 FOR UPDATE")
        .bind(&digest)
        .execute(&mut *connection)
        .await?;
    sqlx::query(DELETE_BYTES).bind(&digest).execute(connection).await?;
    Ok(true)
}

async fn version_of(
    connection: &mut PgConnection,
    (tenant, name): (&TenantId, &ModuleName),
    version: &ModuleVersion,
) -> Result<Option<ModuleColumns>, Failure> {
    let found = sqlx::query_as(GET_VERSION)
        .bind(tenant.as_str())
        .bind(name.as_str())
        .bind(version.as_str())
        .fetch_optional(connection)
        .await?;
    Ok(found)
}

async fn alias_of(
    connection: &mut PgConnection,
    (tenant, name): (&TenantId, &ModuleName),
    alias: &ModuleVersion,
) -> Result<Option<AliasRow>, Failure> {
    let found: Option<AliasColumns> = sqlx::query_as(GET_ALIAS)
        .bind(tenant.as_str())
        .bind(name.as_str())
        .bind(alias.as_str())
        .fetch_optional(connection)
        .await?;
    found.map(AliasRow::try_from).transpose()
}
