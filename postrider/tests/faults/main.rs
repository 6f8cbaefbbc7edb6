//! Faults: real processes on real engines, hurt while they serve (`scripts/test` starts the shared engines; a scenario that
//! hurts an engine has its own). One file per group of faults. Short by default; `POSTRIDER_FAULTS=long` makes every
//! outage ten minutes.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::large_futures,
    unreachable_pub,
    reason = "a test fails by panicking and prints its figures; its modules are its own, its futures are few"
)]

mod catch_up;
mod deploy;
mod edge;
mod harness;
mod kafka;
mod log_port;
mod postgres;
mod probes;
mod random;
mod redis;
mod services;
mod storm;
mod surroundings;
mod telemetry;
mod watch;

#[path = "../stack/stack.rs"]
mod stack;
