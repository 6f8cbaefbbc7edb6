//! What a module may beyond computing: nothing, unless granted.

use std::collections::BTreeMap;
use std::sync::Arc;

use postrider_executor::sandbox::{Answer, ClockGrant, Failure, Grants, Input, Publish};
use shared::recipient::Recipient;

use crate::guests::{component_with, quiet, wasi_version};
use crate::world::{ACCEPTED, NOW, World, code, input, settings};

/// The end of a guest that asks for another attempt after `$number` milliseconds: how it tells a number.
const TELL: &str = "(i32.store8 (i32.const 1024) (i32.const 1))
    (i32.store8 (i32.const 1048) (i32.const 1))
    (i64.store (i32.const 1056) (local.get $number))
    (i32.const 1024)";

fn told(answer: &Result<Answer, Failure>) -> u64 {
    match answer {
        Ok(Answer::Retry { after: Some(after), .. }) => u64::try_from(after.as_millis()).unwrap(),
        other => panic!("{other:?}"),
    }
}

/// Rejects with the value of `colour`.
fn colour() -> Vec<u8> {
    component_with(
        r#"(import "postrider:task/config@1.0.0" "get" (func $get (param i32 i32 i32)))
           (data (i32.const 512) "colour")"#,
        "(call $get (i32.const 512) (i32.const 6) (i32.const 2048))
         (i32.store8 (i32.const 1024) (i32.const 1))
         (i32.store8 (i32.const 1032) (i32.const 1))
         (i64.store (i32.const 1040) (i64.load (i32.const 2052)))
         (i32.const 1024)",
    )
}

/// Tells the time.
fn clock() -> Vec<u8> {
    component_with(
        r#"(import "postrider:task/clock@1.0.0" "now" (func $now (result i64)))"#,
        &format!("(local $number i64) (local.set $number (call $now)) {TELL}"),
    )
}

/// Tells the seconds of WASI's clock.
fn wasi_clock() -> Vec<u8> {
    component_with(
        &format!(r#"(import "wasi:clocks/wall-clock@{}" "now" (func $now (param i32)))"#, wasi_version()),
        &format!(
            "(local $number i64) (call $now (i32.const 2048))
             (local.set $number (i64.load (i32.const 2048))) {TELL}"
        ),
    )
}

const CONFLICT: u64 = 9000;
const TOO_LARGE: u64 = 9001;
const FULL: u64 = 9002;

/// Writes `bytes` under `k` if nothing is there; tells the version, or which error.
fn writes(bytes: u32) -> Vec<u8> {
    component_with(
        r#"(import "postrider:task/key-value@1.0.0" "set"
               (func $set (param i32 i32 i32 i32 i32 i64 i32)))
           (data (i32.const 512) "k")"#,
        &format!(
            "(local $number i64)
             (call $set (i32.const 512) (i32.const 1) (i32.const 4096) (i32.const {bytes})
                 (i32.const 1) (i64.const 0) (i32.const 2048))
             (local.set $number (if (result i64) (i32.load8_u (i32.const 2048))
                 (then (i64.add (i64.const 9000) (i64.load8_u (i32.const 2056))))
                 (else (i64.load (i32.const 2056)))))
             {TELL}"
        ),
    )
}

#[tokio::test]
async fn an_import_without_its_grant_is_denied_before_anything_runs() {
    let world = World::new(settings());
    for (module, import) in [
        (colour(), "postrider:task/config@1.0.0"),
        (clock(), "postrider:task/clock@1.0.0"),
        (writes(1), "postrider:task/key-value@1.0.0"),
    ] {
        let denied = Err(Failure::Denied(import.to_owned()));
        let report = world.run(&module).await;
        assert_eq!((report.answer, report.usage.fuel), (denied.clone(), 0));
        let digest = world.shelf.put(&module);
        let prepared = world.sandbox.prepare(&digest, &Grants::default()).await;
        assert_eq!(prepared.err(), denied.err());
    }
}

#[tokio::test]
async fn a_grant_to_one_run_is_none_to_the_next() {
    let world = World::new(settings());
    let grants = Grants { clock: ClockGrant::Real, ..Grants::default() };
    assert_eq!(told(&world.run_with(&clock(), &grants, &input("{}")).await.answer), NOW.as_millis());
    assert_eq!(code(&world.run(&clock()).await), "denied");
}

#[tokio::test]
async fn config_is_what_was_granted() {
    let world = World::new(settings());
    let config = |value: &str| Grants {
        config: Some(Arc::new(BTreeMap::from([("colour".to_owned(), value.to_owned())]))),
        ..Grants::default()
    };
    for value in ["blue", "red"] {
        let report = world.run_with(&colour(), &config(value), &input("{}")).await;
        assert_eq!(report.answer, Ok(Answer::Rejected { reason: value.into() }));
    }
}

#[tokio::test]
async fn clocks_stand_still_without_the_grant() {
    let world = World::new(settings());
    assert_eq!(told(&world.run(&wasi_clock()).await.answer), ACCEPTED.as_millis() / 1000);
    let grants = Grants { clock: ClockGrant::Real, ..Grants::default() };
    let report = world.run_with(&wasi_clock(), &grants, &input("{}")).await;
    assert_eq!(told(&report.answer), NOW.as_millis() / 1000);
}

fn of_tenant(tenant: &str) -> Input {
    let mut given = input("{}");
    given.notification.recipient = Recipient::parse_key(&format!("{tenant}/alice")).unwrap();
    given
}

#[tokio::test]
async fn entries_outlive_attempts_and_stay_in_their_tenant_and_grant() {
    let world = World::new(settings());
    let granted = |name: &str| Grants { key_value: Some(name.into()), ..Grants::default() };
    let module = writes(1);
    for (tenant, name, conflicts) in [
        ("acme", "a", false),
        ("acme", "a", true),
        ("other", "a", false),
        ("acme", "b", false),
        ("acme", "b", true),
    ] {
        let report = world.run_with(&module, &granted(name), &of_tenant(tenant)).await;
        assert_eq!(told(&report.answer) == CONFLICT, conflicts, "{tenant} {name}: {:?}", report.answer);
    }
}

#[tokio::test]
async fn values_and_calls_are_limited() {
    let granted = Grants { key_value: Some("space".into()), ..Grants::default() };
    let mut limits = settings();
    limits.key_value.value_bytes = 100;
    let world = World::new(limits.clone());
    let of = |bytes| writes(bytes);
    assert!(told(&world.run_with(&of(100), &granted, &of_tenant("one")).await.answer) < CONFLICT);
    assert_eq!(told(&world.run_with(&of(101), &granted, &of_tenant("two")).await.answer), TOO_LARGE);
    limits.key_value.key_bytes = 0;
    let world = World::new(limits.clone());
    assert_eq!(told(&world.run_with(&of(1), &granted, &input("{}")).await.answer), TOO_LARGE);
    limits.key_value.key_bytes = 1;
    limits.key_value.calls = 0;
    let world = World::new(limits);
    assert_eq!(told(&world.run_with(&of(1), &granted, &input("{}")).await.answer), FULL);
}

#[tokio::test]
async fn publishing_to_another_recipient_needs_the_grant() {
    let to_bob = component_with(
        r#"(data (i32.const 512) "bob")"#,
        "(i32.store (i32.const 1032) (i32.const 1152))
         (i32.store (i32.const 1036) (i32.const 1))
         (i32.store8 (i32.const 1152) (i32.const 1))
         (i32.store (i32.const 1156) (i32.const 512))
         (i32.store (i32.const 1160) (i32.const 3))
         (memory.copy (i32.const 1164) (i32.add (local.get $input) (i32.const 32)) (i32.const 24))
         (i32.const 1024)",
    );
    let world = World::new(settings());
    assert_eq!(code(&world.run(&to_bob).await), "denied");
    let grants = Grants { publish: Publish::Tenant, ..Grants::default() };
    let report = world.run_with(&to_bob, &grants, &input("{}")).await;
    let Ok(Answer::Done(outputs)) = report.answer else { panic!("{report:?}") };
    assert_eq!(outputs[0].recipient.as_ref().unwrap().as_str(), "bob");
}

#[tokio::test]
async fn a_module_that_needs_nothing_runs_with_every_grant() {
    let grants = Grants {
        config: Some(Arc::default()),
        key_value: Some("space".into()),
        clock: ClockGrant::Real,
        http: Some(Arc::default()),
        publish: Publish::Tenant,
    };
    let world = World::new(settings());
    assert_eq!(world.run_with(&quiet(), &grants, &input("{}")).await.answer, Ok(Answer::Done(vec![])));
}
