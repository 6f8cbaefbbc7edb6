//! What is done to the world, and when: drawn from the seed before anything happens, so that a failing run can be cut
//! down to what it needs. Each run draws which kinds of trouble it has at all, so that runs differ.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use std::time::Duration;

use postrider_director::Config;
use postrider_director::lane;

use super::device::Style;
use super::engines::{Engine, Health};
use super::fixture::BEGIN_MS;
use super::judge::Kind;

/// Limits, small enough that each is met.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) in_flight: usize,
    pub(crate) parked_memory: usize,
    /// Of how many recipients the routes are remembered.
    pub(crate) remembered: usize,
    pub(crate) floor_records: usize,
    pub(crate) run: usize,
    pub(crate) window: u32,
    pub(crate) gate_records: usize,
    pub(crate) page_rows: u32,
    pub(crate) sweep_ms: u64,
    /// Acknowledgements by cursor name no session.
    pub(crate) shared_acknowledgements: bool,
    /// How long a hop in the network takes at most, usually, in milliseconds.
    pub(crate) hop_ms: u64,
}

impl Settings {
    pub(crate) fn lanes(&self) -> lane::Settings {
        let mut settings = Config::default().lanes();
        settings.parked_memory = self.parked_memory;
        settings.known.recipients = self.remembered;
        settings.run.records = self.run;
        settings.fairness.records = self.in_flight;
        settings.fairness.floor_records = self.floor_records;
        settings.verdict_deadline = Duration::from_secs(20);
        settings
    }
}

/// One thing that is done. Numbers that choose among what there is are taken modulo its count.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Action {
    Publish {
        recipient: usize,
        ttl: u64,
        urgent: bool,
        kind: Kind,
    },
    Online(usize),
    Leave(usize),
    Break(usize),
    /// Comes back with an older cursor.
    Forget(usize),
    /// Comes back with the cursor of another device of its recipient.
    Copy(usize, usize),
    /// Comes back by another transport.
    Hop(usize, Style),
    Slow(usize),
    CrashDirector(usize),
    FreezeDirector(usize, u64),
    MovePartition {
        partition: usize,
        to: usize,
        drained: bool,
    },
    CrashNode(usize),
    FreezeNode(usize, u64),
    LoseStream(usize),
    NewArchiver {
        crash: bool,
    },
    FreezeArchiver(u64),
    Ail(Engine, Health, u64),
    WipeRegistry,
}

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    /// Another one makes the same plan go another way.
    pub(crate) salt: u64,
    pub(crate) settings: Settings,
    pub(crate) recipients: usize,
    /// Recipient and transport of each, and whether it refuses some.
    pub(crate) devices: Vec<(usize, Style, bool)>,
    pub(crate) actions: Vec<(u64, Action)>,
    /// From here on nothing goes wrong any more.
    pub(crate) heals_at: u64,
}

const STYLES: [Style; 4] = [Style::WebSocket, Style::EventSource, Style::EventSourceAcks, Style::Poll];

impl Plan {
    pub(crate) fn draw(seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let random = &mut random;
        let settings = Settings {
            in_flight: random.random_range(2..12),
            parked_memory: random.random_range(1..4),
            remembered: seed as usize % 4,
            floor_records: random.random_range(1..6),
            run: random.random_range(1..5),
            window: random.random_range(1..5),
            gate_records: random.random_range(1..5),
            page_rows: random.random_range(1..4),
            sweep_ms: random.random_range(10_000..30_000),
            shared_acknowledgements: random.random_bool(0.3),
            hop_ms: *[5, 40, 200].choose(random).expect("some"),
        };
        let recipients = random.random_range(1..4);
        let picky = random.random_bool(0.3);
        let mut devices = Vec::new();
        for recipient in 0..recipients {
            for _device in 0..*[1, 1, 2, 2, 3].choose(random).expect("some") {
                let style = *STYLES.choose(random).expect("some");
                devices.push((recipient, style, picky && random.random_bool(0.5)));
            }
        }
        let length = random.random_range(20_000..120_000);
        let heals_at = BEGIN_MS + length;
        let mut plan = Self { seed, salt: 0, settings, recipients, devices, actions: Vec::new(), heals_at };
        plan.draw_actions(random, length);
        plan
    }

    fn draw_actions(&mut self, random: &mut StdRng, length: u64) {
        let short_lived = random.random_bool(0.4);
        let odd = random.random_bool(0.2);
        for _record in 0..random.random_range(5..30) {
            let time = random.random_range(0..length);
            let publish = self.draw_record(random, short_lived, odd);
            self.add(time, publish);
        }
        for device in 0..self.devices.len() {
            if random.random_bool(0.7) {
                self.add(random.random_range(0..length / 2), Action::Online(device));
            }
        }
        // Which troubles this run knows.
        let known: Vec<u32> = (0..KINDS).filter(|_| random.random_bool(0.4)).collect();
        if known.is_empty() {
            return;
        }
        for _trouble in 0..random.random_range(0..length / 2_000) {
            let kind = *known.choose(random).expect("some");
            let (time, action) = (random.random_range(0..length), self.draw_trouble(kind, random));
            self.add(time, action);
        }
        self.actions.sort_by_key(|(time, _)| *time);
    }

    fn add(&mut self, time: u64, action: Action) {
        self.actions.push((BEGIN_MS + time, action));
    }

    fn draw_record(&self, random: &mut StdRng, short_lived: bool, odd: bool) -> Action {
        let brief = short_lived && random.random_bool(0.5);
        let ttl = if brief { random.random_range(500..40_000) } else { 3_600_000 };
        let kind = match random.random_range(0..10) {
            0 if odd => Kind::Poison,
            1 if odd => Kind::Unparkable,
            _ => Kind::Good,
        };
        Action::Publish {
            recipient: random.random_range(0..self.recipients),
            ttl,
            urgent: random.random_bool(0.2),
            kind,
        }
    }

    fn draw_trouble(&self, kind: u32, random: &mut StdRng) -> Action {
        let any = random.random_range(0..1_000);
        let device = random.random_range(0..self.devices.len());
        let long = *[2_000, 9_000, 14_000, 25_000].choose(random).expect("some");
        match kind {
            0 => Action::Leave(device),
            1 => Action::Break(device),
            2 => Action::Forget(device),
            3 => Action::Copy(device, any),
            4 => Action::Hop(device, *STYLES.choose(random).expect("some")),
            5 => Action::Slow(device),
            6 => Action::CrashDirector(any),
            7 => Action::FreezeDirector(any, long),
            8 => Action::MovePartition { partition: any, to: any / 7, drained: true },
            9 => Action::MovePartition { partition: any, to: any / 7, drained: false },
            10 => Action::CrashNode(any),
            11 => Action::FreezeNode(any, long),
            12 | 13 => Action::LoseStream(any),
            14 => Action::NewArchiver { crash: random.random_bool(0.5) },
            15 => Action::FreezeArchiver(long),
            16 => Action::Ail(Engine::Registry, Health::Away, long),
            17 => Action::Ail(Engine::Registry, Health::Flaky, long),
            18 => Action::WipeRegistry,
            19 => Action::Ail(Engine::Store, Health::Away, long),
            20 => Action::Ail(Engine::Store, Health::Flaky, long),
            21 => Action::Ail(Engine::Log, Health::Away, long / 2),
            22 => Action::Ail(Engine::Log, Health::Flaky, long),
            _ => Action::Online(device),
        }
    }
}

/// Kinds of trouble.
const KINDS: u32 = 24;
