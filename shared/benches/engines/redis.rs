//! The registry: routes entered, looked up and removed, flags marked and cleared, through our adapter, in its batches.

use std::time::Duration;

use shared::config::{RedisSettings, Secret};
use shared::delivery::{NodeId, SessionId};
use shared::recipient::Recipient;
use shared::registry::redis::Registry;
use shared::registry::{Flags as _, Mark, Route, Routes as _};

use super::server::Server;
use super::{port, sample, say, setting};

const RECIPIENTS: u64 = 200_000;
const BATCH: usize = 512;
/// Recipients of a hash, as `redis.buckets` should be chosen, and as it is when it was not.
const IN_A_HASH: [u64; 2] = [100, 1500];

async fn memory(connection: &mut redis::aio::MultiplexedConnection) -> f64 {
    let told: String = redis::cmd("INFO").arg("memory").query_async(connection).await.unwrap();
    let used = told.lines().find_map(|line| line.strip_prefix("used_memory:")).unwrap();
    used.trim().parse().unwrap()
}

pub(super) async fn run() {
    for in_a_hash in IN_A_HASH {
        one(in_a_hash).await;
    }
}

async fn one(in_a_hash: u64) {
    let url = setting("POSTRIDER_TEST_REDIS_URL");
    let server = Server::at(port(&url));
    let client = redis::Client::open(url.clone()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let prefix = format!("bench:{:016x}:", rand::random::<u64>());
    let registry = Registry::new(&RedisSettings {
        url: Secret::new(url),
        prefix: prefix.clone(),
        buckets: u32::try_from(RECIPIENTS / in_a_hash).unwrap(),
        timeout_ms: Duration::from_secs(30),
    })
    .unwrap();
    let recipients: Vec<Recipient> = (0..RECIPIENTS).map(sample::recipient).collect();
    let route = |number| Route { session: SessionId(number), node: NodeId(number % 8) };
    let routes: Vec<_> = recipients.iter().cloned().zip((0..).map(route)).collect();
    let marks: Vec<_> = recipients.iter().cloned().zip(std::iter::repeat(7_u64)).collect();
    let empty = memory(&mut connection).await;
    let tell = |what: &str, from: f64| {
        let used = (server.cpu() - from) * 1e6 / RECIPIENTS as f64;
        say(&format!("Redis, {in_a_hash} to a hash: {what}"), used, "us");
    };
    let from = server.cpu();
    for batch in routes.chunks(BATCH) {
        registry.register(batch).await.unwrap();
    }
    tell("a route is entered", from);
    news(&server, &registry, &routes, in_a_hash).await;
    let from = server.cpu();
    for batch in recipients.chunks(BATCH) {
        registry.lookup(batch).await.unwrap();
    }
    tell("a recipient is looked up", from);
    let from = server.cpu();
    for batch in marks.chunks(BATCH) {
        registry.mark(batch).await.unwrap();
    }
    tell("a flag is marked", from);
    let from = server.cpu();
    for batch in marks.chunks(BATCH) {
        registry.clear(batch).await.unwrap();
    }
    tell("a flag is cleared", from);
    let held = (memory(&mut connection).await - empty) / RECIPIENTS as f64;
    say(&format!("Redis, {in_a_hash} to a hash: memory for a recipient"), held, "B");
    let from = server.cpu();
    for batch in routes.chunks(BATCH) {
        registry.remove(batch).await.unwrap();
    }
    tell("a route is removed", from);
    let keys: Vec<String> =
        redis::cmd("KEYS").arg(format!("{prefix}*")).query_async(&mut connection).await.unwrap();
    for batch in keys.chunks(BATCH) {
        let _deleted: u64 = redis::cmd("DEL").arg(batch).query_async(&mut connection).await.unwrap();
    }
}

/// What directors hear of registrations: each noted by itself, as a quiet node does, and read by one.
async fn news(server: &Server, registry: &Registry, routes: &[(Recipient, Route)], in_a_hash: u64) {
    const READ_AFTER: usize = 500;
    let alone = &routes[..20_000];
    let (_any, mut mark) = registry.entered(&Mark::default()).await.unwrap();
    let (mut noted, mut read) = (0.0, 0.0);
    for registrations in alone.chunks(READ_AFTER) {
        let from = server.cpu();
        for registration in registrations {
            registry.register(std::slice::from_ref(registration)).await.unwrap();
        }
        noted += server.cpu() - from;
        let from = server.cpu();
        // Often, for a single reading is less than the system's accounting shows.
        for _ in 0..20 {
            registry.entered(&mark).await.unwrap();
        }
        read += server.cpu() - from;
        mark = registry.entered(&mark).await.unwrap().1;
    }
    let per = |seconds: f64, count: usize| seconds * 1e6 / count as f64;
    say(
        &format!("Redis, {in_a_hash} to a hash: a route is entered by itself, with its news"),
        per(noted, alone.len()),
        "us",
    );
    say(
        &format!("Redis, {in_a_hash} to a hash: a director reads of one registration"),
        per(read, alone.len() * 20),
        "us",
    );
}
