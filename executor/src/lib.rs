//! The executor: the place for WASM tasks that a notification may ask for.
//!
//! [`sandbox`] runs one attempt of a task within limits, whatever the task does. Nothing takes tasks from the log yet:
//! the service starts, is ready, and stops like the others, so that a deployment can hold its place; it joins no consumer
//! group, so that nothing waits for it. A record of kind `task` is dead-lettered by the director, which says so.

pub mod builtins;
mod config;
mod error;
pub mod sandbox;
mod service;

pub use config::{Config, EgressSettings, KeyValueSettings, ModuleSettings, SandboxSettings, TurnSettings};
pub use error::Error;
pub use service::{Ports, Service};
