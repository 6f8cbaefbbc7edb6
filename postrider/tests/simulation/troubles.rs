//! Carrying out a plan's actions, and the end of all trouble.

use shared::registry::memory::Registry;

use super::director::Handover;
use super::engines::{Engine, Health};
use super::plan::Action;
use super::schedule::At;
use super::world::World;

impl World {
    pub(crate) fn act_out(&mut self, action: Action) {
        self.say(|| format!("--- {action:?}"));
        match action {
            Action::Publish { recipient, ttl, urgent, kind } => self.publish(recipient, ttl, urgent, kind),
            Action::Online(device) => self.come_online(device),
            Action::Leave(device) => {
                self.devices[device].online = false;
                self.part(device);
            }
            Action::Break(device) => {
                if let Some(connection) = self.devices[device].connection {
                    self.break_connection(connection);
                }
            }
            Action::Forget(device) => {
                self.part(device);
                let state = &mut self.devices[device];
                state.next = state.stands_at() / 2;
            }
            Action::Copy(device, other) => self.copy_cursor(device, other),
            Action::Hop(device, style) => {
                self.part(device);
                self.devices[device].style = style;
            }
            Action::Slow(device) => self.devices[device].slow ^= true,
            Action::CrashDirector(any) => {
                let directors = self.live_directors();
                self.crash_director(directors[any % directors.len()]);
            }
            Action::FreezeDirector(any, length) => {
                let directors = self.live_directors();
                self.freeze_director(directors[any % directors.len()], length);
            }
            Action::MovePartition { partition, to, drained } => {
                let directors = self.live_directors();
                let how = if drained { Handover::Drained } else { Handover::Fenced };
                self.hand_over(partition % self.log.partitions.len(), directors[to % directors.len()], how);
            }
            Action::CrashNode(any) => {
                let nodes = self.live_nodes();
                self.crash_node(nodes[any % nodes.len()]);
            }
            Action::FreezeNode(any, length) => {
                let nodes = self.live_nodes();
                self.freeze_node(nodes[any % nodes.len()], length);
            }
            Action::LoseStream(any) => {
                if !self.streams.is_empty() {
                    self.lose_stream(self.streams.len() - 1 - any % self.streams.len().min(4));
                }
            }
            Action::NewArchiver { crash } => {
                if crash && let Some(pid) = self.archivers.last() {
                    self.schedule.crash(*pid);
                }
                self.start_archiver();
            }
            Action::FreezeArchiver(length) => {
                if let Some(pid) = self.archivers.last().copied() {
                    let (until, lag) = (self.schedule.now + length, self.random_ms(50));
                    self.schedule.freeze(pid, until, lag);
                }
            }
            Action::Ail(engine, health, length) => {
                *self.health(engine) = health;
                self.after(length, At::Outside, move |world| *world.health(engine) = Health::Well);
            }
            Action::WipeRegistry => Registry::forget(&self.registry),
        }
    }

    /// The device goes on without its connection; another one begins soon, if it is online.
    fn part(&mut self, device: usize) {
        if let Some(connection) = self.devices[device].connection {
            self.leave(connection);
        }
    }

    fn copy_cursor(&mut self, device: usize, other: usize) {
        let of = self.devices[device].recipient;
        let siblings: Vec<usize> =
            (0..self.devices.len()).filter(|index| self.devices[*index].recipient == of).collect();
        let next = self.devices[siblings[other % siblings.len()]].stands_at();
        self.part(device);
        let state = &mut self.devices[device];
        // Who wants something again stands before that, whatever cursor it is given.
        if state.again.is_empty() {
            state.next = state.next.max(next);
        }
    }

    /// From now on nothing goes wrong any more, and everybody comes online.
    pub(crate) fn heal(&mut self) {
        self.say(|| "--- everything is well from now on".to_owned());
        self.faulty = false;
        for engine in [Engine::Log, Engine::Registry, Engine::Store] {
            *self.health(engine) = Health::Well;
        }
        for device in 0..self.devices.len() {
            let state = &mut self.devices[device];
            (state.slow, state.picky) = (false, false);
            self.come_online(device);
        }
    }
}
