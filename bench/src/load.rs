//! A load under way: its workers, and what they told so far.

mod telling;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use tokio::time::{Instant, Interval, MissedTickBehavior};

use crate::clock::micros;
use crate::control::{Choice, Client, Hold, Order, Phase, Produce, Setup, Transport};
use crate::fleet::Fleet;
use crate::histogram::Latencies;
use crate::ledger::{Balance, Entries};
use crate::os::{self, Process};
use crate::result::{Outcome, Sample};
use crate::schedule::{Plan, client};
use crate::target::Pipeline;
use crate::worker::CONNECTIONS;

/// Handshakes at a time, over all workers.
const OPENING: usize = 256;
/// Workers that connect at a time.
const AT_WORK: usize = 4;

/// What workers told, added up.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Totals {
    pub(crate) asked: u64,
    pub(crate) accepted: u64,
    pub(crate) refused: u64,
    pub(crate) unanswered: u64,
    pub(crate) came: u64,
    pub(crate) fresh: u64,
    pub(crate) acknowledged: u64,
    pub(crate) dropped: u64,
    /// When the latest answer and the latest acknowledgement came.
    pub(crate) last_accepted: u64,
    pub(crate) last_acknowledged: u64,
}

/// Processor seconds, by the name of the process.
pub(crate) type Cpu = BTreeMap<String, f64>;

/// Latencies of everything, or of the moments around a stop.
pub(crate) struct Recorded {
    pub(crate) accepted: Latencies,
    pub(crate) acknowledged: Latencies,
    pub(crate) before_stop: Latencies,
    pub(crate) while_stopped: Latencies,
    second: Latencies,
}

impl Recorded {
    fn new() -> anyhow::Result<Self> {
        Ok(Self {
            accepted: Latencies::new()?,
            acknowledged: Latencies::new()?,
            before_stop: Latencies::new()?,
            while_stopped: Latencies::new()?,
            second: Latencies::new()?,
        })
    }
}

/// A load.
pub(crate) struct Load {
    fleet: Fleet,
    holders: Vec<usize>,
    producers: Vec<usize>,
    /// Workers that owe `Ready`, `Opened`, `Sent`, `Done`.
    unready: usize,
    opening: usize,
    sending: usize,
    finishing: usize,
    live: BTreeMap<usize, u64>,
    pub(crate) totals: Totals,
    pub(crate) recorded: Recorded,
    pub(crate) samples: Vec<Sample>,
    pub(crate) problems: Vec<String>,
    watched: Vec<Process>,
    /// The measured phase began then, on the monotonic clock.
    pub(crate) began: Option<u64>,
    pub(crate) stopped: bool,
    pub(crate) ever_stopped: bool,
    sampled: (Instant, Totals, Cpu),
    seconds: Interval,
    accepted_entries: Vec<(u64, Entries)>,
    client_entries: Vec<(u64, Entries)>,
    unconfirmed: u64,
    quiet: bool,
}

impl Load {
    pub(crate) fn new(program: PathBuf, quiet: bool) -> anyhow::Result<Self> {
        let mut seconds = tokio::time::interval(Duration::from_secs(1));
        seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Self {
            fleet: Fleet::new(program),
            holders: Vec::new(),
            producers: Vec::new(),
            unready: 0,
            opening: 0,
            sending: 0,
            finishing: 0,
            live: BTreeMap::new(),
            totals: Totals::default(),
            recorded: Recorded::new()?,
            samples: Vec::new(),
            problems: Vec::new(),
            watched: Vec::new(),
            began: None,
            stopped: false,
            ever_stopped: false,
            sampled: (Instant::now(), Totals::default(), BTreeMap::new()),
            seconds,
            accepted_entries: Vec::new(),
            client_entries: Vec::new(),
            unconfirmed: 0,
            quiet,
        })
    }

    /// Says something to whoever waits.
    pub(crate) fn say(&self, text: impl std::fmt::Display) {
        use std::io::Write as _;
        if !self.quiet {
            // A closed standard error leaves nobody to tell.
            let _unheard = writeln!(std::io::stderr(), "bench: {text}");
        }
    }

    /// Starts workers for so many clients of each transport.
    pub(crate) async fn hold(
        &mut self,
        pipeline: &Pipeline,
        run: &str,
        groups: &[(Transport, u64)],
        window: u32,
        choice: Choice,
    ) -> anyhow::Result<()> {
        let shares = shares(groups);
        let opening = OPENING / shares.len().clamp(1, AT_WORK);
        for (index, clients) in shares.into_iter().enumerate() {
            let index = u8::try_from(index)?;
            let setup = Setup::Hold(Hold {
                doors: pipeline.distributors.clone(),
                choice,
                from: IpAddr::V4(Ipv4Addr::new(127, 1, 1, index + 1)),
                signer: pipeline.signer.clone(),
                run: run.to_owned(),
                clients,
                opening,
                window,
            });
            let worker = self.fleet.start("clients", &setup).await?;
            self.holders.push(worker);
            self.unready += 1;
        }
        self.ready().await
    }

    /// Starts the producing workers.
    pub(crate) async fn produce(&mut self, pipeline: &Pipeline, plan: &Plan) -> anyhow::Result<()> {
        for process in 0..plan.processes {
            let setup = Setup::Produce(Produce {
                receivers: pipeline.receivers.clone(),
                api_key: pipeline.api_key.clone(),
                plan: Plan { process, ..plan.clone() },
            });
            let worker = self.fleet.start("generator", &setup).await?;
            self.producers.push(worker);
            self.unready += 1;
        }
        self.ready().await
    }

    async fn ready(&mut self) -> anyhow::Result<()> {
        let ready = self.until(Duration::from_secs(60), |load| load.unready == 0).await?;
        anyhow::ensure!(ready, "the workers did not start");
        Ok(())
    }

    /// Has so many clients connected, the first of all.
    pub(crate) async fn open(
        &mut self,
        groups: &[(Transport, u64)],
        wanted: u64,
        within: Duration,
    ) -> anyhow::Result<()> {
        let (mut left, deadline) = (wanted, Instant::now() + within);
        for (number, clients) in shares(groups).into_iter().enumerate() {
            let capacity: u64 = clients.iter().map(|clients| clients.count).sum();
            let own = left.min(capacity);
            left -= own;
            self.fleet.order(self.holders[number], &Order::Open(own)).await?;
            self.opening += 1;
            let now = Instant::now();
            self.until(deadline.saturating_duration_since(now), |load| load.opening < AT_WORK).await?;
        }
        let now = Instant::now();
        let opened = self.until(deadline.saturating_duration_since(now), |load| load.opening == 0).await?;
        let live: u64 = self.live.values().sum();
        anyhow::ensure!(opened, "only {live} of {wanted} clients connected: {}", self.problems.join("; "));
        Ok(())
    }

    /// Watches these, and the workers that there are. The process that commands them is not among them: it wakes up once a
    /// second.
    pub(crate) fn watch(&mut self, pipeline: &Pipeline) {
        self.watched = pipeline.processes.iter().cloned().chain(self.fleet.processes()).collect();
    }

    /// Processor seconds of everything that is watched.
    pub(crate) fn cpu(&self) -> anyhow::Result<Cpu> {
        os::cpu_seconds(&self.watched)
    }

    /// Begins a phase on every producer: so many notifications, or so long. Latencies count from its begin on.
    pub(crate) async fn send(
        &mut self,
        plan: &Plan,
        rate: f64,
        notifications: u64,
        lasts: Duration,
    ) -> anyhow::Result<u64> {
        let from = micros() + 20_000;
        let until = from.saturating_add(u64::try_from(lasts.as_micros())?);
        self.fleet.order_all(&Order::Count { from }).await?;
        let requests = notifications.div_ceil(plan.batch);
        for (index, worker) in (0..).zip(self.producers.clone()) {
            let requests = crate::schedule::spread(requests, plan.processes, index);
            let rate = rate / plan.batch as f64 / plan.processes as f64;
            self.fleet.order(worker, &Order::Send(Phase { from, until, requests, rate })).await?;
            self.sending += 1;
        }
        Ok(from)
    }

    /// Whether all producers have their answers.
    pub(crate) const fn sent(&self) -> bool {
        self.sending == 0
    }

    /// Waits until everything that was accepted was acknowledged; whether it was.
    pub(crate) async fn settle(&mut self, within: Duration) -> anyhow::Result<bool> {
        let deadline = Instant::now() + within;
        loop {
            let Totals { accepted, came, fresh, acknowledged, .. } = self.totals;
            let all = fresh >= accepted && acknowledged >= came;
            if all || Instant::now() >= deadline {
                return Ok(all);
            }
            for worker in self.holders.clone() {
                self.fleet.order(worker, &Order::Tell).await?;
            }
            self.until(Duration::from_millis(50), |_| false).await?;
        }
    }

    /// Has latencies of what is due then told apart.
    pub(crate) async fn mark(&mut self, from: u64, until: u64) -> anyhow::Result<()> {
        self.fleet.order_all(&Order::Mark { from, until }).await
    }

    /// Has the clients confirm, and balances the books.
    pub(crate) async fn balance(&mut self, recipients: u64, clients: u64) -> anyhow::Result<Balance> {
        self.fleet.order_all(&Order::Finish).await?;
        self.finishing = self.holders.len() + self.producers.len();
        let done = self.until(Duration::from_secs(150), |load| load.finishing == 0).await?;
        anyhow::ensure!(done, "the workers do not hand out their ledgers");
        let mut balance = Balance {
            refused: self.totals.refused,
            unanswered: self.totals.unanswered,
            dropped: self.totals.dropped,
            unconfirmed: self.unconfirmed,
            ..Balance::default()
        };
        let mut accepted: BTreeMap<u64, Entries> = BTreeMap::new();
        for (recipient, entries) in self.accepted_entries.drain(..) {
            accepted.insert(client(recipient, recipients, clients), entries);
        }
        for (number, came) in self.client_entries.drain(..) {
            balance.add(&accepted.remove(&number).unwrap_or_default(), &came);
        }
        for entries in accepted.values() {
            balance.add(entries, &Entries::default());
        }
        Ok(balance)
    }

    /// Takes reports and samples until `over`, at most for `within`; whether it was over.
    pub(crate) async fn until(
        &mut self,
        within: Duration,
        over: impl Fn(&Self) -> bool,
    ) -> anyhow::Result<bool> {
        let deadline = tokio::time::sleep(within);
        tokio::pin!(deadline);
        while !over(self) {
            tokio::select! {
                report = self.fleet.next() => {
                    let (worker, report) = report?;
                    self.take(worker, report);
                }
                _ = self.seconds.tick() => self.sample()?,
                () = &mut deadline => return Ok(false),
            }
        }
        Ok(true)
    }

    /// Memory of everything that is watched.
    pub(crate) fn memory(&self) -> anyhow::Result<BTreeMap<String, os::Memory>> {
        os::memory(&self.watched)
    }

    /// Forgets the latencies so far: those of a warm-up.
    pub(crate) fn forget(&mut self) -> anyhow::Result<()> {
        self.recorded = Recorded::new()?;
        Ok(())
    }

    /// Hands what was recorded to the result.
    pub(crate) fn hand_over(&mut self, outcome: &mut Outcome) {
        outcome.samples = std::mem::take(&mut self.samples);
        outcome.problems.append(&mut self.problems);
    }
}

/// The clients of each worker: as many as a process may have descriptors for.
fn shares(groups: &[(Transport, u64)]) -> Vec<Vec<Client>> {
    let total: u64 = groups.iter().map(|(_, count)| count).sum();
    let workers = total.div_ceil(CONNECTIONS).max(1);
    let mut shares: Vec<Vec<Client>> = Vec::new();
    let (mut first, mut room) = (0, 0);
    for (transport, count) in groups {
        let mut left = *count;
        while left > 0 {
            if room == 0 {
                room = crate::schedule::spread(total, workers, shares.len() as u64);
                shares.push(Vec::new());
            }
            let own = left.min(room);
            if let Some(share) = shares.last_mut() {
                share.push(Client { transport: *transport, first, count: own });
            }
            (first, left, room) = (first + own, left - own, room - own);
        }
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distributors_are_taken_in_turn_or_filled_one_after_the_other() {
        for choice in [Choice::InTurn, Choice::Filled { clients: 1000 }] {
            let doors: Vec<usize> = (0..1000).map(|client| choice.door(client, 7)).collect();
            for door in 0..7 {
                let own = doors.iter().filter(|own| **own == door).count();
                assert!((142..=143).contains(&own), "{choice:?} gives {own} to {door}");
            }
            assert_eq!(doors.is_sorted(), choice != Choice::InTurn, "{choice:?}");
        }
    }

    #[test]
    fn clients_are_shared_among_workers_without_a_gap() {
        let groups = [(Transport::Ws, 40_000), (Transport::Sse, 1), (Transport::Poll, 13_999)];
        let shares = shares(&groups);
        assert_eq!(shares.len(), 3);
        let mut next = 0;
        for share in &shares {
            assert!(share.iter().map(|clients| clients.count).sum::<u64>() <= CONNECTIONS);
            for clients in share {
                assert_eq!(clients.first, next);
                next += clients.count;
            }
        }
        assert_eq!(next, 54_000);
    }
}
