//! The executor: the place for WASM tasks that a notification may ask for.
//!
//! It runs no task yet. It starts, is ready, and stops like the other services, so that a deployment can hold its place;
//! it joins no consumer group, so that nothing waits for it. A record of kind `task` is dead-lettered by the director,
//! which says so.

mod config;
mod error;
mod service;

pub use config::Config;
pub use error::Error;
pub use service::{Ports, Service};
