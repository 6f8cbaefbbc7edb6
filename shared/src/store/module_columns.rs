//! How modules and bindings lie in columns, and the statements about them, which are the same in both engines.

use std::time::Duration;

use super::columns::{name, timestamp, wide};
use super::failure::{Failure, Unfit};
use super::{AliasRow, BindingRow, ModuleRow};
use crate::task::{ModuleRef, OnTimeout};

/// Changes the row also when it is there: whoever would remove it waits until this transaction ends.
pub(super) const PUT_BYTES: &str = "INSERT INTO module_bytes (digest, size, bytes) VALUES ($1, $2, $3)
    ON CONFLICT (digest) DO UPDATE SET size = excluded.size";

pub(super) const PUT_MODULE: &str =
    "INSERT INTO modules (tenant, name, version, digest, size, settings, created_ms, created_by)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";

/// `$3` is a version, or an alias; no version of a module has the name of one of its aliases.
pub(super) const FIND_MODULE: &str =
    "SELECT * FROM modules WHERE tenant = $1 AND name = $2 AND version = COALESCE(
    (SELECT version FROM module_aliases WHERE tenant = $1 AND name = $2 AND alias = $3), $3)";

pub(super) const GET_VERSION: &str = "SELECT * FROM modules WHERE tenant = $1 AND name = $2 AND version = $3";

pub(super) const LIST_MODULES: &str = "SELECT * FROM modules
    WHERE tenant = $1 AND (CAST($2 AS text) IS NULL OR name = $2)
        AND (CAST($3 AS text) IS NULL OR name > $3 OR (name = $3 AND (created_ms, version) <
            (SELECT created_ms, version FROM modules WHERE tenant = $1 AND name = $3 AND version = $4)))
    ORDER BY name, created_ms DESC, version DESC LIMIT $5";

pub(super) const HAS_MODULE: &str = "SELECT count(*) FROM modules WHERE tenant = $1 AND name = $2";

pub(super) const ALIASES: &str =
    "SELECT * FROM module_aliases WHERE tenant = $1 AND name = $2 ORDER BY alias";

pub(super) const GET_ALIAS: &str =
    "SELECT * FROM module_aliases WHERE tenant = $1 AND name = $2 AND alias = $3";

pub(super) const PUT_ALIAS: &str =
    "INSERT INTO module_aliases (tenant, name, alias, version, previous, changed_ms, changed_by)
    VALUES ($1, $2, $3, $4, $5, $6, $7)
    ON CONFLICT (tenant, name, alias) DO UPDATE SET version = excluded.version, previous = excluded.previous,
        changed_ms = excluded.changed_ms, changed_by = excluded.changed_by";

pub(super) const COUNT_ALIASES_OF: &str =
    "SELECT count(*) FROM module_aliases WHERE tenant = $1 AND name = $2 AND version = $3";

pub(super) const DELETE_MODULE: &str =
    "DELETE FROM modules WHERE tenant = $1 AND name = $2 AND version = $3 RETURNING digest";

pub(super) const DELETE_BYTES: &str = "DELETE FROM module_bytes
    WHERE digest = $1 AND NOT EXISTS (SELECT 1 FROM modules WHERE digest = $1)";

pub(super) const COUNT_OTHER_BINDINGS: &str =
    "SELECT count(*) FROM bindings WHERE tenant = $1 AND name <> $2";

pub(super) const PUT_BINDING: &str =
    "INSERT INTO bindings (tenant, name, type, module, deadline_ms, on_timeout, changed_ms)
    VALUES ($1, $2, $3, $4, $5, $6, $7)
    ON CONFLICT (tenant, name) DO UPDATE SET type = excluded.type, module = excluded.module,
        deadline_ms = excluded.deadline_ms, on_timeout = excluded.on_timeout, changed_ms = excluded.changed_ms";

pub(super) const BINDINGS: &str = "SELECT * FROM bindings WHERE tenant = $1 ORDER BY name";

pub(super) const DELETE_BINDING: &str = "DELETE FROM bindings WHERE tenant = $1 AND name = $2";

/// A version of a module, as read.
#[derive(sqlx::FromRow)]
pub(super) struct ModuleColumns {
    tenant: String,
    name: String,
    version: String,
    pub(super) digest: String,
    size: i64,
    pub(super) settings: String,
    created_ms: i64,
    created_by: String,
}

impl TryFrom<ModuleColumns> for ModuleRow {
    type Error = Failure;

    fn try_from(row: ModuleColumns) -> Result<Self, Failure> {
        Ok(Self {
            tenant: name("tenant", &row.tenant)?,
            name: name("name", &row.name)?,
            version: name("version", &row.version)?,
            digest: row.digest.parse().map_err(|error| Unfit::failure("digest", error))?,
            size_bytes: wide("size", row.size)?,
            settings: row.settings,
            created: timestamp("created_ms", row.created_ms)?,
            created_by: row.created_by,
        })
    }
}

/// An alias, as read.
#[derive(sqlx::FromRow)]
pub(super) struct AliasColumns {
    alias: String,
    version: String,
    previous: Option<String>,
    changed_ms: i64,
    changed_by: String,
}

impl TryFrom<AliasColumns> for AliasRow {
    type Error = Failure;

    fn try_from(row: AliasColumns) -> Result<Self, Failure> {
        Ok(Self {
            alias: name("alias", &row.alias)?,
            version: name("version", &row.version)?,
            previous: row.previous.map(|previous| name("previous", &previous)).transpose()?,
            changed: timestamp("changed_ms", row.changed_ms)?,
            changed_by: row.changed_by,
        })
    }
}

/// A binding, as read.
#[derive(sqlx::FromRow)]
pub(super) struct BindingColumns {
    tenant: String,
    name: String,
    r#type: String,
    module: String,
    deadline_ms: i64,
    on_timeout: String,
    changed_ms: i64,
}

impl TryFrom<BindingColumns> for BindingRow {
    type Error = Failure;

    fn try_from(row: BindingColumns) -> Result<Self, Failure> {
        Ok(Self {
            tenant: name("tenant", &row.tenant)?,
            name: name("name", &row.name)?,
            kind: row.r#type,
            module: ModuleRef::parse(&row.module).map_err(|error| Unfit::failure("module", error))?,
            deadline: Duration::from_millis(wide("deadline_ms", row.deadline_ms)?),
            on_timeout: OnTimeout::parse(&row.on_timeout)
                .ok_or_else(|| Unfit::failure("on_timeout", format_args!("is {:?}", row.on_timeout)))?,
            changed: timestamp("changed_ms", row.changed_ms)?,
        })
    }
}
