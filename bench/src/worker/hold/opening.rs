//! Opening connections, and what happens when one ends.

use mio::{Interest, Registry, Token};

use super::super::{note, socket};
use super::{AGAIN, Holder, Later, State};
use crate::clock::micros;

impl Holder {
    /// Begins to connect a client.
    pub(super) fn open(&mut self, index: usize, registry: &Registry) -> anyhow::Result<()> {
        let (_, door) = self.shared.number(index);
        let client = &mut self.clients[index];
        match socket::connect(self.shared.setup.doors[door], Some(self.shared.setup.from)) {
            Ok(mut stream) => {
                registry.register(&mut stream, Token(index), Interest::READABLE | Interest::WRITABLE)?;
                client.stream = Some(stream);
                client.state = State::Connecting;
                Ok(())
            }
            Err(error) => self.ended(index, &error.to_string()),
        }
    }

    /// A connection is over: one that was live is counted, and each is opened again.
    pub(super) fn ended(&mut self, index: usize, why: &str) -> anyhow::Result<()> {
        let (number, _) = self.shared.number(index);
        let client = &mut self.clients[index];
        (client.stream, client.rest, client.out) = (None, None, None);
        let was = std::mem::replace(&mut client.state, State::Closed);
        if let Some(session) = &mut client.session {
            session.carry = None;
            session.name = Box::default();
            self.awaited -= usize::from(std::mem::take(&mut session.awaited));
        }
        let tick = &mut self.shared.tick;
        match was {
            State::Live => {
                (self.live, self.opening) = (self.live - 1, self.opening + 1);
                tick.dropped += 1;
                note(&mut tick.problems, format!("client {number} was dropped: {why}"));
            }
            State::Head if why.starts_with("refused for good") => {
                anyhow::bail!("client {number} cannot connect: {why}")
            }
            State::Closed | State::Connecting | State::Head | State::Opening => {
                note(&mut tick.problems, format!("client {number} connects again: {why}"));
            }
        }
        // Not all at once.
        let spread = number.wrapping_mul(0x9e37_79b9) % AGAIN;
        self.later.push_back((micros() + AGAIN + spread, Later::Open(index)));
        Ok(())
    }
}
