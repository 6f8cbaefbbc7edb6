//! The holding worker: many clients, each a socket and some bytes. What a client got is kept only for those that got
//! something; what it reads is in one buffer for all.

mod client;
mod opening;
mod reading;

use std::collections::VecDeque;
use std::ops::Range;

use mio::{Events, Registry, Token};

use self::client::{Client, Session, State};
use super::lanes::Lanes;
use super::socket::{Got, Scratch};
use super::{Control, ORDERS, TICK, note, report};
use crate::clock::micros;
use crate::control::{Hold, Order, Report, Tick, Transport};
use crate::histogram::Latencies;
use crate::token::{Mint, recipient};

/// Between attempts to open, or to acknowledge, in microseconds.
const AGAIN: u64 = 300_000;
/// How long the distributor may take to confirm at the end, in microseconds, and how much longer for each client: a million
/// of them ask at once.
const CONFIRM_WITHIN: u64 = 20_000_000;
const CONFIRM_EACH: u64 = 5_000;

/// What is done later.
#[derive(Clone, Copy, Debug)]
enum Later {
    Open(usize),
    Acknowledge(usize),
}

/// All clients of this worker.
pub(super) struct Holder {
    clients: Vec<Client>,
    scratch: Scratch,
    shared: Shared,
    later: VecDeque<(u64, Later)>,
    /// How many are to be open, which is the next to open, how many are about to be, how many are.
    wanted: usize,
    next: usize,
    opening: usize,
    live: usize,
    /// `Opened` is still to be told.
    owes_opened: bool,
    /// Confirmations that are waited for, and until when.
    awaited: usize,
    finish_by: Option<u64>,
}

/// What reading a client needs beside it.
struct Shared {
    setup: Hold,
    mint: Mint,
    lanes: Lanes,
    latencies: Latencies,
    tick: Tick,
    count_from: u64,
    /// Due then: told apart.
    mark: Range<u64>,
    marked: Latencies,
    /// What is written after a read, and when those that it acknowledges were due.
    reply: Vec<u8>,
    due: Vec<u64>,
}

impl Shared {
    /// Notifications that were due at these times are acknowledged.
    fn acknowledged(&mut self, due: &[u64]) {
        if due.is_empty() {
            return;
        }
        let now = micros();
        self.tick.acknowledged += due.len() as u64;
        self.tick.last = now;
        for at in due.iter().filter(|at| **at >= self.count_from) {
            let latency = now.saturating_sub(*at);
            self.latencies.record(latency);
            if self.mark.contains(at) {
                self.marked.record(latency);
            }
        }
    }

    /// The number of the client with this index, and which distributor is its.
    fn number(&self, index: usize) -> (u64, usize) {
        let mut left = index as u64;
        for clients in &self.setup.clients {
            if left < clients.count {
                let number = clients.first + left;
                return (number, self.setup.choice.door(number, self.setup.doors.len()));
            }
            left -= clients.count;
        }
        (0, 0)
    }

    fn token(&self, index: usize) -> anyhow::Result<String> {
        self.mint.token(&recipient(&self.setup.run, self.number(index).0))
    }
}

impl Holder {
    pub(super) fn new(setup: Hold) -> anyhow::Result<Self> {
        let mut clients = Vec::new();
        for group in &setup.clients {
            clients.extend((0..group.count).map(|_| Client::new(group.transport)));
        }
        let shared = Shared {
            mint: Mint::new(&setup.signer)?,
            lanes: Lanes::new(&setup.doors, setup.from, clients.len()),
            latencies: Latencies::new()?,
            tick: Tick::default(),
            count_from: 0,
            mark: 0..0,
            marked: Latencies::new()?,
            reply: Vec::new(),
            due: Vec::new(),
            setup,
        };
        Ok(Self {
            clients,
            scratch: Scratch::new(),
            shared,
            later: VecDeque::new(),
            wanted: 0,
            next: 0,
            opening: 0,
            live: 0,
            owes_opened: false,
            awaited: 0,
            finish_by: None,
        })
    }

    /// Serves until there are no more orders.
    pub(super) fn run(mut self, mut control: Control) -> anyhow::Result<()> {
        let mut events = Events::with_capacity(1024);
        let mut ticks = micros() + TICK;
        loop {
            let soonest = self.later.front().map_or(ticks, |(due, _)| ticks.min(*due));
            let wait = std::time::Duration::from_micros(soonest.saturating_sub(micros()).max(1000));
            match control.poll.poll(&mut events, Some(wait)) {
                Err(error) if error.kind() != std::io::ErrorKind::Interrupted => return Err(error.into()),
                _done_or_interrupted => {}
            }
            for event in &events {
                match event.token() {
                    ORDERS => {
                        for order in control.orders.try_iter().collect::<Vec<_>>() {
                            let Some(order) = order else { return Ok(()) };
                            self.obey(order)?;
                        }
                    }
                    Token(index) if index < self.clients.len() => {
                        self.ready(index, event.is_read_closed())?;
                    }
                    Token(lane) => self.lane_ready(lane),
                }
            }
            self.proceed(control.poll.registry())?;
            let now = micros();
            if now >= ticks {
                ticks = now + TICK;
                self.tell()?;
            }
        }
    }

    fn obey(&mut self, order: Order) -> anyhow::Result<()> {
        match order {
            Order::Open(wanted) => {
                self.wanted = self.clients.len().min(usize::try_from(wanted).unwrap_or(usize::MAX));
                self.owes_opened = true;
            }
            Order::Count { from } => self.shared.count_from = from,
            Order::Finish => self.finish(),
            Order::Mark { from, until } => self.shared.mark = from..until,
            Order::Tell => self.tell()?,
            Order::Send(_) => {}
        }
        Ok(())
    }

    /// Everything that is not an answer to a socket.
    fn proceed(&mut self, registry: &Registry) -> anyhow::Result<()> {
        let now = micros();
        while let Some((due, later)) = self.later.front().copied() {
            if due > now {
                break;
            }
            self.later.pop_front();
            match later {
                Later::Open(index) => self.open(index, registry)?,
                Later::Acknowledge(index) => self.shared.lanes.push(self.shared.number(index).1, index),
            }
        }
        while self.next < self.wanted && self.opening < self.shared.setup.opening {
            let index = self.next;
            self.next += 1;
            self.opening += 1;
            self.open(index, registry)?;
        }
        if self.owes_opened && self.live == self.wanted {
            self.owes_opened = false;
            self.tell()?;
            report(&Report::Opened)?;
        }
        self.send_acknowledgements(registry);
        if let Some(by) = self.finish_by
            && (self.awaited == 0 || now >= by)
        {
            self.finish_by = None;
            self.hand_out()?;
        }
        Ok(())
    }

    fn send_acknowledgements(&mut self, registry: &Registry) {
        let Self { clients, shared, .. } = self;
        let mut lanes = std::mem::replace(&mut shared.lanes, Lanes::new(&[], shared.setup.from, 0));
        let failed = lanes.send(registry, |index| client::acknowledgement(clients, shared, index));
        shared.lanes = lanes;
        for acknowledged in failed {
            self.taken(acknowledged);
        }
    }

    fn lane_ready(&mut self, token: usize) {
        if let Some(acknowledged) = self.shared.lanes.ready(token, &mut self.scratch) {
            self.taken(acknowledged);
        }
    }

    /// An acknowledgement by POST was answered.
    fn taken(&mut self, acknowledged: super::lanes::Acknowledged) {
        let index = acknowledged.client;
        let Some(session) = &mut self.clients[index].session else { return };
        session.posting = false;
        match acknowledged.result {
            Ok(true) => {
                let due = std::mem::take(&mut session.posted);
                if session.due.is_empty() {
                    self.awaited -= usize::from(std::mem::take(&mut session.awaited));
                } else {
                    session.posting = true;
                    self.shared.lanes.push(self.shared.number(index).1, index);
                }
                self.shared.acknowledged(&due);
                return;
            }
            // The session is not entered yet.
            Ok(false) => {}
            Err(problem) => note(&mut self.shared.tick.problems, format!("acknowledging: {problem}")),
        }
        session.posting = true;
        let mut due = std::mem::take(&mut session.posted);
        due.append(&mut session.due);
        session.due = due;
        self.later.push_back((micros() + AGAIN, Later::Acknowledge(index)));
    }

    /// A client's socket has something, or takes something.
    fn ready(&mut self, index: usize, closed: bool) -> anyhow::Result<()> {
        if let Err(problem) = self.step(index, closed) {
            self.ended(index, &problem)?;
        }
        Ok(())
    }

    fn step(&mut self, index: usize, closed: bool) -> Result<(), String> {
        let client = &mut self.clients[index];
        let Some(stream) = &mut client.stream else { return Ok(()) };
        if client.state == State::Connecting {
            if let Some(error) = stream.take_error().map_err(|error| error.to_string())? {
                return Err(error.to_string());
            }
            if stream.peer_addr().is_err() {
                return Ok(());
            }
            client.state = State::Head;
            let request =
                client::request(client, &self.shared, index).map_err(|error| format!("{error:#}"))?;
            return client.write(&request);
        }
        if client.out.is_some() {
            client.write(b"")?;
        }
        loop {
            let client = &mut self.clients[index];
            let Some(stream) = &mut client.stream else { return Ok(()) };
            let got = self.scratch.read(stream, &mut client.rest).map_err(|error| error.to_string())?;
            match got {
                Got::Nothing => return Ok(()),
                Got::End => return Err("the connection ended".into()),
                Got::More | Got::All => {}
            }
            let was_open = client.state == State::Live;
            let used = reading::take(client, self.scratch.bytes(), &mut self.shared, index)?;
            client.rest = self.scratch.rest(used);
            if !was_open && client.state == State::Live {
                (self.opening, self.live) = (self.opening - 1, self.live + 1);
            }
            if client.confirmed {
                client.confirmed = false;
                if let Some(session) = &mut client.session {
                    self.awaited -= usize::from(std::mem::take(&mut session.awaited));
                }
            }
            if got == Got::All && !closed {
                return Ok(());
            }
        }
    }

    /// Asks every client that got something for a proof that its acknowledgements were taken.
    fn finish(&mut self) {
        self.finish_by = Some(micros() + CONFIRM_WITHIN + CONFIRM_EACH * self.clients.len() as u64);
        for index in 0..self.clients.len() {
            let door = self.shared.number(index).1;
            let client = &mut self.clients[index];
            let transport = client.transport;
            let Some(session) = &mut client.session else { continue };
            if session.entries.numbers.count() == 0 || client.state != State::Live {
                continue;
            }
            session.awaited = true;
            self.awaited += 1;
            if transport == Transport::Ws {
                // Frames are taken in order: the answer to this proves that every acknowledgement was.
                let _noticed_by_the_next_read = client.write(&reading::PING_FRAME);
            } else if !std::mem::replace(&mut session.posting, true) {
                self.shared.lanes.push(door, index);
            }
        }
    }

    fn hand_out(&mut self) -> anyhow::Result<()> {
        let mut rows = Vec::new();
        for (index, client) in self.clients.iter().enumerate() {
            let Some(Session { entries, .. }) = client.session.as_deref() else { continue };
            rows.push((self.shared.number(index).0, entries.clone()));
            if rows.len() == 4096 {
                report(&Report::Entries(std::mem::take(&mut rows)))?;
            }
        }
        report(&Report::Entries(rows))?;
        self.tell()?;
        report(&Report::Done { unconfirmed: self.awaited as u64 })
    }

    fn tell(&mut self) -> anyhow::Result<()> {
        let mut tick = std::mem::take(&mut self.shared.tick);
        tick.latencies = self.shared.latencies.take();
        tick.marked = self.shared.marked.take();
        tick.live = self.live as u64;
        report(&Report::Tick(Box::new(tick)))
    }
}
