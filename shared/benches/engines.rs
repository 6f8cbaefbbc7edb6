//! What a unit of our work costs the engines: CPU of the processes behind POSTRIDER_TEST_KAFKA_BROKERS, _REDIS_URL and
//! _POSTGRES_URL, which must be on this machine, by the operating system's accounting; and what it takes of their memory
//! and disks. `just bench-engines` starts engines and runs it; `postrider capacity` computes with what it prints.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark fails by panicking, prints, and finds its engines in the environment"
)]

#[path = "engines/kafka.rs"]
mod kafka;
#[path = "engines/postgres.rs"]
mod postgres;
#[path = "engines/redis.rs"]
mod redis;
#[allow(dead_code, reason = "shared with the other benchmarks, which use all of it")]
#[path = "records/sample.rs"]
mod sample;
#[path = "engines/server.rs"]
mod server;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        redis::run().await;
        postgres::run().await;
        kafka::run().await;
    });
}

fn setting(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_missing| panic!("{name} must name a running engine"))
}

/// Of a URL, or the first of several addresses.
fn port(address: &str) -> u16 {
    let server = address.split(['?', ',']).next().unwrap_or_default();
    let authority = server.split("://").last().unwrap_or_default().split('/').next().unwrap_or_default();
    authority.rsplit(':').next().and_then(|port| port.parse().ok()).expect("an address with a port")
}

/// A line of the result.
fn say(what: &str, value: f64, unit: &str) {
    println!("{what:<72} {value:>10.2} {unit}");
}
