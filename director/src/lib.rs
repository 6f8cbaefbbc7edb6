//! The director: takes accepted records from the log, brings each to the sessions of its recipient, parks what cannot be
//! delivered now, dead-letters what never can, and commits only what has ended.
//!
//! Reading order, as a record goes:
//! 1. [`shared::group`] joins the group and starts a [`worker`] for each partition; its intake holds what waits between them;
//! 2. [`routing`] decides what is deliverable at all, [`shared::group::offsets`] gives it its place in the commit;
//! 3. [`lane`] decides everything else: where to, in which order, again or parked;
//! 4. [`lookups`] asks where recipients are, [`forward`] carries it to the nodes and brings the verdicts, [`park`] appends to `parked` and `dead`;
//! 5. [`archiver`] moves both to the store, beside all this;
//! 6. [`reconciler`] looks on the log whether everything committed has an end there, and believes none of the others.
//!
//! The pure core is 2 and 3: time is an argument, and nothing there waits.

pub mod archiver;
mod breaker;
mod calls;
mod config;
mod error;
mod forward;
pub mod lane;
mod lookups;
mod metrics;
mod park;
mod ranked;
mod reconciler;
pub mod routing;
mod service;
#[cfg(test)]
mod testing;
mod worker;

pub use config::{
    ArchiverSettings, Config, DeadLetterSettings, FairnessSettings, LinkSettings, LookupSettings,
    OutcomeSettings, PatienceSettings, ReconcilerSettings, RetrySettings,
};
pub use error::Error;
pub use service::{Ports, Service};
