//! What modules and guests take of a process, and what guests that misbehave take from those beside them: tasks per second
//! on one thread, memory of a module that is ready, and latencies of a good task alone and beside bad ones, with the
//! process's memory. `just bench-sandbox` runs it.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark fails by panicking, and prints what it found"
)]

#[allow(dead_code, reason = "shared with the tests, which use all of it")]
#[path = "../tests/sandbox/guests.rs"]
mod guests;
#[allow(dead_code, reason = "shared with the tests, which use all of it")]
#[path = "../tests/sandbox/world.rs"]
mod world;

use std::sync::Arc;
use std::time::{Duration, Instant};

use postrider_executor::sandbox::{Digest, Grants};
use postrider_executor::{SandboxSettings, builtins};
use tokio::runtime::Runtime;

use self::world::{World, input};

/// How long each rate is measured.
const WHILE: Duration = Duration::from_secs(3);
/// Attempts whose latencies are measured.
const ATTEMPTS: usize = 2000;
/// Bad guests that run at once, whatever becomes of them.
const BAD: usize = 8;
/// Modules whose memory is measured together.
const MODULES: u32 = 20;

fn main() {
    rates();
    modules();
    beside();
}

fn one_thread() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn builtin(name: &str) -> &'static [u8] {
    builtins::ALL.iter().find(|builtin| builtin.name == name).unwrap().wasm
}

/// Tasks that end well, one after the other on one thread.
fn rates() {
    let (runtime, world) = (one_thread(), World::new(SandboxSettings::default()));
    for (name, module, content) in [
        ("component, no outputs", guests::quiet(), "{}"),
        ("component, one output", guests::echo(), "{}"),
        ("built-in echo", builtin("echo").to_vec(), "{}"),
        ("built-in sum of ten", builtin("sum").to_vec(), "[1,2,3,4,5,6,7,8,9,10]"),
    ] {
        let (digest, input) = (world.shelf.put(&module), input(content));
        let count = runtime.block_on(async {
            world.sandbox.prepare(&digest, &Grants::default()).await.unwrap();
            let (begin, mut count) = (Instant::now(), 0_u32);
            while begin.elapsed() < WHILE {
                assert!(world.sandbox.run(&digest, &Grants::default(), &input).await.answer.is_ok());
                count += 1;
            }
            count
        });
        println!("{name}: {:.0} tasks per second on one thread", f64::from(count) / WHILE.as_secs_f64());
    }
}

/// Memory of modules that are ready, each with other bytes, and so compiled and kept for itself.
fn modules() {
    let runtime = one_thread();
    for (name, module) in [("component of 1 KiB", guests::quiet()), ("built-in sum", builtin("sum").to_vec())]
    {
        let mut settings = SandboxSettings::default();
        settings.modules.cached_bytes = 1 << 30;
        let world = World::new(settings);
        let ready = |number: u32| {
            let digest = world.shelf.put(&other(&module, number));
            runtime.block_on(world.sandbox.prepare(&digest, &Grants::default())).unwrap();
        };
        // What is made once for all.
        ready(0);
        let before = resident();
        (1..=MODULES).for_each(ready);
        let each = resident().saturating_sub(before) / u64::from(MODULES);
        println!("{name}, {} bytes: {} KiB of memory when it is ready", module.len(), each / 1024);
    }
}

/// The same module with another custom section, and so another digest.
fn other(module: &[u8], number: u32) -> Vec<u8> {
    let mut bytes = module.to_vec();
    bytes.extend([0, 6, 1, b'n']);
    bytes.extend(number.to_le_bytes());
    bytes
}

/// A good task's latencies alone, and beside bad ones of each kind, on two threads.
fn beside() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let world = Arc::new(World::new(SandboxSettings::default()));
    let good = world.shelf.put(&guests::echo());
    runtime.block_on(world.sandbox.prepare(&good, &Grants::default())).unwrap();
    let alone = runtime.block_on(latencies(Arc::clone(&world), good));
    println!("good alone: {}, resident {} MiB", told(&alone, &alone), resident() >> 20);
    let recursion = "(func $f (param i32) (result i32) (i32.add (call $f (local.get 0)) (i32.const 1)))";
    let flood = format!(
        "(loop $again (call $write (i32.const 1) (i32.const 64) (i32.const {})) (br $again))",
        60_000
    );
    for (name, module) in [
        ("endless loops", guests::endless()),
        (
            "alloc bombs",
            guests::component(
                "(loop $again
                    (drop (memory.grow (i32.const 16)))
                    (memory.fill (i32.const 65536) (i32.const 1)
                        (i32.sub (i32.mul (memory.size) (i32.const 65536)) (i32.const 65536)))
                    (br $again)) (unreachable)",
            ),
        ),
        ("deep recursion", guests::component_with(recursion, "(drop (call $f (i32.const 0))) (unreachable)")),
        ("floods of output", guests::command("x", &flood)),
    ] {
        let bad = world.shelf.put(&module);
        runtime.block_on(world.sandbox.prepare(&bad, &Grants::default())).unwrap();
        let troubles: Vec<_> = (0..BAD).map(|_| runtime.spawn(again(Arc::clone(&world), bad))).collect();
        let measured = runtime.block_on(latencies(Arc::clone(&world), good));
        let resident = resident() >> 20;
        troubles.iter().for_each(tokio::task::JoinHandle::abort);
        println!("good beside {BAD} {name}: {}, resident {resident} MiB", told(&measured, &alone));
    }
}

/// Runs a bad module for ever.
async fn again(world: Arc<World>, bad: Digest) {
    loop {
        let report = world.sandbox.run(&bad, &Grants::default(), &input("{}")).await;
        assert!(report.answer.is_err());
        // What a trap answers at once would keep the thread.
        tokio::task::yield_now().await;
    }
}

/// Ascending.
async fn latencies(world: Arc<World>, good: Digest) -> Vec<Duration> {
    let measure = async move {
        let mut all = Vec::new();
        for _attempt in 0..ATTEMPTS {
            let begin = Instant::now();
            assert!(world.sandbox.run(&good, &Grants::default(), &input("{}")).await.answer.is_ok());
            all.push(begin.elapsed());
        }
        all.sort_unstable();
        all
    };
    tokio::spawn(measure).await.unwrap()
}

fn told(measured: &[Duration], alone: &[Duration]) -> String {
    let at = |all: &[Duration], percent: usize| all[(all.len() - 1) * percent / 100];
    let ratio = at(measured, 50).as_secs_f64() / at(alone, 50).as_secs_f64();
    format!("median {:?} ({ratio:.1} times), 99 of 100 within {:?}", at(measured, 50), at(measured, 99))
}

/// Memory of this process that is there, in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}
