//! Which modules are taken, and how often one is compiled.

use std::sync::atomic::Ordering;
use std::time::Duration;

use postrider_executor::SandboxSettings;
use postrider_executor::sandbox::{Answer, Class, Digest, Failure, Grants};

use crate::guests::{ANSWER, component, component_with, quiet};
use crate::world::{Mood, World, code, input, settings};

#[tokio::test]
async fn what_is_no_task_is_an_invalid_module() {
    let world = World::new(settings());
    let mut torn = quiet();
    torn.truncate(torn.len() / 2);
    let core = |text: &str| wat::parse_str(text).unwrap();
    for (what, module) in [
        ("nothing", Vec::new()),
        ("text", b"(module)".to_vec()),
        ("an unknown layer", b"\0asm\x0d\0\x02\0".to_vec()),
        ("half a component", torn),
        ("an empty component", core("(component)")),
        ("an empty module", core("(module)")),
        ("a start with results", core(r#"(module (func (export "_start") (result i32) (i32.const 1)))"#)),
        ("an unknown import", core(r#"(module (import "env" "f" (func)) (func (export "_start")))"#)),
        ("more memory than there is", core(r#"(module (memory 65) (func (export "_start")))"#)),
        ("a 64-bit memory", core(r#"(module (memory i64 1) (func (export "_start")))"#)),
        ("unsound code", b"\0asm\x01\0\0\0\x0a\x04\x01\x02\x00\xff".to_vec()),
    ] {
        let report = world.run(&module).await;
        assert_eq!(code(&report), "invalid_module", "{what}: {report:?}");
        assert_eq!(report.answer.unwrap_err().class(), Class::Terminal);
    }
    assert_eq!(world.run(&quiet()).await.answer, Ok(Answer::Done(vec![])));
}

#[tokio::test]
async fn a_module_at_its_limit_is_taken_and_one_more_byte_is_not() {
    let module = quiet();
    for (most, expected) in [(module.len(), "none"), (module.len() - 1, "invalid_module")] {
        let mut limits = settings();
        limits.modules.module_bytes = most;
        assert_eq!(code(&World::new(limits).run(&module).await), expected);
    }
}

#[tokio::test]
async fn more_memories_and_tables_than_there_are_make_no_module() {
    let memories = |count: usize| component_with(&"(memory 1)".repeat(count - 1), ANSWER);
    let tables = |count: usize| component_with(&"(table 1 funcref)".repeat(count), ANSWER);
    let world = World::new(SandboxSettings { memories: 2, tables: 4, ..settings() });
    for (module, expected) in [
        (tables(4), "none"),
        (tables(5), "invalid_module"),
        (memories(2), "none"),
        (memories(3), "invalid_module"),
    ] {
        let report = world.run(&module).await;
        assert_eq!(code(&report), expected, "{report:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_module_is_compiled_once_however_many_ask() {
    let world = World::new(settings());
    let digest = world.shelf.put(&quiet());
    let (grants, given) = (Grants::default(), input("{}"));
    let one = || world.sandbox.run(&digest, &grants, &given);
    let reports = tokio::join!(one(), one(), one(), one());
    for report in [reports.0, reports.1, reports.2, reports.3] {
        assert_eq!(report.answer, Ok(Answer::Done(vec![])));
    }
    assert_eq!(world.shelf.fetched.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_module_that_is_none_is_looked_at_once() {
    let world = World::new(settings());
    for _attempt in 0..3 {
        assert_eq!(code(&world.run(b"none").await), "invalid_module");
    }
    assert_eq!(world.shelf.fetched.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn what_does_not_fit_into_memory_is_fetched_again() {
    let mut limits = settings();
    limits.modules.cached_bytes = 1;
    let world = World::new(limits);
    for _attempt in 0..3 {
        assert_eq!(code(&world.run(&quiet()).await), "none");
    }
    assert_eq!(world.shelf.fetched.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_module_that_is_not_there_may_come_later() {
    let world = World::new(settings());
    let digest = Digest::of(&quiet());
    let report = world.sandbox.run(&digest, &Grants::default(), &input("{}")).await;
    assert_eq!(report.answer, Err(Failure::NoModule));
    assert_eq!(code(&world.run(&quiet()).await), "none");
}

#[tokio::test]
async fn a_library_that_is_away_or_hangs_holds_up_nobody_for_long() {
    let mut limits = settings();
    limits.modules.compile_ms = Duration::from_millis(500);
    let world = World::new(limits);
    for mood in [Mood::Away, Mood::Hangs] {
        *world.shelf.mood.lock().unwrap() = mood;
        let report = world.run(&quiet()).await;
        assert_eq!(code(&report), "unavailable");
        assert_eq!(report.answer.unwrap_err().class(), Class::Retry);
    }
    // Whoever hung has let go: the one place to compile is free again.
    *world.shelf.mood.lock().unwrap() = Mood::Answers;
    let freed = async { while world.run(&quiet()).await.answer != Ok(Answer::Done(vec![])) {} };
    tokio::time::timeout(Duration::from_secs(30), freed).await.unwrap();
}

#[tokio::test]
async fn other_bytes_under_a_digest_are_never_run() {
    let world = World::new(settings());
    let digest = Digest::of(b"what was pinned");
    world.shelf.put_under(digest, &component(ANSWER));
    assert_eq!(code(&world.sandbox.run(&digest, &Grants::default(), &input("{}")).await), "host");
}
