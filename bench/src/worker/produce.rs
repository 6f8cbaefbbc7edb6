//! The producing worker: connections with one request under way each, on a schedule that waits for nobody.

mod answers;
mod request;

use std::collections::VecDeque;
use std::net::SocketAddr;

use mio::net::TcpStream;
use mio::unix::SourceFd;
use mio::{Events, Interest, Registry, Token};
use rustix::fd::{AsRawFd as _, OwnedFd};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};

use super::socket::{self, Rest, Scratch};
use super::{Control, ORDERS, TICK, report};
use crate::clock::micros;
use crate::control::{Order, Phase, Produce, Report, Tick};
use crate::histogram::Latencies;
use crate::ledger::Entries;
use crate::schedule::{Pace, spread};

/// The token of the timer that tells when a request is due.
const TIMER: Token = Token(usize::MAX - 1);
/// Requests that are due within this are sent together, in microseconds: finer than any figure, coarser than a system call.
const GRAIN: u64 = 100;
/// How long a connection may have idled before a request takes a new one, in microseconds.
const IDLE: u64 = 4_000_000;
/// Most requests that become due before answers are looked at again.
const STEPS: usize = 1024;

/// One connection and its recipients.
struct Lane {
    stream: Option<TcpStream>,
    rest: Rest,
    out: Rest,
    /// Notifications sent so far.
    sent: u64,
    /// Requests that may still begin, where they follow answers.
    left: u64,
    /// When those were due that wait for an answer to come.
    due: VecDeque<u64>,
    /// When the one under way was due and was sent.
    under_way: Option<(u64, u64)>,
    /// When the latest answer came.
    answered: u64,
}

/// All connections of this process.
pub(super) struct Producers {
    setup: Produce,
    lanes: Vec<Lane>,
    /// By the recipient's number among this process's.
    ledger: Vec<Entries>,
    head: Vec<u8>,
    pad: Vec<u8>,
    body: Vec<u8>,
    request: Vec<u8>,
    scratch: Scratch,
    latencies: Latencies,
    tick: Tick,
    phase: Option<Running>,
    count_from: u64,
    timer: OwnedFd,
    armed: Option<u64>,
}

struct Running {
    pace: Option<Pace>,
    from: u64,
    until: u64,
}

impl Producers {
    pub(super) fn new(setup: Produce, registry: &Registry) -> anyhow::Result<Self> {
        let plan = &setup.plan;
        anyhow::ensure!(!setup.receivers.is_empty() && plan.own_connections() > 0, "nothing to send over");
        let path = if plan.batch == 1 { "notifications" } else { "notifications/batch" };
        let head = format!(
            "POST /v1/{path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\n\
             content-type: application/json\r\ncontent-length: ",
            setup.api_key
        );
        let lane = |_| Lane {
            stream: None,
            rest: None,
            out: None,
            sent: 0,
            left: 0,
            due: VecDeque::new(),
            under_way: None,
            answered: 0,
        };
        let timer =
            timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        registry.register(&mut SourceFd(&timer.as_raw_fd()), TIMER, Interest::READABLE)?;
        Ok(Self {
            lanes: (0..plan.own_connections()).map(lane).collect(),
            ledger: vec![Entries::default(); usize::try_from(plan.recipients)?],
            head: head.into_bytes(),
            pad: vec![b'x'; plan.payload],
            body: Vec::new(),
            request: Vec::new(),
            scratch: Scratch::new(),
            latencies: Latencies::new()?,
            tick: Tick::default(),
            phase: None,
            count_from: 0,
            timer,
            armed: None,
            setup,
        })
    }

    /// Serves until there are no more orders.
    pub(super) fn run(mut self, mut control: Control) -> anyhow::Result<()> {
        let mut events = Events::with_capacity(1024);
        let mut ticks = micros() + TICK;
        loop {
            let wait = std::time::Duration::from_micros(ticks.saturating_sub(micros()).max(1000));
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
                    TIMER => self.armed = None,
                    Token(lane) => self.ready(lane),
                }
            }
            self.send(control.poll.registry())?;
            let now = micros();
            if now >= ticks {
                ticks = now + TICK;
                self.give_up(now);
                self.tell()?;
            }
        }
    }

    fn obey(&mut self, order: Order) -> anyhow::Result<()> {
        match order {
            Order::Send(Phase { from, until, requests, rate }) => {
                let pace = (rate > 0.0).then(|| Pace::new(from, rate, requests));
                // Each connection its share, so that each recipient gets the same number.
                let lanes = self.lanes.len() as u64;
                for (number, lane) in (0..).zip(&mut self.lanes) {
                    lane.left = if pace.is_some() { 0 } else { spread(requests, lanes, number) };
                }
                self.phase = Some(Running { pace, from, until });
            }
            Order::Count { from } => self.count_from = from,
            Order::Finish => {
                let rows: Vec<(u64, Entries)> = (0..)
                    .zip(&self.ledger)
                    .filter(|(_, entries)| entries.numbers.count() > 0)
                    .map(|(number, entries)| (number, entries.clone()))
                    .collect();
                for rows in rows.chunks(4096) {
                    report(&Report::Entries(rows.to_vec()))?;
                }
                self.tell()?;
                report(&Report::Done { unconfirmed: 0 })?;
            }
            Order::Tell => self.tell()?,
            Order::Open(_) | Order::Mark { .. } => {}
        }
        Ok(())
    }

    /// Hands due requests to their connections, sends what can be sent, ends the phase when it is over.
    fn send(&mut self, registry: &Registry) -> anyhow::Result<()> {
        let now = micros();
        let Some(mut phase) = self.phase.take() else { return Ok(()) };
        if now < phase.from {
            self.arm(phase.from)?;
            self.phase = Some(phase);
            return Ok(());
        }
        let lanes = self.lanes.len();
        if let Some(pace) = &mut phase.pace {
            let mut steps = 0;
            while steps < STEPS && now < phase.until {
                let Some((number, due)) = pace.take(now) else { break };
                self.lanes[(number % lanes as u64) as usize].due.push_back(due);
                steps += 1;
            }
        }
        let mut busy = false;
        for lane in 0..lanes {
            let connection = &mut self.lanes[lane];
            if now >= phase.until {
                connection.left = 0;
            }
            if connection.under_way.is_none() {
                if connection.left > 0 {
                    connection.left -= 1;
                    connection.due.push_back(micros());
                }
                if let Some(due) = connection.due.pop_front() {
                    self.begin(lane, due, registry);
                }
            }
            let connection = &self.lanes[lane];
            busy |= connection.under_way.is_some() || connection.left > 0 || !connection.due.is_empty();
        }
        let next =
            phase.pace.as_ref().and_then(Pace::due).filter(|due| *due < phase.until && now < phase.until);
        if let Some(next) = next {
            self.arm(next.max(micros() + GRAIN))?;
        }
        if busy || next.is_some() {
            self.phase = Some(phase);
            return Ok(());
        }
        self.tell()?;
        report(&Report::Sent)
    }

    /// Has the timer go off at `due`.
    fn arm(&mut self, due: u64) -> anyhow::Result<()> {
        if self.armed == Some(due) {
            return Ok(());
        }
        let it_value =
            Timespec { tv_sec: (due / 1_000_000) as i64, tv_nsec: (due % 1_000_000) as i64 * 1000 };
        let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value };
        timerfd_settime(&self.timer, TimerfdTimerFlags::ABSTIME, &once)?;
        self.armed = Some(due);
        Ok(())
    }

    /// Sends the next request of a connection.
    fn begin(&mut self, lane: usize, due: u64, registry: &Registry) {
        self.write_request(lane, due);
        self.tick.asked += self.setup.plan.batch;
        let address = self.setup.receivers[lane % self.setup.receivers.len()];
        let connection = &mut self.lanes[lane];
        let now = micros();
        connection.under_way = Some((due, now));
        if connection.answered + IDLE < now {
            // The receiver is about to end it, and would perhaps while this request is on its way.
            (connection.stream, connection.rest) = (None, None);
        }
        let written = match &mut connection.stream {
            Some(stream) => socket::write(stream, &self.request, &mut connection.out),
            None => open(address, lane, registry).map(|stream| {
                connection.stream = Some(stream);
                connection.out = Some(self.request.as_slice().into());
            }),
        };
        if let Err(error) = written {
            self.unanswered(lane, &error.to_string());
        }
    }

    fn tell(&mut self) -> anyhow::Result<()> {
        let mut tick = std::mem::take(&mut self.tick);
        tick.latencies = self.latencies.take();
        report(&Report::Tick(Box::new(tick)))
    }
}

fn open(address: SocketAddr, lane: usize, registry: &Registry) -> std::io::Result<TcpStream> {
    let mut stream = socket::connect(address, None)?;
    registry.register(&mut stream, Token(lane), Interest::READABLE | Interest::WRITABLE)?;
    Ok(stream)
}
