//! The registry in Redis.
//!
//! - `{prefix}b:{bucket}`: a hash of packed entries by recipient, see `registry/entry.rs`; its field is the beginning of
//!   the digest of the recipient's key. Recipients are spread over a fixed number of buckets; while a bucket holds at most 128 and entries stay within 64 bytes, Redis keeps it as one
//!   compact block, so choose `redis.buckets` as recipients / 100.
//! - `{prefix}nodes`: a hash of leases by node, each with its end by Redis' clock; its field `epoch` is the registry's.
//! - `{prefix}flagged`: a hash of marking progress by partition.
//! - `{prefix}entered`: a stream of registrations, the latest ones, an entry for each batch of them.
//!
//! Run it with `maxmemory-policy noeviction`: an evicted bucket would be missing routes that nobody announces again.
//! A batch is one round trip; every command bears repetition.

mod connection;
mod entered;
mod flags;
mod leases;
mod scripts;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use self::connection::Connection;
use self::leases::Leases;
use super::entry::{Entry, pack_route};
use super::{Entered, Error, Mark, Node, Nodes, RegistryEpoch, Route, Routes, metrics};
use crate::config::RedisSettings;
use crate::delivery::NodeId;
use crate::digest::Digest;
use crate::recipient::Recipient;
use crate::topic::partition_of;

const ENGINE: &str = "redis";

/// Bytes of a field: with those that the bucket adds, enough that no two of a billion recipients share one.
const FIELD_BYTES: usize = 10;

/// What a recipient is called in its bucket.
type Field = [u8; FIELD_BYTES];

/// The registry in Redis. Connects when first used, and again whenever the connection is lost.
pub struct Registry {
    connection: Connection,
    prefix: String,
    nodes_key: String,
    flagged_key: String,
    entered_key: String,
    buckets: u32,
    leases: Mutex<Leases>,
}

/// Redis holds what no version of ours wrote.
#[derive(Debug, thiserror::Error)]
#[error("{0} holds what no version of postrider wrote")]
struct Foreign(String);

impl Registry {
    /// A registry that connects when it is first used.
    ///
    /// # Errors
    /// [`Error::Rejected`] when the URL is none.
    pub fn new(settings: &RedisSettings) -> Result<Arc<Self>, Error> {
        Ok(Arc::new(Self {
            connection: Connection::new(settings)?,
            nodes_key: format!("{}nodes", settings.prefix),
            flagged_key: format!("{}flagged", settings.prefix),
            entered_key: format!("{}entered", settings.prefix),
            prefix: settings.prefix.clone(),
            buckets: settings.buckets,
            leases: Mutex::default(),
        }))
    }

    /// The bucket of a recipient, and its field there.
    fn place(&self, recipient: &Recipient) -> (String, Field) {
        let key = recipient.key();
        let digest = Digest::of(key.as_bytes());
        let (field, _) = digest.as_bytes().split_first_chunk().unwrap_or((&[0; FIELD_BYTES], &[]));
        (format!("{}b:{}", self.prefix, partition_of(key.as_bytes(), self.buckets)), *field)
    }

    fn unpack(&self, recipient: &Recipient, packed: Option<Vec<u8>>) -> Result<Entry, Error> {
        let Some(packed) = packed else { return Ok(Entry::default()) };
        let foreign = || Error::Rejected(Box::new(Foreign(self.place(recipient).0)));
        Entry::unpack(&packed).ok_or_else(foreign)
    }

    fn leases(&self) -> MutexGuard<'_, Leases> {
        // Leases are replaced as a whole, so a poisoned lock guards a true value.
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn parse_nodes(&self, listed: Vec<(String, String)>) -> Result<Vec<Node>, Error> {
        let foreign = |_not_hex| Error::Rejected(Box::new(Foreign(self.nodes_key.clone())));
        let node = |(id, address): (String, String)| Ok(Node { id: id.parse().map_err(foreign)?, address });
        listed.into_iter().map(node).collect()
    }

    async fn fetch_nodes(&self) -> Result<Vec<Node>, Error> {
        let mut pipeline = redis::pipe();
        pipeline.add_command(scripts::call(&scripts::NODES, &self.nodes_key));
        let (listed,): (Vec<(String, String)>,) = self.connection.send(&pipeline).await?;
        self.parse_nodes(listed)
    }

    /// Fetches the leases, and remembers that each of `sought` was looked for.
    async fn fetch_leases(&self, sought: &[Entry]) -> Result<(), Error> {
        let asked = Instant::now();
        let live = self.fetch_nodes().await?.into_iter().map(|node| node.id).collect();
        self.leases().replace(live, nodes_of(sought), asked);
        Ok(())
    }

    async fn entries(&self, recipients: &[Recipient]) -> Result<Vec<Entry>, Error> {
        let asked = Instant::now();
        let fetch = self.leases().is_stale(asked);
        let mut pipeline = redis::pipe();
        for recipient in recipients {
            let (bucket, field) = self.place(recipient);
            pipeline.hget(bucket, &field[..]);
        }
        if !fetch {
            let packed: Vec<Option<Vec<u8>>> = self.connection.send(&pipeline).await?;
            return self.unpack_all(recipients, packed);
        }
        // After the entries, so that whoever is entered there has its lease in this list.
        pipeline.add_command(scripts::call(&scripts::NODES, &self.nodes_key));
        let mut values: Vec<redis::Value> = self.connection.send(&pipeline).await?;
        let listed = values.pop().unwrap_or(redis::Value::Nil);
        let listed = redis::from_redis_value(listed).map_err(|error| connection::classify(error.into()))?;
        let live: HashSet<NodeId> = self.parse_nodes(listed)?.into_iter().map(|node| node.id).collect();
        let packed = values.into_iter().map(redis::from_redis_value).collect::<Result<_, _>>();
        let entries =
            self.unpack_all(recipients, packed.map_err(|error| connection::classify(error.into()))?)?;
        self.leases().replace(live, nodes_of(&entries), asked);
        Ok(entries)
    }

    fn unpack_all(
        &self,
        recipients: &[Recipient],
        packed: Vec<Option<Vec<u8>>>,
    ) -> Result<Vec<Entry>, Error> {
        recipients.iter().zip(packed).map(|(recipient, packed)| self.unpack(recipient, packed)).collect()
    }

    async fn enter(&self, routes: &[&(Recipient, Route)], leased: Option<&[u8]>) -> Result<Vec<bool>, Error> {
        let mut pipeline = redis::pipe();
        for (recipient, route) in routes {
            let (bucket, field) = self.place(recipient);
            let mut command = scripts::call(&scripts::REGISTER, &bucket);
            command.arg(&field[..]).arg(&pack_route(*route)[..]);
            if let Some(leased) = leased {
                command.arg(leased);
            }
            pipeline.add_command(command);
        }
        // Behind the routes: who is told of them finds them.
        pipeline.add_command(entered::tell(&self.entered_key, routes.iter().map(|(recipient, _)| recipient)));
        let mut answers: Vec<redis::Value> = self.connection.send(&pipeline).await?;
        answers.truncate(routes.len());
        let entered = answers.into_iter().map(redis::from_redis_value).collect::<Result<_, _>>();
        entered.map_err(|error| connection::classify(error.into()))
    }
}

fn nodes_of(entries: &[Entry]) -> impl Iterator<Item = NodeId> {
    entries.iter().flat_map(|entry| entry.routes.iter().map(|route| route.node))
}

#[async_trait]
impl Routes for Registry {
    async fn register(&self, routes: &[(Recipient, Route)]) -> Result<(), Error> {
        if routes.is_empty() {
            return Ok(());
        }
        let call = async {
            let all: Vec<_> = routes.iter().collect();
            let entered = self.enter(&all, None).await?;
            let full: Vec<_> = all
                .into_iter()
                .zip(entered)
                .filter(|(_, entered)| !entered)
                .map(|(route, _)| route)
                .collect();
            if full.is_empty() {
                return Ok(());
            }
            // Seldom: somebody has as many sessions as are allowed, and it matters whose nodes live.
            let nodes = self.fetch_nodes().await?;
            let leased: Vec<u8> = nodes.iter().flat_map(|node| node.id.0.to_be_bytes()).collect();
            self.enter(&full, Some(&leased)).await?;
            Ok(())
        };
        metrics::timed(ENGINE, "register", call).await
    }

    async fn remove(&self, routes: &[(Recipient, Route)]) -> Result<(), Error> {
        if routes.is_empty() {
            return Ok(());
        }
        let call = async {
            let mut pipeline = redis::pipe();
            for (recipient, route) in routes {
                let (bucket, field) = self.place(recipient);
                let mut command = scripts::call(&scripts::REMOVE, &bucket);
                command.arg(&field[..]).arg(&pack_route(*route)[..]);
                pipeline.add_command(command).ignore();
            }
            self.connection.send(&pipeline).await
        };
        metrics::timed(ENGINE, "remove", call).await
    }

    async fn lookup(&self, recipients: &[Recipient]) -> Result<Vec<Vec<Route>>, Error> {
        if recipients.is_empty() {
            return Ok(Vec::new());
        }
        let call = async {
            let entries = self.entries(recipients).await?;
            let lacks = self.leases().lacks(nodes_of(&entries), Instant::now());
            if lacks {
                self.fetch_leases(&entries).await?;
            }
            let leases = self.leases();
            let living =
                |entry: Entry| entry.routes.into_iter().filter(|route| leases.holds(route.node)).collect();
            Ok(entries.into_iter().map(living).collect())
        };
        metrics::timed(ENGINE, "lookup", call).await
    }

    async fn entered(&self, since: &Mark) -> Result<(Entered, Mark), Error> {
        metrics::timed(ENGINE, "entered", entered::read(&self.connection, &self.entered_key, since)).await
    }
}

#[async_trait]
impl Nodes for Registry {
    async fn renew(&self, node: &Node, ttl: Duration) -> Result<RegistryEpoch, Error> {
        let call = async {
            let mut command = scripts::call(&scripts::RENEW, &self.nodes_key);
            let ttl_ms = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
            command.arg(node.id.to_string()).arg(ttl_ms).arg(&node.address).arg(rand::random::<u64>());
            let mut pipeline = redis::pipe();
            pipeline.add_command(command);
            let (epoch,): (u64,) = self.connection.send(&pipeline).await?;
            Ok(RegistryEpoch(epoch))
        };
        metrics::timed(ENGINE, "renew", call).await
    }

    async fn release(&self, node: NodeId) -> Result<(), Error> {
        let call = async {
            let mut pipeline = redis::pipe();
            pipeline.hdel(&self.nodes_key, node.to_string()).ignore();
            self.connection.send(&pipeline).await
        };
        metrics::timed(ENGINE, "release", call).await
    }

    async fn nodes(&self) -> Result<Vec<Node>, Error> {
        metrics::timed(ENGINE, "nodes", self.fetch_nodes()).await
    }
}
