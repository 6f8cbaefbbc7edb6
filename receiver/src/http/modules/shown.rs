//! How a module and its aliases look outside: in answers of the API and in what the command line prints.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use shared::store::{AliasRow, ModuleRow};
use utoipa::ToSchema;

/// A version of a module.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Module)]
pub struct ModuleShown {
    /// The module.
    #[schema(example = "sum")]
    pub name: String,
    /// The version.
    #[schema(example = "1.0.0")]
    pub version: String,
    /// The SHA-256 of its bytes: what is run under this version, for ever.
    #[schema(example = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")]
    pub digest: String,
    /// How many those are.
    pub size_bytes: u64,
    /// What it is granted, its limits, and the schema of its input.
    #[schema(value_type = Object)]
    pub settings: Box<RawValue>,
    /// When it was put there.
    #[schema(format = "date-time")]
    pub created: String,
    /// Who put it there: a key's id.
    pub created_by: String,
}

/// An alias of a module.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Alias {
    /// The alias; `live` is what counts when no version is named.
    #[schema(example = "live")]
    pub alias: String,
    /// What it stands for.
    #[schema(example = "1.0.0")]
    pub version: String,
    /// What it stood for before: where a roll back goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<String>,
    /// Since when.
    #[schema(format = "date-time")]
    pub changed: String,
    /// Who changed it: a key's id.
    pub changed_by: String,
}

impl From<ModuleRow> for ModuleShown {
    fn from(row: ModuleRow) -> Self {
        Self {
            name: row.name.to_string(),
            version: row.version.to_string(),
            digest: row.digest.to_string(),
            size_bytes: row.size_bytes,
            settings: RawValue::from_string(row.settings).unwrap_or_else(|_broken| RawValue::NULL.to_owned()),
            created: row.created.to_string(),
            created_by: row.created_by,
        }
    }
}

impl From<AliasRow> for Alias {
    fn from(row: AliasRow) -> Self {
        Self {
            alias: row.alias.to_string(),
            version: row.version.to_string(),
            previous: row.previous.map(|version| version.to_string()),
            changed: row.changed.to_string(),
            changed_by: row.changed_by,
        }
    }
}
