//! Guests beside each other: who misbehaves takes nothing from the rest.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use postrider_executor::SandboxSettings;
use postrider_executor::sandbox::{Answer, Entry, Expected, Failure, Grants, KeyValue, KeyValueError, Space};
use tokio::sync::Semaphore;

use crate::guests::{ANSWER, component_with, echo, endless, quiet};
use crate::world::{World, input, settings};

#[tokio::test]
async fn neighbours_on_the_same_thread_go_on_while_guests_loop() {
    let limits = SandboxSettings { fuel: u64::MAX / 2, deadline_ms: Duration::from_secs(600), ..settings() };
    let world = Arc::new(World::new(limits));
    let loops: Vec<_> = (0..3)
        .map(|_| {
            let world = Arc::clone(&world);
            tokio::spawn(async move {
                let digest = world.shelf.put(&endless());
                world.sandbox.run(&digest, &Grants::default(), &input("{}")).await
            })
        })
        .collect();
    for _round in 0..20 {
        let report = world.run(&echo()).await;
        assert!(matches!(&report.answer, Ok(Answer::Done(outputs)) if outputs.len() == 1), "{report:?}");
    }
    assert!(loops.iter().all(|one| !one.is_finished()));
    // Whoever is given up on leaves its place.
    for one in &loops {
        one.abort();
    }
    for one in loops {
        assert!(one.await.unwrap_err().is_cancelled());
    }
    let all = [quiet(), quiet(), quiet(), quiet()];
    let [a, b, c, d] = all.each_ref().map(|module| world.run(module));
    let reports = tokio::join!(a, b, c, d);
    assert!([reports.0, reports.1, reports.2, reports.3].iter().all(|report| report.answer.is_ok()));
}

/// A store whose calls wait until they are let go; counts who waits.
struct Held {
    inside: AtomicUsize,
    gate: Semaphore,
}

impl Held {
    async fn until_inside(&self, count: usize) {
        let inside = async {
            while self.inside.load(Ordering::SeqCst) != count {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), inside).await.unwrap();
    }
}

#[async_trait]
impl KeyValue for Held {
    async fn get(&self, _space: &Space, _key: &str) -> Result<Option<Entry>, KeyValueError> {
        self.inside.fetch_add(1, Ordering::SeqCst);
        self.gate.acquire().await.unwrap().forget();
        self.inside.fetch_sub(1, Ordering::SeqCst);
        Ok(None)
    }

    async fn set(&self, _: &Space, _: &str, _: Bytes, _: Expected) -> Result<u64, KeyValueError> {
        Err(KeyValueError::Full)
    }

    async fn delete(&self, _: &Space, _: &str, _: Expected) -> Result<(), KeyValueError> {
        Ok(())
    }
}

fn asks(name: &str) -> Vec<u8> {
    component_with(
        &format!(
            r#"(import "postrider:task/key-value@1.0.0" "get" (func $get (param i32 i32 i32)))
               (data (i32.const 512) "{name}")"#
        ),
        &format!("(call $get (i32.const 512) (i32.const 1) (i32.const 2048)) {ANSWER}"),
    )
}

#[tokio::test]
async fn no_more_run_than_may_of_a_module_and_in_all() {
    let held = Arc::new(Held { inside: AtomicUsize::new(0), gate: Semaphore::new(0) });
    let mut limits = settings();
    limits.turns.running = 3;
    limits.turns.per_module = 2;
    limits.turns.waiting = 3;
    limits.turns.wait_ms = Duration::from_secs(60);
    let world = Arc::new(World::with(limits, held.clone()));
    let grants = Grants { key_value: Some("space".into()), ..Grants::default() };
    let (busy, other) = (world.shelf.put(&asks("a")), world.shelf.put(&asks("b")));
    for module in [&busy, &other] {
        world.sandbox.prepare(module, &grants).await.unwrap();
    }
    let start = |module| {
        let (world, grants) = (Arc::clone(&world), grants.clone());
        tokio::spawn(async move { world.sandbox.run(&module, &grants, &input("{}")).await })
    };
    let mut all: Vec<_> = (0..3).map(|_| start(busy)).collect();
    held.until_inside(2).await;
    // One of the busy module waits, and holds no place: another module has it.
    all.push(start(other));
    held.until_inside(3).await;
    all.push(start(other));
    all.push(start(other));
    while world.sandbox.waiting() < 3 {
        tokio::task::yield_now().await;
    }
    let one_more = world.sandbox.run(&other, &grants, &input("{}")).await;
    assert_eq!(one_more.answer, Err(Failure::Busy));
    assert_eq!(held.inside.load(Ordering::SeqCst), 3);
    held.gate.add_permits(all.len());
    for one in all {
        assert_eq!(one.await.unwrap().answer, Ok(Answer::Done(vec![])));
    }
    assert_eq!((held.inside.load(Ordering::SeqCst), world.sandbox.waiting()), (0, 0));
}
