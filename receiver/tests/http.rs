//! The receiver through its listener: real HTTP, a working log and key store in memory that can be taken away. One
//! module for each file of `src/http/`, and one for each kind of limit.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed assumption fails the test")]

#[path = "http/auth.rs"]
mod auth;
#[path = "http/batch.rs"]
mod batch;
#[path = "http/bindings.rs"]
mod bindings;
#[path = "http/client.rs"]
mod client;
#[path = "http/dead_letters.rs"]
mod dead_letters;
#[path = "http/fakes.rs"]
mod fakes;
#[path = "http/leaving.rs"]
mod leaving;
#[path = "http/limits.rs"]
mod limits;
#[path = "http/modules.rs"]
mod modules;
#[path = "http/openapi.rs"]
mod openapi;
#[path = "http/outage.rs"]
mod outage;
#[path = "http/publish.rs"]
mod publish;
#[path = "http/refusals.rs"]
mod refusals;
#[path = "http/root.rs"]
mod root;
#[path = "http/schedules.rs"]
mod schedules;
#[path = "http/tasks.rs"]
mod tasks;
#[path = "http/to.rs"]
mod to;
