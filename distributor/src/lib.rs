//! The distributor: holds client connections, drains the stored before the new, delivers, collects acknowledgements.
//!
//! Reading order: [`session`], the pure machine; [`hub`], which drives all sessions of the node; `link`, where directors
//! come in; `verdicts`, `drain` and `presence`, what goes out to directors, store and registry; [`service`], which puts
//! them together.

pub mod auth;
pub mod config;
mod drain;
pub mod error;
mod http;
pub mod hub;
mod link;
mod metrics;
mod presence;
pub mod protocol;
pub mod service;
pub mod session;
mod timers;
mod verdicts;

pub use config::Config;
pub use error::Error;
pub use service::{Ports, Service};
