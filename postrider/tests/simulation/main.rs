//! The pipeline in simulated time: the product's own lanes, tracker, routing, sessions, archiver decisions and registry,
//! joined by a network, a log, a store and clients that fail in every way that a seed can draw. Nothing waits for a real
//! clock, everything follows from one number, and the same number gives the same run.
//!
//! - `plan.rs`: what is done to the world, drawn before anything happens; `troubles.rs` does it.
//! - `schedule.rs`: simulated time, processes that crash and freeze; `engines.rs`: calls that fail, log and store;
//!   `link.rs`: streams; `world.rs` holds it all together.
//! - `director.rs`, `worker.rs`, `calls.rs`; `archiver.rs`; `node.rs`, `presence.rs`, `upkeep.rs`; `device.rs`,
//!   `acknowledging.rs`: the parts.
//! - `judge.rs`: the promises.
//!
//! `POSTRIDER_SEEDS` says how many seeds are tried, `POSTRIDER_FIRST_SEED` from which on; `just simulate` sets them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::print_stderr, reason = "a failing seed is printed")]

mod acknowledging;
mod archiver;
mod calls;
mod device;
mod director;
mod engines;
mod fixture;
mod judge;
mod link;
mod node;
mod plan;
mod presence;
mod schedule;
mod shrink;
mod troubles;
mod upkeep;
mod worker;
mod world;

use std::sync::atomic::{AtomicU64, Ordering};

use plan::Plan;
use world::{Tracing, World};

/// Seeds tried when nobody says how many.
const SEEDS: u64 = 3_000;

#[expect(clippy::disallowed_methods, reason = "a test has no settings")]
fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().map_or(otherwise, |text| text.parse().expect("a number"))
}

/// Fails with the shortest plan found that still fails, and what happened in it.
fn explain(seed: u64) -> ! {
    let plan = shrink::shrink(Plan::draw(seed));
    let outcome = World::run(&plan, Tracing::On);
    let actions: Vec<String> =
        plan.actions.iter().map(|(time, action)| format!("{time} {action:?}")).collect();
    let lines = [format!("{:?}", plan.settings), format!("{:?}", plan.devices)].into_iter();
    let told: Vec<String> = lines.chain(actions).chain(outcome.trace).collect();
    panic!("seed {seed}:\n{}\nseed {seed}: {:#?}", told.join("\n"), outcome.problems);
}

#[test]
fn every_record_has_one_end_in_order_whatever_fails() {
    let first = number("POSTRIDER_FIRST_SEED", 0);
    let until = first + number("POSTRIDER_SEEDS", SEEDS);
    let (next, failed) = (AtomicU64::new(first), AtomicU64::new(u64::MAX));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let (frames, parked, gates, slowest) =
        (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _thread in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= until || failed.load(Ordering::Relaxed) != u64::MAX {
                        return;
                    }
                    let outcome = World::run(&Plan::draw(seed), Tracing::Off);
                    if !outcome.problems.is_empty() {
                        failed.fetch_min(seed, Ordering::Relaxed);
                    }
                    frames.fetch_add(outcome.frames, Ordering::Relaxed);
                    parked.fetch_add(outcome.parked as u64, Ordering::Relaxed);
                    gates.fetch_add(outcome.gates_filled, Ordering::Relaxed);
                    slowest.fetch_max(outcome.settled_after.unwrap_or(0), Ordering::Relaxed);
                }
            });
        }
    });
    let seed = failed.load(Ordering::Relaxed);
    if seed != u64::MAX {
        explain(seed);
    }
    eprintln!(
        "seeds {first}..{until}: {frames:?} frames, {parked:?} parked, {gates:?} full gates, settled within {slowest:?} ms"
    );
    let [frames, parked, gates] = [frames, parked, gates].map(AtomicU64::into_inner);
    assert!(frames > 0 && parked > 0 && gates > 0, "a world in which nothing happens proves nothing");
}

#[test]
fn the_same_seed_is_the_same_run() {
    for seed in 0..20 {
        let [one, other] = [(); 2].map(|()| World::run(&Plan::draw(seed), Tracing::On));
        assert!(one.trace.len() > 100);
        assert_eq!(one.trace, other.trace, "seed {seed}");
    }
}
