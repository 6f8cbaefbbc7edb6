//! Checks of [`Schedules`] and [`Leases`]. That of what is due reads beyond tenants, and needs a store of its own.

use std::time::Duration;

use bytes::Bytes;

use super::super::{EntryName, Error, Leases, ScheduleRow, Schedules};
use super::{NOW, tenant};
use crate::clock::Timestamp;
use crate::log::Entry;
use crate::recipient::TenantId;

/// All checks.
pub async fn all<S: Schedules + Leases>(store: &S) {
    a_schedule_is_read_as_it_was_put(store).await;
    a_put_that_expects_another_revision_conflicts(store).await;
    a_removed_schedule_is_not_taken_for_its_successor(store).await;
    schedules_are_by_name_and_no_more_than_they_may_be(store).await;
    what_is_due_is_what_is_enabled_and_overdue(store).await;
    of_two_that_advance_a_schedule_one_does(store).await;
    a_lease_has_one_holder(store).await;
    of_many_that_take_a_lease_at_once_one_has_it(store).await;
}

fn second(count: u64) -> Timestamp {
    NOW.after(Duration::from_secs(count))
}

fn row(tenant: &TenantId, called: &str, next: Option<Timestamp>) -> ScheduleRow {
    ScheduleRow {
        tenant: tenant.clone(),
        name: EntryName::parse(called).expect("a name"),
        settings: r#"{"every_ms":60000}"#.into(),
        record: Entry {
            key: Bytes::from_static(b"acme/alice"),
            headers: vec![("ce_task".into(), "sum".into()), ("ce_metadata".into(), "ü".into())],
            payload: Bytes::from_static(b"\x00\xff{}"),
        },
        enabled: true,
        next,
        fired: None,
        count: 0,
        revision: 0,
        changed: NOW,
    }
}

async fn put(schedules: &dyn Schedules, row: &ScheduleRow) -> ScheduleRow {
    let revision = schedules.put_schedule(row, None, 100).await.expect("put_schedule");
    ScheduleRow { revision, ..row.clone() }
}

/// By its tenant only.
pub async fn a_schedule_is_read_as_it_was_put(schedules: &dyn Schedules) {
    let acme = tenant();
    let full = ScheduleRow { fired: Some(NOW), count: 7, ..row(&acme, "Nightly_1.x", Some(second(9))) };
    let full = put(schedules, &full).await;
    let get =
        async |tenant: &TenantId| schedules.get_schedule(tenant, &full.name).await.expect("get_schedule");
    assert_eq!(get(&acme).await, Some(full.clone()));
    assert_eq!(get(&tenant()).await, None);
    assert!(!schedules.delete_schedule(&tenant(), &full.name).await.expect("delete_schedule"));
    assert!(schedules.delete_schedule(&acme, &full.name).await.expect("delete_schedule"));
    assert!(!schedules.delete_schedule(&acme, &full.name).await.expect("delete_schedule"));
    assert_eq!(get(&acme).await, None);
}

/// Nothing of it is done.
pub async fn a_put_that_expects_another_revision_conflicts(schedules: &dyn Schedules) {
    let acme = tenant();
    let new = row(&acme, "nightly", None);
    let expecting = schedules.put_schedule(&new, Some(1), 100).await;
    assert!(matches!(expecting, Err(Error::Conflict)), "there is none");
    let first = put(schedules, &new).await;
    let off = ScheduleRow { enabled: false, ..new.clone() };
    let revision = schedules.put_schedule(&off, Some(first.revision), 100).await.expect("put_schedule");
    assert!(revision > first.revision);
    for stale in [first.revision, revision + 1] {
        let put = schedules.put_schedule(&new, Some(stale), 100).await;
        assert!(matches!(put, Err(Error::Conflict)), "{put:?}");
    }
    let (one, other) = tokio::join!(
        schedules.put_schedule(&new, Some(revision), 100),
        schedules.put_schedule(&off, Some(revision), 100)
    );
    assert!(one.is_ok() != other.is_ok(), "{one:?} {other:?}");
}

/// By whoever still holds it.
pub async fn a_removed_schedule_is_not_taken_for_its_successor(schedules: &dyn Schedules) {
    let acme = tenant();
    let old = put(schedules, &row(&acme, "nightly", Some(NOW))).await;
    schedules.delete_schedule(&acme, &old.name).await.expect("delete_schedule");
    assert!(matches!(schedules.advance_schedule(&old, None, 0, None).await, Err(Error::Conflict)));
    let new = ScheduleRow { changed: second(1), ..row(&acme, "nightly", Some(second(60))) };
    put(schedules, &new).await;
    assert!(matches!(schedules.advance_schedule(&old, None, 0, None).await, Err(Error::Conflict)));
}

/// Also when several are entered at once.
pub async fn schedules_are_by_name_and_no_more_than_they_may_be(schedules: &dyn Schedules) {
    let acme = tenant();
    let names = ["A", "b", "c"];
    for called in names {
        schedules.put_schedule(&row(&acme, called, None), None, 3).await.expect("put_schedule");
    }
    schedules.put_schedule(&row(&acme, "b", None), None, 3).await.expect("another in its place");
    let list = async |after: Option<&str>, limit| {
        let after = after.map(|name| EntryName::parse(name).expect("a name"));
        let rows = schedules.list_schedules(&acme, after.as_ref(), limit).await.expect("list_schedules");
        rows.into_iter().map(|row| row.name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(list(None, 9).await, names);
    assert_eq!(list(Some("A"), 1).await, ["b"]);
    let (fourth, fifth) = (row(&acme, "d", None), row(&acme, "e", None));
    let (one, other) =
        tokio::join!(schedules.put_schedule(&fourth, None, 4), schedules.put_schedule(&fifth, None, 4));
    assert!(one.is_ok() != other.is_ok(), "{one:?} {other:?}");
    assert!(matches!(one.and(other), Err(Error::Conflict)));
}

/// The most overdue first.
pub async fn what_is_due_is_what_is_enabled_and_overdue(schedules: &dyn Schedules) {
    let acme = tenant();
    let late = put(schedules, &row(&acme, "late", Some(Timestamp::from_millis(5)))).await;
    let later = put(schedules, &row(&acme, "later", Some(Timestamp::from_millis(7)))).await;
    put(schedules, &row(&acme, "not-yet", Some(Timestamp::from_millis(8)))).await;
    put(schedules, &row(&acme, "never", None)).await;
    let off = ScheduleRow { enabled: false, ..row(&acme, "off", Some(Timestamp::from_millis(1))) };
    put(schedules, &off).await;
    let due =
        async |limit| schedules.due_schedules(Timestamp::from_millis(7), limit).await.expect("due_schedules");
    assert_eq!(due(9).await, [late.clone(), later.clone()]);
    assert_eq!(due(1).await, std::slice::from_ref(&late));
    for row in [&late, &later] {
        schedules.advance_schedule(row, None, 0, Some(second(9))).await.expect("advance_schedule");
    }
    assert!(due(9).await.is_empty());
}

/// What was fired before is kept when nothing fires.
pub async fn of_two_that_advance_a_schedule_one_does(schedules: &dyn Schedules) {
    let acme = tenant();
    let start = put(schedules, &row(&acme, "nightly", Some(NOW))).await;
    let (one, other) = tokio::join!(
        schedules.advance_schedule(&start, Some(NOW), 2, Some(second(60))),
        schedules.advance_schedule(&start, Some(NOW), 2, Some(second(60)))
    );
    assert!(one.is_ok() != other.is_ok(), "{one:?} {other:?}");
    assert!(matches!(one.and(other), Err(Error::Conflict)));
    let get = async || {
        schedules.get_schedule(&acme, &start.name).await.expect("get_schedule").expect("the schedule")
    };
    let then = get().await;
    assert!(then.revision > start.revision);
    let expected = ScheduleRow { fired: Some(NOW), count: 2, next: Some(second(60)), ..start.clone() };
    assert_eq!(ScheduleRow { revision: start.revision, ..then.clone() }, expected);
    schedules.advance_schedule(&then, None, 0, None).await.expect("advance_schedule");
    let last = get().await;
    assert_eq!((last.fired, last.count, last.next), (Some(NOW), 2, None));
    assert!(matches!(schedules.put_schedule(&start, Some(then.revision), 9).await, Err(Error::Conflict)));
}

/// Until it runs out or is given up.
pub async fn a_lease_has_one_holder(leases: &dyn Leases) {
    let lease = format!("lease-{:016x}", rand::random::<u64>());
    let take = async |holder: &str, now: u64, until: u64| {
        leases.take_lease(&lease, holder, second(now), second(until)).await.expect("take_lease")
    };
    assert!(take("a", 0, 10).await);
    assert!(!take("b", 9, 20).await);
    assert!(take("a", 9, 20).await, "its holder prolongs it");
    assert!(!take("b", 19, 30).await);
    assert!(take("b", 20, 30).await, "it ran out");
    assert!(!take("a", 20, 30).await);
    leases.release_lease(&lease, "a").await.expect("release_lease");
    assert!(!take("a", 20, 30).await, "it is not its own to give up");
    leases.release_lease(&lease, "b").await.expect("release_lease");
    assert!(take("a", 20, 30).await);
}

/// And everybody knows who.
pub async fn of_many_that_take_a_lease_at_once_one_has_it(leases: &dyn Leases) {
    let lease = format!("lease-{:016x}", rand::random::<u64>());
    let take = |holder: &'static str| leases.take_lease(&lease, holder, second(0), second(10));
    let (a, b, c) = tokio::join!(take("a"), take("b"), take("c"));
    let taken = [a, b, c].map(|taken| taken.expect("take_lease"));
    assert_eq!(taken.iter().filter(|taken| **taken).count(), 1, "{taken:?}");
}
