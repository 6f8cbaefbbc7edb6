//! Everything at random: parts are hurt one after the other, in every way they can be, at moments that a seed decides.
//! `POSTRIDER_SEED` repeats a schedule, which is printed.

use std::fmt;
use std::time::Duration;

use rand::Rng;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;

use crate::stack::load::{Load, Mix};
use crate::stack::{Engines, Fault, Line, Part, Plan, Scale, Stack, seed};

/// One fault of a schedule.
#[derive(Clone, Copy, Debug)]
struct Step {
    /// How long all is well before it.
    pause: Duration,
    part: Part,
    fault: Fault,
    /// How long it lasts.
    length: Duration,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pause, part, fault, length } = self;
        write!(f, "after {pause:.1?}: {part} {fault:?} for {length:.1?}")
    }
}

const SLOW: Line = Line {
    latency: Duration::from_millis(200),
    jitter: Duration::from_millis(200),
    bytes_per_second: 200_000,
};

/// What can happen: each kind of service and engine as likely as the other.
fn draw(random: &mut impl Rng, plan: &Plan) -> (Part, Fault) {
    let kinds: &[fn(usize) -> Part] = &[
        Part::Receiver,
        Part::Director,
        Part::Distributor,
        Part::Executor,
        Part::Broker,
        |_only| Part::Redis,
        |_only| Part::Postgres,
    ];
    let brokers = match plan.kafka {
        Engines::Own { brokers } | Engines::Proxied { brokers } => brokers,
        Engines::Shared | Engines::Fenced | Engines::SmallDisk { .. } => 0,
    };
    loop {
        let kind = kinds.choose(random).unwrap();
        let count = match kind(0) {
            Part::Receiver(_) => plan.receivers,
            Part::Director(_) => plan.directors,
            Part::Distributor(_) => plan.distributors,
            Part::Executor(_) => plan.executors,
            Part::Broker(_) => brokers,
            Part::Redis | Part::Postgres => 1,
            Part::Kafka | Part::Link(_) => 0,
        };
        if count > 0 {
            let part = kind(random.random_range(0..count));
            return (part, *faults_of(part).choose(random).unwrap());
        }
    }
}

fn faults_of(part: Part) -> &'static [Fault] {
    match part {
        Part::Receiver(_) | Part::Director(_) | Part::Distributor(_) | Part::Executor(_) => {
            &[Fault::Killed, Fault::Frozen, Fault::Terminated]
        }
        Part::Kafka | Part::Broker(_) => &[Fault::Killed, Fault::Frozen],
        Part::Redis => &[
            Fault::Killed,
            Fault::Frozen,
            Fault::Wiped,
            Fault::OutOfMemory,
            Fault::FailedOver,
            Fault::BlackHoled,
            Fault::Reset,
            Fault::Slow(SLOW),
        ],
        Part::Postgres => &[Fault::Killed, Fault::Frozen, Fault::BlackHoled, Fault::Reset, Fault::Slow(SLOW)],
        Part::Link(_) => &[Fault::BlackHoled, Fault::Reset, Fault::Slow(SLOW)],
    }
}

/// Faults one after the other until `total` is over.
fn schedule(random: &mut impl Rng, plan: &Plan, total: Duration, longest: Duration) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut at = Duration::ZERO;
    while at < total {
        let (part, fault) = draw(random, plan);
        let pause = longest.mul_f64(random.random_range(0.1..0.5));
        let length = longest.mul_f64(random.random_range(0.1..1.0));
        at += pause + length;
        steps.push(Step { pause, part, fault, length });
    }
    steps
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_happens_to_whichever_part_nothing_is_lost() {
    let scale = Scale::of_this_run();
    let count = scale.of(2, 3);
    let plan = Plan {
        receivers: 2,
        directors: count,
        distributors: count,
        kafka: scale.of(Engines::Shared, Engines::Own { brokers: 3 }),
        redis: Engines::PROXIED,
        postgres: Engines::PROXIED,
        settings_of: (0..count).map(|one| (Part::Director(one), "kafka.session_timeout_ms=6000")).collect(),
        ..Plan::default()
    };
    let total = scale.of(Duration::from_secs(12), Duration::from_secs(30 * 60));
    let longest = scale.of(Duration::from_secs(3), Duration::from_secs(60));
    let seed = seed();
    let steps = schedule(&mut StdRng::seed_from_u64(seed), &plan, total, longest);
    steps.iter().for_each(|step| eprintln!("{step}"));

    let mut stack = Stack::start(plan).await;
    let mut load = Load::start(&stack, Mix { seed: Some(seed), ..Mix::default() }).await;
    load.steady().await;
    for Step { pause, part, fault, length } in steps {
        tokio::time::sleep(pause).await;
        stack.fault(part, fault).await;
        tokio::time::sleep(length).await;
        stack.heal(part).await;
    }
    load.settle().await.must_balance();
}

#[test]
fn a_seed_repeats_its_schedule() {
    let plan = Plan { kafka: Engines::Own { brokers: 3 }, directors: 3, ..Plan::default() };
    let draw = |seed: u64| {
        let (total, longest) = (Duration::from_secs(1800), Duration::from_secs(60));
        let steps = schedule(&mut StdRng::seed_from_u64(seed), &plan, total, longest);
        steps.iter().map(Step::to_string).collect::<Vec<_>>()
    };
    assert_eq!(draw(7), draw(7));
    assert_ne!(draw(7), draw(8));
    assert!(draw(7).len() > 20);
}
