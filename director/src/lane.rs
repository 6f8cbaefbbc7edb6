//! Lanes: what becomes of the records of one partition, recipient by recipient. A state machine without I/O: the worker
//! feeds it [`Input`]s with the time, and does what the [`Output`]s say.
//!
//! A [lane](single::Lane) holds the records of one recipient that have not ended. Invariants, each tried by `tests`:
//! - a session is sent a record only after every record of its lane before it that has not ended, on that stream;
//! - records are parked as runs from the head of their lane, a run whole or not at all, one run of a lane at a time, and
//!   none while one before it that cannot be parked is not on `dead`;
//! - a forwarded record carries a `parked_upto` above every record of its recipient parked before;
//! - a session that spilled is resumed only when nothing of its lane that it was sent is left: whatever it missed has
//!   ended by then, or stands below a higher `parked_upto`;
//! - every record ends exactly once; one that a client ended was sent to every session that had registered before it was
//!   taken and is not behind, though the registry is not asked for every record.
//!
//! What the partition may have in flight is [shared](shares): under pressure a lane whose recipient, tenant or node holds
//! more than its share gives way, which parks what it has, without waiting for verdicts.

mod entry;
mod known;
mod memory;
mod parking;
mod patience;
mod proof;
mod shares;
mod single;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use shared::delivery::{NodeId, SessionId, Verdict};
use shared::notification::Urgency;
use shared::outcome::{DeadReason, End, ParkReason};
use shared::recipient::Recipient;
use shared::registry::{Entered, Route};

pub use known::KnownLimits;
pub use patience::{Patience, RetryPolicy};
pub use shares::{Fairness, Sharer};

use crate::routing::Record;
use known::Known;
use memory::ParkedMemory;
use patience::{Blame, Retries};
use proof::{Unproved, Wanted};
use shares::Shares;
use single::Lane;

/// What the worker tells.
#[derive(Debug)]
pub enum Input {
    /// A record was taken from the log. Offsets ascend.
    Taken(Arc<Record>),
    /// Answers [`Output::Lookup`]; `None` when the registry could not say.
    Routed(Recipient, Option<Vec<Route>>),
    /// Answers [`Output::Lookup`]: the registry has been away for a while, so it was not even asked.
    Away(Recipient),
    /// Routes of these were entered since this was told last, as the registry says.
    Entered(Arc<Entered>),
    /// All that was entered before this record was taken has been told by [`Input::Entered`].
    Proved(u64),
    /// The registry has been away for a while: it cannot say what was entered.
    Unprovable,
    /// Answers [`Output::Look`]; `None` when the registry could not say.
    Looked(Recipient, Option<Vec<Route>>),
    /// A session of a node says what became of the record at an offset.
    Verdict(Route, u64, Verdict),
    /// Everything sent to this node and not answered is lost, or could not be sent.
    StreamLost(NodeId),
    /// Answers [`Output::Park`] for each record of the run, in order, up to the first that is [`Input::Unparkable`]: that at
    /// `offset` is durable on `parked`, at offset `parked`.
    Parked {
        /// Of the record on `notifications`.
        offset: u64,
        /// Of its copy on `parked`.
        parked: u64,
    },
    /// Answers [`Output::Park`]: the log will never take the record at this offset; it becomes a dead letter.
    Unparkable(u64, DeadReason),
    /// Answers [`Output::Bury`]: the record at this offset is durable on `dead`.
    Buried(u64),
    /// Time has passed.
    Tick,
}

/// What the worker is to do.
#[derive(Debug)]
pub enum Output {
    /// Ask the registry where this recipient is; answer with [`Input::Routed`].
    Lookup(Recipient),
    /// Ask the registry once more, after something was parked; answer with [`Input::Looked`].
    Look(Recipient),
    /// Send the record to this session; `parked` must be drained up to `parked_upto` before it.
    Forward {
        /// The session.
        route: Route,
        /// The record.
        record: Arc<Record>,
        /// The parked offset.
        parked_upto: u64,
    },
    /// Tell this session that something of its recipient was parked below the offset.
    Poke(Route, u64),
    /// Tell this session that it is not behind any more.
    Resume(Route),
    /// Append the run to `parked`, as one; answer for each of its records, in order, with [`Input::Parked`], or with
    /// [`Input::Unparkable`] for the first that the log does not take: what is behind that one is not appended.
    Park(Run),
    /// Append the record to `dead`, whose acknowledgement ends it; answer with [`Input::Buried`].
    Bury(Arc<Record>, DeadReason),
    /// The record has ended.
    Ended(Arc<Record>, End),
    /// There is no such session: remove exactly this route.
    Unregister(Recipient, Route),
    /// A lane waits to try again; for metrics.
    Retry,
    /// A lane gives way, because this one was above its share; for metrics.
    GaveWay(Sharer),
}

/// Consecutive records of one lane, and why each is parked. Never empty.
pub type Run = Vec<(Arc<Record>, ParkReason)>;

/// How much one run may hold.
#[derive(Clone, Copy, Debug)]
pub struct RunLimits {
    /// Most records.
    pub records: usize,
    /// Most bytes, unless a single record is larger.
    pub bytes: usize,
}

/// Limits of the lanes of one partition.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How long a verdict may take before the record is parked instead.
    pub verdict_deadline: Duration,
    /// For how many recipients without a lane the last parked offset is kept.
    pub parked_memory: usize,
    /// How often and how long delivery is tried.
    pub retry: RetryPolicy,
    /// How many routes are remembered.
    pub known: KnownLimits,
    /// How much of a lane is parked at a time.
    pub run: RunLimits,
    /// How what may be in flight is shared.
    pub fairness: Fairness,
}

/// What one step of a lane may use.
struct Turn<'a> {
    now: Instant,
    run: RunLimits,
    retries: &'a mut Retries,
    out: &'a mut Vec<Output>,
}

/// The lanes of one partition.
#[derive(Debug)]
pub struct Lanes {
    verdict_deadline: Duration,
    run: RunLimits,
    lanes: HashMap<Recipient, Lane>,
    /// The recipient of every record in a lane, by offset.
    owners: HashMap<u64, Recipient>,
    /// The recipient of every session that a lane has sent to.
    met: HashMap<SessionId, Recipient>,
    known: Known,
    unproved: Unproved,
    memory: ParkedMemory,
    retries: Retries,
    shares: Shares,
}

impl Lanes {
    /// No lane yet. `base` is the end of `parked`, read after the partition was assigned; `seed` feeds the jitter.
    #[must_use]
    pub fn new(settings: Settings, base: u64, seed: u64) -> Self {
        Self {
            verdict_deadline: settings.verdict_deadline,
            run: settings.run,
            lanes: HashMap::new(),
            owners: HashMap::new(),
            met: HashMap::new(),
            known: Known::new(settings.known),
            unproved: Unproved::default(),
            memory: ParkedMemory::new(base, settings.parked_memory),
            retries: Retries::new(settings.retry, seed),
            shares: Shares::new(settings.fairness),
        }
    }

    /// Takes one input; what is to be done about it is appended to `out`, to be done in that order.
    pub fn step(&mut self, input: Input, now: Instant, out: &mut Vec<Output>) {
        match input {
            Input::Taken(record) => self.take(record, now, out),
            Input::Routed(recipient, Some(routes)) => self.routed(&recipient, &routes, now, out),
            Input::Routed(recipient, None) if self.counts(&recipient) => {
                self.with(&recipient, now, out, |lane, turn| lane.unrouted(turn));
            }
            Input::Away(recipient) if self.counts(&recipient) => {
                self.with(&recipient, now, out, Lane::unroutable);
            }
            Input::Routed(_, None) | Input::Away(_) => {}
            Input::Entered(news) => self.hear(&news, now, out),
            Input::Proved(upto) => self.prove(upto, now, out),
            Input::Unprovable => self.hear(&Entered::Any, now, out),
            Input::Looked(recipient, routes) => {
                self.with(&recipient, now, out, |lane, turn| {
                    lane.looked(&recipient, routes.as_deref(), turn)
                });
            }
            Input::Verdict(route, offset, verdict) => self.verdict(route, offset, &verdict, now, out),
            Input::StreamLost(node) => {
                self.known.forget_node(node);
                for recipient in self.recipients(|lane| lane.knows(node)) {
                    for session in self.lanes[&recipient].sessions_of(node) {
                        self.met.remove(&session);
                    }
                    self.with(&recipient, now, out, |lane, turn| lane.stream_lost(node, turn));
                }
            }
            Input::Parked { offset, parked } => {
                self.with_owner(offset, now, out, |lane, turn| lane.parked(offset, parked, turn));
            }
            Input::Unparkable(offset, reason) => {
                self.with_owner(offset, now, out, |lane, turn| lane.unparkable(offset, reason, turn));
            }
            Input::Buried(offset) => {
                self.with_owner(offset, now, out, |lane, turn| lane.buried(offset, turn));
                self.owners.remove(&offset);
            }
            Input::Tick => self.tick(now, out),
        }
    }

    /// How urgent the most urgent record of a recipient is.
    #[must_use]
    pub fn urgency(&self, recipient: &Recipient) -> Urgency {
        self.lanes.get(recipient).map_or(Urgency::VeryLow, Lane::urgency)
    }

    /// When the next retry is due, if any waits. Verdicts that never come are found by ticking now and then.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        self.retries.due()
    }

    /// How many lanes there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lanes.len()
    }

    /// Whether no record is in any lane, and no second look outstanding.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lanes.is_empty()
    }

    fn take(&mut self, record: Arc<Record>, now: Instant, out: &mut Vec<Output>) {
        let recipient = record.notification.recipient.clone();
        self.retries.earn(Blame::Registry);
        self.owners.insert(record.position.offset, recipient.clone());
        if !self.lanes.contains_key(&recipient) {
            self.lanes.insert(recipient.clone(), Lane::new(self.memory.parked_upto(&recipient)));
        }
        let (offset, mut wanted) = (record.position.offset, Wanted::Nothing);
        self.with(&recipient, now, out, |lane, turn| wanted = lane.take(record, turn));
        if wanted != Wanted::Nothing {
            self.unproved.push(offset, &recipient);
        }
        let known = if wanted == Wanted::Routes { self.known.routes(&recipient, now) } else { None };
        match known {
            Some(routes) => {
                let node = routes.first().map(|route| route.node);
                if !self.relieve(&recipient, node, now, out) {
                    self.with(&recipient, now, out, |lane, turn| lane.trust(&routes, turn));
                }
            }
            None => {
                if wanted == Wanted::Routes {
                    self.with(&recipient, now, out, |lane, turn| lane.look_up(turn));
                }
                self.relieve(&recipient, None, now, out);
            }
        }
    }

    fn verdict(&mut self, route: Route, offset: u64, verdict: &Verdict, now: Instant, out: &mut Vec<Output>) {
        if self.owners.contains_key(&offset) {
            self.with_owner(offset, now, out, |lane, turn| lane.verdict(route, offset, verdict, turn));
            return;
        }
        // It has ended meanwhile, elsewhere.
        let recipient = self.met.get(&route.session).cloned();
        match (verdict, recipient) {
            (Verdict::Spilled, Some(recipient)) => {
                self.with(&recipient, now, out, |lane, turn| lane.fell_behind(route, turn));
            }
            (Verdict::Spilled, None) => out.push(Output::Resume(route)),
            (Verdict::Gone, Some(recipient)) => {
                self.known.forget(&recipient);
                out.push(Output::Unregister(recipient, route));
            }
            (Verdict::Gone, None) | (Verdict::Acknowledged | Verdict::Expired | Verdict::Rejected(_), _) => {}
        }
    }

    fn tick(&mut self, now: Instant, out: &mut Vec<Output>) {
        self.shares.forget(now);
        while let Some(recipient) = self.retries.take_due(now) {
            self.with(&recipient, now, out, |lane, turn| lane.retry(turn));
        }
        let deadline = self.shares.verdict_deadline(self.verdict_deadline);
        let Some(limit) = now.checked_sub(deadline) else { return };
        for recipient in self.recipients(|lane| lane.awaits_since(limit)) {
            self.with(&recipient, now, out, |lane, turn| lane.silence(limit, turn));
        }
    }

    /// Ascending, so that the same inputs have the same outputs in every run.
    fn recipients(&self, wanted: impl Fn(&Lane) -> bool) -> Vec<Recipient> {
        let wanted = self.lanes.iter().filter(|(_, lane)| wanted(lane));
        let mut recipients: Vec<Recipient> = wanted.map(|(recipient, _)| recipient.clone()).collect();
        recipients.sort_unstable();
        recipients
    }

    fn with_owner(
        &mut self,
        offset: u64,
        now: Instant,
        out: &mut Vec<Output>,
        step: impl FnOnce(&mut Lane, &mut Turn<'_>),
    ) {
        if let Some(recipient) = self.owners.get(&offset).cloned() {
            self.with(&recipient, now, out, step);
        }
    }

    /// Lets one lane take a step, keeps the indexes true, and drops the lane when it is over.
    fn with(
        &mut self,
        recipient: &Recipient,
        now: Instant,
        out: &mut Vec<Output>,
        step: impl FnOnce(&mut Lane, &mut Turn<'_>),
    ) {
        let Some(lane) = self.lanes.get_mut(recipient) else { return };
        let (before, load) = (out.len(), lane.load());
        step(lane, &mut Turn { now, run: self.run, retries: &mut self.retries, out });
        let over = lane.is_over();
        self.shares.shift(&recipient.tenant, load, lane.load(), now);
        for output in &out[before..] {
            match output {
                Output::Ended(record, _) => {
                    self.owners.remove(&record.position.offset);
                }
                Output::Bury(record, _) if lane.find(record.position.offset).is_none() => {
                    self.owners.remove(&record.position.offset);
                }
                Output::Forward { route, .. } => {
                    self.met.insert(route.session, recipient.clone());
                    self.retries.earn(Blame::Node(route.node));
                }
                Output::Lookup(recipient) => self.known.asks(recipient),
                Output::Unregister(recipient, _) => self.known.forget(recipient),
                _ => {}
            }
        }
        if over && let Some(lane) = self.lanes.remove(recipient) {
            for peer in lane.peers() {
                self.met.remove(&peer.route.session);
                if peer.is_behind() {
                    out.push(Output::Resume(peer.route));
                }
            }
            if let Some(parked_upto) = lane.parked_here() {
                self.memory.remember(recipient.clone(), parked_upto);
            }
        }
    }
}
