//! The small store of tasks, in Postgres.

use async_trait::async_trait;
use bytes::Bytes;
use sqlx::{Connection as _, PgConnection};

use super::Store;
use crate::recipient::TenantId;
use crate::store::columns::{signed, text, wide};
use crate::store::failure::Failure;
use crate::store::schedule_columns::{
    COUNT_ENTRY, DELETE_VALUE, GET_VALUE, GET_VERSION, NEXT_VERSION, SET_VALUE, agrees,
};
use crate::store::{Error, Expected, KeyValues, Written};

#[async_trait]
impl KeyValues for Store {
    async fn get_value(
        &self,
        tenant: &TenantId,
        space: &str,
        key: &str,
    ) -> Result<Option<(Bytes, u64)>, Error> {
        let work = async {
            let mut held = self.hold().await?;
            let found: Option<(Vec<u8>, i64)> = sqlx::query_as(GET_VALUE)
                .bind(tenant.as_str())
                .bind(text(space))
                .bind(key.as_bytes())
                .fetch_optional(&mut *held)
                .await?;
            held.release();
            found.map(|(value, version)| Ok((value.into(), wide("version", version)?))).transpose()
        };
        self.within("get_value", work).await
    }

    async fn set_value(
        &self,
        tenant: &TenantId,
        space: &str,
        key: &str,
        value: &Bytes,
        expected: Expected,
        most: u32,
    ) -> Result<Written, Error> {
        let work = async {
            let mut held = self.hold().await?;
            let mut transaction = held.begin().await?;
            let written = set(&mut transaction, (tenant, space, key), value, expected, most).await?;
            match written {
                Written::Done(_) => transaction.commit().await?,
                Written::Conflict | Written::Full => transaction.rollback().await?,
            }
            held.release();
            Ok(written)
        };
        self.within("set_value", work).await
    }

    async fn delete_value(
        &self,
        tenant: &TenantId,
        space: &str,
        key: &str,
        expected: Expected,
    ) -> Result<Written, Error> {
        let work = async {
            let mut held = self.hold().await?;
            let mut transaction = held.begin().await?;
            let written = delete(&mut transaction, (tenant, space, key), expected).await?;
            match written {
                Written::Done(1..) => transaction.commit().await?,
                Written::Done(0) | Written::Conflict | Written::Full => transaction.rollback().await?,
            }
            held.release();
            Ok(written)
        };
        self.within("delete_value", work).await
    }
}

/// Which entry.
type Key<'a> = (&'a TenantId, &'a str, &'a str);

async fn set(
    connection: &mut PgConnection,
    of: Key<'_>,
    value: &Bytes,
    expected: Expected,
    most: u32,
) -> Result<Written, Failure> {
    let (tenant, space, key) = of;
    let (entries, version) = next_version(connection, tenant, space).await?;
    let found = version_of(connection, of).await?;
    if !agrees(expected, found) {
        return Ok(Written::Conflict);
    }
    if found.is_none() && entries >= u64::from(most) {
        return Ok(Written::Full);
    }
    sqlx::query(SET_VALUE)
        .bind(tenant.as_str())
        .bind(text(space))
        .bind(key.as_bytes())
        .bind(&value[..])
        .bind(signed("version", version)?)
        .execute(&mut *connection)
        .await?;
    if found.is_none() {
        count_entry(connection, tenant, space, 1).await?;
    }
    Ok(Written::Done(version))
}

async fn delete(connection: &mut PgConnection, of: Key<'_>, expected: Expected) -> Result<Written, Failure> {
    let (tenant, space, key) = of;
    // Whoever writes in the space waits from here on.
    next_version(connection, tenant, space).await?;
    let Some(found) = version_of(connection, of).await? else { return Ok(Written::Done(0)) };
    if !agrees(expected, Some(found)) {
        return Ok(Written::Conflict);
    }
    sqlx::query(DELETE_VALUE)
        .bind(tenant.as_str())
        .bind(text(space))
        .bind(key.as_bytes())
        .execute(&mut *connection)
        .await?;
    count_entry(connection, tenant, space, -1).await?;
    Ok(Written::Done(found))
}

/// How many entries the space has, and a version that was never given in it.
async fn next_version(
    connection: &mut PgConnection,
    tenant: &TenantId,
    space: &str,
) -> Result<(u64, u64), Failure> {
    let (entries, version): (i64, i64) =
        sqlx::query_as(NEXT_VERSION).bind(tenant.as_str()).bind(text(space)).fetch_one(connection).await?;
    Ok((wide("entries", entries)?, wide("version", version)?))
}

async fn version_of(
    connection: &mut PgConnection,
    (tenant, space, key): Key<'_>,
) -> Result<Option<u64>, Failure> {
    let found: Option<i64> = sqlx::query_scalar(GET_VERSION)
        .bind(tenant.as_str())
        .bind(text(space))
        .bind(key.as_bytes())
        .fetch_optional(connection)
        .await?;
    found.map(|version| wide("version", version)).transpose()
}

async fn count_entry(
    connection: &mut PgConnection,
    tenant: &TenantId,
    space: &str,
    change: i64,
) -> Result<(), Failure> {
    sqlx::query(COUNT_ENTRY).bind(tenant.as_str()).bind(text(space)).bind(change).execute(connection).await?;
    Ok(())
}
