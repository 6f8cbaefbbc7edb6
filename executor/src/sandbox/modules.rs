//! Modules ready to be run: compiled once, off the threads that serve, kept in memory by digest and grants, and on disk
//! across restarts.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use moka::sync::Cache;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime::component::Component;
use wasmtime::{Engine, Module};

use super::artefacts::{Artefacts, Code};
use super::failure::{Class, Failure};
use super::grants::Interfaces;
use super::guest::Guest;
use super::{command, component};
use crate::config::ModuleSettings;
use shared::digest::Digest;

/// Where modules come from.
#[async_trait]
pub trait Library: Send + Sync {
    /// The module with this digest, if there is one.
    ///
    /// # Errors
    /// When it cannot be said now.
    async fn fetch(&self, digest: &Digest) -> Result<Option<Bytes>, Away>;
}

/// The library cannot say now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the library is away: {0}")]
pub struct Away(pub String);

/// A guest, or why there is none: a module that is none is not compiled for each record that asks for it.
type Ready = Result<Arc<dyn Guest>, Failure>;

/// What a cached module weighs beside its code.
const ENTRY_BYTES: u64 = 4096;

/// The modules of this process. Cloning shares them.
#[derive(Clone)]
pub(super) struct Modules {
    engine: Engine,
    settings: ModuleSettings,
    library: Arc<dyn Library>,
    artefacts: Option<Arc<Artefacts>>,
    ready: Cache<(Digest, Interfaces), (u32, Ready)>,
    compiling: Arc<Semaphore>,
}

impl Modules {
    pub(super) fn new(
        engine: Engine,
        settings: ModuleSettings,
        library: Arc<dyn Library>,
        artefacts: Option<Artefacts>,
    ) -> Self {
        let weigh = |_key: &_, (weight, _ready): &(u32, Ready)| *weight;
        Self {
            ready: Cache::builder().max_capacity(settings.cached_bytes).weigher(weigh).build(),
            compiling: Arc::new(Semaphore::new(settings.compiling)),
            artefacts: artefacts.map(Arc::new),
            engine,
            settings,
            library,
        }
    }

    /// The module, compiled and linked with what it was granted.
    ///
    /// # Errors
    /// [`Failure::Unavailable`] when it is not ready in `compile_ms`; getting it ready goes on. Otherwise what is wrong
    /// with it.
    pub(super) async fn get(&self, digest: &Digest, interfaces: Interfaces) -> Ready {
        let key = (*digest, interfaces);
        if let Some((_, ready)) = self.ready.get(&key) {
            return ready;
        }
        let made = async {
            let permit = Arc::clone(&self.compiling).acquire_owned().await;
            let permit = permit.map_err(|closed| Failure::Host(closed.to_string()))?;
            // Whoever had the permit before may have been after the same.
            if let Some((_, ready)) = self.ready.get(&key) {
                return ready;
            }
            let this = self.clone();
            // A task of its own: who asked may go, and who comes next finds it done.
            let making = tokio::spawn(async move { this.make(key, permit).await });
            making.await.map_err(|error| Failure::Host(error.to_string()))?
        };
        let late = |_elapsed| Failure::Unavailable("it is being compiled".to_owned());
        tokio::time::timeout(self.settings.compile_ms, made).await.map_err(late)?
    }

    async fn make(self, (digest, interfaces): (Digest, Interfaces), permit: OwnedSemaphorePermit) -> Ready {
        let found = {
            let this = self.clone();
            let load = move |kept: &Arc<Artefacts>| kept.load(&this.engine, &digest);
            let kept = self.artefacts.clone();
            blocking(move || Ok(kept.as_ref().and_then(load))).await?
        };
        let source = match &found {
            Some(_compiled) => Bytes::new(),
            None => self.fetch(&digest).await?,
        };
        let this = self.clone();
        let (weight, ready) = blocking(move || {
            let code = found.map_or_else(|| this.compile(&digest, &source), Ok);
            let weight = code.as_ref().map_or(0, Code::bytes) + ENTRY_BYTES;
            let ready = code.and_then(|code| this.link(&code, interfaces));
            Ok((u32::try_from(weight).unwrap_or(u32::MAX), ready))
        })
        .await?;
        if !ready.as_ref().is_err_and(|failure| failure.class() == Class::Retry) {
            self.ready.insert((digest, interfaces), (weight, ready.clone()));
            // What is too much goes now, not when somebody asks for another module.
            self.ready.run_pending_tasks();
        }
        // Whoever has it next finds this module done.
        drop(permit);
        ready
    }

    async fn fetch(&self, digest: &Digest) -> Result<Bytes, Failure> {
        // The place to compile is held meanwhile: a library that hangs must not keep it.
        let fetching = tokio::time::timeout(self.settings.compile_ms, self.library.fetch(digest));
        let late = |_elapsed| Failure::Unavailable("the library does not answer".to_owned());
        let fetched = fetching.await.map_err(late)?;
        let source = fetched.map_err(|away| Failure::Unavailable(away.to_string()))?;
        let source = source.ok_or(Failure::NoModule)?;
        if Digest::of(&source) != *digest {
            return Err(Failure::Host("the library holds other bytes under this digest".to_owned()));
        }
        Ok(source)
    }

    fn compile(&self, digest: &Digest, source: &[u8]) -> Result<Code, Failure> {
        if source.len() > self.settings.module_bytes {
            let most = self.settings.module_bytes;
            return Err(Failure::InvalidModule(format!("{} bytes, at most {most} are taken", source.len())));
        }
        let invalid = |error: wasmtime::Error| Failure::InvalidModule(format!("{error:#}"));
        let code = match layer(source) {
            Some(Layer::Core) => Code::Core(Module::from_binary(&self.engine, source).map_err(invalid)?),
            Some(Layer::Component) => {
                Code::Component(Component::from_binary(&self.engine, source).map_err(invalid)?)
            }
            None => {
                return Err(Failure::InvalidModule("is neither a component nor a core module".to_owned()));
            }
        };
        if let Some(artefacts) = &self.artefacts {
            artefacts.save(digest, &code);
        }
        Ok(code)
    }

    fn link(&self, code: &Code, interfaces: Interfaces) -> Ready {
        Ok(match code {
            Code::Component(component) => Arc::new(component::link(&self.engine, component, interfaces)?),
            Code::Core(module) => Arc::new(command::link(&self.engine, module)?),
        })
    }
}

/// Runs what blocks on a thread for that.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(Failure::Host(error.to_string())))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layer {
    Core,
    Component,
}

/// What the preamble says: `\0asm`, a version, a layer (component model, Binary.md).
fn layer(source: &[u8]) -> Option<Layer> {
    match source.strip_prefix(b"\0asm")?.get(..4)? {
        [_, _, 0, 0] => Some(Layer::Core),
        [_, _, 1, 0] => Some(Layer::Component),
        _unknown => None,
    }
}
