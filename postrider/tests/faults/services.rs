//! A service dies, stops or goes while producers and clients go on: nothing accepted is lost, order holds, and nothing is
//! shown twice. What a director or an archiver had done and not committed when it died is done again and counts once.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use crate::stack::load::{Load, Mix};
use crate::stack::{Fault, Part, Plan, Scale, Stack, seed};

/// How long a director may be silent before its partitions move, in these scenarios; the broker allows no less.
const SESSION_TIMEOUT: Duration = Duration::from_secs(6);

/// Two of everything that can be two, with directors that are missed soon.
fn pairs() -> Plan {
    let director = |index| (Part::Director(index), "kafka.session_timeout_ms=6000");
    Plan {
        receivers: 2,
        directors: 2,
        distributors: 2,
        settings_of: (0..3).map(director).collect(),
        ..Plan::default()
    }
}

/// Kills one of `parts` again and again at random moments of a load, and lets each come back after a while; in the long
/// suite one of them is away for the whole outage.
async fn kill_at_random(parts: &[Part], kills: usize) {
    let mut random = StdRng::seed_from_u64(seed());
    let mut stack = Stack::start(pairs()).await;
    let mut load = Load::start(&stack, Mix::default()).await;
    load.steady().await;
    for kill in 0..kills {
        let part = parts[random.random_range(0..parts.len())];
        tokio::time::sleep(Duration::from_millis(random.random_range(0..500))).await;
        stack.fault(part, Fault::Killed).await;
        let away = Duration::from_millis(random.random_range(0..1_500));
        let is_last = kill + 1 == kills;
        tokio::time::sleep(Scale::of_this_run().of(away, if is_last { OUTAGE } else { away })).await;
        stack.heal(part).await;
        load.more(50).await;
    }
    load.settle().await.must_balance();
}

/// How long a part is away in the long suite.
const OUTAGE: Duration = Duration::from_secs(600);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn receivers_killed_in_a_request_have_what_they_answered() {
    kill_at_random(&[Part::Receiver(0), Part::Receiver(1)], 5).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn directors_and_archivers_killed_between_a_write_and_its_commit_lose_nothing() {
    let kills = Scale::of_this_run().of(2, 12);
    kill_at_random(&[Part::Director(0), Part::Director(1)], kills).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn distributors_killed_with_unacknowledged_records_lose_nothing() {
    kill_at_random(&[Part::Distributor(0), Part::Distributor(1)], 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_director_stopped_until_its_partitions_moved_commits_nothing_it_lost() {
    let mut stack = Stack::start(pairs()).await;
    let mut load = Load::start(&stack, Mix::default()).await;
    load.steady().await;
    stack.fault(Part::Director(0), Fault::Frozen).await;
    let moved = SESSION_TIMEOUT + Duration::from_secs(3);
    tokio::time::sleep(Scale::of_this_run().of(moved, OUTAGE)).await;
    // The other one has its partitions by now.
    load.more(50).await;
    stack.heal(Part::Director(0)).await;
    load.settle().await.must_balance();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn directors_that_come_and_go_every_two_seconds_make_progress() {
    let mut stack = Stack::start(Plan { directors: 3, ..pairs() }).await;
    let mut load = Load::start(&stack, Mix::default()).await;
    load.steady().await;
    let changes = Scale::of_this_run().of(5, 300);
    for change in 0..changes {
        let part = Part::Director(change % 2);
        stack.fault(part, Fault::Terminated).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        stack.heal(part).await;
    }
    load.more(50).await;
    load.settle().await.must_balance();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_an_executor_everything_is_delivered() {
    let mut stack = Stack::start(pairs()).await;
    let mut load = Load::start(&stack, Mix::default()).await;
    load.steady().await;
    stack.fault(Part::Executor(0), Fault::Killed).await;
    Scale::of_this_run().outage().await;
    load.more(50).await;
    stack.heal(Part::Executor(0)).await;
    load.settle().await.must_balance();
}
