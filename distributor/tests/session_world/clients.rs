//! Devices of the recipient: they connect with their cursor, read, acknowledge, and go.

use std::collections::VecDeque;

use postrider_distributor::session::{Input, Session};
use rand::Rng as _;

use super::fixture::{cursor, opening};
use super::world::{Connection, World};

impl World {
    /// A client connects with its cursor, if it has no connection.
    pub(crate) fn connect(&mut self, client: usize) {
        if self.connections.values().any(|connection| connection.client == client) {
            return;
        }
        self.ids += 1;
        let next = self.clients[client].next;
        self.say(format!("client {client} connects as session {} from {next}", self.ids));
        let connection = Connection {
            session: Session::open(opening(next)),
            client,
            registered: false,
            seen_epoch: 0,
            questions: VecDeque::new(),
            wire: VecDeque::new(),
            read: 0,
            highest: None,
            outstanding: [0; 2],
        };
        self.connections.insert(self.ids, connection);
    }

    /// A connection ends; its node says goodbye, or dies with its streams.
    pub(crate) fn disconnect(&mut self, id: u64) {
        let clean = self.random.random_bool(0.5);
        self.say(format!("session {id} ends, clean: {clean}"));
        if clean {
            self.input(id, Input::End);
            if self.registry_up {
                self.routes.remove(&id);
            }
        }
        self.connections.remove(&id);
        if !clean {
            for index in 0..self.directors.len() {
                self.lose_stream(index, id);
            }
        }
    }

    /// The client reads a frame; what is at or behind its cursor it has seen.
    pub(crate) fn client_reads(&mut self, id: u64) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let Some((seq, offset)) = connection.wire.pop_front() else { return };
        connection.read = seq;
        let client = &mut self.clients[connection.client];
        if offset >= client.next {
            client.next = offset + 1;
            client.seen.push(offset);
        } else if !client.seen.contains(&offset) {
            self.problems.push(format!("client is sent {offset} when it is at {}", client.next));
        }
    }

    /// The client acknowledges what it read, by sequence number or by cursor.
    pub(crate) fn client_acknowledges(&mut self, id: u64) {
        let Some(connection) = self.connections.get(&id) else { return };
        let next = self.clients[connection.client].next;
        let input = if self.random.random_bool(0.2) {
            Input::AcknowledgeCursor(cursor(next))
        } else {
            Input::Acknowledge { seq: connection.read }
        };
        self.input(id, input);
    }
}
