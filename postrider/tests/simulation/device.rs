//! Devices of recipients: they connect with their cursor, on one of the transports, read, acknowledge in its way, go and
//! come back.

use std::collections::BTreeSet;

use postrider_distributor::session::{Acknowledging, Frame, Input};
use rand::Rng as _;
use shared::delivery::{Rejection, SessionId};
use shared::position::Position;

use super::fixture::{cursor, partition_of, recipient};
use super::schedule::At;
use super::world::World;

/// How long a flushed frame's connection must live to count as acknowledged, in milliseconds.
pub(crate) const GRACE_MS: u64 = 5_000;

/// How a device is connected and acknowledges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// By sequence number; may refuse.
    WebSocket,
    /// Not at all: what was flushed to a connection that lives on counts.
    EventSource,
    /// As before, and by cursor, in a request of its own.
    EventSourceAcks,
    /// By asking with the cursor.
    Poll,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Device {
    pub(crate) recipient: usize,
    pub(crate) partition: usize,
    pub(crate) style: Style,
    /// Everything below was processed, but for `again`.
    pub(crate) next: u64,
    /// Wanted again later.
    pub(crate) again: BTreeSet<u64>,
    pub(crate) processed: BTreeSet<u64>,
    pub(crate) connection: Option<usize>,
    pub(crate) online: bool,
    /// Acknowledges so late that its session gives it up for a while.
    pub(crate) slow: bool,
    /// Refuses some.
    pub(crate) picky: bool,
}

/// One connection of a device.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) device: usize,
    pub(crate) node: usize,
    pub(crate) session: SessionId,
    /// The client holds it no more.
    pub(crate) left: bool,
    /// Nothing that would arrive later arrives, either way.
    pub(crate) broken_at: Option<u64>,
    pub(crate) forth: u64,
    pub(crate) back: u64,
    pub(crate) flush: u64,
    /// Of each frame not yet at the client: arrival and flush.
    pub(crate) under_way: Vec<(u64, u64)>,
    pub(crate) read_seq: u64,
    pub(crate) acknowledging: bool,
    /// Not yet behind the cursor of a long-poll client.
    pub(crate) unacknowledged: Vec<Frame>,
    pub(crate) polled_at: u64,
}

impl Connection {
    pub(crate) fn is_open(&self) -> bool {
        !self.left && self.broken_at.is_none()
    }
}

impl Device {
    pub(crate) fn new(of: usize, style: Style) -> Self {
        Self {
            recipient: of,
            partition: partition_of(&recipient(of)),
            style,
            next: 0,
            again: BTreeSet::new(),
            processed: BTreeSet::new(),
            connection: None,
            online: false,
            slow: false,
            picky: false,
        }
    }

    /// Where it stands: what it wants again holds it back.
    pub(crate) fn stands_at(&self) -> u64 {
        self.again.first().copied().unwrap_or(self.next)
    }
}

impl World {
    /// The device wants to be connected, and stays so until told otherwise.
    pub(crate) fn come_online(&mut self, device: usize) {
        if !std::mem::replace(&mut self.devices[device].online, true) {
            self.connect(device);
        }
    }

    fn connect(&mut self, device: usize) {
        if !self.devices[device].online || self.devices[device].connection.is_some() {
            return;
        }
        let nodes = self.live_nodes();
        let node = nodes[self.random.random_range(0..nodes.len())];
        if !self.schedule.is_running(self.nodes[node].pid) {
            return self.reconnect(device);
        }
        let now = self.schedule.now;
        let state = &self.devices[device];
        let (of, style) = (recipient(state.recipient), state.style);
        let at = cursor(state.partition, state.stands_at());
        let acknowledging = match style {
            Style::WebSocket | Style::Poll => Acknowledging::Explicit,
            Style::EventSource | Style::EventSourceAcks => Acknowledging::Grace,
        };
        let index = self.connections.len();
        self.say(|| format!("device {device} of {of} connects to node {node} by {style:?} at {}", at.next));
        self.connections.push(Connection {
            device,
            node,
            session: SessionId(0),
            left: false,
            broken_at: None,
            forth: now,
            back: now,
            flush: now,
            under_way: Vec::new(),
            read_seq: 0,
            acknowledging: false,
            unacknowledged: Vec::new(),
            polled_at: now,
        });
        self.devices[device].connection = Some(index);
        let session = self.open_session(node, index, (of, at), acknowledging);
        self.connections[index].session = session;
        if style == Style::Poll {
            self.poll(index);
        }
    }

    fn reconnect(&mut self, device: usize) {
        let pause = 100 + self.random_ms(2_000);
        self.after(pause, At::Outside, move |world| world.connect(device));
    }

    /// The client closes its connection; the node hears of it soon.
    pub(crate) fn leave(&mut self, connection: usize) {
        let state = &mut self.connections[connection];
        if std::mem::replace(&mut state.left, true) {
            return;
        }
        let (device, node, session) = (state.device, state.node, state.session);
        self.say(|| format!("device {device} leaves session {}", session.0));
        self.devices[device].connection = None;
        let time = self.connections[connection].back.max(self.schedule.now + self.hop());
        if self.devices[device].style != Style::Poll {
            self.at(time, At::Socket(self.nodes[node].pid), move |world| world.end_session(node, session));
        }
        self.reconnect(device);
    }

    /// The way between client and node is gone: nothing arrives any more, and each hears of it in its own time. An event
    /// stream is given up before its grace would be over for what did not arrive.
    pub(crate) fn break_connection(&mut self, connection: usize) {
        let now = self.schedule.now;
        let state = &mut self.connections[connection];
        if state.left || state.broken_at.is_some() {
            return;
        }
        state.broken_at = Some(now);
        let (device, node, session) = (state.device, state.node, state.session);
        let late =
            state.under_way.iter().filter(|(arrival, _)| *arrival > now).map(|(_, flush)| *flush).min();
        let style = self.devices[device].style;
        self.say(|| format!("the connection of device {device}, session {}, breaks", session.0));
        let noticed = match style {
            Style::Poll => None,
            Style::WebSocket => Some(now + self.random_ms(40_000)),
            Style::EventSource | Style::EventSourceAcks => {
                let limit = late.map_or(now + GRACE_MS, |flush| flush + GRACE_MS);
                Some(now + self.random_ms(limit.saturating_sub(now + 100).max(1)))
            }
        };
        if let Some(time) = noticed {
            self.at(time, At::Socket(self.nodes[node].pid), move |world| world.end_session(node, session));
        }
        let patience = self.random_ms(4_000);
        self.after(patience, At::Outside, move |world| {
            let state = &mut world.connections[connection];
            if !std::mem::replace(&mut state.left, true) {
                world.devices[device].connection = None;
                world.connect(device);
            }
        });
    }

    /// The node writes a frame to a connection.
    pub(crate) fn write(&mut self, connection: usize, frame: Frame) {
        let (now, device) = (self.schedule.now, self.connections[connection].device);
        let style = self.devices[device].style;
        if style == Style::Poll {
            return self.connections[connection].unacknowledged.push(frame);
        }
        let slow = self.devices[device].slow && style == Style::WebSocket;
        let lag = if slow { 4_000 + self.random_ms(16_000) } else { self.hop() };
        let state = &mut self.connections[connection];
        let time = state.forth.max(now + lag);
        state.forth = time;
        // What is written has left the machine at the earliest when it is written, at the latest when it arrives.
        let flush = state.flush.max(now.max(time.saturating_sub(GRACE_MS - 500)));
        state.flush = flush;
        state.under_way.retain(|(arrival, _)| *arrival > now);
        state.under_way.push((time, flush));
        let (node, session) = (state.node, state.session);
        if let (Some(seq), Style::EventSource | Style::EventSourceAcks) = (seq_of(&frame), style) {
            self.at(flush, At::Socket(self.nodes[node].pid), move |world| {
                // The session of a first frame has no name yet in `state`.
                let session = world.connections[connection].session.max(session);
                world.step_session(node, session, Input::Flushed { seq });
            });
        }
        self.at(time, At::Outside, move |world| {
            let state = &world.connections[connection];
            if !state.left && state.broken_at.is_none_or(|broken| time <= broken) {
                world.read(connection, frame);
            }
        });
    }

    /// The client has a frame before it.
    pub(crate) fn read(&mut self, connection: usize, frame: Frame) {
        let device = self.connections[connection].device;
        match frame {
            Frame::Welcome { .. } | Frame::Drained { .. } => return,
            Frame::Gap { seq, count, first, last, .. } => {
                self.connections[connection].read_seq = seq;
                let (now, partition) = (self.schedule.now, last.partition.0 as usize);
                let accepted = &self.judge.accepted;
                let expired = |offset: u64| {
                    accepted.get(&(partition, offset)).is_some_and(|record| record.expires <= now)
                };
                let state = &mut self.devices[device];
                // What it wanted again, and will not get.
                state
                    .again
                    .retain(|offset| !(first.offset..=last.offset).contains(offset) || !expired(*offset));
                state.next = state.next.max(last.offset + 1);
                self.say(|| format!("device {device} is told of a gap {}..={}", first.offset, last.offset));
                self.judge_gap(device, (first, last), count);
            }
            Frame::Notification { seq, position, notification } => {
                self.connections[connection].read_seq = seq;
                self.judge_frame(device, position, &notification);
                let now = self.schedule.now;
                let state = &self.devices[device];
                let fresh = !state.processed.contains(&position.offset) && position.offset >= state.next;
                if fresh && state.picky && state.style == Style::WebSocket && self.chance(30) {
                    return self.refuse(connection, seq, position);
                }
                let state = &mut self.devices[device];
                let wanted = state.again.remove(&position.offset);
                if position.offset >= state.next || wanted {
                    state.processed.insert(position.offset);
                    state.next = state.next.max(position.offset + 1);
                    self.say(|| format!("device {device} shows {} at {now}", position.offset));
                    self.judge_shown(device, position);
                }
            }
        }
        self.acknowledge_soon(connection);
    }

    /// The client wants it again later, or never.
    fn refuse(&mut self, connection: usize, seq: u64, position: Position) {
        let device = self.connections[connection].device;
        let rejection = (!self.chance(50)).then_some(Rejection::Undecodable);
        let state = &mut self.devices[device];
        state.next = state.next.max(position.offset + 1);
        if rejection.is_some() {
            state.processed.insert(position.offset);
            self.judge_shown(device, position);
        } else {
            state.again.insert(position.offset);
        }
        self.say(|| format!("device {device} refuses {}: {rejection:?}", position.offset));
        self.tell(connection, Input::Refuse { seq, rejection });
        self.acknowledge_soon(connection);
    }
}

fn seq_of(frame: &Frame) -> Option<u64> {
    match frame {
        Frame::Notification { seq, .. } | Frame::Gap { seq, .. } => Some(*seq),
        Frame::Welcome { .. } | Frame::Drained { .. } => None,
    }
}
