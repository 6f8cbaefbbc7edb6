//! `[executor.sandbox]`: the limits of one attempt, of all that run at once, and of compiled modules.

use std::borrow::Cow;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use shared::config::{Mistakes, millis};
use shared::task::settings::Limits;

use crate::sandbox::Network;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// What one attempt may take. The host's memory for guests is at most `turns.running` times (`memory_bytes` +
/// `table_elements` pointers for each of `tables` + `stack_bytes`), and reserved as address space at the start.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SandboxSettings {
    /// Most linear memory, all memories of an attempt together. What grows beyond is refused the way WASM refuses it.
    pub memory_bytes: usize,
    /// Most linear memories of a component.
    pub memories: u32,
    /// Most tables of a component.
    pub tables: u32,
    /// Most elements of one table.
    pub table_elements: usize,
    /// Most core instances of a component: toolchains make one for the code and a few for adapters.
    pub instances: u32,
    /// Most stack of the guest's own calls.
    pub stack_bytes: usize,
    /// Most fuel: about one unit for each instruction executed.
    pub fuel: u64,
    /// The longest an attempt may take from its start to its answer, waiting for the outside included.
    #[serde(with = "millis")]
    pub deadline_ms: Duration,
    /// How long a guest may compute before it lets others have the thread. The deadline is looked at then, too.
    #[serde(with = "millis")]
    pub tick_ms: Duration,
    /// Most bytes of an input's content and metadata.
    pub input_bytes: usize,
    /// Most bytes of all outputs together, and of a command's standard output.
    pub output_bytes: usize,
    /// Most outputs.
    pub outputs: usize,
    /// Most bytes of log lines; what is written beyond is dropped and counted.
    pub log_bytes: usize,
    /// Most bytes of the reason that a task gives for not succeeding, and of what a failure says; longer ones are cut.
    pub reason_bytes: usize,
    /// Most bytes a guest may hand the host in one call.
    pub hostcall_bytes: usize,
    /// Most host resources (streams, requests, pollables) that a guest holds at once.
    pub handles: usize,
    /// How many attempts run and wait.
    pub turns: TurnSettings,
    /// Compiled modules.
    pub modules: ModuleSettings,
    /// Requests to the outside, where granted.
    pub http: EgressSettings,
    /// The key-value store, where granted.
    pub key_value: KeyValueSettings,
}

impl Default for SandboxSettings {
    fn default() -> Self {
        Self {
            memory_bytes: 64 * MIB,
            memories: 2,
            tables: 4,
            table_elements: 32 * KIB,
            instances: 16,
            stack_bytes: 512 * KIB,
            fuel: 1_000_000_000,
            deadline_ms: Duration::from_secs(10),
            tick_ms: Duration::from_millis(10),
            input_bytes: MIB,
            output_bytes: MIB,
            outputs: 64,
            log_bytes: 64 * KIB,
            reason_bytes: KIB,
            hostcall_bytes: 4 * MIB,
            handles: 256,
            turns: TurnSettings::default(),
            modules: ModuleSettings::default(),
            http: EgressSettings::default(),
            key_value: KeyValueSettings::default(),
        }
    }
}

/// How many attempts run and wait.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TurnSettings {
    /// Most attempts that run in this process.
    pub running: u32,
    /// Most attempts of one module that run in this process.
    pub per_module: u32,
    /// Most attempts that wait for their turn; one more is told to come again.
    pub waiting: usize,
    /// How long an attempt waits for its turn before it is told to come again.
    #[serde(with = "millis")]
    pub wait_ms: Duration,
}

impl Default for TurnSettings {
    fn default() -> Self {
        Self { running: 32, per_module: 16, waiting: 1024, wait_ms: Duration::from_secs(5) }
    }
}

/// Compiled modules.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModuleSettings {
    /// Most bytes of a module as it was uploaded.
    pub module_bytes: usize,
    /// Most modules compiled at once, each on a thread of its own.
    pub compiling: usize,
    /// How long a caller waits for a module to be compiled; compiling goes on, and whoever comes later finds it done. Also
    /// how long the library may take to hand out a module.
    #[serde(with = "millis")]
    pub compile_ms: Duration,
    /// Most bytes of compiled modules kept in memory; those unused for longest go first.
    pub cached_bytes: u64,
    /// Where compiled modules are kept between starts: a directory that is this process's alone. None: nowhere.
    pub directory: Option<PathBuf>,
    /// Most bytes of compiled modules kept there; the oldest go first.
    pub directory_bytes: u64,
}

impl Default for ModuleSettings {
    fn default() -> Self {
        Self {
            module_bytes: 16 * MIB,
            compiling: 1,
            compile_ms: Duration::from_secs(60),
            cached_bytes: 256 * MIB as u64,
            directory: None,
            directory_bytes: 1024 * MIB as u64,
        }
    }
}

/// Requests to the outside, where a module has the grant.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EgressSettings {
    /// Most requests of an attempt.
    pub requests: u32,
    /// Most bytes of a request's body.
    pub request_bytes: usize,
    /// Most bytes of a response's body.
    pub response_bytes: usize,
    /// Most bytes of headers, of a request and of a response each.
    pub header_bytes: usize,
    /// How long resolving a name and connecting, TLS included, may take.
    #[serde(with = "millis")]
    pub connect_ms: Duration,
    /// How long a request may take from its start to the last byte of the response.
    #[serde(with = "millis")]
    pub request_ms: Duration,
    /// Addresses beside the public ones that requests may go to, such as those of an internal service: `10.1.0.0/16`.
    /// Link-local addresses, where clouds answer about the machine, are never reached.
    pub networks: Vec<Network>,
}

impl Default for EgressSettings {
    fn default() -> Self {
        Self {
            requests: 16,
            request_bytes: MIB,
            response_bytes: MIB,
            header_bytes: 64 * KIB,
            connect_ms: Duration::from_secs(3),
            request_ms: Duration::from_secs(8),
            networks: Vec::new(),
        }
    }
}

/// The key-value store, where a module has the grant.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KeyValueSettings {
    /// Most calls of an attempt.
    pub calls: u32,
    /// Most bytes of a key.
    pub key_bytes: usize,
    /// Most bytes of a value.
    pub value_bytes: usize,
    /// Most entries of a tenant under one name.
    pub entries: u32,
}

impl Default for KeyValueSettings {
    fn default() -> Self {
        Self { calls: 64, key_bytes: 256, value_bytes: 64 * KIB, entries: 10_000 }
    }
}

impl SandboxSettings {
    /// These limits, and those of a module where they are lower.
    pub(crate) fn lowered(&self, limits: &Limits) -> Cow<'_, Self> {
        if *limits == Limits::default() {
            return Cow::Borrowed(self);
        }
        let memory = limits.memory_bytes.map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
        Cow::Owned(Self {
            deadline_ms: limits.deadline().map_or(self.deadline_ms, |own| own.min(self.deadline_ms)),
            fuel: limits.fuel.map_or(self.fuel, |own| own.min(self.fuel)),
            memory_bytes: memory.map_or(self.memory_bytes, |own| own.min(self.memory_bytes)),
            ..self.clone()
        })
    }

    /// Refuses values, and relations between values, that cannot work.
    pub(super) fn check(&self, mistakes: &mut Mistakes) {
        // 4 GiB is what a 32-bit guest can address.
        mistakes.within("sandbox.memory_bytes", self.memory_bytes, 64 * KIB..=4096 * MIB);
        mistakes.within("sandbox.memories", self.memories, 1..=16);
        mistakes.within("sandbox.tables", self.tables, 1..=64);
        mistakes.within("sandbox.table_elements", self.table_elements, 1..=10_000_000);
        mistakes.within("sandbox.instances", self.instances, 1..=256);
        // Every running attempt has one; below, the entry of a component does not fit.
        mistakes.within("sandbox.stack_bytes", self.stack_bytes, 64 * KIB..=64 * MIB);
        mistakes.within("sandbox.fuel", self.fuel, 10_000..=u64::MAX / 2);
        mistakes.within("sandbox.input_bytes", self.input_bytes, 1..=64 * MIB);
        mistakes.within("sandbox.output_bytes", self.output_bytes, 1..=64 * MIB);
        mistakes.within("sandbox.outputs", self.outputs, 1..=100_000);
        mistakes.within("sandbox.log_bytes", self.log_bytes, 0..=64 * MIB);
        mistakes.within("sandbox.reason_bytes", self.reason_bytes, 16..=64 * KIB);
        mistakes.within("sandbox.hostcall_bytes", self.hostcall_bytes, 4 * KIB..=256 * MIB);
        mistakes.within("sandbox.handles", self.handles, 16..=1_000_000);
        if self.hostcall_bytes < self.output_bytes {
            mistakes.report("sandbox.hostcall_bytes", "must not be below sandbox.output_bytes");
        }
        let longest = Duration::from_secs(3600).as_millis();
        mistakes.within("sandbox.deadline_ms", self.deadline_ms.as_millis(), 1..=longest);
        mistakes.within("sandbox.tick_ms", self.tick_ms.as_millis(), 1..=1000);
        // Else the deadline would be overshot by more than itself.
        if self.tick_ms >= self.deadline_ms {
            mistakes.report("sandbox.tick_ms", "must be below sandbox.deadline_ms");
        }
        self.turns.check(mistakes);
        self.modules.check(mistakes);
        self.http.check(mistakes);
        mistakes.within("sandbox.key_value.key_bytes", self.key_value.key_bytes, 1..=64 * KIB);
        mistakes.within("sandbox.key_value.entries", self.key_value.entries, 1..=10_000_000);
        mistakes.within("sandbox.key_value.value_bytes", self.key_value.value_bytes, 1..=64 * MIB);
    }
}

impl TurnSettings {
    fn check(&self, mistakes: &mut Mistakes) {
        mistakes.within("sandbox.turns.running", self.running, 1..=10_000);
        mistakes.within("sandbox.turns.per_module", self.per_module, 1..=self.running.max(1));
        mistakes.within("sandbox.turns.waiting", self.waiting, 1..=1_000_000);
    }
}

impl ModuleSettings {
    fn check(&self, mistakes: &mut Mistakes) {
        mistakes.within("sandbox.modules.module_bytes", self.module_bytes, KIB..=256 * MIB);
        mistakes.within("sandbox.modules.compiling", self.compiling, 1..=256);
        if self.compile_ms.is_zero() {
            mistakes.report("sandbox.modules.compile_ms", "must be above zero");
        }
    }
}

impl EgressSettings {
    fn check(&self, mistakes: &mut Mistakes) {
        // hyper takes no smaller buffer.
        mistakes.within("sandbox.http.header_bytes", self.header_bytes, 8 * KIB..=MIB);
        for (key, value) in [("connect_ms", self.connect_ms), ("request_ms", self.request_ms)] {
            if value.is_zero() {
                mistakes.report(&format!("sandbox.http.{key}"), "must be above zero");
            }
        }
    }
}
