//! The account is only worth what it catches: each kind of wrong is planted once.

use std::time::Duration;

use postrider::client::Transport;
use shared::position::{Cursor, Epoch, PartitionId};
use uuid::Uuid;

use super::{Account, AtRest, Ends, Resting};
use crate::stack::ledger::book::{Book, Finding};
use crate::stack::ledger::entry::{Answer, Entry, How, Line};
use crate::stack::ledger::stream::place;

fn id(attempt: u64) -> Uuid {
    Uuid::from_u128(u128::from(attempt) + 1000)
}

fn cursor(next: u64) -> Cursor {
    Cursor { epoch: Epoch(1), partition: PartitionId(0), next }
}

fn resting(attempt: u64) -> Vec<Resting> {
    vec![Resting { attempt: Some(attempt), id: id(attempt), code: "rejected".into() }]
}

/// A ledger in the making; every line is a millisecond after the last.
#[derive(Default)]
struct Story {
    book: Book,
    now: Duration,
    asked: u64,
    session: u32,
}

impl Story {
    fn new(library: bool) -> Self {
        let mut story = Self::default();
        story.open(library, None);
        story
    }

    fn write(&mut self, entry: Entry) {
        self.now += Duration::from_millis(1);
        let line = Line { at: self.now, entry };
        // Through its text, as from the disk.
        self.book.take(line.to_string().parse().unwrap());
    }

    fn open(&mut self, library: bool, from: Option<u64>) {
        self.session += 1;
        let how = How { transport: Transport::WebSocket, library };
        let session = self.session;
        self.write(Entry::Opened { recipient: 0, session, how, cursor: from.map(cursor) });
    }

    fn ask(&mut self, ttl_s: u32, answer: Answer) -> u64 {
        let attempt = self.asked;
        self.asked += 1;
        self.write(Entry::Asked { attempt, recipient: 0, ttl_s, refuse: false });
        self.write(Entry::Answered { attempt, answer });
        attempt
    }

    fn accept(&mut self) -> u64 {
        self.ask(0, Answer::Accepted(id(self.asked)))
    }

    fn come(&mut self, attempt: u64, next: u64) {
        self.come_as(attempt, next, id(attempt));
    }

    fn come_as(&mut self, attempt: u64, next: u64, id: Uuid) {
        let session = self.session;
        self.write(Entry::Came { recipient: 0, session, attempt: Some(attempt), id, cursor: cursor(next) });
    }

    fn acknowledge(&mut self, next: u64) {
        let session = self.session;
        self.write(Entry::Acknowledged { recipient: 0, session, cursor: cursor(next) });
    }

    /// Accepts, delivers and acknowledges `count`, at places 1 and on.
    fn deliver(library: bool, count: u64) -> Self {
        let mut story = Self::new(library);
        for next in 1..=count {
            let attempt = story.accept();
            story.come(attempt, next);
        }
        story.acknowledge(count);
        story
    }

    fn account(&self) -> Account {
        Account::of(&self.book, &AtRest::default())
    }
}

#[test]
fn a_good_run_balances() {
    let mut story = Story::deliver(false, 3);
    let unanswered = story.ask(0, Answer::Unknown);
    story.come(unanswered, 4);
    story.acknowledge(4);
    story.ask(0, Answer::Unknown);
    story.ask(0, Answer::Refused);
    let account = story.account();
    assert!(account.balances(), "{account:?}");
    assert_eq!((account.asked, account.accepted, account.unknown), (6, 3, 2));
    assert_eq!((account.appeared, account.refused, account.wire_duplicates), (1, 1, 0));
    assert_eq!(account.ends, Ends { acknowledged: 3, ..Ends::default() });
}

#[test]
fn every_end_counts() {
    let mut story = Story::deliver(false, 1);
    let stored = story.accept();
    let refused = story.accept();
    story.come(refused, 3);
    story.write(Entry::Refused { recipient: 0, session: 1, id: id(refused) });
    story.ask(1, Answer::Accepted(id(story.asked)));
    story.write(Entry::Gap {
        recipient: 0,
        session: 1,
        expired: 1,
        over_quota: 0,
        from: cursor(3),
        cursor: cursor(4),
    });
    story.acknowledge(4);
    let at_rest = AtRest { stored: resting(stored), dead: resting(refused), ..AtRest::default() };
    let account = Account::of(&story.book, &at_rest);
    assert!(account.balances(), "{account:?}");
    assert_eq!(account.ends, Ends { acknowledged: 1, stored: 1, expired: 1, dead_lettered: 1 });
}

#[test]
fn a_loss_is_named() {
    let mut story = Story::deliver(false, 1);
    let lost = story.accept();
    assert_eq!(story.account().lost, [lost]);
    // One that came and was never processed, refused or kept is lost too.
    story.come(lost, 2);
    assert_eq!(story.account().lost, [lost]);
}

#[test]
fn an_expiry_that_nobody_was_told_is_a_loss() {
    let mut story = Story::deliver(false, 1);
    let gone = story.ask(1, Answer::Accepted(id(1)));
    assert_eq!(story.account().lost, [gone]);
    let told = AtRest { expired: [(0, 1)].into(), ..AtRest::default() };
    assert!(Account::of(&story.book, &told).balances());
}

#[test]
fn a_gap_that_explains_nothing_is_found() {
    let mut story = Story::deliver(false, 1);
    story.write(Entry::Gap {
        recipient: 0,
        session: 1,
        expired: 1,
        over_quota: 0,
        from: cursor(1),
        cursor: cursor(2),
    });
    assert!(matches!(story.account().findings[..], [Finding::FalseGap(_)]));
}

#[test]
fn a_swap_of_order_is_found() {
    let mut story = Story::new(false);
    let (first, second) = (story.accept(), story.accept());
    story.come(first, 2);
    story.come(second, 1);
    story.acknowledge(2);
    let findings = story.account().findings;
    assert!(matches!(findings[0], Finding::OutOfOrder { attempt: Some(1), .. }), "{findings:?}");
}

#[test]
fn an_order_other_than_the_producers_is_found() {
    let mut story = Story::new(false);
    let (first, then) = (story.accept(), story.accept());
    story.come(then, 1);
    story.come(first, 2);
    story.acknowledge(2);
    assert_eq!(story.account().findings, [Finding::AgainstProducers { first, then }]);
}

#[test]
fn a_redelivery_counts_on_the_wire_and_is_found_when_it_is_shown() {
    for library in [false, true] {
        let mut story = Story::deliver(library, 2);
        story.open(library, Some(1));
        story.come(1, 2);
        story.acknowledge(2);
        let account = story.account();
        assert_eq!(account.wire_duplicates, u64::from(!library));
        assert_eq!(account.shown_duplicates, u64::from(library));
        assert_eq!(account.balances(), !library);
    }
}

#[test]
fn a_redelivery_on_the_same_connection_is_out_of_order() {
    let mut story = Story::deliver(false, 2);
    story.come(1, 2);
    assert!(matches!(story.account().findings[..], [Finding::OutOfOrder { .. }]));
}

#[test]
fn a_redelivery_with_another_id_or_place_is_found() {
    for (next, id) in [(3, id(1)), (2, id(7))] {
        let mut story = Story::deliver(false, 2);
        story.open(false, None);
        story.come_as(1, next, id);
        let findings = story.account().findings;
        assert!(findings.iter().any(|finding| matches!(finding, Finding::Changed(_))), "{findings:?}");
    }
}

/// What rests where the log has attempt 1 at each of `places`.
fn copies(places: &[u64]) -> AtRest {
    let places = places.iter().map(|next| place(cursor(*next))).collect();
    AtRest { copies: [(1, places)].into(), ..AtRest::default() }
}

#[test]
fn a_copy_that_stands_on_the_log_is_told_from_a_redelivery_that_moved() {
    let mut story = Story::deliver(false, 2);
    story.open(false, Some(2));
    story.come(1, 3);
    story.acknowledge(3);
    let account = Account::of(&story.book, &copies(&[2, 3]));
    assert!(account.balances(), "{account:?}");
    assert_eq!((account.wire_duplicates, account.shown_duplicates, account.copies), (1, 0, 1));
    for elsewhere in [&[2, 4][..], &[1, 3], &[]] {
        let findings = Account::of(&story.book, &copies(elsewhere)).findings;
        assert!(matches!(findings[..], [Finding::Changed(_)]), "{findings:?}");
    }
}

#[test]
fn a_listener_of_the_library_shows_no_copy_while_it_lives() {
    for lived_on in [true, false] {
        let mut story = Story::deliver(true, 2);
        if !lived_on {
            story.write(Entry::Closed { recipient: 0, session: story.session });
        }
        story.open(true, Some(2));
        story.come(1, 3);
        story.acknowledge(3);
        let account = Account::of(&story.book, &copies(&[2, 3]));
        assert_eq!(account.balances(), !lived_on, "{account:?}");
        assert_eq!((account.shown_duplicates, account.copies), (1, 1));
        assert!(!story.account().balances(), "where the log has it once");
    }
}

#[test]
fn every_copy_has_one_end_and_no_more() {
    let story = Story::deliver(false, 2);
    for (places, rows, good) in [(&[2, 3][..], 1, true), (&[2, 3, 4], 2, true), (&[2, 3], 2, false)] {
        let stored = std::iter::repeat_with(|| resting(1)).take(rows).flatten().collect();
        let account = Account::of(&story.book, &AtRest { stored, ..copies(places) });
        assert_eq!(account.balances(), good, "{account:?}");
    }
    // One that nobody was answered for, which expired wherever it stands.
    let mut expired = Story::deliver(false, 1);
    expired.ask(1, Answer::Unknown);
    let (recipient, session, from, to) = (0, 1, cursor(1), cursor(4));
    expired.write(Entry::Gap { recipient, session, expired: 3, over_quota: 0, from, cursor: to });
    assert!(!Account::of(&expired.book, &copies(&[2, 3])).balances());
    assert!(Account::of(&expired.book, &copies(&[2, 3, 4])).balances());
    let mut lost = Story::deliver(false, 1);
    assert_eq!(lost.accept(), 1);
    assert_eq!(Account::of(&lost.book, &copies(&[2, 3])).lost, [1], "a copy is no end");
}

#[test]
fn what_nobody_produced_is_found() {
    let invented = |story: &Story| matches!(story.account().findings[..], [Finding::Invented(_)]);
    let mut story = Story::deliver(false, 1);
    story.come(99, 2);
    assert!(invented(&story), "a mark that nobody gave");
    let mut story = Story::deliver(false, 1);
    let refused = story.ask(0, Answer::Refused);
    story.come(refused, 2);
    assert!(invented(&story), "one that was refused");
    let story = Story::deliver(false, 1);
    let at_rest = AtRest { stored: resting(99), ..AtRest::default() };
    assert!(matches!(Account::of(&story.book, &at_rest).findings[..], [Finding::Invented(_)]), "at rest");
}

#[test]
fn two_ends_are_found() {
    let story = Story::deliver(false, 1);
    let stored = Account::of(&story.book, &AtRest { stored: resting(0), ..AtRest::default() });
    assert!(matches!(stored.findings[..], [Finding::TwoEnds { attempt: 0, .. }]), "{stored:?}");
    let dead = Account::of(&story.book, &AtRest { dead: resting(0), ..AtRest::default() });
    assert!(dead.findings.iter().any(|finding| matches!(finding, Finding::TwoEnds { .. })), "{dead:?}");
    let mut twice = AtRest { stored: resting(0), ..AtRest::default() };
    twice.stored.extend(resting(0));
    assert!(!Account::of(&story.book, &twice).balances());
}

#[test]
fn a_refusal_that_nobody_heard_is_outlived_by_the_next_cursor() {
    let mut story = Story::new(false);
    let refused = story.accept();
    story.come(refused, 1);
    story.write(Entry::Refused { recipient: 0, session: 1, id: id(refused) });
    story.acknowledge(1);
    assert_eq!(story.account().lost, [refused], "on the same connection it must become a dead letter");
    story.open(false, Some(1));
    assert_eq!(story.account().ends.acknowledged, 1);
}
