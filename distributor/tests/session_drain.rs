//! What a session sends when, and what it asks, one claim a test.

#[path = "session_world/driven.rs"]
mod driven;
#[path = "session_world/fixture.rs"]
mod fixture;

use driven::{A, B, Driven, flag, page, wide};
use fixture::{cursor, opening};
use postrider_distributor::session::{Input, State};
use shared::registry::{Flag, FlagReading};

#[test]
fn a_client_proved_clean_goes_live_without_the_store() {
    let mut driven = Driven::live(wide(0), 5);
    assert_eq!(driven.record(A, 7, 5), ["send 1:7"]);
    assert_eq!(driven.step(Input::Acknowledge { seq: 1 }), ["acknowledged 7 to 1"]);
    assert_eq!(driven.session.cursor(), cursor(8));
    assert_eq!(driven.session.next_deadline(), None);
}

#[test]
fn the_stored_come_before_the_new_and_both_in_order() {
    let mut driven = Driven::draining(wide(0), 5);
    assert!(driven.record(A, 9, 5).is_empty() && driven.record(A, 4, 5).is_empty());
    let told = driven.step(page(&[2, 6], false, 5));
    assert_eq!(told, ["send 1:2", "send 2:4", "send 3:6", "drained 2", "send 4:9"]);
    assert_eq!(driven.session.state(), State::Live);
}

#[test]
fn a_record_does_not_leave_above_what_the_page_did_not_bring() {
    let mut driven = Driven::draining(wide(0), 5);
    assert!(driven.record(A, 9, 5).is_empty());
    assert_eq!(driven.step(page(&[2, 6], true, 5)), ["send 1:2", "send 2:6", "page? 7"]);
    assert_eq!(driven.step(page(&[8], false, 5)), ["send 3:8", "drained 3", "send 4:9"]);
}

#[test]
fn a_position_both_stored_and_forwarded_is_sent_once_and_answers_both() {
    let mut driven = Driven::draining(wide(0), 5);
    driven.record(A, 2, 5);
    assert_eq!(driven.step(page(&[2], false, 5)), ["send 1:2", "drained 1"]);
    assert!(driven.record(B, 2, 5).is_empty());
    let told = driven.step(Input::Acknowledge { seq: 1 });
    assert_eq!(told, ["acknowledged 2 to 1", "acknowledged 2 to 2", "delete 3", "clear 5"]);
}

#[test]
fn the_flag_is_cleared_only_once_what_was_read_is_behind_the_client() {
    let mut driven = Driven::draining(wide(0), 5);
    assert_eq!(driven.step(page(&[2, 3], false, 5)), ["send 1:2", "send 2:3", "drained 2"]);
    assert_eq!(driven.step(Input::Acknowledge { seq: 1 }), ["delete 3"]);
    assert_eq!(driven.step(Input::Acknowledge { seq: 2 }), ["delete 4", "clear 5"]);
}

#[test]
fn the_flag_is_not_cleared_when_the_store_lags_behind_its_version() {
    let mut driven = Driven::open(wide(0));
    driven.step(Input::Registered);
    driven.step(Input::ParkedEnd(5));
    driven.step(flag(Flag::Backlog, 9, 9));
    assert_eq!(driven.step(page(&[], false, 5)), ["drained 0"]);
}

#[test]
fn an_unknown_flag_is_cleared_only_when_the_progress_of_flags_is_known_and_reached() {
    for (flagged_upto, archived_upto, cleared) in [(None, 5, false), (Some(6), 5, false), (Some(5), 5, true)]
    {
        let mut driven = Driven::open(wide(0));
        driven.step(Input::Registered);
        driven.step(Input::ParkedEnd(5));
        driven.step(Input::Flag(Some(FlagReading { flag: Flag::Unknown, version: 0, flagged_upto })));
        let told = driven.step(page(&[], false, archived_upto));
        assert_eq!(told.contains(&"clear 0".to_owned()), cleared, "{flagged_upto:?}");
    }
}

#[test]
fn a_poke_drains_again_and_an_old_one_only_looks_at_the_flag() {
    let mut driven = Driven::live(wide(0), 5);
    assert_eq!(driven.step(Input::Poke { parked_upto: 5 }), ["flag?"]);
    assert_eq!(driven.session.state(), State::Live);
    assert!(driven.step(flag(Flag::Clean, 5, 5)).is_empty());
    assert_eq!(driven.step(Input::Poke { parked_upto: 6 }), ["flag?"]);
    assert_eq!(driven.session.state(), State::Draining);
    assert_eq!(driven.step(flag(Flag::Backlog, 6, 6)), ["page? 0"]);
    assert_eq!(driven.step(page(&[3], false, 6)), ["send 1:3", "drained 1"]);
    assert_eq!(driven.session.state(), State::Live);
}

#[test]
fn what_is_not_proved_yet_is_asked_again_after_a_growing_delay() {
    let mut driven = Driven::draining(wide(0), 5);
    let mut delays = Vec::new();
    for _ in 0..8 {
        assert!(driven.step(page(&[], false, 4)).is_empty());
        let before = driven.now;
        assert_eq!(driven.wait(), ["flag?"]);
        delays.push(driven.now.since(before).as_millis());
        assert_eq!(driven.step(Input::Flag(None)), ["page? 0"]);
    }
    assert_eq!(delays, [50, 100, 200, 400, 800, 1600, 2000, 2000]);
    assert_eq!(driven.step(page(&[], false, 5)), ["drained 0"]);
    assert_eq!(driven.session.next_deadline(), None);
}

#[test]
fn a_clean_flag_that_is_behind_is_asked_again_before_the_store_is() {
    let mut driven = Driven::open(wide(0));
    driven.step(Input::Registered);
    assert_eq!(driven.step(Input::ParkedEnd(5)), ["flag?"]);
    assert_eq!(driven.step(flag(Flag::Clean, 3, 4)), ["welcome 0 true"]);
    let mut waited = 0;
    for _ in 0..4 {
        let before = driven.now;
        assert_eq!(driven.wait(), ["flag?"]);
        waited += driven.now.since(before).as_millis();
        assert!(driven.step(flag(Flag::Clean, 3, 4)).is_empty());
    }
    assert!(waited < 100, "{waited} ms");
    assert_eq!(driven.wait(), ["flag?"]);
    assert_eq!(driven.step(flag(Flag::Clean, 3, 5)), ["drained 0"]);
    // A record that knows of more is no other case.
    assert_eq!(driven.record(A, 9, 6), ["flag?"]);
    assert!(driven.step(flag(Flag::Clean, 3, 5)).is_empty());
    assert_eq!(driven.wait(), ["flag?"]);
    assert_eq!(driven.step(flag(Flag::Clean, 3, 6)), ["send 1:9"]);
}

#[test]
fn a_clean_flag_that_stays_behind_is_waited_for_no_longer_than_the_store_needs_to_be_asked() {
    let mut driven = Driven::open(wide(0));
    driven.step(Input::Registered);
    driven.step(Input::ParkedEnd(5));
    for _ in 0..5 {
        driven.step(flag(Flag::Clean, 3, 4));
        assert_eq!(driven.wait(), ["flag?"]);
    }
    assert_eq!(driven.step(flag(Flag::Clean, 3, 4)), ["page? 0"]);
    // Of a store that lags as well nothing was learnt but that; from one that is away the flag may be the only proof.
    assert!(driven.step(page(&[], false, 4)).is_empty());
    assert_eq!(driven.wait(), ["flag?"]);
    assert_eq!(driven.step(flag(Flag::Clean, 3, 4)), ["page? 0"]);
    assert!(driven.step(Input::Page(None)).is_empty());
    for _ in 0..5 {
        assert_eq!(driven.wait(), ["flag?"]);
        assert!(driven.step(flag(Flag::Clean, 3, 4)).is_empty());
    }
    assert_eq!(driven.wait(), ["flag?"]);
    assert_eq!(driven.step(flag(Flag::Clean, 3, 4)), ["page? 0"]);
}

#[test]
fn a_store_that_is_away_is_asked_again_also_in_the_middle_of_pages() {
    let mut driven = Driven::draining(wide(0), 5);
    assert_eq!(driven.step(page(&[1], true, 5)), ["send 1:1", "page? 2"]);
    assert!(driven.step(Input::Page(None)).is_empty());
    assert_eq!(driven.wait(), ["page? 2"]);
}

#[test]
fn a_client_is_welcomed_in_time_and_fed_from_the_store_while_the_registry_is_away() {
    let mut driven = Driven::open(wide(0));
    assert!(driven.session.next_deadline().is_some_and(|at| at <= driven.now), "the clock starts by itself");
    assert!(driven.step(Input::Tick).is_empty());
    assert_eq!(driven.wait(), ["welcome 0 true", "page? 0"]);
    driven.record(A, 9, 0);
    assert_eq!(driven.step(page(&[3], false, 4)), ["send 1:3"]);
    assert_eq!(driven.session.state(), State::Handshake);
    assert_eq!(driven.wait(), ["page? 4"]);
    assert!(driven.step(page(&[], false, 4)).is_empty());
    assert_eq!(driven.step(Input::Registered), ["end?"]);
    let told = driven.step(Input::ParkedEnd(4));
    assert_eq!(told, ["drained 1", "send 2:9", "flag?"]);
}

#[test]
fn the_end_of_parked_is_read_again_when_the_registry_lost_the_route() {
    let mut driven = Driven::open(wide(0));
    assert_eq!(driven.step(Input::Registered), ["end?"]);
    driven.step(Input::RegistryLost);
    assert!(driven.step(Input::Registered).is_empty(), "one is on its way");
    assert_eq!(driven.step(Input::ParkedEnd(3)), ["end?"]);
    assert_eq!(driven.step(Input::ParkedEnd(4)), ["flag?"]);
}

#[test]
fn a_full_gate_spills_that_record_and_every_later_one_of_its_stream() {
    let mut driven = Driven::draining(opening(0), 5);
    for offset in 10..13 {
        assert!(driven.record(A, offset, 5).is_empty());
    }
    assert_eq!(driven.record(A, 13, 5), ["full", "spilled 13 to 1"]);
    driven.step(page(&[], false, 5));
    assert_eq!(driven.record(A, 14, 5), ["spilled 14 to 1"], "room, but behind");
    assert_eq!(
        driven.step(Input::Acknowledge { seq: 2 })[..2],
        ["acknowledged 10 to 1", "acknowledged 11 to 1"]
    );
    assert!(driven.record(B, 15, 5).contains(&"send 4:15".to_owned()), "another stream is not");
}

#[test]
fn a_stream_is_behind_no_longer_after_a_higher_parked_upto_a_resume_or_its_loss() {
    for heal in 0..3 {
        let mut driven = Driven::draining(opening(0), 5);
        (10..14).for_each(|offset| drop(driven.record(A, offset, 5)));
        driven.step(page(&[], false, 5));
        let (stream, upto) = match heal {
            0 => (A, 6),
            1 => {
                driven.step(Input::Resume(A));
                (A, 5)
            }
            _ => {
                driven.step(Input::StreamLost(A));
                (A, 5)
            }
        };
        let told = driven.record(stream, 20, upto);
        assert!(!told.contains(&"spilled 20 to 1".to_owned()), "{heal}: {told:?}");
    }
}

#[test]
fn the_gate_is_bounded_by_bytes_but_takes_one_of_any_size() {
    let mut opening = opening(0);
    std::sync::Arc::make_mut(&mut opening.limits).gate_bytes = 0;
    let mut driven = Driven::draining(opening, 5);
    assert!(driven.record(A, 10, 5).is_empty());
    assert_eq!(driven.record(A, 11, 5), ["full", "spilled 11 to 1"]);
}

#[test]
fn a_route_registered_again_drains_up_to_the_end_of_parked_as_it_is_then() {
    let mut driven = Driven::live(wide(0), 5);
    driven.step(Input::RegistryLost);
    assert_eq!(driven.step(Input::Registered), ["end?"]);
    assert!(driven.record(A, 9, 5).is_empty(), "what must be drained is not known");
    assert_eq!(driven.step(Input::ParkedEnd(6)), ["flag?"]);
    assert_eq!(driven.step(flag(Flag::Unknown, 0, 6)), ["page? 0"]);
    assert_eq!(driven.step(page(&[7], false, 6))[..3], ["send 1:7", "drained 1", "send 2:9"]);
}

#[test]
fn a_flag_that_moved_on_is_looked_at_again_with_the_next_poke() {
    let mut driven = Driven::draining(wide(0), 5);
    assert_eq!(driven.step(page(&[], false, 9)), ["drained 0", "clear 5"]);
    assert!(driven.step(Input::FlagCleared { cleared: false }).is_empty());
    assert_eq!(driven.step(Input::Poke { parked_upto: 8 }), ["flag?"]);
    assert_eq!(driven.step(flag(Flag::Backlog, 8, 9)), ["page? 0"]);
    assert_eq!(driven.step(page(&[], false, 9)), ["clear 8"]);
    driven.step(Input::FlagCleared { cleared: true });
    assert_eq!(driven.step(Input::Poke { parked_upto: 8 }), ["flag?"]);
    assert!(driven.step(flag(Flag::Clean, 8, 9)).is_empty(), "it is clean");
}

#[test]
fn what_is_left_of_a_lost_deletion_is_deleted_when_it_is_marked_again() {
    let mut driven = Driven::draining(wide(0), 5);
    assert_eq!(driven.step(page(&[2], false, 5)), ["send 1:2", "drained 1"]);
    assert_eq!(driven.step(Input::Acknowledge { seq: 1 }), ["delete 3", "clear 5"]);
    driven.step(Input::FlagCleared { cleared: true });
    for _lost_again in 0..2 {
        // The deletion never came to the store; the slow scan found the row and marked it.
        assert_eq!(driven.step(Input::Poke { parked_upto: 5 }), ["flag?"]);
        assert_eq!(driven.step(flag(Flag::Backlog, 5, 5)), ["page? 3"]);
        assert_eq!(driven.step(page(&[], false, 5)), ["delete 3", "clear 5"]);
        driven.step(Input::FlagCleared { cleared: true });
    }
}
