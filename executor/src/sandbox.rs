//! The sandbox: runs one attempt of one task at a time within limits, and tells its answer or its failure, whatever the
//! guest does. It knows no log, no store and no HTTP API: who calls it decides what becomes of the answer.
//!
//! Read [`Sandbox::run`] first. `modules` gets the guest ready (`artefacts` keeps it on disk), `turns` says when it may
//! run, `state` is what the host keeps for it, `component` and `command` are the two kinds of guests, `imports` and
//! `egress` are what it may call, `outputs` checks what it answers.

mod artefacts;
mod attempt;
mod bindings;
mod command;
mod component;
mod egress;
mod engine;
mod failure;
mod grants;
mod guest;
mod imports;
mod key_value;
mod memory;
mod modules;
mod outputs;
mod state;
mod stream;
mod turns;

use std::sync::Arc;

use shared::clock::Clock;
use tokio::time::Instant;
use wasmtime::{Engine, Store, Trap, UpdateDeadline};

use self::artefacts::Artefacts;
pub use self::artefacts::Unusable;
pub use self::attempt::{Answer, Input, Level, LogLine, Output, Report, Usage};
use self::egress::Outside;
pub use self::egress::{AllowList, InvalidNetwork, InvalidOrigin, Network, Resolver, SystemResolver};
pub use self::failure::{Class, Failure};
pub use self::grants::{Clock as ClockGrant, Grants, Publish};
use self::guest::Answered;
pub use self::key_value::{
    Entry, Error as KeyValueError, Expected, KeyValue, Memory as KeyValueInMemory, Space,
};
use self::modules::Modules;
pub use self::modules::{Away, Library};
use self::outputs::Measure;
use self::state::State;
use self::turns::Turns;
use crate::config::SandboxSettings;
pub use shared::digest::{Digest, InvalidDigest};
use shared::task::settings::Limits;

/// What the sandbox uses.
#[derive(Clone)]
pub struct Ports {
    /// Where modules come from.
    pub library: Arc<dyn Library>,
    /// Behind `postrider:task/key-value`.
    pub key_value: Arc<dyn KeyValue>,
    /// Finds addresses for guests' requests.
    pub resolver: Arc<dyn Resolver>,
    /// What guests with the grant `clock` see.
    pub clock: Arc<dyn Clock>,
}

/// Why there is no sandbox.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Wasmtime cannot be set up with these limits.
    #[error("no sandbox can be made: {0}")]
    Engine(String),
    /// The directory of compiled modules.
    #[error(transparent)]
    Artefacts(#[from] Unusable),
}

/// Runs tasks. One for each process.
pub struct Sandbox {
    settings: SandboxSettings,
    ports: Ports,
    engine: Engine,
    modules: Modules,
    turns: Turns,
    outside: Outside,
}

/// One attempt, as guests see it.
pub(crate) struct Call<'a> {
    settings: &'a SandboxSettings,
    grants: &'a Grants,
    input: &'a Input,
}

impl Call<'_> {
    fn time_limit_ms(&self) -> u64 {
        u64::try_from(self.settings.deadline_ms.as_millis()).unwrap_or(u64::MAX)
    }

    fn measure(&self) -> Measure<'_> {
        Measure {
            most: self.settings.outputs,
            most_bytes: self.settings.output_bytes,
            reason_bytes: self.settings.reason_bytes,
            publish: self.grants.publish,
            recipient: &self.input.notification.recipient,
        }
    }

    fn check_size(&self) -> Result<(), Failure> {
        let notification = &self.input.notification;
        let bytes = notification.content.len() + notification.metadata.as_ref().map_or(0, String::len);
        let most = self.settings.input_bytes;
        if bytes > most { Err(Failure::InputTooLarge { bytes, most }) } else { Ok(()) }
    }
}

impl Sandbox {
    /// Reserves the address space for all that may run at once.
    ///
    /// # Errors
    /// When it cannot be had, or the directory of compiled modules is not this process's alone.
    pub fn new(settings: SandboxSettings, ports: Ports) -> Result<Self, Error> {
        let engine = engine::build(&settings).map_err(|error| Error::Engine(format!("{error:#}")))?;
        let modules = &settings.modules;
        let artefacts = match &modules.directory {
            Some(directory) => Some(Artefacts::open(&engine, directory, modules.directory_bytes)?),
            None => None,
        };
        Ok(Self {
            modules: Modules::new(engine.clone(), modules.clone(), Arc::clone(&ports.library), artefacts),
            turns: Turns::new(settings.turns),
            outside: Outside::new(Arc::clone(&ports.resolver), settings.http.clone())
                .map_err(|error| Error::Engine(error.to_string()))?,
            engine,
            settings,
            ports,
        })
    }

    /// Gets a module ready and checks it against what it is granted, so that [`Sandbox::run`] finds it so.
    ///
    /// # Errors
    /// What is wrong with it, or [`Failure::Unavailable`] when it takes longer than `compile_ms`.
    pub async fn prepare(&self, module: &Digest, grants: &Grants) -> Result<(), Failure> {
        let ready = self.modules.get(module, grants.interfaces()).await;
        ready.map(|_guest| ()).map_err(|failure| failure.cut(self.settings.reason_bytes))
    }

    /// One attempt of `module` at `input`.
    ///
    /// # Cancel safety
    /// The guest is stopped when this is dropped; what it did to the outside stays done.
    pub async fn run(&self, module: &Digest, grants: &Grants, input: &Input) -> Report {
        self.run_within(module, grants, &Limits::default(), input).await
    }

    /// The same within the module's own limits, where those are lower than everybody's.
    ///
    /// # Cancel safety
    /// As [`Sandbox::run`].
    pub async fn run_within(
        &self,
        module: &Digest,
        grants: &Grants,
        limits: &Limits,
        input: &Input,
    ) -> Report {
        let lowered = self.settings.lowered(limits);
        let call = Call { settings: &lowered, grants, input };
        let mut report = self.attempt(module, &call).await.unwrap_or_else(|failure| Report {
            answer: Err(failure),
            log: Vec::new(),
            log_dropped_bytes: 0,
            usage: Usage::default(),
        });
        report.answer = report.answer.map_err(|failure| failure.cut(self.settings.reason_bytes));
        report
    }

    /// How many attempts wait for their turn.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.turns.waiting()
    }

    async fn attempt(&self, module: &Digest, call: &Call<'_>) -> Result<Report, Failure> {
        call.check_size()?;
        let guest = self.modules.get(module, call.grants.interfaces()).await?;
        let _turn = self.turns.take(module).await?;
        let stdio = guest.stdio(call)?;
        let deadline = Instant::now() + call.settings.deadline_ms;
        let state =
            State::new(call.settings, &self.ports, &self.outside, call.grants, call.input, stdio.clone());
        let mut store = self.store(state, call.settings.fuel, deadline)?;
        let ran = tokio::time::timeout_at(deadline, guest.run(&mut store, call, stdio)).await;
        let answer = match ran {
            Ok(Ok(answered)) => answered,
            Ok(Err(error)) => Err(explain(&error, store.data())),
            Err(_elapsed) => Err(Failure::Deadline),
        };
        // What a guest asked for and may not have is told before anything that followed from it.
        let answer = store.data().egress.denied().map_or(answer, Err);
        Ok(report(&store, call.settings.fuel, answer))
    }

    fn store(&self, state: State, fuel: u64, deadline: Instant) -> Result<Store<State>, Failure> {
        let mut store = Store::new(&self.engine, state);
        store.limiter(|state| &mut state.memory);
        store.set_hostcall_fuel(self.settings.hostcall_bytes);
        store.set_max_component_handles(self.settings.handles);
        store.set_fuel(fuel).map_err(|error| Failure::Host(error.to_string()))?;
        store.set_epoch_deadline(1);
        // At each tick: whoever waits for the thread has it before the guest goes on.
        store.epoch_deadline_callback(move |_state| {
            if Instant::now() >= deadline {
                return Err(wasmtime::Error::new(Failure::Deadline));
            }
            Ok(UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now())))
        });
        Ok(store)
    }
}

fn report(store: &Store<State>, fuel: u64, answer: Answered) -> Report {
    let (log, log_dropped_bytes) = store.data().log.finish();
    let left = store.get_fuel().unwrap_or_default();
    let usage = Usage { fuel: fuel.saturating_sub(left), memory_bytes: store.data().memory.peak_bytes() };
    Report { answer, log, log_dropped_bytes, usage }
}

/// What stopped a guest. Our own failures go through wasmtime unchanged; the rest is told by its type.
fn explain(error: &wasmtime::Error, state: &State) -> Failure {
    if let Some(failure) = error.downcast_ref::<Failure>() {
        return failure.clone();
    }
    if let Some(trap) = error.downcast_ref::<Trap>() {
        return match trap {
            Trap::OutOfFuel => Failure::Fuel,
            Trap::StackOverflow => Failure::Stack,
            Trap::Interrupt => Failure::Deadline,
            // What a language runtime does when it is refused memory.
            _trap if state.memory.was_refused() => Failure::Memory,
            trap => Failure::Trap(trap.to_string()),
        };
    }
    if error.is::<wasmtime::component::ResourceTableError>() {
        return Failure::Handles;
    }
    if error.is::<wasmtime::PoolConcurrencyLimitError>() {
        return Failure::Busy;
    }
    let told = error.root_cause().to_string();
    if told.contains(HOSTCALL_FUEL) {
        return Failure::OutputTooLarge("in one call".to_owned());
    }
    if state.memory.was_refused() { Failure::Memory } else { Failure::Trap(told) }
}

/// How wasmtime says that a guest handed over more than `hostcall_bytes`; it has no type for it.
const HOSTCALL_FUEL: &str = "fuel allocated for hostcalls";
