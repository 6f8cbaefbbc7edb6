//! The other end of raw writes: connections that are read and forgotten.

use std::net::{IpAddr, SocketAddr};

use mio::{Events, Interest, Token};

use super::socket::{self, Got, Scratch};
use super::{Control, ORDERS, report};
use crate::control::Report;

/// Connects, and reads until there are no more orders.
pub(super) fn run(server: SocketAddr, connections: usize, from: IpAddr) -> anyhow::Result<()> {
    let mut control = Control::new()?;
    let mut streams = Vec::with_capacity(connections);
    for number in 0..connections {
        let mut stream = socket::connected(server, from)?;
        control.poll.registry().register(&mut stream, Token(number), Interest::READABLE)?;
        streams.push(stream);
    }
    report(&Report::Opened)?;
    let (mut events, mut scratch) = (Events::with_capacity(1024), Scratch::new());
    loop {
        match control.poll.poll(&mut events, None) {
            Err(error) if error.kind() != std::io::ErrorKind::Interrupted => return Err(error.into()),
            _done_or_interrupted => {}
        }
        for event in &events {
            if event.token() == ORDERS {
                if control.orders.try_iter().any(|order| order.is_none()) {
                    return Ok(());
                }
                continue;
            }
            if let Some(stream) = streams.get_mut(event.token().0) {
                while matches!(scratch.read(stream, &mut None), Ok(Got::More)) {}
            }
        }
    }
}
