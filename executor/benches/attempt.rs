//! What an attempt costs beside what wasmtime itself takes: a component that does nothing, instantiated and called through
//! the sandbox, and through wasmtime alone with the same settings. `just bench-sandbox` runs it; the ratio of the two is to
//! stay below 1.25.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a benchmark fails by panicking")]

#[allow(dead_code, reason = "shared with the tests, which use all of it")]
#[path = "../tests/sandbox/guests.rs"]
mod guests;
#[allow(dead_code, reason = "shared with the tests, which use all of it")]
#[path = "../tests/sandbox/world.rs"]
mod world;

use divan::Bencher;
use postrider_executor::SandboxSettings;
use postrider_executor::sandbox::Grants;
use tokio::runtime::Runtime;
use tokio::time::{Duration, Instant, timeout_at};
use wasmtime::component::{Component, HasSelf, Linker, ResourceTable};
use wasmtime::{
    Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Store, StoreLimits,
    StoreLimitsBuilder, UpdateDeadline,
};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use self::raw::postrider::task::types;

mod raw {
    //! The bindings of wasmtime, without anything of ours.
    #![allow(missing_docs, unreachable_pub, reason = "made by wasmtime")]
    wasmtime::component::bindgen!({
        path: "wit/postrider-task.wit",
        world: "task",
        exports: { default: async },
    });
}

fn main() {
    divan::main();
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

#[divan::bench(sample_count = 20_000)]
fn through_the_sandbox(bencher: Bencher<'_, '_>) {
    let runtime = runtime();
    let world = world::World::new(SandboxSettings::default());
    let digest = world.shelf.put(&guests::quiet());
    let (grants, input) = (Grants::default(), world::input("{}"));
    runtime.block_on(world.sandbox.prepare(&digest, &grants)).unwrap();
    bencher.bench_local(|| {
        let report = runtime.block_on(world.sandbox.run(&digest, &grants, &input));
        assert!(report.answer.is_ok());
    });
}

struct State {
    table: ResourceTable,
    wasi: WasiCtx,
    limits: StoreLimits,
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl types::Host for State {}

#[divan::bench(sample_count = 20_000)]
fn through_wasmtime(bencher: Bencher<'_, '_>) {
    let runtime = runtime();
    let settings = SandboxSettings::default();
    let engine = engine(&settings);
    let component = Component::from_binary(&engine, &guests::quiet()).unwrap();
    let mut linker = Linker::<State>::new(&engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker).unwrap();
    types::add_to_linker::<State, HasSelf<State>>(&mut linker, |state| state).unwrap();
    let task = raw::TaskPre::new(linker.instantiate_pre(&component).unwrap()).unwrap();
    bencher.bench_local(|| {
        let attempt = async {
            let limits = StoreLimitsBuilder::new().memory_size(settings.memory_bytes).build();
            let wasi = WasiCtx::builder().build();
            let mut store = Store::new(&engine, State { table: ResourceTable::new(), wasi, limits });
            store.limiter(|state| &mut state.limits);
            store.set_fuel(settings.fuel).unwrap();
            store.set_epoch_deadline(1);
            let deadline = Instant::now() + settings.deadline_ms;
            store.epoch_deadline_callback(move |_state| {
                assert!(Instant::now() < deadline);
                Ok(UpdateDeadline::Yield(1))
            });
            let run = async {
                let task = task.instantiate_async(&mut store).await.unwrap();
                task.call_run(&mut store, &input()).await.unwrap().unwrap()
            };
            timeout_at(deadline, run).await.unwrap()
        };
        assert!(runtime.block_on(attempt).is_empty());
    });
}

fn engine(settings: &SandboxSettings) -> Engine {
    let running = settings.turns.running;
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(running)
        .total_core_instances(running * settings.instances)
        .total_memories(running * settings.memories)
        .total_tables(running * settings.tables)
        .total_stacks(running)
        .max_memory_size(settings.memory_bytes)
        .table_elements(settings.table_elements);
    let mut config = Config::new();
    config
        .consume_fuel(true)
        .epoch_interruption(true)
        .generate_address_map(false)
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    let engine = Engine::new(&config).unwrap();
    let ticking = engine.clone();
    let every: Duration = settings.tick_ms;
    std::thread::spawn(move || {
        loop {
            ticking.increment_epoch();
            std::thread::sleep(every);
        }
    });
    engine
}

fn input() -> types::Input {
    let input = world::input("{}");
    let notification = input.notification;
    types::Input {
        id: notification.id.to_string(),
        tenant: notification.recipient.tenant.to_string(),
        recipient: notification.recipient.id.to_string(),
        source: notification.source,
        type_: notification.kind.to_string(),
        content_type: notification.content_type.to_string(),
        content: notification.content.to_vec(),
        metadata: None,
        urgency: types::Urgency::Normal,
        accepted: notification.time.as_millis(),
        expires: notification.expires.as_millis(),
        attempt: input.attempt,
        time_limit_ms: 10_000,
        idempotency_token: input.idempotency_token,
        traceparent: None,
    }
}
