//! Checks of [`DeadReview`](crate::store::DeadReview).

use super::{Dead, archived, at, count, dead_row, get, of, partition, state, tenant};
use crate::clock::Timestamp;
use crate::position::PartitionId;
use crate::recipient::RecipientId;
use crate::store::contract::NOW;
use crate::store::{DeadChange, DeadFilter, DeadRow, DeadState};

/// All checks.
pub(super) async fn all(dead: &dyn Dead) {
    a_list_goes_page_by_page_from_the_newest(dead).await;
    every_filter_narrows(dead).await;
    tenants_never_see_nor_touch_each_others(dead).await;
    asking_twice_changes_nothing(dead).await;
    a_change_is_bounded_and_goes_by_position(dead).await;
    what_cannot_be_requeued_is_not_touched(dead).await;
    what_is_discarded_loses_its_content(dead).await;
    what_was_requeued_is_not_discarded(dead).await;
}

/// Asks for a requeue at [`NOW`].
pub(super) async fn requeue(dead: &dyn Dead, filter: &DeadFilter) -> u64 {
    requeue_at(dead, filter, NOW).await
}

pub(super) async fn requeue_at(dead: &dyn Dead, filter: &DeadFilter, now: Timestamp) -> u64 {
    dead.change_dead(filter, DeadChange::Requeue, "tests", now, 100).await.expect("change_dead")
}

/// Discards at [`NOW`].
pub(super) async fn discard(dead: &dyn Dead, filter: &DeadFilter) -> u64 {
    dead.change_dead(filter, DeadChange::Discard, "tests", NOW, 100).await.expect("change_dead")
}

/// Time, then epoch, partition, offset; also among those of one moment.
async fn a_list_goes_page_by_page_from_the_newest(dead: &dyn Dead) {
    let (acme, here) = (tenant(), PartitionId(rand::random::<u32>() >> 1));
    let next = PartitionId(here.0 + 1);
    let later = Timestamp::from_millis(NOW.as_millis() + 1);
    let places = [
        (later, at(1, here, 1)),
        (NOW, at(2, here, 0)),
        (NOW, at(1, next, 5)),
        (NOW, at(1, next, 2)),
        (NOW, at(1, here, 9)),
    ];
    let rows: Vec<_> =
        places.iter().map(|(time, place)| DeadRow { time: *time, ..dead_row(Some(&acme), *place) }).collect();
    dead.archive_dead(here, 0, 4, &rows).await.expect("archive_dead");
    let mut seen = Vec::new();
    loop {
        let page = dead.list_dead(&of(&acme), seen.last().copied(), 2).await.expect("list_dead");
        seen.extend(page.iter().map(|letter| (letter.time, letter.position)));
        if page.len() < 2 {
            break;
        }
    }
    assert_eq!(seen, places);
}

async fn every_filter_narrows(dead: &dyn Dead) {
    let (acme, here) = (tenant(), partition());
    let later = Timestamp::from_millis(NOW.as_millis() + 10);
    let bob = RecipientId::parse("bob").ok();
    let row = |offset| dead_row(Some(&acme), at(1, here, offset));
    let rows = [
        row(0),
        DeadRow { recipient: bob.clone(), ..row(1) },
        DeadRow { code: "malformed".into(), ..row(2) },
        DeadRow { time: later, ..row(3) },
    ];
    dead.archive_dead(here, 0, 4, &rows).await.expect("archive_dead");
    let only = |filter: DeadFilter| DeadFilter { tenant: Some(acme.clone()), ..filter };
    let none = DeadFilter::default;
    requeue(dead, &only(DeadFilter { position: Some(rows[0].position), ..none() })).await;
    for (filter, expected) in [
        (none(), vec![0, 1, 2, 3]),
        (DeadFilter { position: Some(rows[2].position), ..none() }, vec![2]),
        (DeadFilter { recipient: bob, ..none() }, vec![1]),
        (DeadFilter { code_prefix: Some("mal".into()), ..none() }, vec![2]),
        (DeadFilter { code_prefix: Some("al".into()), ..none() }, vec![]),
        (DeadFilter { from: Some(later), ..none() }, vec![3]),
        (DeadFilter { until: Some(later), ..none() }, vec![0, 1, 2]),
        (DeadFilter { state: Some(DeadState::RequeueRequested), ..none() }, vec![0]),
        (DeadFilter { state: Some(DeadState::Dead), from: Some(later), ..none() }, vec![3]),
    ] {
        let filter = only(filter);
        let found = dead.list_dead(&filter, None, 10).await.expect("list_dead");
        let mut offsets: Vec<_> = found.iter().map(|letter| letter.position.offset).collect();
        offsets.sort_unstable();
        assert_eq!(offsets, expected, "{filter:?}");
    }
}

async fn tenants_never_see_nor_touch_each_others(dead: &dyn Dead) {
    let (acme, other, here) = (tenant(), tenant(), partition());
    let (mine, nobodys) = (dead_row(Some(&acme), at(7, here, 1)), dead_row(None, at(7, here, 2)));
    dead.archive_dead(here, 0, 4, &[mine.clone(), nobodys.clone()]).await.expect("archive_dead");
    assert_eq!((count(dead, &other).await, count(dead, &acme).await), (0, 1));
    for foreign in [&mine, &nobodys] {
        assert_eq!(dead.get_dead(Some(&other), foreign.position).await.expect("get_dead"), None);
        let theirs = DeadFilter { position: Some(foreign.position), ..of(&other) };
        assert_eq!(dead.count_dead(&theirs, DeadChange::Discard, 9).await.expect("count_dead"), 0);
        assert_eq!((requeue(dead, &theirs).await, discard(dead, &theirs).await), (0, 0));
        assert_eq!(state(dead, foreign.position).await, DeadState::Dead);
    }
    let everybodys = DeadFilter { position: Some(nobodys.position), ..DeadFilter::default() };
    assert_eq!(dead.list_dead(&everybodys, None, 9).await.expect("list_dead").len(), 1);
    assert_eq!(discard(dead, &everybodys).await, 1);
}

async fn asking_twice_changes_nothing(dead: &dyn Dead) {
    let acme = tenant();
    let places = archived(dead, &acme, 0..2).await;
    let one = DeadFilter { position: Some(places[0]), ..of(&acme) };
    assert_eq!((requeue(dead, &one).await, requeue(dead, &one).await), (1, 0));
    let later = Timestamp::from_millis(NOW.as_millis() + 5);
    assert_eq!(requeue_at(dead, &one, later).await, 0);
    let asked = get(dead, places[0]).await.summary;
    assert_eq!((asked.state, asked.changed), (DeadState::RequeueRequested, NOW));
    assert_eq!(asked.changed_by.as_deref(), Some("tests"));
    assert_eq!((discard(dead, &of(&acme)).await, discard(dead, &of(&acme)).await), (2, 0));
}

async fn a_change_is_bounded_and_goes_by_position(dead: &dyn Dead) {
    let acme = tenant();
    let places = archived(dead, &acme, 0..5).await;
    let count =
        async |most| dead.count_dead(&of(&acme), DeadChange::Requeue, most).await.expect("count_dead");
    assert_eq!((count(3).await, count(9).await), (3, 5));
    let asked = dead.change_dead(&of(&acme), DeadChange::Requeue, "tests", NOW, 2).await;
    assert_eq!(asked.expect("change_dead"), 2);
    for (place, expected) in
        places.iter().zip([DeadState::RequeueRequested; 2].into_iter().chain([DeadState::Dead; 3]))
    {
        assert_eq!(state(dead, *place).await, expected, "{place:?}");
    }
    assert_eq!(count(9).await, 3);
}

async fn what_cannot_be_requeued_is_not_touched(dead: &dyn Dead) {
    let (acme, here) = (tenant(), partition());
    let row = DeadRow { requeueable: false, ..dead_row(Some(&acme), at(1, here, 0)) };
    dead.archive_dead(here, 0, 1, std::slice::from_ref(&row)).await.expect("archive_dead");
    assert_eq!(dead.count_dead(&of(&acme), DeadChange::Requeue, 9).await.expect("count_dead"), 0);
    assert_eq!(requeue(dead, &of(&acme)).await, 0);
    assert_eq!(discard(dead, &of(&acme)).await, 1);
}

async fn what_is_discarded_loses_its_content(dead: &dyn Dead) {
    let acme = tenant();
    let places = archived(dead, &acme, 0..1).await;
    requeue(dead, &of(&acme)).await;
    assert_eq!(discard(dead, &of(&acme)).await, 1, "one whose requeue is asked for is withdrawn");
    let gone = get(dead, places[0]).await;
    assert!(gone.headers.is_empty() && gone.payload.is_empty());
    assert_eq!((gone.summary.state, gone.summary.code.as_str()), (DeadState::Discarded, "refused"));
    assert_eq!(requeue(dead, &of(&acme)).await, 0);
}

async fn what_was_requeued_is_not_discarded(dead: &dyn Dead) {
    let acme = tenant();
    let places = archived(dead, &acme, 0..1).await;
    requeue(dead, &of(&acme)).await;
    let settled = [(places[0], crate::store::Settled::Requeued(at(1, partition(), 7)))];
    dead.settle(&settled, NOW).await.expect("settle");
    assert_eq!((discard(dead, &of(&acme)).await, requeue(dead, &of(&acme)).await), (0, 0));
}
