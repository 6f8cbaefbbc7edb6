//! One side of a race between archivers of different partitions, for engines that several processes share.

use super::super::Inbox;
use super::{NOW, offsets, recipient, rows, whole};
use crate::position::PartitionId;

/// Archives into partition `number`, and finds what it archived.
pub async fn archive(inbox: &dyn Inbox, number: u32) {
    let (alice, here) = (recipient("alice"), PartitionId(number));
    for step in 0..5 {
        inbox.archive(here, step, step + 1, &rows(&alice, here, [step]), NOW).await.expect("archive");
    }
    assert_eq!(offsets(&whole(inbox, &alice, here).await), [0, 1, 2, 3, 4]);
}
