//! Acknowledgements by POST, of clients whose transport has no way back: a few kept connections to each distributor.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use super::socket::{self, Got, Rest, Scratch};
use crate::wire::http;

/// Connections to each distributor.
const EACH: usize = 4;

struct Lane {
    stream: Option<TcpStream>,
    rest: Rest,
    out: Rest,
    /// The client whose acknowledgement is under way.
    client: Option<usize>,
}

/// All such connections of a worker; their tokens begin at `base`.
pub(super) struct Lanes {
    doors: Vec<SocketAddr>,
    from: IpAddr,
    base: usize,
    lanes: Vec<Lane>,
    /// Clients that wait, by the distributor, and how many they are.
    waiting: Vec<VecDeque<usize>>,
    waits: usize,
}

/// What became of a client's acknowledgement.
pub(super) struct Acknowledged {
    pub(super) client: usize,
    /// On how many sessions it was taken; or why not.
    pub(super) result: Result<bool, String>,
}

impl Lanes {
    pub(super) fn new(doors: &[SocketAddr], from: IpAddr, base: usize) -> Self {
        let lane = |_| Lane { stream: None, rest: None, out: None, client: None };
        Self {
            lanes: (0..doors.len() * EACH).map(lane).collect(),
            waiting: vec![VecDeque::new(); doors.len()],
            waits: 0,
            doors: doors.to_vec(),
            from,
            base,
        }
    }

    pub(super) fn push(&mut self, door: usize, client: usize) {
        self.waiting[door].push_back(client);
        self.waits += 1;
    }

    /// Sends what waits over connections that are free. `request` writes a client's.
    pub(super) fn send(
        &mut self,
        registry: &Registry,
        mut request: impl FnMut(usize) -> Vec<u8>,
    ) -> Vec<Acknowledged> {
        let mut failed = Vec::new();
        for number in 0..self.lanes.len() {
            if self.waits == 0 {
                break;
            }
            let door = number % self.doors.len();
            if self.waiting[door].is_empty() || self.lanes[number].client.is_some() {
                continue;
            }
            let Some(client) = self.waiting[door].pop_front() else { continue };
            self.waits -= 1;
            let bytes = request(client);
            let lane = &mut self.lanes[number];
            lane.client = Some(client);
            let sent = match &mut lane.stream {
                Some(stream) => socket::write(stream, &bytes, &mut lane.out),
                None => socket::connect(self.doors[door], Some(self.from)).and_then(|mut stream| {
                    let token = Token(self.base + number);
                    registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
                    (lane.stream, lane.out) = (Some(stream), Some(bytes.into()));
                    Ok(())
                }),
            };
            if let Err(error) = sent {
                failed.extend(self.over(number, Err(error.to_string())));
            }
        }
        failed
    }

    /// Something is ready on the connection with this token.
    pub(super) fn ready(&mut self, token: usize, scratch: &mut Scratch) -> Option<Acknowledged> {
        let number = token - self.base;
        match self.step(number, scratch) {
            Ok(None) => None,
            Ok(Some(result)) => {
                let client = self.lanes[number].client.take()?;
                Some(Acknowledged { client, result })
            }
            Err(error) => self.over(number, Err(error)),
        }
    }

    fn step(&mut self, number: usize, scratch: &mut Scratch) -> Result<Option<Result<bool, String>>, String> {
        let lane = &mut self.lanes[number];
        let Some(stream) = &mut lane.stream else { return Ok(None) };
        let not_yet = |error: &std::io::Error| error.kind() == std::io::ErrorKind::NotConnected;
        if lane.out.is_some() {
            match socket::write(stream, b"", &mut lane.out) {
                Err(error) if not_yet(&error) => return Ok(None),
                written => written.map_err(|error| error.to_string())?,
            }
        }
        match scratch.read(stream, &mut lane.rest) {
            Ok(Got::Nothing) => return Ok(None),
            Ok(Got::End) => return Err("the distributor ended a connection".into()),
            Ok(Got::All | Got::More) => {}
            Err(error) if not_yet(&error) => return Ok(None),
            Err(error) => return Err(error.to_string()),
        }
        let Some(answer) = http::answer(scratch.bytes())? else {
            lane.rest = scratch.rest(0);
            return Ok(None);
        };
        let result = match answer.head.status {
            200 => Ok(answer.body.trim_ascii() != br#"{"sessions":0}"#),
            status => Err(format!("{status}: {}", String::from_utf8_lossy(&answer.body))),
        };
        if answer.head.closes {
            (lane.stream, lane.rest) = (None, None);
        }
        Ok(Some(result))
    }

    fn over(&mut self, number: usize, result: Result<bool, String>) -> Option<Acknowledged> {
        let lane = &mut self.lanes[number];
        (lane.stream, lane.rest, lane.out) = (None, None, None);
        lane.client.take().map(|client| Acknowledged { client, result })
    }
}
