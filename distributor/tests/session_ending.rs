//! How what a session was given ends, one claim a test.

#[path = "session_world/driven.rs"]
mod driven;
#[path = "session_world/fixture.rs"]
mod fixture;

use std::time::Duration;

use driven::{A, B, Driven, NEVER, flag, page, page_until, wide};
use fixture::{at, cursor, opening};
use postrider_distributor::session::{Acknowledging, Input, State};
use shared::clock::Timestamp;
use shared::delivery::Rejection;
use shared::registry::Flag;
use shared::store::{GapCause, GapRow};

#[test]
fn the_window_holds_back_and_an_acknowledgement_lets_on() {
    let mut driven = Driven::live(opening(0), 0);
    assert_eq!(driven.record(A, 1, 0), ["send 1:1"]);
    assert_eq!(driven.record(A, 2, 0), ["send 2:2"]);
    assert!(driven.record(A, 3, 0).is_empty());
    assert_eq!(driven.step(Input::Acknowledge { seq: 1 }), ["acknowledged 1 to 1", "send 3:3"]);
    assert_eq!(driven.session.last_seq(), 3);
    assert!(driven.step(Input::Acknowledge { seq: 4 }).is_empty(), "beyond what was sent");
    assert_eq!(driven.session.cursor(), cursor(2));
}

#[test]
fn what_the_client_has_is_acknowledged_without_being_sent() {
    let mut driven = Driven::live(wide(8), 0);
    assert_eq!(driven.record(A, 7, 0), ["acknowledged 7 to 1"]);
    assert_eq!(driven.record(A, 8, 0), ["send 1:8"]);
    driven.step(Input::Acknowledge { seq: 1 });
    assert_eq!(driven.record(B, 8, 0), ["acknowledged 8 to 2"]);
}

#[test]
fn a_cursor_acknowledges_what_was_sent_and_what_waits() {
    let mut driven = Driven::live(opening(0), 0);
    for offset in 1..5 {
        driven.record(A, offset, 0);
    }
    let told = driven.step(Input::AcknowledgeCursor(cursor(4)));
    assert_eq!(
        told,
        ["acknowledged 1 to 1", "acknowledged 2 to 1", "delete 4", "acknowledged 3 to 1", "send 3:4"]
            .map(str::to_owned)
            .to_vec()
    );
    assert!(driven.step(Input::AcknowledgeCursor(cursor(2))).is_empty(), "never backwards");
    assert_eq!(driven.session.cursor(), cursor(4));
}

#[test]
fn a_record_below_what_was_sent_is_not_sent_and_ends_with_the_frame_above_it() {
    let mut driven = Driven::live(wide(0), 0);
    driven.record(A, 5, 0);
    assert!(driven.record(B, 3, 0).is_empty());
    assert_eq!(driven.step(Input::Acknowledge { seq: 1 }), ["acknowledged 5 to 1", "acknowledged 3 to 2"]);
}

#[test]
fn a_slow_client_spills_to_the_store_and_is_probed_once() {
    let mut driven = Driven::live(opening(0), 0);
    for offset in 1..4 {
        driven.record(A, offset, 0);
    }
    let told = driven.wait();
    assert_eq!(told, ["spilled 1 to 1", "spilled 2 to 1", "spilled 3 to 1", "probe"]);
    assert_eq!(driven.record(B, 1, 0), ["spilled 1 to 2"], "nobody waits for ever");
    assert_eq!(driven.record(B, 4, 0), ["spilled 4 to 2"]);
    assert_eq!(driven.session.next_deadline(), None);
    assert!(driven.step(Input::Poke { parked_upto: 3 }).is_empty(), "the window is full");
    assert_eq!(driven.step(Input::Acknowledge { seq: 2 }), ["delete 3", "flag?"]);
    assert_eq!(driven.step(flag(Flag::Backlog, 3, 3)), ["page? 3"]);
    let told = driven.step(page(&[3], false, 3));
    assert_eq!(told, ["send 3:3", "drained 1"]);
}

#[test]
fn a_record_waits_in_the_gate_no_longer_than_its_deadline() {
    let mut driven = Driven::draining(opening(0), 5);
    driven.record(A, 9, 5);
    assert!(driven.session.next_deadline().is_some());
    driven.now = driven.now.after(Duration::from_secs(10));
    assert_eq!(driven.step(Input::Tick), ["spilled 9 to 1"]);
}

#[test]
fn a_flushed_frame_is_acknowledged_after_its_grace() {
    let mut opening = wide(0);
    opening.acknowledging = Acknowledging::Grace;
    let mut driven = Driven::live(opening, 0);
    driven.record(A, 1, 0);
    driven.record(A, 2, 0);
    assert!(driven.step(Input::Flushed { seq: 1 }).is_empty());
    assert!(driven.wait().is_empty(), "a moment longer");
    assert_eq!(driven.wait(), ["acknowledged 1 to 1"]);
    assert_eq!(driven.wait(), ["spilled 2 to 1", "probe"], "what was never flushed is overdue");
}

#[test]
fn a_node_that_was_stopped_hears_of_a_dead_connection_before_its_grace_counts() {
    let mut opening = wide(0);
    opening.acknowledging = Acknowledging::Grace;
    let mut driven = Driven::live(opening, 0);
    driven.record(A, 1, 0);
    driven.step(Input::Flushed { seq: 1 });
    for _stopped_again in 0..3 {
        driven.now = driven.now.after(Duration::from_secs(60));
        assert!(driven.step(Input::Tick).is_empty(), "the timer comes first");
    }
    assert_eq!(driven.step(Input::End), ["gone 1 to 1"]);
}

#[test]
fn flushing_acknowledges_nothing_where_the_client_says_so_itself() {
    let mut driven = Driven::live(wide(0), 0);
    driven.record(A, 1, 0);
    driven.step(Input::Flushed { seq: 1 });
    assert_eq!(driven.wait(), ["spilled 1 to 1", "probe"]);
}

#[test]
fn a_refusal_for_good_reaches_the_dead_letters_whether_a_director_waits_or_not() {
    let mut driven = Driven::draining(wide(0), 5);
    driven.record(A, 9, 5);
    driven.step(page(&[2], false, 5));
    let refuse = |seq, rejection| Input::Refuse { seq, rejection: Some(rejection) };
    let told = driven.step(refuse(2, Rejection::Undecodable));
    assert_eq!(told, ["reject 9 undecodable", "rejected(undecodable) 9 to 1"]);
    assert_eq!(driven.session.cursor(), cursor(0), "the one before is not through");
    assert_eq!(driven.record(B, 9, 5), ["rejected(undecodable) 9 to 2"]);
    let told = driven.step(refuse(1, Rejection::Refused));
    assert_eq!(told, ["reject 2 refused", "delete 10", "clear 5"]);
}

#[test]
fn what_was_refused_is_refused_again_for_a_director_that_forwards_it_again() {
    let mut driven = Driven::live(wide(0), 0);
    for (seq, offset) in [(1, 1), (2, 2), (3, 3)] {
        driven.record(A, offset, 0);
        driven.step(Input::Refuse { seq, rejection: Some(Rejection::Refused) });
    }
    driven.record(A, 4, 0);
    driven.step(Input::Acknowledge { seq: 4 });
    assert_eq!(driven.session.cursor(), cursor(5));
    assert_eq!(driven.record(B, 3, 0), ["rejected(refused) 3 to 2"]);
    assert_eq!(driven.record(B, 2, 0), ["rejected(refused) 2 to 2"]);
    assert_eq!(driven.record(B, 1, 0), ["acknowledged 1 to 2"], "more than are remembered");
    assert_eq!(driven.record(B, 4, 0), ["acknowledged 4 to 2"]);
}

#[test]
fn what_is_refused_for_now_comes_again_before_anything_new_and_holds_the_cursor() {
    let mut driven = Driven::live(wide(0), 0);
    driven.record(A, 1, 0);
    driven.record(A, 2, 0);
    assert_eq!(driven.step(Input::Refuse { seq: 1, rejection: None }), ["spilled 1 to 1"]);
    assert!(driven.record(B, 3, 0).is_empty(), "nothing overtakes it");
    assert_eq!(driven.record(A, 4, 0), ["spilled 4 to 1"]);
    assert_eq!(driven.step(Input::Acknowledge { seq: 2 }), ["acknowledged 2 to 1"]);
    assert_eq!(driven.session.cursor(), cursor(0));
    assert_eq!(driven.wait(), ["send 3:1", "send 4:3"]);
    assert_eq!(driven.step(Input::Acknowledge { seq: 3 }), ["delete 3"]);
    assert_eq!(driven.session.cursor(), cursor(3));
}

#[test]
fn expired_ones_are_told_as_one_gap_each_run() {
    let past = Timestamp::from_millis(1);
    let mut driven = Driven::draining(wide(0), 5);
    driven.record_until(A, 4, 5, past);
    driven.record_until(A, 7, 5, past);
    let told = driven.step(page_until(&[(2, past), (3, past), (5, NEVER)], false, vec![], 5));
    assert_eq!(told, ["gap 1:2-4 3 expired", "send 2:5", "drained 1", "gap 3:7-7 1 expired"]);
}

#[test]
fn what_expired_ends_when_the_client_knows_and_is_given_back_when_it_never_does() {
    let past = Timestamp::from_millis(1);
    let mut driven = Driven::live(wide(0), 5);
    assert_eq!(driven.record_until(A, 4, 5, past), ["gap 1:4-4 1 expired"]);
    assert_eq!(driven.record_until(A, 7, 5, past), ["gap 2:7-7 1 expired"]);
    assert!(
        driven.record_until(B, 4, 5, past).is_empty(),
        "the client was told and has not said that it knows"
    );
    let known = driven.step(Input::Acknowledge { seq: 1 });
    assert_eq!(known, ["expired 4 to 1", "expired 4 to 2"]);
    assert_eq!(driven.step(Input::End), ["gone 7 to 1"]);
}

#[test]
fn a_stored_gap_is_told_at_its_end() {
    let gap = |cause, first, last, count| GapRow { cause, count, first: at(first), last: at(last) };
    let gaps = vec![gap(GapCause::Expired, 1, 4, 2), gap(GapCause::OverQuota, 8, 9, 2)];
    let mut driven = Driven::draining(wide(0), 5);
    driven.record(A, 6, 5);
    let told = driven.step(page_until(&[(2, NEVER), (5, NEVER)], false, gaps, 5));
    let expected =
        ["send 1:2", "gap 2:1-4 2 expired", "send 3:5", "send 4:6", "gap 5:8-9 2 over_quota", "drained 2"];
    assert_eq!(told, expected);
}

#[test]
fn a_stored_gap_that_grew_after_it_was_told_is_told_by_as_much() {
    let gap =
        |first, last, count| GapRow { cause: GapCause::Expired, count, first: at(first), last: at(last) };
    let mut driven = Driven::draining(wide(0), 5);
    assert_eq!(
        driven.step(page_until(&[(6, NEVER)], false, vec![gap(1, 4, 3)], 5))[0],
        "gap 1:1-4 3 expired"
    );
    let again = |driven: &mut Driven, row| {
        let upto = driven.session.drained_upto() + 1;
        driven.step(Input::Poke { parked_upto: upto });
        driven.step(flag(Flag::Backlog, upto, upto));
        driven.step(page_until(&[], false, vec![row], upto)).remove(0)
    };
    assert_eq!(again(&mut driven, gap(1, 9, 5)), "gap 3:1-9 2 expired");
    driven.step(Input::Acknowledge { seq: 3 });
    assert_eq!(
        again(&mut driven, gap(11, 12, 2)),
        "gap 4:11-12 2 expired",
        "another one, for the first is deleted"
    );
}

#[test]
fn a_gap_that_the_client_is_past_is_not_told_again() {
    let gap = GapRow { cause: GapCause::Expired, count: 2, first: at(1), last: at(4) };
    let mut driven = Driven::draining(wide(6), 5);
    let told = driven.step(page_until(&[], false, vec![gap], 5));
    assert_eq!(told, ["drained 0", "delete 6", "clear 5"]);
}

#[test]
fn the_end_gives_everything_back_and_later_records_are_gone() {
    let mut driven = Driven::live(opening(0), 0);
    for offset in 1..4 {
        driven.record(A, offset, 0);
    }
    assert_eq!(driven.step(Input::End), ["gone 1 to 1", "gone 2 to 1", "gone 3 to 1"]);
    assert_eq!(driven.session.state(), State::Closed);
    assert_eq!(driven.record(A, 4, 0), ["gone 4 to 1"]);
    assert!(driven.step(Input::Tick).is_empty() && driven.session.next_deadline().is_none());
}

#[test]
fn a_lost_stream_is_answered_no_more() {
    let mut driven = Driven::live(opening(0), 0);
    for offset in 1..4 {
        driven.record(A, offset, 0);
    }
    driven.step(Input::StreamLost(A));
    assert!(driven.step(Input::Acknowledge { seq: 2 }).is_empty(), "the one in the gate is forgotten");
    assert_eq!(driven.record(B, 3, 0), ["send 3:3"]);
}
