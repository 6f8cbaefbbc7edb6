//! How a node keeps the registry true: its lease, and the routes of its sessions.

use postrider_distributor::session::Input;
use shared::delivery::SessionId;
use shared::recipient::Recipient;
use shared::registry::{Node as Place, Nodes as _, Route, Routes as _};

use super::engines::Engine;
use super::fixture::ms;
use super::schedule::At;
use super::world::World;

/// The lease of a node, in milliseconds; renewed three times as often.
const LEASE_MS: u64 = 6_000;

impl World {
    /// Renews the node's lease, again and again; one that lapsed, or a registry that lost its content, has every session
    /// announced again.
    pub(crate) fn heartbeat(&mut self, node: usize) {
        let (pid, id) = (self.nodes[node].pid, self.nodes[node].id);
        let asked = self.schedule.now;
        let place = Place { id, address: format!("node-{node}:1") };
        let renew =
            move |world: &mut World| world.ask_registry(world.registry.renew(&place, ms(LEASE_MS))).ok();
        self.call(At::Socket(pid), Engine::Registry, renew, move |world, epoch| {
            let now = world.schedule.now;
            match epoch.flatten() {
                Some(epoch) => {
                    let last = world.nodes[node].renewed.replace((epoch, asked));
                    world.nodes[node].leased = true;
                    let lapsed = last.is_some_and(|(seen, at)| seen != epoch || now - at > LEASE_MS);
                    if lapsed {
                        world.say(|| format!("node {node} announces every session again"));
                        let sessions: Vec<SessionId> = world.nodes[node].cells.keys().copied().collect();
                        for session in sessions {
                            world.step_session(node, session, Input::RegistryLost);
                            world.nodes[node].registrations.insert(session);
                        }
                    }
                    world.registrar(node);
                    world.after(LEASE_MS / 3, At::Timer(pid), move |world| world.heartbeat(node));
                }
                None => {
                    let pause = 500 + world.random_ms(1_000);
                    world.after(pause, At::Timer(pid), move |world| world.heartbeat(node));
                }
            }
        });
    }

    /// Has the route of a session entered once more.
    pub(crate) fn register_soon(&mut self, node: usize, session: SessionId) {
        self.nodes[node].registrations.insert(session);
        self.registrar(node);
    }

    /// Registers what waits, then removes what waits: a removal never overtakes the registration of its session.
    pub(crate) fn registrar(&mut self, node: usize) {
        let state = &mut self.nodes[node];
        if state.registering || !state.leased || (state.registrations.is_empty() && state.removals.is_empty())
        {
            return;
        }
        state.registering = true;
        let (at, id) = (At::Socket(state.pid), state.id);
        let sessions: Vec<SessionId> = std::mem::take(&mut state.registrations)
            .into_iter()
            .filter(|id| state.cells.contains_key(id))
            .collect();
        let route = |session: &SessionId| {
            (state.cells[session].recipient.clone(), Route { session: *session, node: id })
        };
        let routes: Vec<(Recipient, Route)> = sessions.iter().map(route).collect();
        if routes.is_empty() {
            return self.remove_routes(node);
        }
        let register = move |world: &mut World| world.ask_registry(world.registry.register(&routes)).is_ok();
        self.call(at, Engine::Registry, register, move |world, done| {
            if done == Some(true) {
                for session in sessions {
                    world.step_session(node, session, Input::Registered);
                }
                return world.remove_routes(node);
            }
            world.nodes[node].registrations.extend(sessions);
            world.register_again(node);
        });
    }

    fn remove_routes(&mut self, node: usize) {
        let removals = std::mem::take(&mut self.nodes[node].removals);
        if removals.is_empty() {
            self.nodes[node].registering = false;
            return self.registrar(node);
        }
        let (at, again) = (At::Socket(self.nodes[node].pid), removals.clone());
        let remove = move |world: &mut World| world.ask_registry(world.registry.remove(&removals)).is_ok();
        self.call(at, Engine::Registry, remove, move |world, done| {
            // Given up now and then: a director that finds the route is told `gone`, and removes it.
            if done != Some(true) && world.chance(80) {
                world.nodes[node].removals.extend(again);
            }
            world.register_again(node);
        });
    }

    fn register_again(&mut self, node: usize) {
        let (pause, at) = (50 + self.random_ms(500), At::Timer(self.nodes[node].pid));
        self.after(pause, at, move |world| {
            world.nodes[node].registering = false;
            world.registrar(node);
        });
    }
}
