//! The executor: runs the WASM tasks that records ask for, in a sandbox, and appends what they answer to the log again.
//!
//! Reading order, as a record goes:
//! 1. [`shared::group`] joins two groups on `notifications`, one for tasks and one for what is to be enriched, and starts a
//!    [`worker`] for each partition; [`routing`] says what a record asks for;
//! 2. [`tasks`] brings a task to its end; the store knows where it stands, so that it ends once;
//! 3. [`enrichment`] makes of a notification what is delivered in its place, without the store;
//! 4. [`attempts`] is one attempt of either: [`catalogue`] says which module is meant, [`sandbox`] runs it within limits;
//! 5. [`plan`] decides what follows, [`outputs`], [`results`] and [`derived`] are what is published and under which names.
//!
//! The pure core is 5, with [`routing`]: time and chance are arguments there, and nothing waits.

mod attempts;
pub mod builtins;
mod catalogue;
mod config;
mod derived;
mod enrichment;
mod error;
mod metrics;
mod outputs;
mod plan;
mod results;
mod routing;
pub mod sandbox;
mod schedules;
mod service;
mod stores;
mod tasks;
#[cfg(test)]
mod testing;
mod worker;

pub use config::{
    CatalogueSettings, Config, EgressSettings, EnrichmentSettings, KeyValueSettings, ModuleSettings,
    ReaperSettings, SandboxSettings, ScheduleSettings, TaskSettings, TurnSettings,
};
pub use error::Error;
pub use schedules::{Scheduler, SchedulerPorts};
pub use service::{Ports, Service};
