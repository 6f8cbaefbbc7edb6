//! The registry as a map in the process: for one machine, and for tests. Leases run by the clock it is given.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use super::entered::REMEMBERED;
use super::entry::Entry;
use super::{
    Entered, Error, Fingerprint, Flag, FlagReading, Flags, Mark, Node, Nodes, RegistryEpoch, Route, Routes,
    metrics,
};
use crate::clock::{Clock, Timestamp};
use crate::delivery::NodeId;
use crate::position::PartitionId;
use crate::recipient::Recipient;

const ENGINE: &str = "memory";

/// A registry that lives and dies with the process. It holds one entry per connected or flagged recipient.
pub struct Registry {
    clock: Arc<dyn Clock>,
    content: Mutex<Content>,
}

#[derive(Default)]
struct Content {
    epoch: Option<RegistryEpoch>,
    entries: HashMap<Recipient, Entry>,
    leases: HashMap<NodeId, Lease>,
    flagged: HashMap<PartitionId, u64>,
    entered: Log,
}

/// The registrations that are remembered.
struct Log {
    /// Another one after everything was lost.
    life: u64,
    /// How many were forgotten.
    forgotten: u64,
    recent: VecDeque<Fingerprint>,
}

impl Default for Log {
    fn default() -> Self {
        Self { life: rand::random(), forgotten: 0, recent: VecDeque::new() }
    }
}

impl Log {
    fn push(&mut self, fingerprint: Fingerprint) {
        self.recent.push_back(fingerprint);
        if self.recent.len() > REMEMBERED {
            self.recent.pop_front();
            self.forgotten += 1;
        }
    }

    fn since(&self, mark: &Mark) -> (Entered, Mark) {
        let next = Mark(Some(format!("{:016x}-{}", self.life, self.forgotten + self.recent.len() as u64)));
        let seen = mark.0.as_deref().and_then(|mark| {
            let (life, seen) = mark.split_once('-')?;
            (u64::from_str_radix(life, 16).ok()? == self.life).then_some(())?;
            usize::try_from(seen.parse::<u64>().ok()?.checked_sub(self.forgotten)?).ok()
        });
        let entered = match seen {
            Some(seen) => Entered::of(self.recent.iter().skip(seen).copied().collect()),
            None => Entered::Any,
        };
        (entered, next)
    }
}

struct Lease {
    address: String,
    until: Timestamp,
}

impl Registry {
    /// An empty registry.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self { clock, content: Mutex::default() })
    }

    /// Loses everything, as a Redis that was flushed.
    pub fn forget(&self) {
        *self.content() = Content::default();
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        // Every change below is complete before the next line that could panic, so a poisoned map is still true.
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Content {
    fn change<T>(&mut self, recipient: &Recipient, change: impl FnOnce(&mut Entry) -> T) -> T {
        if let Some(entry) = self.entries.get_mut(recipient) {
            let answer = change(entry);
            if entry.is_void() {
                self.entries.remove(recipient);
            }
            return answer;
        }
        let mut entry = Entry::default();
        let answer = change(&mut entry);
        if !entry.is_void() {
            self.entries.insert(recipient.clone(), entry);
        }
        answer
    }

    fn expire_leases(&mut self, now: Timestamp) {
        self.leases.retain(|_, lease| lease.until > now);
    }
}

#[async_trait]
impl Routes for Registry {
    async fn register(&self, routes: &[(Recipient, Route)]) -> Result<(), Error> {
        let call = async {
            let now = self.clock.now();
            let mut content = self.content();
            content.expire_leases(now);
            let leased: Vec<NodeId> = content.leases.keys().copied().collect();
            for (recipient, route) in routes {
                content.change(recipient, |entry| entry.enter(*route, |node| leased.contains(&node)));
                content.entered.push(Fingerprint::of(recipient));
            }
            Ok(())
        };
        metrics::timed(ENGINE, "register", call).await
    }

    async fn remove(&self, routes: &[(Recipient, Route)]) -> Result<(), Error> {
        let call = async {
            let mut content = self.content();
            for (recipient, route) in routes {
                content.change(recipient, |entry| entry.leave(*route));
            }
            Ok(())
        };
        metrics::timed(ENGINE, "remove", call).await
    }

    async fn lookup(&self, recipients: &[Recipient]) -> Result<Vec<Vec<Route>>, Error> {
        let call = async {
            let now = self.clock.now();
            let mut content = self.content();
            content.expire_leases(now);
            let content = &*content;
            let leased = |route: &Route| content.leases.contains_key(&route.node);
            let routes = |recipient| {
                content.entries.get(recipient).map_or_else(Vec::new, |entry: &Entry| {
                    entry.routes.iter().copied().filter(leased).collect()
                })
            };
            Ok(recipients.iter().map(routes).collect())
        };
        metrics::timed(ENGINE, "lookup", call).await
    }

    async fn entered(&self, since: &Mark) -> Result<(Entered, Mark), Error> {
        let call = async { Ok(self.content().entered.since(since)) };
        metrics::timed(ENGINE, "entered", call).await
    }
}

#[async_trait]
impl Nodes for Registry {
    async fn renew(&self, node: &Node, ttl: Duration) -> Result<RegistryEpoch, Error> {
        let call = async {
            let until = self.clock.now().after(ttl);
            let mut content = self.content();
            content.leases.insert(node.id, Lease { address: node.address.clone(), until });
            Ok(*content.epoch.get_or_insert_with(|| RegistryEpoch(rand::random())))
        };
        metrics::timed(ENGINE, "renew", call).await
    }

    async fn release(&self, node: NodeId) -> Result<(), Error> {
        let call = async {
            self.content().leases.remove(&node);
            Ok(())
        };
        metrics::timed(ENGINE, "release", call).await
    }

    async fn nodes(&self) -> Result<Vec<Node>, Error> {
        let call = async {
            let now = self.clock.now();
            let mut content = self.content();
            content.expire_leases(now);
            let node = |(id, lease): (&NodeId, &Lease)| Node { id: *id, address: lease.address.clone() };
            Ok(content.leases.iter().map(node).collect())
        };
        metrics::timed(ENGINE, "nodes", call).await
    }
}

#[async_trait]
impl Flags for Registry {
    async fn mark(&self, marks: &[(Recipient, u64)]) -> Result<(), Error> {
        let call = async {
            let mut content = self.content();
            for (recipient, upto) in marks {
                content.change(recipient, |entry| entry.mark(*upto));
            }
            Ok(())
        };
        metrics::timed(ENGINE, "mark", call).await
    }

    async fn advance(&self, partition: PartitionId, from: Option<u64>, to: u64) -> Result<(), Error> {
        let call = async {
            let mut content = self.content();
            if content.flagged.get(&partition).copied() != from {
                return Err(Error::Conflict);
            }
            content.flagged.insert(partition, to);
            Ok(())
        };
        metrics::timed(ENGINE, "advance", call).await
    }

    async fn flagged_upto(&self, partition: PartitionId) -> Result<Option<u64>, Error> {
        let call = async { Ok(self.content().flagged.get(&partition).copied()) };
        metrics::timed(ENGINE, "flagged_upto", call).await
    }

    async fn read(&self, recipients: &[(Recipient, PartitionId)]) -> Result<Vec<FlagReading>, Error> {
        let call = async {
            let content = self.content();
            let reading = |(recipient, partition): &(Recipient, PartitionId)| {
                let entry = content.entries.get(recipient);
                FlagReading {
                    flag: entry.map_or(Flag::Unknown, |entry| entry.flag),
                    version: entry.map_or(0, |entry| entry.version),
                    flagged_upto: content.flagged.get(partition).copied(),
                }
            };
            Ok(recipients.iter().map(reading).collect())
        };
        metrics::timed(ENGINE, "read", call).await
    }

    async fn clear(&self, recipients: &[(Recipient, u64)]) -> Result<Vec<bool>, Error> {
        let call = async {
            let mut content = self.content();
            let clear = |(recipient, version): &(Recipient, u64)| {
                content.change(recipient, |entry| entry.clear(*version))
            };
            Ok(recipients.iter().map(clear).collect())
        };
        metrics::timed(ENGINE, "clear", call).await
    }
}
