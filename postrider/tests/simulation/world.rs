//! The world: one seed, one plan, one clock. Everything that happens is an act of the schedule.

use std::sync::Arc;
use std::time::Instant;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use shared::clock::{ManualClock, Timestamp};
use shared::log::Entry;
use shared::outcome::ParkReason;
use shared::record::{self, parked, run};
use shared::registry::memory::Registry;

use postrider_director::lane::Run;
use postrider_director::routing::Record;

use super::archiver::Stage;
use super::device::{Connection, Device};
use super::director::Director;
use super::engines::{Health, Log, Partition, Store};
use super::fixture::{BEGIN_MS, PARTITIONS, ms, notification, partition_of, recipient};
use super::judge::{Accepted, Judge, Kind};
use super::link::Stream;
use super::node::Node;
use super::plan::{Plan, Settings};
use super::schedule::{Act, At, Pid, Schedule};
use super::worker::Worker;

/// How long after the last trouble everything must have ended, in milliseconds. The longest chain: a verdict that never
/// comes (20 s) parks a record of which nobody is told, so the node's sweep finds it (up to 30 s), a client that had just
/// been lost is noticed (40 s), and retries of each in between.
pub(crate) const SETTLES_MS: u64 = 180_000;

/// Whether what happens is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tracing {
    On,
    Off,
}

/// How a run went.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) problems: Vec<String>,
    pub(crate) trace: Vec<String>,
    pub(crate) frames: u64,
    pub(crate) parked: usize,
    pub(crate) gates_filled: u64,
    /// How long after the last trouble nothing was left, in milliseconds.
    pub(crate) settled_after: Option<u64>,
}

/// See the module.
pub(crate) struct World {
    pub(crate) schedule: Schedule,
    pub(crate) random: StdRng,
    pub(crate) settings: Settings,
    pub(crate) begin: Instant,
    pub(crate) faulty: bool,
    pub(crate) log: Log,
    pub(crate) store: Store,
    clock: Arc<ManualClock>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) registry_health: Health,
    pub(crate) directors: Vec<Director>,
    pub(crate) workers: Vec<Worker>,
    pub(crate) streams: Vec<Stream>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) sessions: u64,
    pub(crate) archivers: Vec<Pid>,
    pub(crate) stages: Vec<Stage>,
    pub(crate) devices: Vec<Device>,
    pub(crate) connections: Vec<Connection>,
    pub(crate) judge: Judge,
    published: u64,
    tracing: Tracing,
    trace: std::cell::RefCell<Vec<String>>,
    problems: Vec<String>,
}

impl World {
    fn new(plan: &Plan, tracing: Tracing) -> Self {
        let clock = Arc::new(ManualClock::at(Timestamp::from_millis(BEGIN_MS)));
        let device = |(of, style, picky): &(usize, _, bool)| {
            let mut device = Device::new(*of, *style);
            device.picky = *picky;
            device
        };
        Self {
            schedule: Schedule::starting_at(BEGIN_MS),
            random: StdRng::seed_from_u64(!plan.seed ^ plan.salt),
            settings: plan.settings,
            begin: Instant::now(),
            faulty: true,
            log: Log {
                health: Health::Well,
                partitions: (0..PARTITIONS).map(|_| Partition::default()).collect(),
            },
            store: Store { archived: vec![0; PARTITIONS], ..Store::default() },
            registry: Registry::new(clock.clone()),
            clock,
            registry_health: Health::Well,
            directors: Vec::new(),
            workers: Vec::new(),
            streams: Vec::new(),
            nodes: Vec::new(),
            sessions: 0,
            archivers: Vec::new(),
            stages: Vec::new(),
            devices: plan.devices.iter().map(device).collect(),
            connections: Vec::new(),
            judge: Judge::default(),
            published: 0,
            tracing,
            trace: std::cell::RefCell::default(),
            problems: Vec::new(),
        }
    }

    /// Carries a plan out; all that happens follows from it.
    pub(crate) fn run(plan: &Plan, tracing: Tracing) -> Outcome {
        let mut world = Self::new(plan, tracing);
        let directors = [world.start_director(), world.start_director()];
        world.start_node();
        world.start_node();
        world.start_archiver();
        for partition in 0..PARTITIONS {
            world.assign(partition, directors[partition % directors.len()]);
        }
        for (time, action) in plan.actions.clone() {
            world.at(time, At::Outside, move |world| world.act_out(action));
        }
        world.pass_until(plan.heals_at);
        world.pass_until(world.schedule.thawed_at());
        if world.problems.is_empty() {
            world.heal();
        }
        let settled_after = world.settle();
        let trace = world.trace.take();
        Outcome {
            problems: world.problems,
            trace,
            frames: world.judge.frames,
            parked: world.judge.parked.len(),
            gates_filled: world.judge.gates_filled,
            settled_after,
        }
    }

    /// Lets things happen until `time`, or until something is wrong.
    fn pass_until(&mut self, time: u64) {
        while self.problems.is_empty()
            && let Some(act) = self.schedule.next(time)
        {
            let passed = self.schedule.now - self.clock_ms();
            self.clock.advance(ms(passed));
            act(self);
        }
        self.schedule.now = self.schedule.now.max(time);
    }

    fn clock_ms(&self) -> u64 {
        use shared::clock::Clock as _;
        self.clock.now().as_millis()
    }

    fn settle(&mut self) -> Option<u64> {
        let healed_at = self.schedule.now;
        while self.problems.is_empty() {
            self.pass_until(self.schedule.now + 500);
            let (after, left) = (self.schedule.now - healed_at, self.leftovers());
            if self.problems.is_empty() && left.is_empty() {
                return Some(after);
            }
            if after > SETTLES_MS {
                self.problems.extend(left.into_iter().map(|left| format!("{SETTLES_MS} ms after: {left}")));
            }
        }
        None
    }

    /// Notes that something is wrong.
    pub(crate) fn object(&mut self, what: String) {
        self.say(|| format!("!!! {what}"));
        self.problems.push(what);
    }

    /// Writes a line of the trace.
    pub(crate) fn say(&self, line: impl FnOnce() -> String) {
        if self.tracing == Tracing::On {
            let passed = self.schedule.now - BEGIN_MS;
            self.trace.borrow_mut().push(format!("{:>4}.{:03} {}", passed / 1000, passed % 1000, line()));
        }
    }

    pub(crate) fn at(&mut self, time: u64, at: At, act: impl FnOnce(&mut World) + 'static) {
        let act: Act = Box::new(act);
        self.schedule.enter(time, at, act);
    }

    pub(crate) fn after(&mut self, millis: u64, at: At, act: impl FnOnce(&mut World) + 'static) {
        self.at(self.schedule.now + millis, at, act);
    }

    pub(crate) fn instant(&self) -> Instant {
        self.begin + ms(self.schedule.now)
    }

    /// How long something takes in the network.
    pub(crate) fn hop(&mut self) -> u64 {
        let usual = self.settings.hop_ms;
        match self.random.random_range(0..100) {
            0..85 => self.random.random_range(0..=usual),
            85..98 => self.random.random_range(0..=usual * 10),
            _ if self.faulty => self.random.random_range(0..3_000),
            _ => self.random.random_range(0..=usual),
        }
    }

    pub(crate) fn random_ms(&mut self, below: u64) -> u64 {
        self.random.random_range(0..below.max(1))
    }

    pub(crate) fn chance(&mut self, percent: u32) -> bool {
        self.random.random_range(0..100) < percent
    }

    fn offset_gap(&mut self) -> u64 {
        if self.chance(15) { self.random.random_range(1..4) } else { 0 }
    }

    /// A producer's record stands on the log.
    pub(crate) fn publish(&mut self, of: usize, ttl: u64, urgent: bool, kind: Kind) {
        let (now, whom) = (self.schedule.now, recipient(of));
        let partition = partition_of(&whom);
        self.published += 1;
        let notification = notification(self.published, &whom, now, ttl, urgent);
        let id = notification.id.as_str().to_owned();
        let mut entry = record::encode(&notification);
        if kind == Kind::Poison {
            entry.headers.clear();
        }
        let gap = self.offset_gap();
        let offset = self.log.partitions[partition].notifications.append(entry, gap);
        self.say(|| format!("{id} is accepted for {whom} at {partition}/{offset}, {kind:?}, ttl {ttl}"));
        self.judge
            .accepted
            .insert((partition, offset), Accepted { recipient: of, id, expires: now + ttl, kind });
        for worker in 0..self.workers.len() {
            if self.workers[worker].partition == partition {
                self.pump_soon(worker);
            }
        }
    }

    /// `parked` takes a run as one record; one that is too large, record by record, and some of them never. Answers
    /// where each copy stands.
    pub(crate) fn append_run(&mut self, run: &Run) -> Vec<Option<u64>> {
        if run.iter().any(|(record, _)| self.is_unparkable(record)) {
            let mut answers = Vec::new();
            for copy in run {
                answers.push(self.append_parked(std::slice::from_ref(copy)));
                if answers.ends_with(&[None]) {
                    break;
                }
            }
            return answers;
        }
        vec![self.append_parked(run); run.len()]
    }

    fn is_unparkable(&self, record: &Record) -> bool {
        let place = (record.position.partition.0 as usize, record.position.offset);
        self.judge.accepted.get(&place).is_some_and(|accepted| accepted.kind == Kind::Unparkable)
    }

    fn append_parked(&mut self, copies: &[(Arc<Record>, ParkReason)]) -> Option<u64> {
        if copies.iter().any(|(record, _)| self.is_unparkable(record)) {
            return None;
        }
        let encode = |(record, reason): &(Arc<Record>, ParkReason)| {
            parked::encode(&record.entry, record.position, *reason)
        };
        let mut entries: Vec<Entry> = copies.iter().map(encode).collect();
        let entry = if entries.len() == 1 { entries.remove(0) } else { run::pack(&entries) };
        let partition = copies.first()?.0.position.partition.0 as usize;
        let gap = self.offset_gap();
        let offset = self.log.partitions[partition].parked.append(entry, gap);
        for (record, _) in copies {
            let place = (partition, record.position.offset);
            self.judge.parked.insert(place);
            self.say(|| format!("{place:?} stands on parked at {offset}"));
        }
        for stage in 0..self.stages.len() {
            if self.stages[stage].partition == partition {
                self.fetch_soon(stage);
            }
        }
        Some(offset)
    }

    pub(crate) fn append_dead(&mut self, partition: usize, offsets: &[u64]) {
        self.judge.dead.extend(offsets.iter().map(|offset| (partition, *offset)));
    }
}
