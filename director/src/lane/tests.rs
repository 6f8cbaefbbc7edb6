//! Lanes among scripted sessions, streams, a registry and a log, interleaved at random; `proptest` prints the seed of a
//! failure. What is judged is in [`world`].

mod news;
mod settings;
mod world;

use std::collections::HashMap;

use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use super::*;
use settings::Pick;
use world::{Frame, Session, World, route};

/// Kinds of steps of the world.
const STEPS: u8 = 35;

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, max_shrink_iters: 0, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn lanes_keep_their_invariants_in_every_interleaving(seed: u64, steps in 50..600) {
        let mut random = StdRng::seed_from_u64(seed);
        let mut world = World::remembering(random.random_range(0..4));
        for _ in 0..steps {
            world.step(random.random_range(0..STEPS), Pick(random.random_range(0..1 << 20)), true);
        }
        for _ in 0..40_000 {
            if world.is_quiet() { break }
            world.step(random.random_range(0..STEPS), Pick(random.random_range(0..1 << 20)), false);
        }
        prop_assert!(world.is_quiet(), "stranded: {:?}", world.lanes);
        prop_assert!(world.unlooked.is_empty(), "parked and not looked for: {:?}", world.unlooked);
        prop_assert!(world.lanes.owners.is_empty() && world.lanes.met.is_empty());
        prop_assert_eq!(world.lanes.shares.total(), Default::default());
        let last = world.records.last_key_value().map_or(0, |(offset, _)| offset + 1);
        prop_assert_eq!(world.tracker.commit(), last);
    }
}

/// Nothing fails here but that devices come while routes are remembered and questions are under way.
const QUIET_STEPS: [u8; 16] = [TAKE, CONNECT, 10, 11, 12, 14, 15, 18, 19, 20, 22, 25, 26, 30, 32, 33];
const TAKE: u8 = 0;
const CONNECT: u8 = 6;

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, max_shrink_iters: 0, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn no_device_is_left_out_of_what_was_taken_after_it_registered(seed: u64, steps in 50..400) {
        let mut random = StdRng::seed_from_u64(seed);
        let mut world = World::remembering(4);
        world.connect(0);
        for step in 0..40_000 {
            let choice = QUIET_STEPS[random.random_range(0..QUIET_STEPS.len())];
            let comes = choice == TAKE || (choice == CONNECT && random.random_range(0..4) == 0);
            if step < steps || !comes {
                world.step(choice, Pick(random.random_range(0..1 << 20)), comes);
            }
            if step > steps && world.is_quiet() { break }
        }
        prop_assert!(world.is_quiet(), "stranded: {:?}", world.lanes);
    }
}

/// Two sessions; the first spills 0 and 3, the second acknowledges 0. Resumed at that moment, the first would take 7
/// although 3 may still be parked, and its client's cursor would cover 3 for ever.
#[test]
fn a_session_is_not_resumed_while_another_record_it_spilled_is_open() {
    let mut world = World::new();
    for _ in 0..2 {
        world.sessions.push(Session { alive: true, registered: true, ..Session::default() });
    }
    world.take(0);
    let recipient = world.lookups.remove(0);
    world.feed(Input::Routed(recipient.clone(), Some(world.routes(&recipient))));
    world.take(0);
    let recipient = world.lookups.remove(0);
    world.feed(Input::Routed(recipient.clone(), Some(world.routes(&recipient))));
    let offsets: Vec<u64> = world.records.keys().copied().collect();
    for offset in &offsets {
        world.feed(Input::Verdict(route(0), *offset, Verdict::Spilled));
    }
    let resumes = |world: &World| {
        world.sessions[0].inbound.iter().filter(|frame| matches!(frame, Frame::Resume)).count()
    };
    world.feed(Input::Verdict(route(1), offsets[0], Verdict::Acknowledged));
    assert_eq!(resumes(&world), 0);
    world.feed(Input::Verdict(route(1), offsets[1], Verdict::Acknowledged));
    assert_eq!(resumes(&world), 1);
}

#[test]
fn the_first_acknowledgement_ends_a_record_and_a_latecomer_is_sent_the_whole_lane() {
    let mut world = World::new();
    world.sessions.push(Session { alive: true, registered: true, ..Session::default() });
    for expected in [1_usize, 2] {
        world.take(0);
        let recipient = world.lookups.remove(0);
        let routes = world.routes(&recipient);
        world.feed(Input::Routed(recipient, Some(routes)));
        assert_eq!(world.sessions[expected - 1].inbound.len(), expected);
        world.sessions.push(Session { alive: true, registered: true, ..Session::default() });
    }
    world.feed(Input::Verdict(route(1), 0, Verdict::Acknowledged));
    assert_eq!(world.ended, HashMap::from([(0, Some(End::Acknowledged))]).into_iter().collect());
    world.feed(Input::Verdict(route(0), 0, Verdict::Acknowledged));
    assert_eq!(world.ended.len(), 1);
}

/// The live session answers first, always: the stale one is told apart all the same, while the lane lives.
#[test]
fn a_session_that_is_gone_is_unregistered_though_another_was_quicker() {
    let mut world = World::new();
    for _ in 0..2 {
        world.sessions.push(Session { alive: true, registered: true, ..Session::default() });
    }
    for _ in 0..2 {
        world.take(0);
        let recipient = world.lookups.remove(0);
        world.feed(Input::Routed(recipient, Some(vec![route(0), route(1)])));
    }
    world.feed(Input::Verdict(route(0), 0, Verdict::Acknowledged));
    world.feed(Input::Verdict(route(1), 0, Verdict::Gone));
    assert!(world.sessions[0].registered && !world.sessions[1].registered);
}

/// Of ten that may be in flight, a silent recipient fills what is free; from then on it parks, and what its client
/// acknowledges before it is on its way to `parked` has that end.
#[test]
fn a_recipient_above_its_share_parks_in_order_without_waiting_and_others_are_served() {
    let mut world = World::new();
    for recipient in [0, 1] {
        world.sessions.push(Session { recipient, alive: true, registered: true, ..Session::default() });
    }
    let serve = |world: &mut World, recipient| {
        world.take(recipient);
        if let Some(asked) = world.lookups.pop() {
            let routes = world.routes(&asked);
            world.feed(Input::Routed(asked, Some(routes)));
        }
    };
    for _ in 0..6 {
        serve(&mut world, 0);
    }
    assert!(world.parks.is_empty(), "there is room");
    serve(&mut world, 0);
    let offsets: Vec<u64> = world.records.keys().copied().collect();
    assert_eq!(world.parks, [&offsets[..3]]);
    world.feed(Input::Verdict(route(0), offsets[5], Verdict::Acknowledged));
    assert_eq!(world.ended.get(&offsets[5]), Some(&Some(End::Acknowledged)));
    serve(&mut world, 1);
    assert!(matches!(world.sessions[1].inbound.back(), Some(Frame::Record(..))), "the other is served");
}

#[test]
fn no_verdict_in_time_parks_the_record_and_what_is_behind_it() {
    let mut world = World::new();
    world.sessions.push(Session { alive: true, registered: true, ..Session::default() });
    world.take(0);
    let recipient = world.lookups.remove(0);
    world.feed(Input::Routed(recipient, Some(vec![route(0)])));
    world.now += Duration::from_secs(31);
    world.feed(Input::Tick);
    assert_eq!(world.parks, [[0]]);
    assert!(world.sessions[0].registered, "silence removes no route");
}

/// A second device registers after the routes of the first were learnt.
fn world_that_knows_one_device() -> World {
    let mut world = World::remembering(2);
    world.connect(0);
    world.told = 1;
    world.take(0);
    let recipient = world.lookups.remove(0);
    world.feed(Input::Routed(recipient, Some(vec![route(0)])));
    world.feed(Input::Verdict(route(0), 0, Verdict::Acknowledged));
    assert_eq!(world.ended.len(), 1, "the registry itself has said that there is nobody else");
    world
}

#[test]
fn what_is_remembered_serves_at_once_and_ends_with_its_proof() {
    let mut world = world_that_knows_one_device();
    world.take(0);
    assert!(world.lookups.is_empty() && world.sessions[0].inbound.len() == 2);
    let offset = world.records.keys().copied().max().unwrap_or_default();
    world.feed(Input::Verdict(route(0), offset, Verdict::Acknowledged));
    assert_eq!(world.ended.len(), 1, "not before it is known that there is nobody else");
    (0..3).for_each(|_ask_say_hear| world.hear_news(false));
    assert_eq!(world.ended.get(&offset), Some(&Some(End::Acknowledged)));
}

#[test]
fn a_second_device_is_sent_what_was_taken_after_it_registered_though_the_first_was_quicker() {
    let mut world = world_that_knows_one_device();
    world.connect(0);
    world.take(0);
    let offset = world.records.keys().copied().max().unwrap_or_default();
    world.feed(Input::Verdict(route(0), offset, Verdict::Acknowledged));
    (0..3).for_each(|_ask_say_hear| world.hear_news(false));
    assert!(!world.ended.contains_key(&offset));
    let recipient = world.lookups.remove(0);
    world.feed(Input::Routed(recipient, Some(vec![route(0), route(1)])));
    assert!(world.sent.contains(&(1, offset)));
    assert_eq!(world.ended.get(&offset), Some(&Some(End::Acknowledged)));
}

#[test]
fn a_registry_that_cannot_prove_anything_has_what_was_acknowledged_parked_for_others() {
    let mut world = world_that_knows_one_device();
    world.take(0);
    let offset = world.records.keys().copied().max().unwrap_or_default();
    world.feed(Input::Verdict(route(0), offset, Verdict::Acknowledged));
    world.hear_news(false);
    world.hear_news(true);
    let recipient = world.lookups.remove(0);
    world.feed(Input::Away(recipient));
    assert_eq!(world.parks, [[offset]]);
}
