//! Checks of [`DeadLetters`]; `review` has those of [`DeadReview`], `requeues` those of [`Requeues`].

mod requeues;
mod review;

use bytes::Bytes;

use super::super::{DeadFilter, DeadLetter, DeadLetters, DeadReview, DeadRow, DeadState, Error, Requeues};
use super::{NOW, at, partition, tenant};
use crate::clock::Timestamp;
use crate::notification::NotificationId;
use crate::position::Position;
use crate::recipient::{RecipientId, TenantId};

/// An adapter with all three ports.
pub trait Dead: DeadLetters + DeadReview + Requeues {}
impl<T: DeadLetters + DeadReview + Requeues> Dead for T {}

/// All checks.
pub async fn all(dead: &dyn Dead) {
    what_is_archived_is_found_as_it_was(dead).await;
    archiving_from_elsewhere_conflicts_and_does_nothing(dead).await;
    a_position_is_kept_once_and_keeps_its_state(dead).await;
    any_bytes_of_a_foreign_record_are_kept(dead).await;
    what_is_old_enough_is_purged_but_never_a_requeue_that_is_asked_for(dead).await;
    review::all(dead).await;
    requeues::all(dead).await;
}

fn dead_row(tenant: Option<&TenantId>, position: Position) -> DeadRow {
    DeadRow {
        position,
        tenant: tenant.cloned(),
        recipient: tenant.map(|_| RecipientId::parse("alice").expect("a recipient's name")),
        key: tenant.map_or("\u{fffd}".into(), |tenant| format!("{tenant}/alice")),
        code: "refused".into(),
        detail: "the client refused the notification".into(),
        headers: vec![
            ("ce_id".into(), Bytes::from_static(b"\x00\xff")),
            ("ce_id".into(), Bytes::new()),
            ("ü".into(), Bytes::from_static(b"x")),
        ],
        payload: Bytes::from_static(b"\x00\x01\xff"),
        time: NOW,
        notification: NotificationId::parse("n-1").ok(),
        cut: false,
        requeueable: tenant.is_some(),
    }
}

/// Archives rows of `tenant` in epoch 1 at these offsets of a partition that no other check uses.
async fn archived(dead: &dyn Dead, tenant: &TenantId, offsets: std::ops::Range<u64>) -> Vec<Position> {
    let here = partition();
    let rows: Vec<_> = offsets.clone().map(|offset| dead_row(Some(tenant), at(1, here, offset))).collect();
    dead.archive_dead(here, 0, offsets.end + 1, &rows).await.expect("archive_dead");
    rows.into_iter().map(|row| row.position).collect()
}

fn of(tenant: &TenantId) -> DeadFilter {
    DeadFilter { tenant: Some(tenant.clone()), ..DeadFilter::default() }
}

async fn get(dead: &dyn Dead, position: Position) -> DeadLetter {
    dead.get_dead(None, position).await.expect("get_dead").expect("is there")
}

async fn state(dead: &dyn Dead, position: Position) -> DeadState {
    get(dead, position).await.summary.state
}

async fn count(dead: &dyn Dead, tenant: &TenantId) -> usize {
    dead.list_dead(&of(tenant), None, 100).await.expect("list_dead").len()
}

/// Every field survives.
pub async fn what_is_archived_is_found_as_it_was(dead: &dyn Dead) {
    let (acme, here) = (tenant(), partition());
    let mut cut = dead_row(Some(&acme), at(1, here, 4));
    (cut.cut, cut.requeueable, cut.notification, cut.recipient) = (true, false, None, None);
    let kept = [dead_row(Some(&acme), at(1, here, 3)), cut];
    assert_eq!(dead.dead_upto(here).await.expect("dead_upto"), 0);
    dead.archive_dead(here, 0, 5, &kept).await.expect("archive_dead");
    assert_eq!(dead.dead_upto(here).await.expect("dead_upto"), 5);
    for row in kept {
        let DeadLetter { summary, headers, payload } = get(dead, row.position).await;
        assert_eq!((&headers, &payload), (&row.headers, &row.payload));
        assert_eq!((&summary.tenant, &summary.recipient), (&row.tenant, &row.recipient));
        assert_eq!((&summary.key, &summary.code, &summary.detail), (&row.key, &row.code, &row.detail));
        assert_eq!((summary.time, &summary.notification), (row.time, &row.notification));
        assert_eq!((summary.cut, summary.requeueable, summary.size_bytes), (row.cut, row.requeueable, 3));
        assert_eq!((summary.state, summary.changed), (DeadState::Dead, row.time));
        assert_eq!((summary.changed_by, summary.requeued_at), (None, None));
    }
    assert_eq!(dead.get_dead(None, at(1, here, 5)).await.expect("get_dead"), None);
}

/// Two archivers never both move the same stretch.
pub async fn archiving_from_elsewhere_conflicts_and_does_nothing(dead: &dyn Dead) {
    let (acme, here) = (tenant(), partition());
    let kept = [dead_row(Some(&acme), at(1, here, 3))];
    assert!(matches!(dead.archive_dead(here, 2, 5, &kept).await, Err(Error::Conflict)));
    assert_eq!(count(dead, &acme).await, 0);
    dead.archive_dead(here, 0, 5, &[]).await.expect("archive_dead");
    assert!(matches!(dead.archive_dead(here, 0, 5, &kept).await, Err(Error::Conflict)));
    assert_eq!(count(dead, &acme).await, 0);
}

/// Dead-lettered by two directors, it is one dead letter; dead-lettered again after it was decided about, it stays so.
pub async fn a_position_is_kept_once_and_keeps_its_state(dead: &dyn Dead) {
    let (acme, here) = (tenant(), partition());
    let row = dead_row(Some(&acme), at(1, here, 3));
    dead.archive_dead(here, 0, 2, &[row.clone(), row.clone()]).await.expect("archive_dead");
    review::discard(dead, &of(&acme)).await;
    dead.archive_dead(here, 2, 3, std::slice::from_ref(&row)).await.expect("archive_dead");
    assert_eq!(count(dead, &acme).await, 1);
    assert_eq!(state(dead, row.position).await, DeadState::Discarded);
}

/// Text that an engine cannot hold is mended, never refused: the partition moves on.
pub async fn any_bytes_of_a_foreign_record_are_kept(dead: &dyn Dead) {
    let (acme, here) = (tenant(), partition());
    let mut row = dead_row(Some(&acme), at(1, here, 3));
    (row.key, row.detail) = ("a\0b".into(), "\0".into());
    row.headers = vec![("a\0".into(), Bytes::from_static(b"\0"))];
    dead.archive_dead(here, 0, 4, std::slice::from_ref(&row)).await.expect("archive_dead");
    let found = get(dead, row.position).await;
    assert_eq!((found.summary.key.as_str(), &found.headers), ("a\u{fffd}b", &row.headers));
    let mut long = dead_row(Some(&acme), at(1, here, 5));
    (long.key, long.code) = ("k".repeat(100_000), "c".repeat(100_000));
    dead.archive_dead(here, 4, 6, std::slice::from_ref(&long)).await.expect("archive_dead");
    assert_eq!(get(dead, long.position).await.summary.key, long.key);
}

/// Retention counts from the last change, in steps of a bounded size.
pub async fn what_is_old_enough_is_purged_but_never_a_requeue_that_is_asked_for(dead: &dyn Dead) {
    // Older than what any other check keeps, so that none of it is touched.
    let (acme, here, old) = (tenant(), partition(), Timestamp::from_millis(1000));
    let rows: Vec<_> = (0..4)
        .map(|offset| DeadRow {
            time: Timestamp::from_millis(1000 + offset),
            ..dead_row(Some(&acme), at(1, here, offset))
        })
        .collect();
    dead.archive_dead(here, 0, 4, &rows).await.expect("archive_dead");
    let one = DeadFilter { position: Some(rows[1].position), ..of(&acme) };
    assert_eq!(review::requeue_at(dead, &one, old).await, 1);
    let before = Timestamp::from_millis(1003);
    assert_eq!(dead.purge_dead(before, 1).await.expect("purge_dead"), 1);
    assert_eq!(dead.get_dead(None, rows[0].position).await.expect("get_dead"), None);
    assert_eq!(dead.purge_dead(before, 10).await.expect("purge_dead"), 1);
    assert_eq!(dead.purge_dead(before, 10).await.expect("purge_dead"), 0);
    let left = dead.list_dead(&of(&acme), None, 10).await.expect("list_dead");
    let left: Vec<u64> = left.iter().map(|letter| letter.position.offset).collect();
    assert_eq!(left, [3, 1]);
}
