//! The one wasmtime engine of this process: how guests are compiled, where they are put, and what interrupts them.

use std::time::Duration;

use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::config::SandboxSettings;

/// Stack for the host's part of a call, beyond the guest's own: WASI, HTTP and TLS run on it.
const HOST_STACK_BYTES: usize = 1536 * 1024;

/// Makes the engine and the ticker that interrupts its guests, which stops when the engine is gone.
///
/// # Errors
/// When the address space for `turns.running` attempts cannot be had, or no thread.
pub(super) fn build(settings: &SandboxSettings) -> wasmtime::Result<Engine> {
    let mut config = Config::new();
    config
        .consume_fuel(true)
        .epoch_interruption(true)
        .max_wasm_stack(settings.stack_bytes)
        .async_stack_size(settings.stack_bytes + HOST_STACK_BYTES)
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool(settings)))
        // Traps are told by their code: a map from machine code to WASM would be a third of each module.
        .generate_address_map(false)
        // 64-bit memories need bounds checks, and no toolchain makes them yet.
        .wasm_memory64(false)
        // The same answer on each kind of machine.
        .relaxed_simd_deterministic(true);
    let engine = Engine::new(&config)?;
    tick(&engine, settings.tick_ms)?;
    Ok(engine)
}

fn pool(settings: &SandboxSettings) -> PoolingAllocationConfig {
    let running = settings.turns.running;
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(running)
        .total_core_instances(running.saturating_mul(settings.instances))
        .total_memories(running.saturating_mul(settings.memories))
        .total_tables(running.saturating_mul(settings.tables))
        .total_stacks(running)
        .max_core_instances_per_component(settings.instances)
        .max_memories_per_component(settings.memories)
        .max_tables_per_component(settings.tables)
        .max_memories_per_module(settings.memories)
        .max_tables_per_module(settings.tables)
        .max_memory_size(settings.memory_bytes)
        .table_elements(settings.table_elements);
    pool
}

fn tick(engine: &Engine, every: Duration) -> wasmtime::Result<()> {
    let engine = engine.weak();
    let ticker = move || {
        while let Some(engine) = engine.upgrade() {
            engine.increment_epoch();
            drop(engine);
            std::thread::sleep(every);
        }
    };
    std::thread::Builder::new().name("sandbox-ticker".to_owned()).spawn(ticker)?;
    Ok(())
}
