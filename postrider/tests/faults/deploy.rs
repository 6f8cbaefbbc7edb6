//! A deploy: every service ends by SIGTERM and is started again, one after the other, while producers and clients go on.

use std::time::{Duration, Instant};

use postrider::client::Transport;

use crate::stack::load::balancer::Balancer;
use crate::stack::load::{Load, Mix};
use crate::stack::{Fault, Part, Plan, Stack};
use crate::watch::{Watcher, send};

const SPREAD: Duration = Duration::from_secs(2);
const SETTINGS: &str = "[receiver.http]\nannounce_ms = 300\n[distributor.http]\nannounce_ms = 300\n\
                        [distributor.leave]\nspread_ms = 2000\nafter_ms = 300\nlimit_ms = 6000\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_loses_nothing_and_spreads_the_reconnects() {
    const WATCHERS: usize = 32;
    let plan =
        Plan { receivers: 2, directors: 2, distributors: 2, settings: SETTINGS.into(), ..Plan::default() };
    let mut stack = Stack::start(plan).await;
    let front = Balancer::start(stack.addresses()).await;
    let watcher = |number: usize| {
        Watcher::start(&front.url(), &format!("w{number}"), Transport::ALL[number % Transport::ALL.len()])
    };
    let watchers: Vec<Watcher> = (0..WATCHERS).map(watcher).collect();
    for watcher in &watchers {
        watcher.opened(1).await;
    }
    let mut load = Load::start(&stack, Mix::default()).await;
    load.steady().await;
    let mut sent: Vec<Vec<String>> = vec![Vec::new(); WATCHERS];
    for part in [
        Part::Receiver(0),
        Part::Receiver(1),
        Part::Director(0),
        Part::Director(1),
        Part::Executor(0),
        Part::Distributor(0),
        Part::Distributor(1),
    ] {
        let begun = Instant::now();
        stack.fault(part, Fault::Terminated).await;
        eprintln!("{part} ended in {:?}", begun.elapsed());
        stack.heal(part).await;
        load.more(20).await;
        for (number, sent) in sent.iter_mut().enumerate() {
            sent.push(send(&stack, &format!("w{number}")).await);
        }
        for (watcher, sent) in watchers.iter().zip(&sent) {
            watcher.given(sent).await;
        }
        if matches!(part, Part::Distributor(_)) {
            reconnects_are_spread(&watchers, begun, part);
        }
    }
    load.settle().await.must_balance();
}

/// Looks at when the watchers of an ended distributor were told to go, and when they were back.
fn reconnects_are_spread(watchers: &[Watcher], begun: Instant, part: Part) {
    let since = |at: &Instant| at.checked_duration_since(begun);
    let mut told: Vec<Duration> = Vec::new();
    let mut back: Vec<Duration> = Vec::new();
    for watcher in watchers {
        let noted = watcher.noted();
        // Who is turned away while it comes back was told to go before, and is told nothing of it.
        let mut before = None;
        let connected = noted.interrupted.iter().filter(|(at, _)| {
            let was =
                noted.opened.iter().any(|opened| opened <= at && before.is_none_or(|last| *opened > last));
            before = Some(*at);
            was
        });
        for (at, why) in connected.filter_map(|(at, why)| Some((since(at)?, why))) {
            assert!(why.contains("goes away") || why.contains("going away"), "{part}: {why}");
            told.push(at);
        }
        back.extend(noted.opened.iter().filter_map(since));
    }
    told.sort();
    back.sort();
    let (Some(first), Some(last)) = (told.first(), told.last()) else { panic!("{part} had no watcher") };
    let most_at_once = told
        .iter()
        .map(|from| told.iter().filter(|at| *at >= from && **at < *from + Duration::from_millis(250)).count())
        .max();
    eprintln!(
        "{part}: {} told between {first:?} and {last:?}, at most {most_at_once:?} within 250 ms; \
         back between {:?} and {:?}",
        told.len(),
        back.first(),
        back.last()
    );
    assert!(told.len() < 8 || *last - *first >= SPREAD / 3, "{part}: all told within {:?}", *last - *first);
}
