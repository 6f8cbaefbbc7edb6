//! Redis is wiped, dies, freezes, fails over without its last writes, or takes none: what is missed is parked and stored,
//! and comes from there, until every session is announced again.

use std::time::{Duration, Instant};

use postrider::client::Transport;

use crate::stack::load::{Load, Mix};
use crate::stack::{Engines, Fault, Part, Plan, Scale, Stack};
use crate::watch::{Watcher, of_distributors, redis, redis_commands, send, until};

const SETTINGS: &str = "[distributor.lease]\nttl_ms = 2000\nannounce_per_second = 50\n\
                        [distributor.sweep]\nperiod_ms = 1000\noutage_period_ms = 500\n";

async fn stack(directors: usize, distributors: usize) -> Stack {
    let settings = SETTINGS.to_owned();
    Stack::start(Plan { directors, distributors, redis: Engines::OWN, settings, ..Plan::default() }).await
}

const ANNOUNCED: &str = "postrider_sessions_announced_again";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wiped_registry_is_told_every_session_again_at_a_bounded_rate() {
    let mut stack = stack(1, 2).await;
    let mut load = Load::start(&stack, Mix::default()).await;
    load.steady().await;
    let sessions = of_distributors(&stack, 2, "postrider_sessions", "").await;
    assert!(sessions > 20.0, "{sessions}");
    let (commands, begun) = (redis_commands(&stack).await, Instant::now());
    let pages = of_distributors(&stack, 2, "postrider_store_call_seconds_count", "pages").await;
    stack.fault(Part::Redis, Fault::Wiped).await;
    until("sessions are announced", async || of_distributors(&stack, 2, ANNOUNCED, "").await > 0.0).await;
    let (mut announced, mut elapsed) = (0.0, begun.elapsed());
    until("no more are announced", async || {
        let before = announced;
        announced = of_distributors(&stack, 2, ANNOUNCED, "").await;
        elapsed = begun.elapsed();
        tokio::time::sleep(Duration::from_millis(500)).await;
        announced == before
    })
    .await;
    let allowed = 2.0 * 50.0 * (elapsed.as_secs_f64() + 0.2);
    assert!(announced <= allowed, "{announced} announced in {elapsed:?}");
    load.more(200).await;
    let commands = redis_commands(&stack).await - commands;
    let pages = of_distributors(&stack, 2, "postrider_store_call_seconds_count", "pages").await - pages;
    stack.heal(Part::Redis).await;
    eprintln!(
        "{announced} of {sessions} sessions announced in {elapsed:?}; with the load until {:?} after the wipe: \
         {commands} commands at Redis, {pages} calls for pages at Postgres",
        begun.elapsed()
    );
    load.settle().await.must_balance();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_that_freezes_or_dies_costs_nothing_but_time() {
    let mut stack = stack(2, 2).await;
    let mut load = Load::start(&stack, Mix::default()).await;
    load.steady().await;
    for fault in [Fault::Frozen, Fault::Killed] {
        stack.fault(Part::Redis, fault).await;
        Scale::of_this_run().outage().await;
        // Online all the same: stored, polled for, delivered.
        load.more(50).await;
        stack.heal(Part::Redis).await;
        load.more(100).await;
    }
    load.settle().await.must_balance();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_that_lost_the_last_writes_strands_nobody() {
    let mut stack = stack(1, 1).await;
    let url = stack.distributor();
    let early = Watcher::start(&url, "early", Transport::WebSocket);
    early.opened(1).await;
    let first = send(&stack, "early").await;
    early.given(std::slice::from_ref(&first)).await;
    // What is written from here on is lost: one who comes, and one who goes.
    redis(&stack, "SAVE").await;
    let late = Watcher::start(&url, "late", Transport::WebSocket);
    late.opened(1).await;
    let before = send(&stack, "late").await;
    late.given(std::slice::from_ref(&before)).await;
    drop(early);
    until("the early one has gone", async || {
        of_distributors(&stack, 1, "postrider_sessions", "").await == 1.0
    })
    .await;
    // Shorter than a lease, as a failover is: nobody was away long enough to announce anything.
    stack.fault(Part::Redis, Fault::Killed).await;
    stack.heal(Part::Redis).await;
    let missed = send(&stack, "late").await;
    late.given(&[before.clone(), missed.clone()]).await;
    let stale = send(&stack, "early").await;
    let again = send(&stack, "late").await;
    late.given(&[before, missed, again]).await;
    let early = Watcher::start(&url, "early", Transport::Sse);
    // Without its cursor; what it acknowledged is not stored, what the stale route was tried for is.
    until("the early one is given what it missed", async || early.noted().ids.contains(&stale)).await;
    assert!(!early.noted().ids.contains(&first) || early.noted().ids.len() == 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_that_takes_no_writes_is_as_good_as_away() {
    let mut stack = stack(1, 2).await;
    let mut load = Load::start(&stack, Mix::default()).await;
    load.steady().await;
    stack.fault(Part::Redis, Fault::OutOfMemory).await;
    Scale::of_this_run().outage().await;
    let url = stack.distributor();
    let newcomer = Watcher::start(&url, "newcomer", Transport::Poll);
    newcomer.opened(1).await;
    let meanwhile = send(&stack, "newcomer").await;
    newcomer.given(std::slice::from_ref(&meanwhile)).await;
    stack.heal(Part::Redis).await;
    let after = send(&stack, "newcomer").await;
    newcomer.given(&[meanwhile, after]).await;
    load.settle().await.must_balance();
}
