//! Modules of tenants, as far as a task that comes in needs them: which version it is that is asked for, and what input
//! that one takes. [`schema`] checks inputs, [`binary`] what is put there as a module.

pub(crate) mod binary;
mod schema;

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use moka::sync::Cache;
use shared::clock::Clock;
use shared::digest::Digest;
use shared::notification::ContentType;
use shared::recipient::TenantId;
use shared::store::{self, ModuleRow, Modules};
use shared::task::settings::Settings;
use shared::task::{BUILTIN, ModuleName, ModuleRef, ModuleVersion};
use tokio::sync::Semaphore;

use self::schema::Schema;
use crate::config::ModuleSettings;
use crate::known::Known;
use crate::metrics;
use crate::refusal::{Reason, Refusal};

/// All modules of all tenants.
pub(crate) struct Catalogue {
    store: Arc<dyn Modules>,
    known: Known<(TenantId, ModuleRef), Option<Arc<Module>>>,
    /// Compiled schemas, by the digest of the settings they stand in.
    schemas: Cache<Digest, Option<Arc<Schema>>>,
    checks: Arc<Semaphore>,
    settings: ModuleSettings,
}

/// A version of a module.
pub(crate) struct Module {
    pub(crate) row: ModuleRow,
    schema: Option<Arc<Schema>>,
}

/// What is called so.
#[derive(Clone)]
pub(crate) enum Found {
    /// A tenant's.
    Own(Arc<Module>),
    /// One that every executor brings along.
    Builtin,
}

/// How old an answer may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Age {
    /// As old as the settings allow.
    Known,
    /// The store is asked.
    Now,
}

impl Found {
    /// The version that `asked` names, so that what is run is what was looked at.
    pub(crate) fn pinned(&self, asked: &ModuleRef) -> Result<ModuleRef, Refusal> {
        let version = match self {
            Self::Own(module) => module.row.version.clone(),
            Self::Builtin => {
                ModuleVersion::parse(BUILTIN).map_err(|error| Refusal::new(Reason::Internal, error))?
            }
        };
        Ok(ModuleRef { name: asked.name.clone(), version: Some(version) })
    }
}

impl Catalogue {
    pub(crate) fn new(store: Arc<dyn Modules>, clock: Arc<dyn Clock>, settings: ModuleSettings) -> Self {
        let lookups = settings.lookups.clone();
        let (schemas, checks) = (Cache::new(lookups.cached), Arc::new(Semaphore::new(settings.checks)));
        Self { store, known: Known::new("modules", lookups, clock), schemas, checks, settings }
    }

    /// The modules themselves.
    pub(crate) fn store(&self) -> &dyn Modules {
        &*self.store
    }

    /// What `module` names for `tenant`.
    ///
    /// # Errors
    /// [`Reason::ModuleUnknown`] when that is nothing; as [`Known::get`] otherwise.
    pub(crate) async fn find(
        &self,
        tenant: &TenantId,
        module: &ModuleRef,
        age: Age,
    ) -> Result<Found, Refusal> {
        if module.is_builtin() {
            return Ok(Found::Builtin);
        }
        let key = (tenant.clone(), module.clone());
        let ask = self.ask(tenant, module);
        let found = match age {
            Age::Known => self.known.get(&key, ask).await?,
            Age::Now => self.known.now(&key, ask).await?,
        };
        match found {
            Some(own) => Ok(Found::Own(own)),
            None if module.version.is_none() && module.names_builtin() => Ok(Found::Builtin),
            None => Err(Refusal::new(Reason::ModuleUnknown, format_args!("there is no module {module}"))),
        }
    }

    async fn ask(&self, tenant: &TenantId, module: &ModuleRef) -> Result<Option<Arc<Module>>, store::Error> {
        let Some(row) = self.store.find_module(tenant, module).await? else { return Ok(None) };
        let schema = self.schema(&row).map_err(|why| store::Error::Rejected(why.into()))?;
        Ok(Some(Arc::new(Module { row, schema })))
    }

    fn schema(&self, row: &ModuleRow) -> Result<Option<Arc<Schema>>, String> {
        let digest = Digest::of(row.settings.as_bytes());
        if let Some(known) = self.schemas.get(&digest) {
            return Ok(known);
        }
        let settings = Settings::parse(&row.settings).map_err(|error| error.to_string())?;
        let schema = self.compile(&settings)?.map(Arc::new);
        self.schemas.insert(digest, schema.clone());
        Ok(schema)
    }

    /// The schema of `settings`, if they have one. The error is for a person.
    fn compile(&self, settings: &Settings) -> Result<Option<Schema>, String> {
        let schema = settings.input_schema.as_ref();
        schema.map(|schema| Schema::compile(schema, self.settings.schema_values)).transpose()
    }

    /// Checks an input against what the module takes.
    ///
    /// # Errors
    /// [`Reason::InputMismatch`] with its places below `/content`.
    pub(crate) async fn check(
        &self,
        found: &Found,
        content_type: &ContentType,
        content: &Bytes,
    ) -> Result<(), Refusal> {
        let Found::Own(module) = found else { return Ok(()) };
        let Some(schema) = module.schema.clone() else { return Ok(()) };
        let name = format!("{}@{}", module.row.name, module.row.version);
        if !crate::content::is_json(content_type) {
            let detail = format!("{name} takes JSON, which {content_type} is not");
            return Err(Refusal::new(Reason::InputMismatch, detail).at("/content_type"));
        }
        let (content, searched, most) = (content.clone(), self.settings.searched, self.settings.violations);
        let violations = self.blocking(move || schema.violations(&content, searched, most)).await?;
        let Some(violations) = violations else { return Ok(()) };
        let mut refusal = Refusal::new(Reason::InputMismatch, format_args!("{name} takes another input"));
        if let Some(first) = violations.first() {
            let detail = format!("for {name}: {}", first.detail);
            refusal = Refusal::new(Reason::InputMismatch, detail).at(first.pointer.clone());
        }
        refusal.violations = violations;
        Err(refusal)
    }

    /// Checks what is put there as a module: its bytes, its settings, and that they fit each other.
    pub(crate) async fn inspect(&self, bytes: Bytes, settings: Settings) -> Result<(), Refusal> {
        self.compile(&settings).map_err(|why| {
            Refusal::new(Reason::ModuleSettingsInvalid, format_args!("input_schema: {why}"))
        })?;
        let inspected = self.blocking(move || binary::inspect(&bytes, &settings.grants)).await?;
        inspected.map_err(|why| Refusal::new(Reason::ModuleUnfit, why))
    }

    /// Forgets what is known of `name`, which was changed here.
    pub(crate) fn changed(&self, tenant: &TenantId, name: &ModuleName) {
        self.known.forget_all(|(whose, module)| whose == tenant && module.name == *name);
    }

    /// Computes beside the requests, at most as many at a time as the settings say.
    async fn blocking<T: Send + 'static>(
        &self,
        check: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        let begun = Instant::now();
        let place = Arc::clone(&self.checks).acquire_owned().await;
        let place = place.map_err(|_closed| Refusal::plain(Reason::Internal))?;
        let checked = tokio::task::spawn_blocking(move || {
            let _place = place;
            check()
        });
        let checked = checked.await.map_err(|error| {
            tracing::error!(%error, "a check broke off");
            Refusal::plain(Reason::Internal)
        });
        metrics::check(begun.elapsed());
        checked
    }
}
