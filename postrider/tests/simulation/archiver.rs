//! An archiver's process: both stages of every partition it has, around the product's reading and marking. What
//! `stage.rs` does with an async loop is done step by step here.

use std::collections::VecDeque;
use std::rc::Rc;

use postrider_director::archiver::marking::{Answer, Call, Marking, Step};
use postrider_director::archiver::reading::{Offer, Reading};
use rand::Rng as _;
use shared::clock::Timestamp;
use shared::log::{Entry, Fetched};
use shared::record::{self, parked, run};
use shared::registry::{self, Flags as _};
use shared::store::StoredRow;

use super::engines::Engine;
use super::fixture::{ms, partition_id, partition_of};
use super::schedule::{At, Pid};
use super::world::World;

/// How often a stage with nothing to do looks whether its engine still stands where it left it, in milliseconds.
const VERIFY_MS: u64 = 5_000;

/// How long a seek may take to have its effect, in milliseconds.
const SETTLE_MS: u64 = 1_000;

/// Most records moved at a time.
const BATCH: usize = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Flags,
    Rows,
}

/// One stage of one partition.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) pid: Pid,
    pub(crate) kind: Kind,
    pub(crate) partition: usize,
    pub(crate) over: bool,
    reading: Reading,
    /// Where the consumer reads.
    next: u64,
    fetching: bool,
    fetched: u64,
    waiting: VecDeque<Fetched>,
    upto: u64,
    /// A batch, or a question, is under way.
    busy: bool,
    moved_at: u64,
}

/// What is done with the answer of a marking.
type Stood = Box<dyn FnOnce(&mut World, Option<u64>)>;

impl World {
    /// An archiver takes every stage over; the one before is fenced, whatever it still does.
    pub(crate) fn start_archiver(&mut self) {
        let pid = self.schedule.spawn();
        self.archivers.push(pid);
        let before: Vec<usize> = (0..self.stages.len()).collect();
        let notice = self.random_ms(10_000);
        self.after(notice, At::Outside, move |world| {
            before.iter().for_each(|stage| world.stages[*stage].over = true)
        });
        for partition in 0..self.log.partitions.len() {
            for kind in [Kind::Flags, Kind::Rows] {
                let from = self.log.partitions[partition].archived[kind as usize];
                self.stages.push(Stage {
                    pid,
                    kind,
                    partition,
                    over: false,
                    reading: Reading::new(from, ms(SETTLE_MS)),
                    next: from,
                    fetching: false,
                    fetched: self.schedule.now,
                    waiting: VecDeque::new(),
                    upto: 0,
                    busy: true,
                    moved_at: self.schedule.now,
                });
                let stage = self.stages.len() - 1;
                self.say(|| format!("stage {stage} begins: {kind:?} of partition {partition}"));
                self.begin_stage(stage);
                self.watch_stage(stage);
                if kind == Kind::Flags {
                    self.sweep_stage(stage);
                }
            }
        }
        self.expire_later(pid);
    }

    fn stage_at(&self, stage: usize) -> At {
        At::Socket(self.stages[stage].pid)
    }

    fn while_staged(stage: usize) -> Rc<dyn Fn(&World) -> bool> {
        Rc::new(move |world| !world.stages[stage].over)
    }

    /// Finds out where the stage stands, and reads from there.
    fn begin_stage(&mut self, stage: usize) {
        self.stages[stage].busy = true;
        self.stand(
            stage,
            Box::new(move |world, upto| match upto {
                Some(upto) => world.stage_stands(stage, upto),
                None => world.begin_stage_again(stage),
            }),
        );
    }

    fn begin_stage_again(&mut self, stage: usize) {
        let pause = 10 + self.random_ms(1_000);
        let at = At::Timer(self.stages[stage].pid);
        self.after(pause, at, move |world| world.begin_stage(stage));
    }

    fn stand(&mut self, stage: usize, stood: Stood) {
        let partition = self.stages[stage].partition;
        match self.stages[stage].kind {
            Kind::Flags => self.carry_marking(stage, Marking::begin(), stood),
            Kind::Rows => {
                let read = move |world: &mut World| world.store.archived[partition];
                let wanted = Self::while_staged(stage);
                self.persist(self.stage_at(stage), Engine::Store, wanted, Rc::new(read), |world, upto| {
                    stood(world, Some(upto));
                });
            }
        }
    }

    /// Carries out a piece of the flags stage, call by call.
    fn carry_marking(&mut self, stage: usize, (mut marking, call): (Marking, Call), stood: Stood) {
        let partition = self.stages[stage].partition;
        let engine = match call {
            Call::FlaggedUpto | Call::Mark(_) | Call::Advance { .. } => Engine::Registry,
            Call::ArchivedUpto | Call::Recipients(_) => Engine::Store,
        };
        self.say(|| format!("stage {stage} asks {call:?}"));
        let ask = move |world: &mut World| world.ask_for_marking(partition, &call);
        let wanted = Self::while_staged(stage);
        self.persist(self.stage_at(stage), engine, wanted, Rc::new(ask), move |world, answer| match marking
            .answer(answer)
        {
            Step::Call(next) => world.carry_marking(stage, (marking, next), stood),
            Step::Stands(upto) => stood(world, Some(upto)),
            Step::Conflict => stood(world, None),
        });
    }

    fn ask_for_marking(&mut self, partition: usize, call: &Call) -> Answer {
        let id = partition_id(partition);
        let unmet = |error: registry::Error| match error {
            registry::Error::Conflict => Answer::Conflict,
            other @ (registry::Error::Unavailable(_) | registry::Error::Rejected(_)) => {
                unreachable!("the registry in memory says {other}")
            }
        };
        match call {
            Call::FlaggedUpto => {
                self.ask_registry(self.registry.flagged_upto(id)).map_or_else(unmet, Answer::Upto)
            }
            Call::ArchivedUpto => Answer::Upto(Some(self.store.archived[partition])),
            Call::Recipients(after) => {
                let here = |recipient: &_| {
                    partition_of(recipient) == partition
                        && after.as_ref().is_none_or(|after| recipient > after)
                };
                Answer::Recipients(self.store.recipients(here).into_iter().take(1).collect())
            }
            Call::Mark(marks) => {
                self.ask_registry(self.registry.mark(marks)).map_or_else(unmet, |()| Answer::Done)
            }
            Call::Advance { from, to } => {
                self.ask_registry(self.registry.advance(id, *from, *to)).map_or_else(unmet, |()| Answer::Done)
            }
        }
    }

    /// The stage stands at `upto`: reads on from there.
    fn stage_stands(&mut self, stage: usize, upto: u64) {
        let now = self.instant();
        self.say(|| format!("stage {stage} stands at {upto}"));
        let state = &mut self.stages[stage];
        (state.busy, state.upto, state.moved_at) = (false, upto, self.schedule.now);
        if state.reading.seek(upto, now) {
            self.seek(stage, upto);
        }
        self.stage_finished(stage, upto);
        self.fetch_soon(stage);
        self.gather(stage);
    }

    /// The group believes only who came last.
    fn stage_finished(&mut self, stage: usize, upto: u64) {
        let Stage { kind, partition, over, .. } = self.stages[stage];
        let latest = self.stages.iter().rposition(|other| other.kind == kind && other.partition == partition);
        if !over && latest == Some(stage) {
            self.log.partitions[partition].archived[kind as usize] = upto;
        }
    }

    /// The consumer reads from elsewhere after a while; what is on its way still comes.
    fn seek(&mut self, stage: usize, to: u64) {
        let pause = self.random_ms(SETTLE_MS - 100);
        self.after(pause, self.stage_at(stage), move |world| {
            world.stages[stage].next = to;
            world.fetch_soon(stage);
        });
    }

    /// There may be something to fetch.
    pub(crate) fn fetch_soon(&mut self, stage: usize) {
        if self.stages[stage].over || std::mem::replace(&mut self.stages[stage].fetching, true) {
            return;
        }
        let pause = self.hop();
        self.after(pause, self.stage_at(stage), move |world| {
            let state = &mut world.stages[stage];
            state.fetching = false;
            let found = world.log.partitions[state.partition].parked.entries.range(state.next..).take(2);
            let partition = partition_id(state.partition);
            let timestamp = Timestamp::from_millis(world.schedule.now);
            let records: Vec<Fetched> = found
                .map(|(offset, entry)| Fetched {
                    partition,
                    offset: *offset,
                    timestamp,
                    entry: entry.clone(),
                })
                .collect();
            let Some(last) = records.last() else { return };
            state.next = last.offset + 1;
            let hop = world.hop();
            let time = world.stages[stage].fetched.max(world.schedule.now + hop);
            world.stages[stage].fetched = time;
            world.at(time, world.stage_at(stage), move |world| {
                world.stages[stage].waiting.extend(records);
                world.gather(stage);
            });
            world.fetch_soon(stage);
        });
    }

    /// Takes what was asked for into the next batch, and moves it.
    fn gather(&mut self, stage: usize) {
        let now = self.instant();
        let state = &mut self.stages[stage];
        if state.busy || state.over {
            return;
        }
        let (mut batch, mut seeks) = (Vec::new(), Vec::new());
        while batch.len() < BATCH
            && let Some(record) = state.waiting.pop_front()
        {
            match state.reading.offer(record.offset, now) {
                Offer::Take => batch.push(record),
                Offer::Skip => {}
                Offer::Seek(offset) => seeks.push(offset),
            }
        }
        for offset in seeks {
            self.seek(stage, offset);
        }
        let Some(to) = batch.last().map(|record| record.offset + 1) else { return };
        let from = self.stages[stage].upto;
        self.stages[stage].busy = true;
        self.shift(stage, batch, (from, to));
    }

    fn shift(&mut self, stage: usize, batch: Vec<Fetched>, (from, to): (u64, u64)) {
        let partition = self.stages[stage].partition;
        let shifted = move |world: &mut World, done: bool| {
            if !done {
                world.say(|| format!("stage {stage} finds a conflict"));
                return world.begin_stage_again(stage);
            }
            let now = world.schedule.now;
            let state = &mut world.stages[stage];
            (state.busy, state.upto, state.moved_at) = (false, to, now);
            world.stage_finished(stage, to);
            world.gather(stage);
        };
        match self.stages[stage].kind {
            Kind::Flags => {
                let stood = move |world: &mut World, upto: Option<u64>| shifted(world, upto.is_some());
                self.carry_marking(stage, Marking::shift(&batch, from, to), Box::new(stood));
            }
            Kind::Rows => {
                let rows: Vec<StoredRow> = batch.iter().flat_map(rows_of).collect();
                let archive = move |world: &mut World| {
                    let now = Timestamp::from_millis(world.schedule.now);
                    let archived = world.store.archive(partition, (from, to), &rows, now);
                    world.say(|| {
                        format!("store archives {from}..{to} of partition {partition}: {archived:?}")
                    });
                    archived.is_ok()
                };
                let wanted = Self::while_staged(stage);
                self.persist(self.stage_at(stage), Engine::Store, wanted, Rc::new(archive), shifted);
            }
        }
    }

    /// With nothing to move, nothing would show that the engine has lost its content.
    fn watch_stage(&mut self, stage: usize) {
        let at = At::Timer(self.stages[stage].pid);
        self.after(VERIFY_MS, at, move |world| {
            let state = &mut world.stages[stage];
            if state.over {
                return;
            }
            let quiet = !state.busy && state.moved_at + VERIFY_MS <= world.schedule.now;
            if quiet {
                state.busy = true;
                let stood = move |world: &mut World, upto: Option<u64>| {
                    if upto != Some(world.stages[stage].upto) {
                        return world.begin_stage_again(stage);
                    }
                    world.stages[stage].busy = false;
                    world.gather(stage);
                };
                world.stand(stage, Box::new(stood));
            }
            world.watch_stage(stage);
        });
    }

    /// Marks again whoever has rows, again and again.
    fn sweep_stage(&mut self, stage: usize) {
        let pause = 20_000 + self.random_ms(40_000);
        self.after(pause, At::Timer(self.stages[stage].pid), move |world| {
            if !world.stages[stage].over {
                world.carry_marking(stage, Marking::sweep(), Box::new(|_, _| {}));
                world.sweep_stage(stage);
            }
        });
    }

    fn expire_later(&mut self, pid: Pid) {
        let pause = self.random.random_range(15_000..45_000);
        self.after(pause, At::Timer(pid), move |world| {
            let expire = |world: &mut World| {
                let now = Timestamp::from_millis(world.schedule.now);
                world.store.expire(now, partition_of);
            };
            world.call(At::Socket(pid), Engine::Store, expire, |_, _| {});
            world.expire_later(pid);
        });
    }
}

fn rows_of(fetched: &Fetched) -> Vec<StoredRow> {
    let row = |copy: Entry| {
        let position = parked::position(&copy).expect("parked by a worker");
        let (_, notification) = record::decode(&copy).expect("parked by a worker");
        StoredRow { position, notification }
    };
    run::unpack(&fetched.entry).expect("parked by a worker").into_iter().map(row).collect()
}
