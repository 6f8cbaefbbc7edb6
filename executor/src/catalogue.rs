//! Which module a record means, with what it was granted: asked of the store and remembered, so that the store may be away.
//! What is remembered is used as it is for `refresh_ms`; after that the store is asked again, and while it does not answer
//! what was known last goes on being used.

use std::sync::{Arc, Mutex, PoisonError};

use shared::digest::Digest;
use shared::recipient::TenantId;
use shared::store;
use shared::task::settings::{Limits, Settings};
use shared::task::{ModuleName, ModuleRef, ModuleVersion};
use tokio::time::Instant;

use crate::builtins;
use crate::config::CatalogueSettings;
use crate::metrics;
use crate::sandbox::{AllowList, ClockGrant, Failure, Grants};

/// A module that can be run.
#[derive(Debug)]
pub(crate) struct Module {
    /// Its version.
    pub(crate) version: ModuleVersion,
    /// Its bytes.
    pub(crate) digest: Digest,
    /// What it may.
    pub(crate) grants: Grants,
    /// Its own limits.
    pub(crate) limits: Limits,
}

type Key = (TenantId, ModuleRef);

/// What is known of one module.
#[derive(Default)]
struct Known {
    /// Held while the store is asked, so that it is asked once.
    asking: tokio::sync::Mutex<()>,
    last: Mutex<Option<Last>>,
}

#[derive(Clone)]
struct Last {
    module: Arc<Module>,
    /// When the store was asked last, whether it answered or not.
    asked: Instant,
}

impl Known {
    fn last(&self) -> Option<Last> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn learn(&self, module: Option<Arc<Module>>) {
        let asked = Instant::now();
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) =
            module.map(|module| Last { module, asked });
    }
}

/// See the module.
pub(crate) struct Catalogue {
    modules: Arc<dyn store::Modules>,
    settings: CatalogueSettings,
    known: moka::sync::Cache<Key, Arc<Known>>,
}

impl Catalogue {
    pub(crate) fn new(modules: Arc<dyn store::Modules>, settings: CatalogueSettings) -> Self {
        Self { modules, settings, known: moka::sync::Cache::new(settings.modules) }
    }

    /// The module that `asked` is for `tenant`.
    ///
    /// # Errors
    /// [`Failure::NoModule`]; [`Failure::InvalidModule`] when its settings cannot be read; [`Failure::Unavailable`] when it
    /// was never seen and the store does not say.
    pub(crate) async fn find(&self, tenant: &TenantId, asked: &ModuleRef) -> Result<Arc<Module>, Failure> {
        let known = self.known.get_with((tenant.clone(), asked.clone()), Arc::default);
        let last = known.last();
        if let Some(last) = &last
            && last.asked.elapsed() < self.settings.refresh_ms
        {
            return Ok(Arc::clone(&last.module));
        }
        let _asking = match (known.asking.try_lock(), last) {
            (Ok(asking), _) => asking,
            // Somebody asks already.
            (Err(_), Some(last)) => return Ok(last.module),
            (Err(_), None) => known.asking.lock().await,
        };
        // Whoever asked before may have been answered.
        let last = known.last();
        if let Some(last) = &last
            && last.asked.elapsed() < self.settings.refresh_ms
        {
            return Ok(Arc::clone(&last.module));
        }
        match (self.ask(tenant, asked).await, last) {
            (Ok(module), _) => {
                metrics::module_lookup("answered");
                known.learn(Some(Arc::clone(&module)));
                Ok(module)
            }
            (Err(Failure::Unavailable(_)), Some(last)) => {
                metrics::module_lookup("last_known");
                known.learn(Some(Arc::clone(&last.module)));
                Ok(last.module)
            }
            (Err(failure), _) => {
                metrics::module_lookup(failure.code());
                known.learn(None);
                Err(failure)
            }
        }
    }

    async fn ask(&self, tenant: &TenantId, asked: &ModuleRef) -> Result<Arc<Module>, Failure> {
        if asked.is_builtin() {
            return builtin(&asked.name);
        }
        let finding = self.modules.find_module(tenant, asked);
        let away = |told: &dyn std::fmt::Display| {
            metrics::engine_failure("store");
            Failure::Unavailable(format!("the store does not say which it is: {told}"))
        };
        let found = match tokio::time::timeout(self.settings.lookup_ms, finding).await {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => return Err(away(&error)),
            Err(elapsed) => return Err(away(&elapsed)),
        };
        match found {
            Some(row) => module(row.version, row.digest, &row.settings),
            None if asked.version.is_none() => builtin(&asked.name),
            None => Err(Failure::NoModule),
        }
    }
}

fn builtin(name: &ModuleName) -> Result<Arc<Module>, Failure> {
    let (digest, builtin) = builtins::find(name).ok_or(Failure::NoModule)?;
    let version = ModuleVersion::parse(shared::task::BUILTIN);
    module(version.map_err(|error| Failure::Host(error.to_string()))?, digest, builtin.settings)
}

fn module(version: ModuleVersion, digest: Digest, settings: &str) -> Result<Arc<Module>, Failure> {
    let invalid = |told: &dyn std::fmt::Display| Failure::InvalidModule(format!("its settings: {told}"));
    let settings = Settings::parse(settings).map_err(|error| invalid(&error))?;
    let granted = settings.grants;
    let http = granted.http.map(|origins| AllowList::parse(origins.iter().map(String::as_str)));
    let grants = Grants {
        config: granted.config.map(Arc::new),
        key_value: granted.key_value.map(|name| name.as_str().into()),
        clock: if granted.clock { ClockGrant::Real } else { ClockGrant::Frozen },
        http: http.transpose().map_err(|error| invalid(&error))?.map(Arc::new),
        publish: granted.publish,
    };
    Ok(Arc::new(Module { version, digest, grants, limits: settings.limits }))
}
