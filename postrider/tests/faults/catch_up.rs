//! What was parked while Postgres was away is stored once it is back, faster than more of it comes. How much faster is
//! printed: figures to be read, not judged.

use std::time::{Duration, Instant};

use crate::stack::load::{Load, Mix};
use crate::stack::{Engines, Fault, PATIENCE, Part, Plan, Scale, Stack};
use crate::watch::metric;

/// How often it is looked.
const LOOK: Duration = Duration::from_millis(50);
/// How far behind who has caught up may be.
const ABREAST: Duration = Duration::from_millis(500);

/// Nearly all are for those who never come.
fn mix(rate: u32) -> Mix {
    Mix {
        rate,
        recipients: 400,
        batch_every: 1,
        batch: rate / 40,
        offline_percent: 0,
        absent_percent: 90,
        wandering_percent: 0,
        ..Mix::default()
    }
}

async fn parked(stack: &Stack) -> f64 {
    metric(stack, Part::Director(0), "postrider_director_parked", "").await
}

async fn stored(stack: &Stack) -> f64 {
    metric(stack, Part::Director(0), "postrider_archiver_records", "stage=\"rows\"").await
}

async fn stored_at_least(stack: &Stack, count: f64) -> f64 {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let stored = stored(stack).await;
        if stored >= count {
            return stored;
        }
        assert!(Instant::now() < deadline, "{stored} are stored, not {count}");
        tokio::time::sleep(LOOK).await;
    }
}

async fn catches_up(rate: u32) {
    let outage = Scale::of_this_run().outage_duration();
    let mut stack = Stack::start(Plan { postgres: Engines::OWN, ..Plan::default() }).await;
    let mut load = Load::start(&stack, mix(rate)).await;
    // Of ten, nine are parked.
    load.more(rate as usize / 10).await;
    load.everybody_online_is_live().await;
    load.nobody_online_waits().await;
    stack.fault(Part::Postgres, Fault::Killed).await;
    let held = stack.resident_bytes(Part::Director(0));
    let (from, parked_before) = (Instant::now(), parked(&stack).await);
    tokio::time::sleep(outage).await;
    load.nobody_online_waits().await;
    let came = (parked(&stack).await - parked_before) / from.elapsed().as_secs_f64();
    let held = stack.resident_bytes(Part::Director(0)).saturating_sub(held);
    stack.heal(Part::Postgres).await;

    let (healed, before) = (Instant::now(), stored(&stack).await);
    let first = stored_at_least(&stack, before + 1.0).await;
    let begun = Instant::now();
    let waiting = parked(&stack).await - first;
    // Caught up with what comes meanwhile, but for what a batch may wait for.
    let mut last = first;
    let deadline = begun + PATIENCE + outage;
    loop {
        let behind = parked(&stack).await - last;
        if behind <= came * ABREAST.as_secs_f64() {
            break;
        }
        assert!(Instant::now() < deadline, "still {behind} behind of {waiting}");
        tokio::time::sleep(LOOK).await;
        last = stored(&stack).await;
    }
    let took = begun.elapsed();
    let caught_up = (last - before) / took.as_secs_f64().max(LOOK.as_secs_f64());
    stack.says(&format!(
        "{came:.0}/s were parked while Postgres was away; the archiver began {:.1?} after it was back, {waiting:.0} behind, \
         and stored {:.0} in {took:.1?}: {caught_up:.0}/s, {:.1} times as fast; the director held {} KiB more",
        begun - healed,
        last - before,
        caught_up / came,
        held / 1024,
    ));
    load.settle().await.must_balance();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_hundred_a_second_parked_is_stored_when_postgres_is_back() {
    catches_up(100).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_flood_parked_is_stored_when_postgres_is_back() {
    // A thousand a second is more than every machine that builds has for programs that are not optimised.
    catches_up(Scale::of_this_run().of(300, 1000)).await;
}
