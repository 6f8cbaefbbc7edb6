//! Checks of expiry. Each needs a store that nobody else uses, for expiry is everybody's.

use std::time::Duration;

use super::super::{GapCause, GapRow, Inbox, StoredRow};
use super::{NOW, at, lasting, offsets, partition, recipient, rows, whole};
use crate::notification::MAX_TTL;
use crate::position::{Cursor, PartitionId};
use crate::recipient::Recipient;

const MINUTE: Duration = Duration::from_secs(60);
const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

/// All checks, one after the other; each leaves nothing behind that can still expire.
pub async fn all(inbox: &dyn Inbox) {
    what_expired_before_it_was_stored_is_a_gap(inbox).await;
    what_expired_counts_once_however_often_it_is_parked(inbox).await;
    what_is_not_expired_stays(inbox).await;
    expiry_goes_in_bounded_steps_and_ends(inbox).await;
    weeks_that_are_over_go_as_well(inbox).await;
    a_week_that_was_dropped_can_be_stored_into_again(inbox).await;
    an_expiry_beyond_the_longest_life_is_held(inbox).await;
}

fn lasting_rows(
    recipient: &Recipient,
    partition: PartitionId,
    all: std::ops::Range<u64>,
    ttl: Duration,
) -> Vec<StoredRow> {
    all.map(|offset| lasting(recipient, at(1, partition, offset), ttl)).collect()
}

const fn expired(count: u64, partition: PartitionId, first: u64, last: u64) -> GapRow {
    GapRow { cause: GapCause::Expired, count, first: at(1, partition, first), last: at(1, partition, last) }
}

/// Calls until there is nothing left, at most so often; answers how many there were.
async fn expire_all(inbox: &dyn Inbox, now: crate::clock::Timestamp, limit: u32) -> u64 {
    let mut total = 0;
    for _ in 0..1000 {
        match inbox.expire(now, limit).await.expect("expire") {
            0 => return total,
            count => total += count,
        }
    }
    assert_eq!(inbox.expire(now, limit).await.expect("expire"), 0, "it never ended");
    total
}

/// And its neighbours are stored.
pub async fn what_expired_before_it_was_stored_is_a_gap(inbox: &dyn Inbox) {
    let (alice, here) = (recipient("alice"), partition());
    let mut batch = lasting_rows(&alice, here, 0..6, MINUTE);
    batch[2].notification.expires = NOW;
    batch[4].notification.expires = NOW;
    let lost = inbox.archive(here, 0, 6, &batch, NOW).await.expect("archive");
    assert_eq!(lost, [(GapCause::Expired, 2)]);
    let page = whole(inbox, &alice, here).await;
    assert_eq!((offsets(&page), page.gaps), (vec![0, 1, 3, 5], vec![expired(2, here, 2, 4)]));
    inbox.delete(&[(alice, Cursor::after(at(1, here, 9)))]).await.expect("delete");
}

/// A director that died between parking and committing leaves the parking again to the next one. What expired later than
/// it counts all the same.
pub async fn what_expired_counts_once_however_often_it_is_parked(inbox: &dyn Inbox) {
    let (alice, here) = (recipient("alice"), partition());
    let mut first = lasting_rows(&alice, here, 0..3, MINUTE);
    first.iter_mut().skip(1).for_each(|row| row.notification.expires = NOW);
    let lost = inbox.archive(here, 0, 3, &first, NOW).await.expect("archive");
    assert_eq!(lost, [(GapCause::Expired, 2)]);
    let mut again = lasting_rows(&alice, here, 1..5, MINUTE);
    again.iter_mut().for_each(|row| row.notification.expires = NOW);
    let lost = inbox.archive(here, 3, 7, &again, NOW).await.expect("archive");
    assert_eq!(lost, [(GapCause::Expired, 2)], "two of the four are told already");
    assert_eq!(whole(inbox, &alice, here).await.gaps, [expired(4, here, 1, 4)]);
    // What was stored before counts when its own time has come, wherever the gap stands.
    assert_eq!(expire_all(inbox, NOW.after(MINUTE), 10).await, 1);
    assert_eq!(whole(inbox, &alice, here).await.gaps, [expired(5, here, 0, 4)]);
    inbox.delete(&[(alice, Cursor::after(at(1, here, 9)))]).await.expect("delete");
}

/// Pages hold it to the last millisecond, and beyond: whoever reads looks at the clock.
pub async fn what_is_not_expired_stays(inbox: &dyn Inbox) {
    let (alice, here) = (recipient("alice"), partition());
    inbox.archive(here, 0, 6, &lasting_rows(&alice, here, 0..1, MINUTE), NOW).await.expect("archive");
    let last = NOW.after(MINUTE - Duration::from_millis(1));
    assert_eq!(inbox.expire(last, 10).await.expect("expire"), 0);
    assert_eq!(offsets(&whole(inbox, &alice, here).await), [0]);
    assert_eq!(inbox.expire(NOW.after(MINUTE), 10).await.expect("expire"), 1);
    assert!(whole(inbox, &alice, here).await.rows.is_empty());
}

/// Every row becomes part of a gap of its own recipient.
pub async fn expiry_goes_in_bounded_steps_and_ends(inbox: &dyn Inbox) {
    let (alice, bob, here) = (recipient("alice"), recipient("bob"), partition());
    let mut batch = lasting_rows(&alice, here, 0..9, MINUTE);
    batch.extend(lasting_rows(&bob, here, 9..13, MINUTE));
    batch.extend(rows(&bob, here, [13]));
    inbox.archive(here, 0, 20, &batch, NOW).await.expect("archive");
    assert_eq!(inbox.expire(NOW.after(MINUTE), 4).await.expect("expire"), 4);
    assert_eq!(expire_all(inbox, NOW.after(MINUTE), 4).await, 9);
    assert_eq!(whole(inbox, &alice, here).await.gaps, [expired(9, here, 0, 8)]);
    let page = whole(inbox, &bob, here).await;
    assert_eq!((offsets(&page), page.gaps), (vec![13], vec![expired(4, here, 9, 12)]));
    expire_all(inbox, NOW.after(MINUTE * 100), 100).await;
}

/// Whatever way the engine has to do it.
pub async fn weeks_that_are_over_go_as_well(inbox: &dyn Inbox) {
    let (alice, here) = (recipient("alice"), partition());
    let mut batch = lasting_rows(&alice, here, 0..3, MINUTE);
    batch.extend(lasting_rows(&alice, here, 3..6, WEEK));
    batch.extend(lasting_rows(&alice, here, 6..9, WEEK * 3));
    inbox.archive(here, 0, 20, &batch, NOW).await.expect("archive");
    assert_eq!(expire_all(inbox, NOW.after(WEEK * 2 + MINUTE), 2).await, 6);
    let page = whole(inbox, &alice, here).await;
    assert_eq!((offsets(&page), page.gaps), (vec![6, 7, 8], vec![expired(6, here, 0, 5)]));
    assert_eq!(expire_all(inbox, NOW.after(WEEK * 5), 2).await, 3);
    assert_eq!(whole(inbox, &alice, here).await.gaps, [expired(9, here, 0, 8)]);
}

/// By a process whose clock is behind.
pub async fn a_week_that_was_dropped_can_be_stored_into_again(inbox: &dyn Inbox) {
    let (alice, here) = (recipient("alice"), partition());
    let batch = lasting_rows(&alice, here, 0..2, MINUTE);
    inbox.archive(here, 0, 2, &batch[..1], NOW).await.expect("archive");
    assert_eq!(expire_all(inbox, NOW.after(WEEK * 5), 10).await, 1);
    inbox.archive(here, 2, 3, &batch[1..], NOW).await.expect("archive");
    assert_eq!(offsets(&whole(inbox, &alice, here).await), [1]);
    assert_eq!(expire_all(inbox, NOW.after(WEEK * 5), 10).await, 1);
}

/// A record of a foreign producer, whose expiry is in the year 3000.
pub async fn an_expiry_beyond_the_longest_life_is_held(inbox: &dyn Inbox) {
    let (alice, here) = (recipient("alice"), partition());
    let far = [lasting(&alice, at(1, here, 0), WEEK * 52 * 1000), lasting(&alice, at(1, here, 1), MAX_TTL)];
    inbox.archive(here, 0, 2, &far, NOW).await.expect("archive");
    assert_eq!(offsets(&whole(inbox, &alice, here).await), [0, 1]);
    expire_all(inbox, NOW.after(WEEK * 52 * 1001), 10).await;
    assert_eq!(whole(inbox, &alice, here).await.gaps, [expired(2, here, 0, 1)]);
}
