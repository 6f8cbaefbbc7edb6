//! Each limit of an attempt, obeyed and violated.

use std::time::Duration;

use postrider_executor::SandboxSettings;
use postrider_executor::sandbox::{Answer, Grants};
use shared::task::settings::Limits;

use crate::guests::{ANSWER, component, component_with, echo, endless, quiet, wasi_version};
use crate::world::{World, code, input, settings};

const DONE: Result<Answer, postrider_executor::sandbox::Failure> = Ok(Answer::Done(Vec::new()));

/// A guest that grows its memory by `pages` and traps when it is refused.
fn grows_to(pages: u32) -> Vec<u8> {
    let more = pages - 1;
    component(&format!(
        "(if (i32.eq (memory.grow (i32.const {more})) (i32.const -1)) (then (unreachable)))
         (i32.store (i32.sub (i32.mul (i32.const {pages}) (i32.const 65536)) (i32.const 4)) (i32.const 7))
         {ANSWER}"
    ))
}

#[tokio::test]
async fn an_endless_loop_runs_out_of_fuel() {
    let world = World::new(settings());
    let report = world.run(&endless()).await;
    assert_eq!((code(&report), report.usage.fuel), ("fuel", settings().fuel));
    assert_eq!(world.run(&quiet()).await.answer, DONE);
}

#[tokio::test]
async fn an_endless_loop_with_fuel_to_spare_meets_its_deadline() {
    let deadline_ms = Duration::from_millis(50);
    let world = World::new(SandboxSettings { fuel: u64::MAX / 2, deadline_ms, ..settings() });
    assert_eq!(code(&world.run(&endless()).await), "deadline");
    assert_eq!(world.run(&quiet()).await.answer, DONE);
}

#[tokio::test]
async fn an_alloc_bomb_is_refused_and_memory_up_to_the_limit_is_had() {
    let world = World::new(settings());
    let most = u32::try_from(settings().memory_bytes / 65536).unwrap();
    let report = world.run(&grows_to(most)).await;
    assert_eq!((report.answer, report.usage.memory_bytes), (DONE, settings().memory_bytes));
    assert_eq!(code(&world.run(&grows_to(most + 1)).await), "memory");
    // One that grows for ever, and never believes it is refused. Growing costs more time than fuel.
    let world = World::new(SandboxSettings { fuel: 100_000, ..settings() });
    let bomb = component("(loop $again (drop (memory.grow (i32.const 1))) (br $again)) (unreachable)");
    let report = world.run(&bomb).await;
    assert_eq!((code(&report), report.usage.memory_bytes), ("fuel", settings().memory_bytes));
}

#[tokio::test]
async fn a_table_grows_to_its_limit_and_no_further() {
    let grows = |elements: u32| {
        component_with(
            "(table $table 0 funcref)",
            &format!(
                "(if (i32.eq (table.grow $table (ref.null func) (i32.const {elements})) (i32.const -1))
                     (then (unreachable)))
                 {ANSWER}"
            ),
        )
    };
    let world = World::new(SandboxSettings { table_elements: 1000, ..settings() });
    assert_eq!(world.run(&grows(1000)).await.answer, DONE);
    assert_eq!(code(&world.run(&grows(1001)).await), "memory");
}

#[tokio::test]
async fn deep_recursion_overflows_the_guests_stack_and_not_the_hosts() {
    let recurses = |depth: &str| {
        component_with(
            "(func $down (param $left i32) (result i32)
                (if (result i32) (local.get $left)
                    (then (i32.add (i32.const 1) (call $down (i32.sub (local.get $left) (i32.const 1)))))
                    (else (i32.const 0))))",
            &format!("(drop (call $down (i32.const {depth}))) {ANSWER}"),
        )
    };
    let world = World::new(settings());
    assert_eq!(world.run(&recurses("1000")).await.answer, DONE);
    assert_eq!(code(&world.run(&recurses("-1")).await), "stack");
}

#[tokio::test]
async fn traps_are_told_by_their_code() {
    let world = World::new(settings());
    for (body, told) in [
        ("(unreachable)", "unreachable"),
        ("(i32.div_s (i32.const 1) (i32.const 0))", "divide by zero"),
        ("(i32.load (i32.const -1))", "out of bounds"),
    ] {
        let failure = world.run(&component(body)).await.answer.unwrap_err();
        assert_eq!(failure.code(), "trap");
        assert!(failure.to_string().contains(told), "{failure}");
    }
    assert_eq!(world.run(&quiet()).await.answer, DONE);
}

#[tokio::test]
async fn an_input_at_its_limit_is_taken_and_one_more_byte_is_not() {
    let world = World::new(SandboxSettings { input_bytes: 1000, ..settings() });
    let content = format!("\"{}\"", "x".repeat(998));
    assert!(world.run_with(&echo(), &Grants::default(), &input(&content)).await.answer.is_ok());
    let content = format!("\"{}\"", "x".repeat(999));
    let report = world.run_with(&echo(), &Grants::default(), &input(&content)).await;
    assert_eq!(code(&report), "input_too_large");
}

#[tokio::test]
async fn an_output_flood_is_refused_by_bytes_and_by_count() {
    let world = World::new(SandboxSettings { output_bytes: 1000, outputs: 3, ..settings() });
    let content = format!("\"{}\"", "x".repeat(998));
    assert!(world.run_with(&echo(), &Grants::default(), &input(&content)).await.answer.is_ok());
    let content = format!("\"{}\"", "x".repeat(999));
    let report = world.run_with(&echo(), &Grants::default(), &input(&content)).await;
    assert_eq!(code(&report), "output_too_large");
    // Outputs of nothing: 72 zero bytes each. Three are too empty, four are too many.
    let outputs = |count: u32| {
        component(&format!(
            "(i32.store (i32.const 1032) (i32.const 2048)) (i32.store (i32.const 1036) (i32.const {count})) {ANSWER}"
        ))
    };
    assert_eq!(code(&world.run(&outputs(3)).await), "invalid_output");
    assert_eq!(code(&world.run(&outputs(4)).await), "output_too_large");
}

#[tokio::test]
async fn what_is_handed_over_in_one_call_is_limited() {
    let logs = |bytes: u32| {
        component_with(
            r#"(import "postrider:task/log@1.0.0" "write" (func $log (param i32 i32 i32)))"#,
            &format!("(call $log (i32.const 1) (i32.const 32768) (i32.const {bytes})) {ANSWER}"),
        )
    };
    let limits = SandboxSettings { output_bytes: 4096, hostcall_bytes: 8192, ..settings() };
    let world = World::new(SandboxSettings { log_bytes: 1024 * 1024, ..limits });
    assert_eq!(world.run(&logs(8000)).await.answer, DONE);
    assert_eq!(code(&world.run(&logs(9000)).await), "output_too_large");
    // A list that claims to be longer than memory.
    let claims = component(&format!("(i32.store (i32.const 1036) (i32.const -1)) {ANSWER}"));
    assert!(world.run(&claims).await.answer.is_err());
}

#[tokio::test]
async fn a_log_flood_is_cut_and_the_task_goes_on() {
    let floods = component_with(
        r#"(import "postrider:task/log@1.0.0" "write" (func $log (param i32 i32 i32)))"#,
        &format!(
            "(local $left i32)
             (local.set $left (i32.const 1000))
             (loop $again
                 (call $log (i32.const 3) (i32.const 4096) (i32.const 100))
                 (br_if $again (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
             {ANSWER}"
        ),
    );
    let world = World::new(SandboxSettings { log_bytes: 2000, ..settings() });
    let report = world.run(&floods).await;
    assert_eq!(report.answer, DONE);
    let kept: usize = report.log.iter().map(|line| line.text.len()).sum();
    assert!(!report.log.is_empty() && kept <= 2000, "{kept}");
    assert_eq!(report.log_dropped_bytes, 100_000 - kept as u64);
}

#[tokio::test]
async fn host_resources_are_limited() {
    let pollables = |count: u32| {
        component_with(
            &format!(
                r#"(import "wasi:clocks/monotonic-clock@{}" "subscribe-duration"
                    (func $timer (param i64) (result i32)))"#,
                wasi_version()
            ),
            &format!(
                "(local $left i32)
                 (local.set $left (i32.const {count}))
                 (loop $again
                     (drop (call $timer (i64.const 1000000000000)))
                     (br_if $again (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
                 {ANSWER}"
            ),
        )
    };
    let world = World::new(SandboxSettings { handles: 64, ..settings() });
    assert_eq!(world.run(&pollables(20)).await.answer, DONE);
    assert_eq!(code(&world.run(&pollables(1000)).await), "handles");
    assert_eq!(world.run(&quiet()).await.answer, DONE);
}

#[tokio::test]
async fn a_module_lowers_limits_and_raises_none() {
    let world = World::new(settings());
    let run = async |module: &[u8], limits: Limits| {
        let digest = world.shelf.put(module);
        world.sandbox.run_within(&digest, &Grants::default(), &limits, &input("{}")).await
    };
    let fuel = |fuel| Limits { fuel: Some(fuel), ..Limits::default() };
    let report = run(&endless(), fuel(20_000)).await;
    assert_eq!((code(&report), report.usage.fuel), ("fuel", 20_000));
    assert_eq!(run(&endless(), fuel(u64::MAX / 4)).await.usage.fuel, settings().fuel);
    let memory = |pages: u64| Limits { memory_bytes: Some(pages * 65536), ..Limits::default() };
    assert_eq!(run(&grows_to(4), memory(4)).await.answer, DONE);
    assert_eq!(code(&run(&grows_to(5), memory(4)).await), "memory");
    assert_eq!(code(&run(&grows_to(65), memory(1000)).await), "memory");
    let sleeps = Limits { deadline_ms: Some(50), ..Limits::default() };
    let world = World::new(SandboxSettings { fuel: u64::MAX / 2, ..settings() });
    let digest = world.shelf.put(&endless());
    let report = world.sandbox.run_within(&digest, &Grants::default(), &sleeps, &input("{}")).await;
    assert_eq!(code(&report), "deadline");
}
