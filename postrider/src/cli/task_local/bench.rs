//! A sandbox for one module, with everything around it in memory: what it stores lasts as long as the command. What it asks of
//! the outside, where that is granted, it gets.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use async_trait::async_trait;
use bytes::Bytes;
use postrider_executor::sandbox::{
    Away, ClockGrant, Digest, Grants, Input, KeyValueInMemory, Library, Ports, Publish, Report, Sandbox,
    SystemResolver,
};
use postrider_executor::{SandboxSettings, builtins};
use shared::clock::SystemClock;
use shared::task::ModuleName;
use shared::task::settings::{self, Limits, Settings};

use crate::cli::failure::{Code, Failure};

/// Most entries a module may have in the key-value store here.
const ENTRIES: usize = 10_000;

pub(super) struct Bench {
    sandbox: Sandbox,
    module: Digest,
    grants: Grants,
}

/// The one module there is.
struct Only(Digest, Bytes);

#[async_trait]
impl Library for Only {
    async fn fetch(&self, digest: &Digest) -> Result<Option<Bytes>, Away> {
        Ok((*digest == self.0).then(|| self.1.clone()))
    }
}

impl Bench {
    pub(super) fn new(module: Vec<u8>, settings: Settings) -> Result<Self, Failure> {
        let digest = Digest::of(&module);
        let ports = Ports {
            library: Arc::new(Only(digest, module.into())),
            key_value: Arc::new(KeyValueInMemory::new(ENTRIES)),
            resolver: Arc::new(SystemResolver),
            clock: Arc::new(SystemClock),
        };
        let sandbox = Sandbox::new(lowered(&settings.limits), ports)?;
        Ok(Self { sandbox, module: digest, grants: granted(settings)? })
    }

    /// Checks the module.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) async fn prepare(&self) -> Result<Digest, Failure> {
        match self.sandbox.prepare(&self.module, &self.grants).await {
            Ok(()) => Ok(self.module),
            Err(failure) => Err(Failure::new(Code::Refused, anyhow!("{}: {failure}", failure.code()))),
        }
    }

    /// One attempt.
    ///
    /// # Errors
    /// When it could not be made: what is wrong with the module, before it ran.
    pub(super) async fn run(&self, input: &Input) -> Result<Report, Failure> {
        self.prepare().await?;
        Ok(self.sandbox.run(&self.module, &self.grants, input).await)
    }
}

/// The bytes of the built-in of this name.
pub(super) fn builtin(name: &Path) -> Option<&'static [u8]> {
    let name = ModuleName::parse(name.to_str()?).ok()?;
    builtins::find(&name).map(|(_digest, builtin)| builtin.wasm)
}

/// The executor's own limits, or the module's where those are lower; one attempt at a time.
fn lowered(limits: &Limits) -> SandboxSettings {
    let mut settings = SandboxSettings::default();
    settings.turns.running = 1;
    settings.turns.per_module = 1;
    if let Some(deadline_ms) = limits.deadline_ms {
        settings.deadline_ms = settings.deadline_ms.min(Duration::from_millis(deadline_ms));
    }
    if let Some(fuel) = limits.fuel {
        settings.fuel = settings.fuel.min(fuel);
    }
    if let Some(most) = limits.memory_bytes {
        settings.memory_bytes = settings.memory_bytes.min(usize::try_from(most).unwrap_or(usize::MAX));
    }
    settings
}

fn granted(settings: Settings) -> Result<Grants, Failure> {
    let http = settings.grants.allow_list().map_err(Failure::usage)?.map(Arc::new);
    let grants = settings.grants;
    Ok(Grants {
        config: grants.config.map(Arc::new),
        key_value: grants.key_value.map(|space| space.as_str().into()),
        clock: if grants.clock { ClockGrant::Real } else { ClockGrant::Frozen },
        http,
        publish: match grants.publish {
            settings::Publish::SameRecipient => Publish::SameRecipient,
            settings::Publish::Tenant => Publish::Tenant,
        },
    })
}
