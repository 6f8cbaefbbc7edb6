//! What the host keeps for one attempt: the data of its store. Made new for each and gone with it, so that nothing of
//! one attempt is left for another.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use shared::clock::{Clock, Timestamp};
use wasmtime_wasi::p1::WasiP1Ctx;
use wasmtime_wasi::p2::pipe::MemoryInputPipe;
use wasmtime_wasi::{HostMonotonicClock, HostWallClock, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use super::Ports;
use super::attempt::Input;
use super::egress::{Egress, Outside};
use super::grants::{self, Grants};
use super::key_value::Space;
use super::memory::MemoryCap;
use super::stream::{Log, Said, Stream};
use crate::config::SandboxSettings;

/// The data of a store.
pub(super) struct State {
    pub(super) wasi: WasiP1Ctx,
    pub(super) memory: MemoryCap,
    pub(super) log: Log,
    pub(super) config: Option<Arc<BTreeMap<String, String>>>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) key_value: KeyValueCalls,
    pub(super) egress: Egress,
    http: WasiHttpCtx,
}

/// The calls of the key-value store that an attempt may still make.
pub(super) struct KeyValueCalls {
    pub(super) store: Arc<dyn super::key_value::KeyValue>,
    pub(super) space: Option<Space>,
    pub(super) left: u32,
    pub(super) key_bytes: usize,
    pub(super) value_bytes: usize,
}

/// What a guest's standard streams are.
#[derive(Clone, Debug)]
pub(super) enum Stdio {
    /// Of a component: nothing to read, and log lines.
    Log,
    /// Of a command: its input, and what it says.
    Command { input: bytes::Bytes, said: Said },
}

impl State {
    pub(super) fn new(
        settings: &SandboxSettings,
        ports: &Ports,
        outside: &Outside,
        grants: &Grants,
        input: &Input,
        stdio: Stdio,
    ) -> Self {
        let mut http = WasiHttpCtx::new();
        http.set_field_size_limit(outside.header_bytes());
        let log = Log::new(settings.log_bytes);
        let limits = &settings.key_value;
        let space = grants.key_value.as_ref().map(|name| Space {
            tenant: input.notification.recipient.tenant.clone(),
            name: Arc::clone(name),
        });
        Self {
            wasi: wasi(settings, ports, grants, input, stdio, &log),
            memory: MemoryCap::new(settings),
            log,
            config: grants.config.clone(),
            clock: Arc::clone(&ports.clock),
            key_value: KeyValueCalls {
                store: Arc::clone(&ports.key_value),
                space,
                left: limits.calls,
                key_bytes: limits.key_bytes,
                value_bytes: limits.value_bytes,
            },
            egress: outside.attempt(grants.http.clone()),
            http,
        }
    }
}

/// WASI that leads nowhere: no arguments, no files, no sockets, no names; clocks only where granted.
fn wasi(
    settings: &SandboxSettings,
    ports: &Ports,
    grants: &Grants,
    input: &Input,
    stdio: Stdio,
    log: &Log,
) -> WasiP1Ctx {
    let mut wasi = WasiCtxBuilder::new();
    wasi.allow_tcp(false).allow_udp(false).allow_ip_name_lookup(false);
    wasi.max_random_size(settings.hostcall_bytes as u64);
    wasi.stderr(Stream::Warn(log.clone()));
    match stdio {
        Stdio::Log => wasi.stdout(Stream::Info(log.clone())),
        Stdio::Command { input, said } => {
            for (key, value) in grants.config.iter().flat_map(|config| config.iter()) {
                wasi.env(key, value);
            }
            wasi.stdin(MemoryInputPipe::new(input)).stdout(Stream::Said(said))
        }
    };
    match grants.clock {
        grants::Clock::Frozen => {
            wasi.wall_clock(Frozen(input.notification.time)).monotonic_clock(Frozen(Timestamp::default()))
        }
        grants::Clock::Real => wasi.wall_clock(Real(Arc::clone(&ports.clock))),
    };
    let mut wasi = wasi.build_p1();
    WasiView::ctx(&mut wasi).table.set_max_capacity(settings.handles);
    wasi
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiView::ctx(&mut self.wasi)
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            hooks: &mut self.egress,
            table: WasiView::ctx(&mut self.wasi).table,
            ctx: &mut self.http,
        }
    }
}

/// A clock that stands still.
struct Frozen(Timestamp);

impl HostWallClock for Frozen {
    fn resolution(&self) -> Duration {
        Duration::from_millis(1)
    }

    fn now(&self) -> Duration {
        Duration::from_millis(self.0.as_millis())
    }
}

impl HostMonotonicClock for Frozen {
    fn resolution(&self) -> u64 {
        1
    }

    fn now(&self) -> u64 {
        self.0.as_millis()
    }
}

/// The executor's own clock.
struct Real(Arc<dyn Clock>);

impl HostWallClock for Real {
    fn resolution(&self) -> Duration {
        Duration::from_millis(1)
    }

    fn now(&self) -> Duration {
        Duration::from_millis(self.0.now().as_millis())
    }
}
