//! Checks of [`DeadLetters`].

use bytes::Bytes;

use super::super::{DeadLetters, DeadRow, Error};
use super::{NOW, at, partition, tenant};
use crate::position::{PartitionId, Position};
use crate::recipient::TenantId;

/// All checks.
pub async fn all(dead: &dyn DeadLetters) {
    what_is_archived_is_listed_as_it_was(dead).await;
    archiving_from_elsewhere_conflicts_and_does_nothing(dead).await;
    a_position_is_kept_once(dead).await;
    a_list_goes_page_by_page_in_the_order_of_positions(dead).await;
    tenants_never_see_each_other(dead).await;
    any_bytes_of_a_foreign_record_are_kept(dead).await;
}

fn dead_row(tenant: Option<&TenantId>, position: Position) -> DeadRow {
    DeadRow {
        position,
        tenant: tenant.cloned(),
        key: "acme/alice".into(),
        code: "malformed".into(),
        detail: "header ce_id is missing".into(),
        headers: vec![
            ("ce_id".into(), Bytes::from_static(b"\x00\xff")),
            ("ce_id".into(), Bytes::new()),
            ("ü".into(), Bytes::from_static(b"x")),
        ],
        payload: Bytes::from_static(b"\x00\x01\xff"),
        time: NOW,
    }
}

async fn list(dead: &dyn DeadLetters, tenant: &TenantId) -> Vec<DeadRow> {
    dead.list_dead(Some(tenant), None, 100).await.expect("list_dead")
}

/// Every field survives.
pub async fn what_is_archived_is_listed_as_it_was(dead: &dyn DeadLetters) {
    let (acme, here) = (tenant(), partition());
    let kept = [dead_row(Some(&acme), at(1, here, 3)), dead_row(Some(&acme), at(1, here, 4))];
    assert_eq!(dead.dead_upto(here).await.expect("dead_upto"), 0);
    dead.archive_dead(here, 0, 5, &kept).await.expect("archive_dead");
    assert_eq!(dead.dead_upto(here).await.expect("dead_upto"), 5);
    assert_eq!(list(dead, &acme).await, kept);
}

/// Two archivers never both move the same stretch.
pub async fn archiving_from_elsewhere_conflicts_and_does_nothing(dead: &dyn DeadLetters) {
    let (acme, here) = (tenant(), partition());
    let kept = [dead_row(Some(&acme), at(1, here, 3))];
    assert!(matches!(dead.archive_dead(here, 2, 5, &kept).await, Err(Error::Conflict)));
    assert!(list(dead, &acme).await.is_empty());
    dead.archive_dead(here, 0, 5, &[]).await.expect("archive_dead");
    assert!(matches!(dead.archive_dead(here, 0, 5, &kept).await, Err(Error::Conflict)));
    assert!(list(dead, &acme).await.is_empty());
}

/// Dead-lettered by two directors, it is one dead letter.
pub async fn a_position_is_kept_once(dead: &dyn DeadLetters) {
    let (acme, here) = (tenant(), partition());
    let row = dead_row(Some(&acme), at(1, here, 3));
    dead.archive_dead(here, 0, 2, &[row.clone(), row.clone()]).await.expect("archive_dead");
    dead.archive_dead(here, 2, 3, std::slice::from_ref(&row)).await.expect("archive_dead");
    assert_eq!(list(dead, &acme).await, [row]);
}

/// Epoch, partition, offset.
pub async fn a_list_goes_page_by_page_in_the_order_of_positions(dead: &dyn DeadLetters) {
    let (acme, here) = (tenant(), PartitionId(rand::random::<u32>() >> 1));
    let next = PartitionId(here.0 + 1);
    let places = [at(1, here, 9), at(1, next, 2), at(1, next, 5), at(2, here, 0)];
    let kept: Vec<_> = places.iter().rev().map(|place| dead_row(Some(&acme), *place)).collect();
    dead.archive_dead(here, 0, 4, &kept).await.expect("archive_dead");
    let mut seen = Vec::new();
    while let Some(row) = dead.list_dead(Some(&acme), seen.last().copied(), 1).await.expect("list_dead").pop()
    {
        seen.push(row.position);
    }
    assert_eq!(seen, places);
}

/// Only who asks for all sees what has no tenant.
pub async fn tenants_never_see_each_other(dead: &dyn DeadLetters) {
    let (acme, other, here) = (tenant(), tenant(), partition());
    let mine = dead_row(Some(&acme), at(7, here, 1));
    let nobodys = dead_row(None, at(7, here, 2));
    dead.archive_dead(here, 0, 4, &[mine.clone(), nobodys.clone()]).await.expect("archive_dead");
    assert!(list(dead, &other).await.is_empty());
    assert_eq!(list(dead, &acme).await, std::slice::from_ref(&mine));
    let all = dead.list_dead(None, Some(at(7, here, 0)), 2).await.expect("list_dead");
    assert_eq!(all, [mine, nobodys]);
}

/// Text that an engine cannot hold is mended, never refused: the partition moves on.
pub async fn any_bytes_of_a_foreign_record_are_kept(dead: &dyn DeadLetters) {
    let (acme, here) = (tenant(), partition());
    let mut row = dead_row(Some(&acme), at(1, here, 3));
    (row.key, row.detail) = ("a\0b".into(), "\0".into());
    row.headers = vec![("a\0".into(), Bytes::from_static(b"\0"))];
    dead.archive_dead(here, 0, 4, std::slice::from_ref(&row)).await.expect("archive_dead");
    let found = list(dead, &acme).await.remove(0);
    assert_eq!((found.key.as_str(), &found.headers), ("a\u{fffd}b", &row.headers));
}
