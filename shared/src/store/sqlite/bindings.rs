//! What is bound to modules, in SQLite.

use async_trait::async_trait;
use sqlx::{Connection as _, SqliteConnection};

use super::Store;
use crate::recipient::TenantId;
use crate::store::columns::{millis, signed, text};
use crate::store::failure::{Failure, settle};
use crate::store::module_columns::{
    BINDINGS, BindingColumns, COUNT_OTHER_BINDINGS, DELETE_BINDING, PUT_BINDING,
};
use crate::store::{BindingRow, Bindings, EntryName, Error};

#[async_trait]
impl Bindings for Store {
    async fn put_binding(&self, binding: &BindingRow, most: u32) -> Result<(), Error> {
        let work = async {
            let mut held = self.writer().await?;
            let mut transaction = held.begin_with("BEGIN IMMEDIATE").await?;
            let done = put(&mut transaction, binding, most).await;
            let done = settle(transaction, done).await?;
            held.release();
            done
        };
        self.within("put_binding", work).await
    }

    async fn bindings(&self, tenant: &TenantId) -> Result<Vec<BindingRow>, Error> {
        let work = async {
            let mut held = self.reader().await?;
            let found: Vec<BindingColumns> =
                sqlx::query_as(BINDINGS).bind(tenant.as_str()).fetch_all(&mut *held).await?;
            held.release();
            found.into_iter().map(BindingRow::try_from).collect()
        };
        self.within("bindings", work).await
    }

    async fn delete_binding(&self, tenant: &TenantId, name: &EntryName) -> Result<bool, Error> {
        let work = async {
            let mut held = self.writer().await?;
            let gone = sqlx::query(DELETE_BINDING)
                .bind(tenant.as_str())
                .bind(name.as_str())
                .execute(&mut *held)
                .await?;
            held.release();
            Ok(gone.rows_affected() == 1)
        };
        self.within("delete_binding", work).await
    }
}

async fn put(connection: &mut SqliteConnection, binding: &BindingRow, most: u32) -> Result<(), Failure> {
    let others: i64 = sqlx::query_scalar(COUNT_OTHER_BINDINGS)
        .bind(binding.tenant.as_str())
        .bind(binding.name.as_str())
        .fetch_one(&mut *connection)
        .await?;
    if others >= i64::from(most) {
        return Err(Failure::Conflict);
    }
    let deadline = u64::try_from(binding.deadline.as_millis()).unwrap_or(u64::MAX);
    sqlx::query(PUT_BINDING)
        .bind(binding.tenant.as_str())
        .bind(binding.name.as_str())
        .bind(text(&binding.kind))
        .bind(binding.module.to_string())
        .bind(signed("deadline_ms", deadline)?)
        .bind(binding.on_timeout.as_str())
        .bind(millis(binding.changed))
        .execute(connection)
        .await?;
    Ok(())
}
