//! The registry contract, on a real Redis: `POSTRIDER_TEST_REDIS_URL`, as `scripts/test` sets it. Every test works under
//! a prefix of its own.

use std::sync::Arc;
use std::time::Duration;

use redis::AsyncTypedCommands as _;
use shared::config::{RedisSettings, Secret};
use shared::recipient::Recipient;
use shared::registry::contract::wipe::Wipe;
use shared::registry::contract::{self, Pass};
use shared::registry::redis::Registry;
use shared::registry::{Error, Flags as _, Nodes as _, Routes as _};

#[expect(clippy::disallowed_methods, reason = "the one setting of this test")]
fn url() -> String {
    std::env::var("POSTRIDER_TEST_REDIS_URL")
        .expect("POSTRIDER_TEST_REDIS_URL names the Redis to test on; scripts/test starts one and sets it")
}

fn settings() -> RedisSettings {
    let prefix = format!("test:{:016x}:", rand::random::<u64>());
    RedisSettings { url: Secret::new(url()), prefix, buckets: 7, timeout_ms: Duration::from_secs(5) }
}

struct Waited;

#[async_trait::async_trait]
impl Pass for Waited {
    async fn pass(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }
}

/// Deletes every key under a prefix, and the scripts with them, as a Redis that was restarted without its data.
struct Emptied(String);

#[async_trait::async_trait]
impl Wipe for Emptied {
    async fn wipe(&self) {
        let client = redis::Client::open(url()).expect("the test Redis");
        let mut connection = client.get_multiplexed_async_connection().await.expect("the test Redis");
        for key in connection.keys(format!("{}*", self.0)).await.expect("the test Redis") {
            connection.del(key).await.expect("the test Redis");
        }
        redis::cmd("SCRIPT").arg("FLUSH").exec_async(&mut connection).await.expect("the test Redis");
    }
}

#[tokio::test]
async fn routes_keep_the_contract() {
    let registry = Registry::new(&settings()).unwrap();
    contract::routes::all(&*registry, &*registry).await;
}

#[tokio::test]
async fn nodes_keep_the_contract() {
    let registry = Registry::new(&settings()).unwrap();
    contract::nodes::all(&*registry, &*registry, &Waited).await;
}

#[tokio::test]
async fn flags_keep_the_contract() {
    let registry = Registry::new(&settings()).unwrap();
    contract::flags::all(&*registry, &*registry, &*registry).await;
}

#[tokio::test]
async fn a_wiped_registry_keeps_the_contract() {
    let settings = settings();
    let registry = Registry::new(&settings).unwrap();
    contract::wipe::all(&*registry, &*registry, &*registry, &Emptied(settings.prefix)).await;
}

#[tokio::test]
async fn an_entry_with_nothing_left_is_deleted() {
    let settings = settings();
    let registry = Registry::new(&settings).unwrap();
    let alice = Recipient::parse_key("acme/alice").unwrap();
    let node = shared::delivery::NodeId::random();
    let here = shared::registry::Route { session: shared::delivery::SessionId::random(), node };
    registry.register(&[(alice.clone(), here)]).await.unwrap();
    registry.remove(&[(alice.clone(), here)]).await.unwrap();
    assert_eq!(registry.clear(&[(alice, 7)]).await.unwrap(), [false]);
    let client = redis::Client::open(url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    assert!(connection.keys(format!("{}b:*", settings.prefix)).await.unwrap().is_empty());
}

/// A port that refuses for a while, then a relay to Redis: the process starts without it and finds it by itself.
#[tokio::test]
async fn a_registry_that_starts_without_redis_finds_it_when_it_comes() {
    let place = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = place.local_addr().unwrap();
    drop(place);
    let away = RedisSettings { url: Secret::new(format!("redis://{address}")), ..settings() };
    let registry = Registry::new(&away).unwrap();
    assert!(matches!(registry.nodes().await, Err(Error::Unavailable(_))));

    let target = url();
    let target = target.trim_start_matches("redis://").split('/').next().unwrap().to_owned();
    let relay = tokio::net::TcpListener::bind(address).await.unwrap();
    let relay = tokio::spawn(async move {
        loop {
            let (mut inward, _) = relay.accept().await.unwrap();
            let mut outward = tokio::net::TcpStream::connect(&target).await.unwrap();
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut inward, &mut outward).await });
        }
    });
    tokio::time::timeout(Duration::from_secs(5), async {
        while registry.nodes().await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .expect("found again within five seconds");
    relay.abort();
}

/// A peer that accepts and never answers costs a caller the time-out, no more.
#[tokio::test]
async fn a_silent_redis_is_unavailable_within_the_deadline() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Secret::new(format!("redis://{}", silent.local_addr().unwrap()));
    let settings = RedisSettings { url, timeout_ms: Duration::from_millis(200), ..settings() };
    let registry = Registry::new(&settings).unwrap();
    let asked = tokio::time::Instant::now();
    let answers = tokio::join!(registry.nodes(), registry.nodes(), registry.nodes());
    assert!(asked.elapsed() < Duration::from_secs(2));
    for answer in [answers.0, answers.1, answers.2] {
        assert!(matches!(answer, Err(Error::Unavailable(_))));
    }
}

#[tokio::test]
async fn foreign_content_is_refused_and_not_believed() {
    let settings = settings();
    let registry = Arc::clone(&Registry::new(&settings).unwrap());
    let client = redis::Client::open(url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let alice = Recipient::parse_key("acme/alice").unwrap();
    let node = shared::delivery::NodeId::random();
    let here = shared::registry::Route { session: shared::delivery::SessionId::random(), node };
    registry.register(&[(alice.clone(), here)]).await.unwrap();
    for bucket in connection.keys(format!("{}b:*", settings.prefix)).await.unwrap() {
        let fields: Vec<Vec<u8>> =
            redis::cmd("HKEYS").arg(&bucket).query_async(&mut connection).await.unwrap();
        connection.hset(&bucket, fields[0].as_slice(), "hello").await.unwrap();
    }
    assert!(matches!(registry.lookup(&[alice]).await, Err(Error::Rejected(_))));
}
