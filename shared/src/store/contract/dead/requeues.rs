//! Checks of [`Requeues`](crate::store::Requeues).

use super::review::{discard, requeue};
use super::{Dead, archived, at, get, of, partition, state, tenant};
use crate::clock::Timestamp;
use crate::recipient::TenantId;
use crate::store::contract::NOW;
use crate::store::{DeadState, Requested, Settled};

/// All checks.
pub(super) async fn all(dead: &dyn Dead) {
    every_tenant_has_its_share_in_the_order_of_positions(dead).await;
    a_requeue_is_settled_once(dead).await;
    what_does_not_fit_is_dead_and_no_longer_requeueable(dead).await;
    a_discard_behind_the_append_loses(dead).await;
}

async fn asked(dead: &dyn Dead, tenants: &[&TenantId], each: u32) -> Vec<Requested> {
    let all = dead.requested(None, 10_000, each).await.expect("requested");
    all.into_iter().filter(|one| tenants.contains(&&one.tenant)).collect()
}

async fn every_tenant_has_its_share_in_the_order_of_positions(dead: &dyn Dead) {
    let (one, other) = (tenant(), tenant());
    let (first, last) = if one < other { (one, other) } else { (other, one) };
    let many = archived(dead, &first, 0..5).await;
    let few = archived(dead, &last, 0..1).await;
    requeue(dead, &of(&first)).await;
    requeue(dead, &of(&last)).await;
    let found = asked(dead, &[&first, &last], 3).await;
    let places: Vec<_> = found.iter().map(|one| one.position).collect();
    assert_eq!(places, [many[0], many[1], many[2], few[0]]);
    assert_eq!((found[0].key.as_str(), found[0].size_bytes), (format!("{first}/alice").as_str(), 3));
    let behind = dead.requested(Some(&first), 1, 3).await.expect("requested");
    assert!(behind.iter().all(|one| one.tenant > first), "{behind:?}");
    assert!(
        dead.waiting(3).await.expect("waiting") == 3 && dead.waiting(10_000).await.expect("waiting") >= 6
    );
    let mut whole = dead.requested_letters(&[few[0], many[0]]).await.expect("requested_letters");
    whole.sort_by_key(|letter| letter.summary.position != many[0]);
    assert_eq!(whole, [get(dead, many[0]).await, get(dead, few[0]).await]);
    for tenant in [first, last] {
        discard(dead, &of(&tenant)).await;
    }
    assert_eq!(dead.requested_letters(&many).await.expect("requested_letters"), []);
}

async fn a_requeue_is_settled_once(dead: &dyn Dead) {
    let (acme, there) = (tenant(), partition());
    let places = archived(dead, &acme, 0..3).await;
    requeue(dead, &of(&acme)).await;
    let later = Timestamp::from_millis(NOW.as_millis() + 5);
    let settled = [(places[0], Settled::Requeued(at(2, there, 70))), (places[1], Settled::Expired)];
    dead.settle(&settled, later).await.expect("settle");
    let again = [(places[0], Settled::Requeued(at(2, there, 99))), (places[1], Settled::Unfit)];
    dead.settle(&again, later).await.expect("settle");
    let requeued = get(dead, places[0]).await.summary;
    assert_eq!((requeued.state, requeued.requeued_at), (DeadState::Requeued, Some(at(2, there, 70))));
    assert_eq!((requeued.changed, requeued.changed_by.as_deref()), (later, Some("tests")));
    assert_eq!(state(dead, places[1]).await, DeadState::Expired);
    assert_eq!(asked(dead, &[&acme], 9).await.len(), 1);
    discard(dead, &of(&acme)).await;
}

async fn what_does_not_fit_is_dead_and_no_longer_requeueable(dead: &dyn Dead) {
    let acme = tenant();
    let places = archived(dead, &acme, 0..1).await;
    requeue(dead, &of(&acme)).await;
    dead.settle(&[(places[0], Settled::Unfit)], NOW).await.expect("settle");
    let unfit = get(dead, places[0]).await.summary;
    assert_eq!((unfit.state, unfit.requeueable), (DeadState::Dead, false));
    assert_eq!(requeue(dead, &of(&acme)).await, 0);
}

/// Whoever reads the state is told what is true of the log.
async fn a_discard_behind_the_append_loses(dead: &dyn Dead) {
    let (acme, there) = (tenant(), partition());
    let places = archived(dead, &acme, 0..2).await;
    requeue(dead, &of(&acme)).await;
    discard(dead, &of(&acme)).await;
    let settled = [(places[0], Settled::Requeued(at(1, there, 7))), (places[1], Settled::Expired)];
    dead.settle(&settled, NOW).await.expect("settle");
    assert_eq!(state(dead, places[0]).await, DeadState::Requeued);
    assert_eq!(state(dead, places[1]).await, DeadState::Discarded);
}
