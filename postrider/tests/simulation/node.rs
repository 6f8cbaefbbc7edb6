//! A distributor's process around the product's sessions: what hub, presence and drain do with tasks, step by step.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use postrider_distributor::session::{Acknowledging, Input, Limits, Opening, Output, Session, StreamId};
use shared::clock::Timestamp;
use shared::delivery::{NodeId, SessionId, Verdict};
use shared::position::Cursor;
use shared::recipient::Recipient;
use shared::registry::{Flags as _, RegistryEpoch, Route};

use super::device::Connection;
use super::engines::Engine;
use super::fixture::{ms, partition_id, partition_of};
use super::link::Frame;
use super::schedule::{At, Pid};
use super::world::World;

/// A session at its node.
#[derive(Debug)]
pub(crate) struct Cell {
    pub(crate) session: Session,
    pub(crate) recipient: Recipient,
    pub(crate) partition: usize,
    pub(crate) connection: usize,
    end_asked: u64,
    armed: Option<u64>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) pid: Pid,
    pub(crate) id: NodeId,
    pub(crate) cells: BTreeMap<SessionId, Cell>,
    pub(crate) leased: bool,
    pub(crate) renewed: Option<(RegistryEpoch, u64)>,
    pub(crate) registrations: BTreeSet<SessionId>,
    pub(crate) removals: Vec<(Recipient, Route)>,
    pub(crate) registering: bool,
    pub(crate) deletes: BTreeMap<Recipient, Cursor>,
    pub(crate) deleting: bool,
    pub(crate) held: BTreeMap<Recipient, usize>,
}

impl World {
    pub(crate) fn start_node(&mut self) -> usize {
        let (index, pid) = (self.nodes.len(), self.schedule.spawn());
        self.nodes.push(Node {
            pid,
            id: NodeId(index as u64 + 1),
            cells: BTreeMap::new(),
            leased: false,
            renewed: None,
            registrations: BTreeSet::new(),
            removals: Vec::new(),
            registering: false,
            deletes: BTreeMap::new(),
            deleting: false,
            held: BTreeMap::new(),
        });
        self.say(|| format!("node {index} starts"));
        self.heartbeat(index);
        let first = self.random_ms(self.settings.sweep_ms);
        self.after(first, At::Timer(pid), move |world| world.sweep(index));
        index
    }

    pub(crate) fn node_of(&self, id: NodeId) -> Option<usize> {
        self.nodes.iter().position(|node| node.id == id)
    }

    pub(crate) fn live_nodes(&self) -> Vec<usize> {
        (0..self.nodes.len()).filter(|index| self.schedule.is_alive(self.nodes[*index].pid)).collect()
    }

    /// A client is authenticated: its session begins.
    pub(crate) fn open_session(
        &mut self,
        node: usize,
        connection: usize,
        (recipient, cursor): (Recipient, Cursor),
        acknowledging: Acknowledging,
    ) -> SessionId {
        self.sessions += 1;
        let (id, settings) = (SessionId(self.sessions), &self.settings);
        let limits = Limits {
            window: settings.window,
            gate_records: settings.gate_records,
            gate_bytes: 1 << 20,
            page_rows: settings.page_rows,
            ack_deadline: ms(10_000),
            grace: ms(super::device::GRACE_MS),
            retry: ms(250),
            refusals: 1024,
        };
        let partition = partition_of(&recipient);
        let opening = Opening {
            partition: partition_id(partition),
            cursor,
            acknowledging,
            limits: std::sync::Arc::new(limits),
        };
        let session = Session::open(opening);
        let cell = Cell { session, recipient, partition, connection, end_asked: 0, armed: None };
        self.nodes[node].cells.insert(id, cell);
        self.step_session(node, id, Input::Tick);
        self.register_soon(node, id);
        id
    }

    /// The connection of a session is gone.
    pub(crate) fn end_session(&mut self, node: usize, session: SessionId) {
        if !self.nodes[node].cells.contains_key(&session) {
            return;
        }
        self.step_session(node, session, Input::End);
        let state = &mut self.nodes[node];
        if let Some(cell) = state.cells.remove(&session) {
            state.removals.push((cell.recipient, Route { session, node: state.id }));
            self.registrar(node);
        }
    }

    /// Hands an input to a session and carries out what it wants.
    pub(crate) fn step_session(&mut self, node: usize, session: SessionId, input: Input) {
        let now = Timestamp::from_millis(self.schedule.now);
        self.say(|| format!("session {} at node {node} <- {}", session.0, brief(&input)));
        let Some(cell) = self.nodes[node].cells.get_mut(&session) else { return };
        let mut outputs = Vec::new();
        cell.session.step(input, now, &mut outputs);
        for output in outputs {
            self.say(|| format!("    session {} -> {}", session.0, brief(&output)));
            self.carry_out(node, session, output);
        }
        self.arm_session(node, session);
    }

    /// The node's timers have slots of 100 ms.
    fn arm_session(&mut self, node: usize, session: SessionId) {
        let Some(cell) = self.nodes[node].cells.get_mut(&session) else { return };
        let Some(deadline) = cell.session.next_deadline() else { return };
        let slot = deadline.as_millis().div_ceil(100).saturating_mul(100);
        if cell.armed.is_some_and(|armed| armed <= slot) {
            return;
        }
        cell.armed = Some(slot);
        self.at(slot, At::Timer(self.nodes[node].pid), move |world| {
            let now = Timestamp::from_millis(world.schedule.now);
            let Some(cell) = world.nodes[node].cells.get_mut(&session) else { return };
            if cell.armed != Some(slot) {
                return;
            }
            cell.armed = None;
            if cell.session.next_deadline().is_some_and(|deadline| deadline <= now) {
                world.step_session(node, session, Input::Tick);
            } else {
                world.arm_session(node, session);
            }
        });
    }

    fn carry_out(&mut self, node: usize, session: SessionId, output: Output) {
        let Some(cell) = self.nodes[node].cells.get_mut(&session) else { return };
        let (recipient, partition) = (cell.recipient.clone(), cell.partition);
        match output {
            Output::Send(frame) => {
                let connection = cell.connection;
                self.write(connection, frame);
            }
            Output::Verdict { stream, position, verdict } => self.answer(stream, session, position, verdict),
            Output::ReadParkedEnd => {
                cell.end_asked += 1;
                let asked = cell.end_asked;
                self.read_end(node, session, partition, asked);
            }
            Output::ReadFlag => self.read_flag(node, session, recipient, partition),
            Output::ReadPage { from, limit } => {
                let at = At::Socket(self.nodes[node].pid);
                let read = move |world: &mut World| world.store.page(&recipient, partition, from, limit);
                self.call(at, Engine::Store, read, move |world, page| {
                    world.step_session(node, session, Input::Page(page));
                });
            }
            Output::Delete(cursor) => self.delete_soon(node, recipient, cursor),
            Output::ClearFlag { version } => {
                let at = At::Socket(self.nodes[node].pid);
                let clear = move |world: &mut World| {
                    world.ask_registry(world.registry.clear(&[(recipient, version)])).ok().map(|done| done[0])
                };
                self.call(at, Engine::Registry, clear, move |world, cleared| {
                    let cleared = cleared.flatten().unwrap_or(false);
                    world.step_session(node, session, Input::FlagCleared { cleared });
                });
            }
            Output::Reject { position, .. } => self.reject(node, recipient, position),
            Output::Probe => {}
            Output::GateFull => self.judge.gates_filled += 1,
        }
    }

    fn read_end(&mut self, node: usize, session: SessionId, partition: usize, asked: u64) {
        let latest = move |world: &World| {
            world.nodes[node].cells.get(&session).is_some_and(|cell| cell.end_asked == asked)
        };
        let end = move |world: &mut World| world.log.partitions[partition].parked.end;
        let at = At::Socket(self.nodes[node].pid);
        self.persist(at, Engine::Log, Rc::new(latest), Rc::new(end), move |world, end| {
            world.step_session(node, session, Input::ParkedEnd(end));
        });
    }

    /// `flagged_upto` is read some time before the flag.
    fn read_flag(&mut self, node: usize, session: SessionId, recipient: Recipient, partition: usize) {
        let (at, id) = (At::Socket(self.nodes[node].pid), partition_id(partition));
        let progress =
            move |world: &mut World| world.ask_registry(world.registry.flagged_upto(id)).ok().flatten();
        self.call(at, Engine::Registry, progress, move |world, flagged_upto| {
            let Some(flagged_upto) = flagged_upto else {
                return world.step_session(node, session, Input::Flag(None));
            };
            let read = move |world: &mut World| {
                world.ask_registry(world.registry.read(&[(recipient, id)])).ok().map(|readings| readings[0])
            };
            world.call(at, Engine::Registry, read, move |world, reading| {
                let reading = reading.flatten().map(|mut reading| {
                    reading.flagged_upto = flagged_upto;
                    reading
                });
                world.step_session(node, session, Input::Flag(reading));
            });
        });
    }

    /// A frame of a director has come.
    pub(crate) fn enter_frame(&mut self, stream: usize, frame: Frame) {
        let (node, id) = (self.streams[stream].node, StreamId(stream as u64));
        match frame {
            Frame::Record { session, position, parked_upto, notification } => {
                self.streams[stream].touched.insert(session);
                let cell = self.nodes[node].cells.get(&session);
                if cell.is_none_or(|cell| cell.recipient != notification.recipient) {
                    return self.answer(id, session, position, Verdict::Gone);
                }
                let input = Input::Record { stream: id, position, parked_upto, notification };
                self.step_session(node, session, input);
            }
            Frame::Poke { session, parked_upto } => {
                self.step_session(node, session, Input::Poke { parked_upto });
            }
            Frame::Resume { session } => self.step_session(node, session, Input::Resume(id)),
        }
    }

    /// The node hears that a stream is over.
    pub(crate) fn stream_lost_here(&mut self, stream: usize) {
        let node = self.streams[stream].node;
        let touched = std::mem::take(&mut self.streams[stream].touched);
        for session in touched {
            self.step_session(node, session, Input::StreamLost(StreamId(stream as u64)));
        }
        self.streams[stream].over_here = true;
    }

    /// The end of a node: connections and streams break.
    pub(crate) fn crash_node(&mut self, node: usize) {
        self.say(|| format!("node {node} dies"));
        self.schedule.crash(self.nodes[node].pid);
        self.break_streams_of(node);
        let connections = self.connections_of(node);
        for connection in connections {
            self.break_connection(connection);
        }
        self.nodes[node].cells.clear();
        self.start_node();
    }

    /// A node stops for a while: beyond the keepalive directors give its streams up, and clients give it up.
    pub(crate) fn freeze_node(&mut self, node: usize, length: u64) {
        self.say(|| format!("node {node} freezes for {length}"));
        let (now, pid, lag) = (self.schedule.now, self.nodes[node].pid, self.random_ms(50));
        self.schedule.freeze(pid, now + length, lag);
        if length > 10_000 {
            self.after(10_000, At::Outside, move |world| world.break_streams_of(node));
        }
        for connection in self.connections_of(node) {
            let patience = 5_000 + self.random_ms(30_000);
            if patience < length {
                self.after(patience, At::Outside, move |world| world.break_connection(connection));
            }
        }
    }

    fn break_streams_of(&mut self, node: usize) {
        for stream in 0..self.streams.len() {
            if self.streams[stream].node == node {
                self.lose_stream(stream);
            }
        }
    }

    fn connections_of(&self, node: usize) -> Vec<usize> {
        let of = |connection: &Connection| connection.node == node && connection.is_open();
        (0..self.connections.len()).filter(|index| of(&self.connections[*index])).collect()
    }
}

/// A word in the trace, without content.
fn brief(what: &impl std::fmt::Debug) -> String {
    let full = format!("{what:?}");
    let mut parts = full.split("notification: Notification");
    let head = parts.next().unwrap_or_default().to_owned();
    if parts.next().is_some() { format!("{head}..") } else { head }
}
