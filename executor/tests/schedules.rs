//! The scheduler on the embedded store and log: each time fires once, whoever dies and whatever is away.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking, also in what they share")]

#[path = "schedules/engines.rs"]
mod engines;

use std::time::Duration;

use engines::{Engines, Switch, eventually, row};
use postrider_executor::ScheduleSettings;
use shared::record::{self, Kind};
use shared::store::{ScheduleRow, Schedules as _};
use shared::task::Origin;

const SECOND: Duration = Duration::from_secs(1);

/// Seconds, as in [`engines::START`].
fn ids(name: &str, seconds: impl IntoIterator<Item = u32>) -> Vec<String> {
    let id = |at: u32| format!("schedule:{name}:{}", engines::START.after(SECOND * at));
    seconds.into_iter().map(id).collect()
}

#[tokio::test]
async fn the_record_of_a_time_asks_for_the_task_and_says_which_schedule() {
    let engines = Engines::new().await;
    engines.put(&row("acme", "nightly", r#"{"every_ms":1000}"#)).await;
    let running = engines.scheduler("one");
    engines.clock.advance(SECOND);
    engines.wait_for(&ids("nightly", [1])).await;
    let entry = engines.records().await.remove(0);
    let (kind, input) = record::decode(&entry).unwrap();
    assert_eq!((kind, input.recipient.key().as_str()), (Kind::Task, "acme/alice"));
    assert_eq!(input.time, engines::START.after(SECOND));
    assert_eq!(
        input.expires.since(input.time),
        Duration::from_secs(3600),
        "it lives as long as the template says"
    );
    assert_eq!(&input.content[..], b"{\"of\":\"nightly\"}");
    let order = record::task::order(&entry.headers).unwrap();
    assert_eq!((order.origin, order.schedule.as_deref()), (Origin::Schedule, Some("nightly")));
    assert_eq!(order.module.to_string(), "sum@1");
    let noted = engines.noted("acme", "nightly", 1).await;
    assert_eq!((noted.fired, noted.next), (Some(input.time), Some(engines::START.after(SECOND * 2))));
    running.stop().await;
}

#[tokio::test]
async fn two_schedulers_at_once_fire_each_time_once() {
    let engines = Engines::new().await;
    let names: Vec<String> = (0..7).map(|number| format!("s{number}")).collect();
    for name in &names {
        engines.put(&row("acme", name, r#"{"every_ms":1000}"#)).await;
    }
    let running = [engines.scheduler("one"), engines.scheduler("two"), engines.scheduler("three")];
    for second in 1..=10_u64 {
        engines.clock.advance(SECOND);
        for name in &names {
            engines.noted("acme", name, second).await;
        }
    }
    let mut expected: Vec<String> = names.iter().flat_map(|name| ids(name, 1..=10)).collect();
    expected.sort();
    let mut found = engines.ids().await;
    found.sort();
    assert_eq!(found, expected);
    for one in running {
        one.stop().await;
    }
}

#[tokio::test]
async fn two_that_both_believe_to_lead_lose_nothing_and_what_they_repeat_has_the_same_id() {
    let engines = Engines::new().await;
    engines.put(&row("acme", "nightly", r#"{"every_ms":1000}"#)).await;
    let running = [engines.leading("one"), engines.leading("two")];
    for second in 1..=20_u64 {
        engines.clock.advance(SECOND);
        engines.noted("acme", "nightly", second).await;
    }
    for one in running {
        one.stop().await;
    }
    let mut found = engines.ids().await;
    found.sort();
    found.dedup();
    let mut expected = ids("nightly", 1..=20);
    expected.sort();
    assert_eq!(found, expected);
}

#[tokio::test]
async fn what_was_appended_and_not_noted_when_its_scheduler_died_is_appended_again_with_the_same_id() {
    let engines = Engines::new().await;
    engines.put(&row("acme", "nightly", r#"{"every_ms":1000}"#)).await;
    engines.advances.set(Switch::Hangs);
    let dying = engines.scheduler("one");
    engines.clock.advance(SECOND);
    engines.wait_for(&ids("nightly", [1])).await;
    dying.kill();
    assert_eq!(engines.get("acme", "nightly").await.count, 0, "nobody noted it");
    engines.advances.set(Switch::Works);
    let heir = engines.scheduler("two");
    engines.clock.advance(ScheduleSettings::default().lease_ms);
    engines.noted("acme", "nightly", 11).await;
    let found = engines.ids().await;
    assert_eq!(found[0], found[1]);
    assert_eq!(found[1..], ids("nightly", 1..=11));
    heir.stop().await;
}

#[tokio::test]
async fn who_dies_is_followed_when_its_lease_has_run_out_and_who_stops_at_once() {
    let engines = Engines::new().await;
    engines.put(&row("acme", "nightly", r#"{"every_ms":1000}"#)).await;
    let first = engines.scheduler("one");
    engines.clock.advance(SECOND);
    engines.noted("acme", "nightly", 1).await;
    let second = engines.scheduler("two");
    first.kill();
    engines.clock.advance(SECOND);
    engines.looks(3).await;
    assert_eq!(engines.get("acme", "nightly").await.count, 1, "the lease of the dead one holds");
    engines.clock.advance(ScheduleSettings::default().lease_ms);
    engines.noted("acme", "nightly", 12).await;
    second.stop().await;
    let third = engines.scheduler("three");
    engines.clock.advance(SECOND);
    engines.noted("acme", "nightly", 13).await;
    third.stop().await;
    assert_eq!(engines.ids().await, ids("nightly", 1..=13));
}

#[tokio::test]
async fn times_at_which_nobody_ran_fire_as_each_schedule_says() {
    let engines = Engines::new().await;
    let policies = [
        ("skip", r#""misfire":"skip""#),
        ("once", r#""misfire":"fire_once""#),
        ("all", r#""misfire":"fire_all""#),
        ("some", r#""misfire":"fire_all","misfire_limit":2"#),
    ];
    for (name, misfire) in policies {
        engines.put(&row("acme", name, &format!(r#"{{"every_ms":600000,{misfire}}}"#))).await;
    }
    // An hour and a bit later than the first time.
    engines.clock.advance(Duration::from_secs(600 * 7 + 5));
    let running = engines.scheduler("one");
    for (name, times) in
        [("skip", vec![7]), ("once", vec![6, 7]), ("all", (1..=7).collect()), ("some", vec![5, 6, 7])]
    {
        let noted = engines.noted("acme", name, times.len() as u64).await;
        assert_eq!(noted.next, Some(engines::START.after(SECOND * 4800)));
        let of = format!("schedule:{name}:");
        let found: Vec<String> = engines.ids().await.into_iter().filter(|id| id.starts_with(&of)).collect();
        assert_eq!(found, ids(name, times.into_iter().map(|time| time * 600)), "{name}");
    }
    running.stop().await;
}

#[tokio::test]
async fn many_missed_times_are_appended_and_noted_in_steps() {
    let engines = Engines::new().await;
    engines.put(&row("acme", "all", r#"{"every_ms":60000,"misfire":"fire_all","misfire_limit":500}"#)).await;
    engines.clock.advance(Duration::from_secs(60 * 300));
    let running = engines.scheduler("one");
    let noted = engines.noted("acme", "all", 300).await;
    assert_eq!(noted.fired, Some(engines::START.after(Duration::from_secs(60 * 300))));
    assert_eq!(engines.ids().await, ids("all", (1..=300).map(|minute| 60 * minute)));
    let first = engines.get("acme", "all").await.revision;
    assert!(first >= noted.revision, "nothing is noted backwards");
    running.stop().await;
}

#[tokio::test]
async fn a_schedule_of_one_time_fires_once_and_never_again() {
    let engines = Engines::new().await;
    let once = format!(r#"{{"at":"{}"}}"#, engines::START.after(SECOND * 3));
    engines
        .put(&ScheduleRow { next: Some(engines::START.after(SECOND * 3)), ..row("acme", "once", &once) })
        .await;
    let running = engines.scheduler("one");
    for _second in 0..6 {
        engines.clock.advance(SECOND);
        engines.looks(2).await;
    }
    let noted = engines.noted("acme", "once", 1).await;
    assert_eq!(noted.next, None);
    assert_eq!(engines.ids().await, ids("once", [3]));
    running.stop().await;
}

#[tokio::test]
async fn engines_that_are_away_are_waited_for_and_nothing_is_lost() {
    let engines = Engines::new().await;
    engines.put(&row("acme", "nightly", r#"{"every_ms":1000}"#)).await;
    let running = engines.scheduler("one");
    for (switch, second) in [(&engines.reads, 1_u64), (&engines.appends, 2), (&engines.advances, 3)] {
        switch.set(Switch::Fails);
        engines.clock.advance(SECOND);
        switch.failed(3).await;
        assert_eq!(engines.get("acme", "nightly").await.count + 1, second);
        switch.set(Switch::Works);
        engines.noted("acme", "nightly", second).await;
    }
    let mut found = engines.ids().await;
    found.dedup();
    assert_eq!(found, ids("nightly", 1..=3));
    running.stop().await;
}

#[tokio::test]
async fn a_schedule_that_cannot_fire_holds_up_no_other() {
    let engines = Engines::new().await;
    let broken = ScheduleRow { settings: "{}".into(), ..row("acme", "a-broken", r#"{"every_ms":1000}"#) };
    engines.put(&broken).await;
    let foreign = ScheduleRow {
        tenant: row("other", "x", "{}").tenant,
        ..row("acme", "b-foreign", r#"{"every_ms":1000}"#)
    };
    engines.put(&foreign).await;
    let mut large = row("acme", "c-large", r#"{"every_ms":1000}"#);
    large.record.payload = vec![b' '; engines::MAX_RECORD_BYTES].into();
    engines.put(&large).await;
    engines.put(&row("acme", "d-sound", r#"{"every_ms":1000}"#)).await;
    let settings = ScheduleSettings { batch: 1, ..engines::settings() };
    let running = engines.scheduler_with("one", settings);
    engines.clock.advance(SECOND);
    engines.noted("acme", "d-sound", 1).await;
    assert_eq!(engines.ids().await, ids("d-sound", [1]));
    assert_eq!(engines.get("acme", "a-broken").await.next, None);
    // Of another tenant, and last in its turn.
    eventually(async || engines.get("other", "b-foreign").await.next.is_none()).await;
    let large = engines.get("acme", "c-large").await;
    assert_eq!((large.count, large.next), (0, Some(engines::START.after(SECOND * 2))));
    running.stop().await;
}

#[tokio::test]
async fn a_schedule_that_is_changed_or_switched_off_meanwhile_is_as_it_was_changed() {
    let engines = Engines::new().await;
    engines.put(&row("acme", "nightly", r#"{"every_ms":1000}"#)).await;
    engines.advances.set(Switch::Hangs);
    let running = engines.scheduler("one");
    engines.clock.advance(SECOND);
    engines.wait_for(&ids("nightly", [1])).await;
    let off = ScheduleRow { enabled: false, ..row("acme", "nightly", r#"{"every_ms":60000}"#) };
    engines.store.put_schedule(&off, None, 100).await.unwrap();
    engines.advances.set(Switch::Works);
    engines.clock.advance(SECOND * 60);
    engines.looks(3).await;
    let there = engines.get("acme", "nightly").await;
    assert_eq!((there.enabled, there.count, there.next), (false, 0, off.next));
    assert_eq!(engines.ids().await, ids("nightly", [1]));
    running.stop().await;
}

#[tokio::test]
async fn a_scheduler_stops_while_everything_is_away() {
    let engines = Engines::new().await;
    for switch in [&engines.reads, &engines.appends, &engines.advances] {
        switch.set(Switch::Fails);
    }
    let running = engines.scheduler("one");
    engines.reads.failed(1).await;
    running.stop().await;
}
