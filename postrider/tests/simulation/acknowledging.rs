//! How devices acknowledge: on their connection, in a request of its own, or by the next poll.

use postrider_distributor::session::{Frame, Input};
use shared::delivery::SessionId;
use shared::position::Position;

use super::device::Style;
use super::fixture::{cursor, recipient};
use super::schedule::At;
use super::world::World;

/// How long a session of a long-poll client lives between polls, in milliseconds.
const LINGER_MS: u64 = 30_000;

/// Most frames in the answer of one poll.
const POLLED: usize = 3;

impl World {
    pub(crate) fn acknowledge_soon(&mut self, connection: usize) {
        let (device, state) = (self.connections[connection].device, &self.connections[connection]);
        let style = self.devices[device].style;
        if state.acknowledging || matches!(style, Style::EventSource | Style::Poll) {
            return;
        }
        self.connections[connection].acknowledging = true;
        let pause = self.random_ms(if self.devices[device].slow { 20_000 } else { 300 });
        self.after(pause, At::Outside, move |world| {
            world.connections[connection].acknowledging = false;
            if world.connections[connection].left {
                return;
            }
            match style {
                Style::WebSocket => {
                    let seq = world.connections[connection].read_seq;
                    world.tell(connection, Input::Acknowledge { seq });
                }
                Style::EventSourceAcks => world.post_acknowledgement(connection),
                Style::EventSource | Style::Poll => {}
            }
        });
    }

    /// Says something on the connection, behind what was said before.
    pub(crate) fn tell(&mut self, connection: usize, input: Input) {
        let hop = self.hop();
        let state = &mut self.connections[connection];
        let time = state.back.max(self.schedule.now + hop);
        state.back = time;
        let (node, session) = (state.node, state.session);
        self.at(time, At::Socket(self.nodes[node].pid), move |world| {
            if world.connections[connection].broken_at.is_none_or(|broken| time <= broken) {
                world.step_session(node, session, input);
            }
        });
    }

    /// `POST /v1/ack`: a request of its own, which may be lost; without a session it is for all of the recipient's at
    /// the node.
    fn post_acknowledgement(&mut self, connection: usize) {
        if self.faulty && self.chance(10) {
            return;
        }
        let state = &self.connections[connection];
        let (node, session, device) = (state.node, state.session, &self.devices[state.device]);
        let at = cursor(device.partition, device.stands_at());
        let (everybody, of) = (self.settings.shared_acknowledgements, recipient(device.recipient));
        let hop = self.hop();
        self.after(hop, At::Socket(self.nodes[node].pid), move |world| {
            let cells = world.nodes[node].cells.iter();
            let sessions: Vec<SessionId> = cells
                .filter(|(id, cell)| cell.recipient == of && (everybody || **id == session))
                .map(|(id, _)| *id)
                .collect();
            for session in sessions {
                world.step_session(node, session, Input::AcknowledgeCursor(at));
            }
        });
    }

    /// One long-poll request and its answer.
    pub(crate) fn poll(&mut self, connection: usize) {
        if self.connections[connection].left {
            return;
        }
        let state = &self.connections[connection];
        let (node, session, device) = (state.node, state.session, state.device);
        let at = cursor(self.devices[device].partition, self.devices[device].stands_at());
        let hop = self.hop();
        self.after(hop, At::Socket(self.nodes[node].pid), move |world| {
            if world.connections[connection].broken_at.is_some()
                || !world.nodes[node].cells.contains_key(&session)
            {
                return;
            }
            world.step_session(node, session, Input::AcknowledgeCursor(at));
            let now = world.schedule.now;
            let state = &mut world.connections[connection];
            state.polled_at = now;
            state
                .unacknowledged
                .retain(|frame| position_of(frame).is_some_and(|position| !at.covers(position)));
            let frames: Vec<Frame> = state.unacknowledged.iter().take(POLLED).cloned().collect();
            let lost = world.faulty && world.chance(15);
            let hop = world.hop();
            if !lost {
                world.after(hop, At::Outside, move |world| {
                    let state = &world.connections[connection];
                    if state.left || state.broken_at.is_some() {
                        return;
                    }
                    frames.into_iter().for_each(|frame| world.read(connection, frame));
                });
            }
            let pid = world.nodes[node].pid;
            world.after(LINGER_MS, At::Timer(pid), move |world| {
                if world.connections[connection].polled_at + LINGER_MS <= world.schedule.now {
                    world.end_session(node, session);
                }
            });
        });
        let pause = 400 + self.random_ms(1_500);
        self.after(pause, At::Outside, move |world| {
            let state = &world.connections[connection];
            let known = world.nodes[node].cells.contains_key(&session);
            if state.broken_at.is_none() && !known && !state.left {
                // The node knows no such session any more: the next poll begins a new one.
                return world.leave(connection);
            }
            world.poll(connection);
        });
    }
}

fn position_of(frame: &Frame) -> Option<Position> {
    match frame {
        Frame::Notification { position, .. } | Frame::Gap { last: position, .. } => Some(*position),
        Frame::Welcome { .. } | Frame::Drained { .. } => None,
    }
}
