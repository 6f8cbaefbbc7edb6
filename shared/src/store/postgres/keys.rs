//! Producers' keys in Postgres.

use async_trait::async_trait;

use super::Store;
use crate::clock::Timestamp;
use crate::recipient::TenantId;
use crate::store::columns::{KeyColumns, millis, text};
use crate::store::failure::Failure;
use crate::store::{ApiKey, ApiKeys, Error};

#[async_trait]
impl ApiKeys for Store {
    async fn create_key(&self, key: &ApiKey) -> Result<(), Error> {
        let work = async {
            let mut held = self.hold().await?;
            let made = sqlx::query(
                "INSERT INTO api_keys (id, hash, tenant, label, created_ms, expires_ms, revoked_ms)
                 VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
            )
            .bind(text(&key.id))
            .bind(&key.hash[..])
            .bind(key.tenant.as_str())
            .bind(text(&key.label))
            .bind(millis(key.created))
            .bind(key.expires.map(millis))
            .bind(key.revoked.map(millis))
            .execute(&mut *held)
            .await?;
            held.release();
            if made.rows_affected() == 1 { Ok(()) } else { Err(Failure::Conflict) }
        };
        self.within("create_key", work).await
    }

    async fn find_key(&self, hash: &[u8; 32]) -> Result<Option<ApiKey>, Error> {
        let work = async {
            let mut held = self.hold().await?;
            let found: Option<KeyColumns> = sqlx::query_as("SELECT * FROM api_keys WHERE hash = $1")
                .bind(&hash[..])
                .fetch_optional(&mut *held)
                .await?;
            held.release();
            found.map(ApiKey::try_from).transpose()
        };
        self.within("find_key", work).await
    }

    async fn list_keys(&self, tenant: Option<&TenantId>, limit: u32) -> Result<Vec<ApiKey>, Error> {
        let work = async {
            let mut held = self.hold().await?;
            let found: Vec<KeyColumns> = sqlx::query_as(
                "SELECT * FROM api_keys WHERE $1::text IS NULL OR tenant = $1 ORDER BY created_ms, id LIMIT $2",
            )
            .bind(tenant.map(TenantId::as_str))
            .bind(i64::from(limit))
            .fetch_all(&mut *held)
            .await?;
            held.release();
            found.into_iter().map(ApiKey::try_from).collect()
        };
        self.within("list_keys", work).await
    }

    async fn revoke_key(&self, id: &str, now: Timestamp) -> Result<bool, Error> {
        let work = async {
            let mut held = self.hold().await?;
            let revoked =
                sqlx::query("UPDATE api_keys SET revoked_ms = COALESCE(revoked_ms, $2) WHERE id = $1")
                    .bind(text(id))
                    .bind(millis(now))
                    .execute(&mut *held)
                    .await?;
            held.release();
            Ok(revoked.rows_affected() == 1)
        };
        self.within("revoke_key", work).await
    }
}
