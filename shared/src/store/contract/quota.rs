//! Checks of the quota of a recipient. The store must have been made with `recipient_quota` = [`QUOTA`].

use super::super::{GapCause, GapRow, Inbox};
use super::{NOW, at, offsets, partition, recipient, row, rows, whole};
use crate::position::{Cursor, Epoch};

/// The quota that the store must have.
pub const QUOTA: u64 = 20;

/// All checks.
pub async fn all(inbox: &dyn Inbox) {
    the_newest_beyond_the_quota_become_a_gap(inbox).await;
    a_stored_position_is_never_over_quota(inbox).await;
    room_made_is_room_to_store(inbox).await;
    gaps_of_two_epochs_are_told_as_one(inbox).await;
}

/// Within one batch and over several; others are not touched.
pub async fn the_newest_beyond_the_quota_become_a_gap(inbox: &dyn Inbox) {
    let (alice, bob, here) = (recipient("alice"), recipient("bob"), partition());
    inbox.archive(here, 0, 5, &rows(&alice, here, 0..15), NOW).await.expect("archive");
    let mut batch = rows(&alice, here, (15..23).rev());
    batch.extend(rows(&bob, here, [30]));
    let lost = inbox.archive(here, 5, 6, &batch, NOW).await.expect("archive");
    assert_eq!(lost, [(GapCause::OverQuota, 3)]);
    let lost = inbox.archive(here, 6, 7, &rows(&alice, here, [25]), NOW).await.expect("archive");
    assert_eq!(lost, [(GapCause::OverQuota, 1)]);
    let page = whole(inbox, &alice, here).await;
    assert_eq!(offsets(&page), (0..QUOTA).collect::<Vec<_>>());
    let gap = GapRow { cause: GapCause::OverQuota, count: 4, first: at(1, here, 20), last: at(1, here, 25) };
    assert_eq!(page.gaps, [gap]);
    assert_eq!(offsets(&whole(inbox, &bob, here).await), [30]);
}

/// Two adapters of one store, as two processes have them between which a partition goes back and forth.
pub async fn archivers_by_turns_keep_one_quota(one: &dyn Inbox, other: &dyn Inbox) {
    let (alice, here) = (recipient("alice"), partition());
    one.archive(here, 0, 5, &rows(&alice, here, 0..5), NOW).await.expect("archive");
    other.archive(here, 5, 6, &rows(&alice, here, 5..15), NOW).await.expect("archive");
    let lost = one.archive(here, 6, 7, &rows(&alice, here, 15..23), NOW).await.expect("archive");
    assert_eq!(lost, [(GapCause::OverQuota, 3)]);
    assert_eq!(offsets(&whole(one, &alice, here).await), (0..QUOTA).collect::<Vec<_>>());
}

/// Parked again by a director that did not know, it is there already.
pub async fn a_stored_position_is_never_over_quota(inbox: &dyn Inbox) {
    let (alice, here) = (recipient("alice"), partition());
    inbox.archive(here, 0, 5, &rows(&alice, here, 0..QUOTA), NOW).await.expect("archive");
    let lost = inbox.archive(here, 5, 6, &rows(&alice, here, [3, 4]), NOW).await.expect("archive");
    assert!(lost.is_empty());
    assert!(whole(inbox, &alice, here).await.gaps.is_empty());
}

/// What is acknowledged no longer counts.
pub async fn room_made_is_room_to_store(inbox: &dyn Inbox) {
    let (alice, here) = (recipient("alice"), partition());
    inbox.archive(here, 0, 5, &rows(&alice, here, 0..QUOTA), NOW).await.expect("archive");
    inbox.delete(&[(alice.clone(), Cursor::after(at(1, here, 1)))]).await.expect("delete");
    let lost = inbox.archive(here, 5, 6, &rows(&alice, here, 50..53), NOW).await.expect("archive");
    assert_eq!(lost, [(GapCause::OverQuota, 1)]);
    assert_eq!(offsets(&whole(inbox, &alice, here).await).last(), Some(&51));
}

/// One gap per cause, from its lowest position to its highest; each epoch's part goes when the cursor passes it.
pub async fn gaps_of_two_epochs_are_told_as_one(inbox: &dyn Inbox) {
    let (alice, here) = (recipient("alice"), partition());
    inbox.archive(here, 0, 5, &rows(&alice, here, 0..QUOTA), NOW).await.expect("archive");
    let late = [row(&alice, at(1, here, 77)), row(&alice, at(2, here, 3)), row(&alice, at(2, here, 4))];
    inbox.archive(here, 5, 6, &late, NOW).await.expect("archive");
    let gap = |count, first, last| GapRow { cause: GapCause::OverQuota, count, first, last };
    assert_eq!(whole(inbox, &alice, here).await.gaps, [gap(3, at(1, here, 77), at(2, here, 4))]);
    let start = Cursor::start(Epoch(2), here);
    inbox.delete(&[(alice.clone(), start)]).await.expect("delete");
    assert_eq!(whole(inbox, &alice, here).await.gaps, [gap(2, at(2, here, 3), at(2, here, 4))]);
    inbox.delete(&[(alice.clone(), Cursor::after(at(2, here, 3)))]).await.expect("delete");
    assert_eq!(whole(inbox, &alice, here).await.gaps.len(), 1, "its last is not behind the cursor");
    inbox.delete(&[(alice.clone(), Cursor::after(at(2, here, 4)))]).await.expect("delete");
    assert!(whole(inbox, &alice, here).await.gaps.is_empty());
}
