//! Tickets for clients that cannot set headers, a browser's `EventSource` first of all: made from a token, put into the
//! URL instead of it. A ticket waits a short while for its first use; after that it is good only for reconnecting, and
//! only as long as the token it was made from. Kept in this node's memory.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use shared::clock::Timestamp;

use super::Identity;

/// 256 random bits.
type Key = [u8; 32];

/// How a ticket is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// To connect.
    Connect,
    /// To connect again, by a client that says where it stands.
    Reconnect,
}

/// Why a ticket is no good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TicketRefused {
    /// Unknown to this node, used, or too old for its first use.
    #[error("is unknown, used or too old")]
    Unknown,
    /// The token it was made from expired.
    #[error("has expired with its token")]
    Expired,
}

#[derive(Debug)]
struct Ticket {
    identity: Identity,
    first_use_until: Timestamp,
    used: bool,
}

#[derive(Debug, Default)]
struct Held {
    tickets: HashMap<Key, Ticket>,
    /// In the order they were made.
    order: VecDeque<Key>,
}

/// The tickets of this node.
#[derive(Debug)]
pub struct Tickets {
    ttl: Duration,
    most: usize,
    held: Mutex<Held>,
}

impl Tickets {
    /// At most `most` of them, each waiting `ttl` for its first use.
    #[must_use]
    pub fn new(ttl: Duration, most: usize) -> Self {
        Self { ttl, most, held: Mutex::default() }
    }

    /// Makes one. Beyond the limit the oldest gives way.
    pub fn issue(&self, identity: Identity, now: Timestamp) -> String {
        let key: Key = rand::random();
        let first_use_until = now.after(self.ttl).min(identity.expires);
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        while held.order.len() >= self.most {
            if let Some(oldest) = held.order.pop_front() {
                held.tickets.remove(&oldest);
            }
        }
        held.order.push_back(key);
        held.tickets.insert(key, Ticket { identity, first_use_until, used: false });
        URL_SAFE_NO_PAD.encode(key)
    }

    /// Whom a ticket speaks for at `now`.
    ///
    /// # Errors
    /// Says why it is no good.
    pub fn redeem(&self, text: &str, usage: Use, now: Timestamp) -> Result<Identity, TicketRefused> {
        let key = URL_SAFE_NO_PAD.decode(text).ok().and_then(|bytes| Key::try_from(bytes).ok());
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let ticket = key.and_then(|key| held.tickets.get_mut(&key)).ok_or(TicketRefused::Unknown)?;
        match (ticket.used, usage) {
            (false, Use::Connect | Use::Reconnect) if now < ticket.first_use_until => {}
            (true, Use::Reconnect) if now < ticket.identity.expires => {}
            (true, Use::Reconnect) => return Err(TicketRefused::Expired),
            (false, Use::Connect | Use::Reconnect) | (true, Use::Connect) => {
                return Err(TicketRefused::Unknown);
            }
        }
        ticket.used = true;
        Ok(ticket.identity.clone())
    }

    /// Forgets tickets that nobody can use any more; an expired one that was used is kept `grace` longer, so that its
    /// client can be told to stop.
    pub fn sweep(&self, now: Timestamp, grace: Duration) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.tickets.retain(|_, ticket| {
            let until =
                if ticket.used { ticket.identity.expires.after(grace) } else { ticket.first_use_until };
            now < until
        });
        let Held { tickets, order } = &mut *held;
        order.retain(|key| tickets.contains_key(key));
    }
}

#[cfg(test)]
mod tests {
    use shared::recipient::Recipient;

    use super::*;

    const TTL: Duration = Duration::from_secs(30);

    fn identity() -> Identity {
        Identity {
            recipient: Recipient::parse_key("acme/alice").unwrap(),
            expires: Timestamp::from_millis(600_000),
        }
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    #[test]
    fn a_ticket_connects_once_and_then_only_reconnects() {
        let tickets = Tickets::new(TTL, 9);
        let ticket = tickets.issue(identity(), at(0));
        assert_eq!(tickets.redeem(&ticket, Use::Connect, at(29)), Ok(identity()));
        assert_eq!(tickets.redeem(&ticket, Use::Connect, at(29)), Err(TicketRefused::Unknown));
        assert_eq!(tickets.redeem(&ticket, Use::Reconnect, at(599)), Ok(identity()));
        assert_eq!(tickets.redeem(&ticket, Use::Reconnect, at(600)), Err(TicketRefused::Expired));
    }

    #[test]
    fn an_unused_ticket_dies_young() {
        let tickets = Tickets::new(TTL, 9);
        let ticket = tickets.issue(identity(), at(0));
        assert_eq!(tickets.redeem(&ticket, Use::Connect, at(30)), Err(TicketRefused::Unknown));
        assert_eq!(tickets.redeem(&ticket, Use::Reconnect, at(30)), Err(TicketRefused::Unknown));
    }

    #[test]
    fn an_invented_ticket_is_unknown() {
        let tickets = Tickets::new(TTL, 9);
        for text in ["", "x", "%%", &URL_SAFE_NO_PAD.encode([0; 32])] {
            assert_eq!(tickets.redeem(text, Use::Connect, at(0)), Err(TicketRefused::Unknown));
        }
    }

    #[test]
    fn the_oldest_ticket_gives_way_and_sweeping_forgets_the_dead() {
        let tickets = Tickets::new(TTL, 2);
        let all: Vec<_> = (0..3).map(|second| tickets.issue(identity(), at(second))).collect();
        assert_eq!(tickets.redeem(&all[0], Use::Connect, at(3)), Err(TicketRefused::Unknown));
        assert_eq!(tickets.redeem(&all[1], Use::Connect, at(3)), Ok(identity()));
        tickets.sweep(at(40), TTL);
        assert_eq!(tickets.held.lock().unwrap().order.len(), 1);
        tickets.sweep(at(631), TTL);
        assert!(tickets.held.lock().unwrap().tickets.is_empty());
    }
}
