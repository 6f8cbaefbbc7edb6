//! The receiver: where producers hand notifications in. Its one promise is that 202 means durable.
//!
//! The story of a request, which is also the reading order:
//! 1. [`http`] takes it in: one file per operation, with limits on time and memory before a byte of the body is read;
//! 2. `auth` tells whose producer it is;
//! 3. `admission`, with `content` and `trace`, is the pure core: it refuses with a [`refusal::Refusal`] whatever can be
//!    seen to be wrong, and makes notifications of the rest;
//! 4. `bindings` and `modules` know, through `known`, what a tenant's notifications become and what its modules take; `bound`
//!    is the pure choice among bindings;
//! 5. `publish` appends their records and waits until the log has answered each;
//! 6. `http::problem` is the one place that says with which status and code a refusal is answered.
//!
//! [`Service`] puts these together; [`Config`] holds every limit.

mod admission;
mod auth;
mod bindings;
mod bound;
mod config;
mod content;
mod error;
pub mod http;
mod known;
mod lag;
mod metrics;
mod modules;
mod publish;
pub mod refusal;
mod service;
mod stored;
mod trace;

pub use config::{
    Config, DeadLetterSettings, KeySettings, LookupSettings, ModuleSettings, ScheduleSettings, TaskSettings,
};
pub use error::Error;
pub use service::{Ports, Service};
