//! The distributor: holds client connections, drains the stored before the new, delivers, collects acknowledgements.
//!
//! Reading order: [`session`], the pure machine; [`hub`], which drives all sessions of the node; `link`, where directors
//! come in; `verdicts`, `drain` and `presence`, what goes out to directors, store and registry; [`protocol`], the words
//! between a client and this server; [`auth`], who a client is; [`http`], where clients come in, and the three
//! transports `websocket`, `sse` and `poll`; [`service`], which puts them together.

pub mod auth;
pub mod config;
mod drain;
pub mod error;
pub mod heartbeat;
pub mod http;
pub mod hub;
mod leave;
mod link;
mod metrics;
mod poll;
pub mod presence;
pub mod protocol;
mod relay;
pub mod service;
pub mod session;
mod sse;
mod timers;
mod verdicts;
mod websocket;

pub use config::Config;
pub use error::Error;
pub use service::{Ports, Service};
pub use websocket::echo;
