//! What a node does beside its sessions' own steps: the sweep that makes lost pokes good, deletions, and dead letters for
//! what clients refused.

use std::rc::Rc;

use postrider_distributor::presence::owed::{Owed, owed};
use postrider_distributor::session::{Input, State};
use shared::delivery::SessionId;
use shared::position::{Cursor, Position};
use shared::recipient::Recipient;
use shared::registry::{Flag, Flags as _};

use super::engines::Engine;
use super::fixture::{partition_id, partition_of};
use super::schedule::At;
use super::world::World;

impl World {
    /// Looks at every session of a node once, again and again.
    pub(crate) fn sweep(&mut self, node: usize) {
        let draining = |state: State| state == State::Draining;
        let cells = self.nodes[node].cells.iter();
        let sessions: Vec<SessionId> =
            cells.filter(|(_, cell)| !draining(cell.session.state())).map(|(id, _)| *id).collect();
        let pid = self.nodes[node].pid;
        for session in sessions {
            let cell = &self.nodes[node].cells[&session];
            let (recipient, partition) = (cell.recipient.clone(), cell.partition);
            let read = move |world: &mut World| {
                let asked = [(recipient, partition_id(partition))];
                world.ask_registry(world.registry.read(&asked)).ok().map(|readings| readings[0])
            };
            self.call(At::Socket(pid), Engine::Registry, read, move |world, reading| {
                let reading = reading.flatten();
                if reading.is_some_and(|reading| reading.flag == Flag::Backlog) {
                    // Its poke was lost, or its route.
                    world.register_soon(node, session);
                }
                match owed(reading) {
                    Owed::Nothing => {}
                    Owed::Poke { parked_upto } => {
                        world.step_session(node, session, Input::Poke { parked_upto })
                    }
                    Owed::WhatIsArchived => world.poke_as_archived(node, session, partition),
                }
            });
        }
        let period = match self.registry_health {
            super::engines::Health::Away => 2_000,
            super::engines::Health::Well | super::engines::Health::Flaky => self.settings.sweep_ms,
        };
        self.after(period, At::Timer(pid), move |world| world.sweep(node));
    }

    fn poke_as_archived(&mut self, node: usize, session: SessionId, partition: usize) {
        let at = At::Socket(self.nodes[node].pid);
        let read = move |world: &mut World| world.store.archived[partition];
        self.call(at, Engine::Store, read, move |world, upto| {
            let drained = world.nodes[node].cells.get(&session).map(|cell| cell.session.drained_upto());
            if let Some(parked_upto) = upto.filter(|upto| drained.is_some_and(|drained| *upto > drained)) {
                world.step_session(node, session, Input::Poke { parked_upto });
            }
        });
    }

    /// The highest cursor of a recipient stands for the lower ones.
    pub(crate) fn delete_soon(&mut self, node: usize, recipient: Recipient, cursor: Cursor) {
        let waiting = &mut self.nodes[node].deletes;
        let known = waiting.entry(recipient).or_insert(cursor);
        if (known.epoch, known.next) < (cursor.epoch, cursor.next) {
            *known = cursor;
        }
        self.delete_later(node);
    }

    fn delete_later(&mut self, node: usize) {
        if !std::mem::replace(&mut self.nodes[node].deleting, true) {
            let pause = 50 + self.random_ms(100);
            self.after(pause, At::Timer(self.nodes[node].pid), move |world| world.delete(node));
        }
    }

    /// What is held waits until its refusals are dead-lettered.
    fn delete(&mut self, node: usize) {
        let state = &mut self.nodes[node];
        let (held, free): (Vec<_>, Vec<_>) = std::mem::take(&mut state.deletes)
            .into_iter()
            .partition(|(recipient, _)| state.held.contains_key(recipient));
        state.deletes.extend(held);
        if free.is_empty() {
            state.deleting = false;
            return;
        }
        let (at, batch) = (At::Socket(state.pid), free.clone());
        let delete = move |world: &mut World| {
            for (recipient, cursor) in batch {
                world.say(|| format!("store deletes {recipient} behind {}", cursor.next));
                world.store.delete(&recipient, partition_of(&recipient), cursor);
            }
        };
        self.call(at, Engine::Store, delete, move |world, done| {
            world.nodes[node].deleting = false;
            if done.is_none() {
                for (recipient, cursor) in free {
                    world.delete_soon(node, recipient, cursor);
                }
            }
            if !world.nodes[node].deletes.is_empty() {
                world.delete_later(node);
            }
        });
    }

    /// A client refused what no director waits for.
    pub(crate) fn reject(&mut self, node: usize, recipient: Recipient, position: Position) {
        *self.nodes[node].held.entry(recipient.clone()).or_default() += 1;
        let partition = position.partition.0 as usize;
        let append = move |world: &mut World| world.append_dead(partition, &[position.offset]);
        let at = At::Socket(self.nodes[node].pid);
        self.persist(at, Engine::Log, Rc::new(|_| true), Rc::new(append), move |world, ()| {
            let held = &mut world.nodes[node].held;
            if let Some(count) = held.get_mut(&recipient) {
                *count -= 1;
                if *count == 0 {
                    held.remove(&recipient);
                }
            }
            world.delete_later(node);
        });
    }
}
