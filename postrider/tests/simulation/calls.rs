//! The calls that a worker has under way beside its steps: `director/src/worker/calls.rs`, step by step.

use std::rc::Rc;
use std::sync::Arc;

use postrider_director::lane::{Input, Run};
use postrider_director::routing::Undeliverable;
use shared::outcome::{DeadReason, End};
use shared::recipient::Recipient;
use shared::registry::Routes as _;

use super::engines::Engine;
use super::worker::{BATCH, Question};
use super::world::World;

/// Kinds of calls of which one is under way at a time.
const ASKING: usize = 0;
const PARKING: usize = 1;
const BURYING: usize = 2;
const UNREGISTERING: usize = 3;
const HEARING: usize = 4;

/// The shortest pause before a question for news, in milliseconds.
const NEWS_MS: u64 = 20;

impl World {
    /// Starts every call that has something to do and is not under way.
    pub(crate) fn start_calls(&mut self, worker: usize) {
        if self.workers[worker].over {
            return;
        }
        self.ask(worker);
        self.park(worker);
        self.bury(worker);
        self.unregister(worker);
        self.hear_news(worker);
        self.flush(worker);
    }

    fn hear_news(&mut self, worker: usize) {
        let unproved = self.workers[worker].lanes.as_mut().and_then(|lanes| lanes.unproved());
        let Some(upto) = unproved.filter(|_| self.begins(worker, HEARING, 1)) else { return };
        let (pause, at) = (self.random_ms(NEWS_MS), self.worker_at(worker));
        self.after(pause, at, move |world| {
            let mark = world.workers[worker].heard.clone();
            let read = move |world: &mut World| world.ask_registry(world.registry.entered(&mark)).ok();
            world.call(at, Engine::Registry, read, move |world, answer| {
                world.workers[worker].busy[HEARING] = false;
                match answer.flatten() {
                    Some((news, mark)) => {
                        world.workers[worker].heard = mark;
                        world.step_lanes(worker, Input::Entered(Arc::new(news)));
                        world.step_lanes(worker, Input::Proved(upto));
                    }
                    // One that failed several times in a row is not even asked for a while.
                    None if world.chance(40) => world.step_lanes(worker, Input::Unprovable),
                    None => {}
                }
                world.start_calls(worker);
            });
        });
    }

    /// Whether a call of this kind begins now.
    fn begins(&mut self, worker: usize, kind: usize, waiting: usize) -> bool {
        waiting > 0 && !std::mem::replace(&mut self.workers[worker].busy[kind], true)
    }

    fn ask(&mut self, worker: usize) {
        if !self.begins(worker, ASKING, self.workers[worker].questions.len()) {
            return;
        }
        let questions = &mut self.workers[worker].questions;
        let batch: Vec<Question> = questions.drain(..questions.len().min(BATCH)).collect();
        let of = |question: &Question| match question {
            Question::Lookup(recipient) | Question::Look(recipient) => recipient.clone(),
        };
        let recipients: Vec<Recipient> = batch.iter().map(of).collect();
        let at = self.worker_at(worker);
        let lookup = move |world: &mut World| world.ask_registry(world.registry.lookup(&recipients)).ok();
        self.call(at, Engine::Registry, lookup, move |world, answer| {
            world.workers[worker].busy[ASKING] = false;
            // One that failed several times in a row is not even asked for a while.
            let is_away = answer.is_none() && world.chance(40);
            let mut answers = answer.flatten().map(Vec::into_iter);
            for question in batch {
                let routes = answers.as_mut().and_then(Iterator::next);
                world.step_lanes(
                    worker,
                    match question {
                        Question::Lookup(recipient) if is_away => Input::Away(recipient),
                        Question::Lookup(recipient) => Input::Routed(recipient, routes),
                        Question::Look(recipient) => Input::Looked(recipient, routes),
                    },
                );
            }
            world.start_calls(worker);
        });
    }

    fn park(&mut self, worker: usize) {
        if !self.begins(worker, PARKING, self.workers[worker].parking.len()) {
            return;
        }
        let parking = &mut self.workers[worker].parking;
        let batch: Vec<Run> = parking.drain(..parking.len().min(BATCH)).collect();
        let runs = batch.clone();
        let append = move |world: &mut World| -> Vec<Vec<Option<u64>>> {
            runs.iter().map(|run| world.append_run(run)).collect()
        };
        let wanted = self.while_working(worker);
        self.persist(self.worker_at(worker), Engine::Log, wanted, Rc::new(append), move |world, answers| {
            world.workers[worker].busy[PARKING] = false;
            let answered = batch.iter().zip(answers).flat_map(|(run, answers)| run.iter().zip(answers));
            for ((record, _), answer) in answered {
                let offset = record.position.offset;
                world.step_lanes(
                    worker,
                    match answer {
                        Some(parked) => Input::Parked { offset, parked },
                        None => Input::Unparkable(offset, DeadReason::TooLarge("too large".into())),
                    },
                );
            }
            world.start_calls(worker);
        });
    }

    fn bury(&mut self, worker: usize) {
        if !self.begins(worker, BURYING, self.workers[worker].burying.len()) {
            return;
        }
        let batch: Vec<Undeliverable> = self.workers[worker].burying.drain(..).collect();
        let partition = self.workers[worker].partition;
        let offsets: Vec<u64> = batch.iter().map(|record| record.letter.position.offset).collect();
        let append = move |world: &mut World| world.append_dead(partition, &offsets);
        let wanted = self.while_working(worker);
        self.persist(self.worker_at(worker), Engine::Log, wanted, Rc::new(append), move |world, ()| {
            world.workers[worker].busy[BURYING] = false;
            for record in batch {
                let offset = record.letter.position.offset;
                world.ended(worker, record.ticket, offset, End::DeadLettered);
                world.step_lanes(worker, Input::Buried(offset));
            }
            world.start_calls(worker);
        });
    }

    fn unregister(&mut self, worker: usize) {
        if !self.begins(worker, UNREGISTERING, self.workers[worker].unregistering.len()) {
            return;
        }
        let batch: Vec<_> = self.workers[worker].unregistering.drain(..).collect();
        let at = self.worker_at(worker);
        let remove = move |world: &mut World| drop(world.ask_registry(world.registry.remove(&batch)));
        self.call(at, Engine::Registry, remove, move |world, _| {
            world.workers[worker].busy[UNREGISTERING] = false;
            world.start_calls(worker);
        });
    }
}
