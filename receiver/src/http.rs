//! The input edge: one file per operation.
//!
//! Each operation takes the same way: [`intake`] (who is it, how much memory, the body within its deadline), then the
//! operation's own reading into drafts, then admission, then publishing, then [`answer`]. [`problem`] says how every
//! refusal is answered.

mod answer;
mod batch;
mod bindings;
mod body;
mod dead_letters;
mod enriching;
mod fields;
mod intake;
mod modules;
mod openapi;
pub mod problem;
mod publish;
mod query;
mod root;
mod routes;
mod schedules;
mod tasks;
mod to;
mod traced;
mod wire;

use std::sync::Arc;

use shared::clock::Clock;
use shared::log::Appender;
use shared::store::{DeadReview, Schedules, TaskReview};
use tokio::sync::Semaphore;

pub use bindings::Binding;
pub use dead_letters::change::Changed;
pub use dead_letters::letter::{Coordinates, Header, Letter, WholeLetter};
pub use modules::shown::{Alias, ModuleShown};
pub use openapi::document;
pub(crate) use routes::router;
pub use schedules::shown::{Schedule, ScheduledTask};
pub use tasks::run::TaskAccepted;
pub use tasks::shown::{Task, TaskEvent, TaskEvents};

use crate::auth::Authenticator;
use crate::bindings::Bonds;
use crate::config::Config;
use crate::modules::Catalogue;

/// What every operation works with.
pub(crate) struct Edge {
    pub(crate) config: Config,
    pub(crate) authenticator: Arc<Authenticator>,
    pub(crate) log: Arc<dyn Appender>,
    pub(crate) dead_letters: Arc<dyn DeadReview>,
    pub(crate) tasks: Arc<dyn TaskReview>,
    pub(crate) modules: Catalogue,
    pub(crate) bindings: Bonds,
    pub(crate) schedules: Arc<dyn Schedules>,
    pub(crate) clock: Arc<dyn Clock>,
    /// One permit a byte of [`Config::in_flight_bytes`].
    pub(crate) memory: Arc<Semaphore>,
}
