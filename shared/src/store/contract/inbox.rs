//! Checks of [`Inbox`] that never look at expiry or quota.

use super::super::{Error, Inbox, PageRequest};
use super::quota::QUOTA;
use super::{NOW, at, offsets, page, partition, recipient, row, rows, tenant, whole};
use crate::position::{Cursor, Epoch, PartitionId};
use crate::recipient::{Recipient, RecipientId};

/// All checks.
pub async fn all(inbox: &dyn Inbox) {
    nothing_reads_as_empty_at_zero(inbox).await;
    what_is_archived_is_read_as_it_was(inbox).await;
    archiving_from_elsewhere_conflicts_and_does_nothing(inbox).await;
    a_position_is_stored_once(inbox).await;
    what_is_stored_already_does_not_keep_the_rest_out(inbox).await;
    archiving_nothing_moves_progress(inbox).await;
    a_page_tells_of_more(inbox).await;
    a_page_starts_at_its_cursor_across_epochs(inbox).await;
    many_sessions_are_answered_in_the_order_asked(inbox).await;
    a_page_is_one_snapshot(inbox).await;
    delete_removes_what_is_behind_the_cursor_across_epochs(inbox).await;
    a_cursor_beyond_every_offset_is_no_mistake(inbox).await;
    text_with_nul_does_not_stop_the_archiver(inbox).await;
    tenants_never_see_each_other(inbox).await;
    recipients_are_listed_once_and_in_order(inbox).await;
}

/// A recipient and a partition that were never heard of.
pub async fn nothing_reads_as_empty_at_zero(inbox: &dyn Inbox) {
    let (alice, here) = (recipient("alice"), partition());
    assert_eq!(inbox.archived_upto(here).await.expect("archived_upto"), 0);
    assert_eq!(whole(inbox, &alice, here).await, super::super::Page::default());
    assert!(inbox.pages(&[]).await.expect("pages").is_empty());
    inbox.delete(&[]).await.expect("delete");
    inbox.delete(&[(alice, Cursor::start(Epoch(9), here))]).await.expect("delete");
}

/// Every field survives, and progress is read beside the rows.
pub async fn what_is_archived_is_read_as_it_was(inbox: &dyn Inbox) {
    let (alice, here) = (recipient("alice@example.org"), partition());
    let stored = rows(&alice, here, [3, 4, 5, 10]);
    assert!(inbox.archive(here, 0, 7, &stored, NOW).await.expect("archive").is_empty());
    let page = whole(inbox, &alice, here).await;
    assert_eq!(page.rows, stored);
    assert_eq!((page.more, page.gaps.len(), page.archived_upto), (false, 0, 7));
    assert_eq!(inbox.archived_upto(here).await.expect("archived_upto"), 7);
}

/// Two archivers never both move the same stretch.
pub async fn archiving_from_elsewhere_conflicts_and_does_nothing(inbox: &dyn Inbox) {
    let (alice, here) = (recipient("alice"), partition());
    let batch = rows(&alice, here, [1]);
    assert!(matches!(inbox.archive(here, 3, 5, &batch, NOW).await, Err(Error::Conflict)));
    assert!(whole(inbox, &alice, here).await.rows.is_empty());
    inbox.archive(here, 0, 5, &batch, NOW).await.expect("archive");
    for from in [0, 4, 6] {
        let late = rows(&alice, here, [2]);
        assert!(matches!(inbox.archive(here, from, 8, &late, NOW).await, Err(Error::Conflict)), "{from}");
    }
    let page = whole(inbox, &alice, here).await;
    assert_eq!((offsets(&page), page.archived_upto), (vec![1], 5));
}

/// The same position in one batch twice, and again in a later batch.
pub async fn a_position_is_stored_once(inbox: &dyn Inbox) {
    let (alice, here) = (recipient("alice"), partition());
    inbox.archive(here, 0, 2, &rows(&alice, here, [1, 2, 1]), NOW).await.expect("archive");
    let lost = inbox.archive(here, 2, 4, &rows(&alice, here, [2, 3]), NOW).await.expect("archive");
    assert!(lost.is_empty());
    assert_eq!(offsets(&whole(inbox, &alice, here).await), [1, 2, 3]);
}

/// Nor is anything of the batch stored twice, whoever it is for.
pub async fn what_is_stored_already_does_not_keep_the_rest_out(inbox: &dyn Inbox) {
    let (alice, bob, here) = (recipient("alice"), recipient("bob"), partition());
    inbox.archive(here, 0, 5, &rows(&alice, here, [1, 2]), NOW).await.expect("archive");
    let mut batch = rows(&bob, here, [8]);
    batch.extend(rows(&alice, here, [2, 3]));
    batch.extend(rows(&bob, here, [9]));
    let lost = inbox.archive(here, 5, 9, &batch, NOW).await.expect("archive");
    assert!(lost.is_empty());
    inbox.archive(here, 9, 10, &rows(&alice, here, [4]), NOW).await.expect("archive");
    assert_eq!(offsets(&whole(inbox, &alice, here).await), [1, 2, 3, 4]);
    let page = whole(inbox, &bob, here).await;
    assert_eq!((offsets(&page), page.archived_upto), (vec![8, 9], 10));
}

/// A batch in which nothing parsed still counts as done.
pub async fn archiving_nothing_moves_progress(inbox: &dyn Inbox) {
    let here = partition();
    inbox.archive(here, 0, 3, &[], NOW).await.expect("archive");
    inbox.archive(here, 3, 4, &[], NOW).await.expect("archive");
    assert_eq!(inbox.archived_upto(here).await.expect("archived_upto"), 4);
}

/// Exactly when there are.
pub async fn a_page_tells_of_more(inbox: &dyn Inbox) {
    let (alice, here) = (recipient("alice"), partition());
    inbox.archive(here, 0, 9, &rows(&alice, here, 0..5), NOW).await.expect("archive");
    let first = page(inbox, &alice, Cursor::start(Epoch(1), here), 2).await;
    assert_eq!((offsets(&first), first.more), (vec![0, 1], true));
    let rest = page(inbox, &alice, Cursor::after(first.rows[1].position), 3).await;
    assert_eq!((offsets(&rest), rest.more), (vec![2, 3, 4], false));
}

/// Later epochs come after, whatever their offsets; earlier ones are behind.
pub async fn a_page_starts_at_its_cursor_across_epochs(inbox: &dyn Inbox) {
    let (alice, here) = (recipient("alice"), partition());
    let stored = [
        row(&alice, at(1, here, 900)),
        row(&alice, at(2, here, 4)),
        row(&alice, at(2, here, 5)),
        row(&alice, at(3, here, 0)),
    ];
    inbox.archive(here, 0, 9, &stored, NOW).await.expect("archive");
    let from = |epoch, next| Cursor { epoch: Epoch(epoch), partition: here, next };
    assert_eq!(offsets(&page(inbox, &alice, from(0, 7), 9).await), [900, 4, 5, 0]);
    assert_eq!(offsets(&page(inbox, &alice, from(1, 901), 9).await), [4, 5, 0]);
    assert_eq!(offsets(&page(inbox, &alice, from(2, 5), 9).await), [5, 0]);
    assert!(page(inbox, &alice, from(3, 1), 9).await.rows.is_empty());
}

/// Also when two sessions of one recipient ask from different places.
pub async fn many_sessions_are_answered_in_the_order_asked(inbox: &dyn Inbox) {
    let (alice, bob, here, there) = (recipient("alice"), recipient("bob"), partition(), partition());
    inbox.archive(here, 0, 9, &rows(&alice, here, 0..4), NOW).await.expect("archive");
    inbox.archive(there, 0, 3, &rows(&bob, there, [7]), NOW).await.expect("archive");
    let ask = |recipient: &Recipient, partition: PartitionId, next| PageRequest {
        recipient: recipient.clone(),
        partition,
        from: Cursor { epoch: Epoch(1), partition, next },
        limit: 2,
    };
    let asked = [
        ask(&alice, here, 2),
        ask(&recipient("nobody"), there, 0),
        ask(&bob, there, 0),
        ask(&alice, here, 0),
    ];
    let pages = inbox.pages(&asked).await.expect("pages");
    let found: Vec<_> = pages.iter().map(|page| (offsets(page), page.more, page.archived_upto)).collect();
    assert_eq!(
        found,
        [(vec![2, 3], false, 9), (vec![], false, 3), (vec![7], false, 3), (vec![0, 1], true, 9)]
    );
}

/// Whoever reads a progress reads every row that it covers, while somebody archives.
pub async fn a_page_is_one_snapshot(inbox: &dyn Inbox) {
    let (alice, here) = (recipient("alice"), partition());
    let archive = async {
        for offset in 0..QUOTA {
            inbox
                .archive(here, offset, offset + 1, &rows(&alice, here, [offset]), NOW)
                .await
                .expect("archive");
        }
    };
    let read = async {
        loop {
            let page = whole(inbox, &alice, here).await;
            assert_eq!(page.rows.len() as u64, page.archived_upto, "rows and progress of different moments");
            if page.archived_upto == QUOTA {
                return;
            }
        }
    };
    tokio::join!(archive, read);
}

/// And nothing else, and nobody else's.
pub async fn delete_removes_what_is_behind_the_cursor_across_epochs(inbox: &dyn Inbox) {
    let (alice, bob, here) = (recipient("alice"), recipient("bob"), partition());
    let stored = [
        row(&alice, at(1, here, 900)),
        row(&alice, at(2, here, 4)),
        row(&alice, at(2, here, 5)),
        row(&alice, at(3, here, 0)),
        row(&bob, at(1, here, 1)),
        row(&bob, at(1, here, 2)),
    ];
    inbox.archive(here, 0, 9, &stored, NOW).await.expect("archive");
    let acknowledged = [
        (alice.clone(), Cursor { epoch: Epoch(2), partition: here, next: 5 }),
        (bob.clone(), Cursor::after(at(1, here, 1))),
    ];
    inbox.delete(&acknowledged).await.expect("delete");
    inbox.delete(&acknowledged).await.expect("delete again");
    assert_eq!(offsets(&whole(inbox, &alice, here).await), [5, 0]);
    assert_eq!(offsets(&whole(inbox, &bob, here).await), [2]);
}

/// A client may carry any number.
pub async fn a_cursor_beyond_every_offset_is_no_mistake(inbox: &dyn Inbox) {
    let (alice, here) = (recipient("alice"), partition());
    inbox.archive(here, 0, 9, &rows(&alice, here, [1]), NOW).await.expect("archive");
    let end = Cursor { epoch: Epoch(u32::MAX), partition: here, next: u64::MAX };
    assert!(page(inbox, &alice, end, 9).await.rows.is_empty());
    inbox.delete(&[(alice.clone(), end)]).await.expect("delete");
    assert!(whole(inbox, &alice, here).await.rows.is_empty());
}

/// A foreign producer's record is stored, if need be with another character, and the partition moves on.
pub async fn text_with_nul_does_not_stop_the_archiver(inbox: &dyn Inbox) {
    let (alice, here) = (recipient("alice"), partition());
    let mut batch = rows(&alice, here, [1]);
    batch[0].notification.source = "/a\0b".into();
    batch[0].notification.trace.baggage = Some("\0".into());
    inbox.archive(here, 0, 2, &batch, NOW).await.expect("archive");
    assert_eq!(whole(inbox, &alice, here).await.rows[0].notification.source, "/a\u{fffd}b");
}

/// The same name in two tenants is two recipients.
pub async fn tenants_never_see_each_other(inbox: &dyn Inbox) {
    let (mine, yours, here) = (recipient("alice"), recipient("alice"), partition());
    inbox.archive(here, 0, 2, &rows(&mine, here, [1]), NOW).await.expect("archive");
    assert!(whole(inbox, &yours, here).await.rows.is_empty());
    inbox.delete(&[(yours, Cursor::start(Epoch(9), here))]).await.expect("delete");
    assert_eq!(offsets(&whole(inbox, &mine, here).await), [1]);
}

/// However many rows each has; page by page.
pub async fn recipients_are_listed_once_and_in_order(inbox: &dyn Inbox) {
    let (here, there, tenant) = (partition(), partition(), tenant());
    let named = |name: &str| Recipient::new(tenant.clone(), RecipientId::parse(name).expect("a name"));
    // By bytes, not by the words of some language.
    let expected = [named("Bob"), named("alice"), named("b:1"), named("b_2"), named("bob")];
    let mut batch: Vec<_> = expected.iter().rev().flat_map(|r| rows(r, here, 0..3)).collect();
    batch.rotate_left(4);
    inbox.archive(here, 0, 9, &batch, NOW).await.expect("archive");
    inbox.archive(there, 0, 9, &rows(&named("elsewhere"), there, [1]), NOW).await.expect("archive");
    assert_eq!(inbox.recipients(here, None, 100).await.expect("recipients"), expected);
    assert_eq!(inbox.recipients(here, None, 2).await.expect("recipients"), expected[..2]);
    assert_eq!(inbox.recipients(here, Some(&expected[1]), 2).await.expect("recipients"), expected[2..4]);
    assert!(inbox.recipients(here, Some(&expected[4]), 2).await.expect("recipients").is_empty());
    assert!(inbox.recipients(here, None, 0).await.expect("recipients").is_empty());
}
