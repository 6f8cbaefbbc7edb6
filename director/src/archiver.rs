//! The archiver, the director's second small pipeline: moves `parked` and `dead` to the store, and keeps the backlog
//! flags true. Three stages, each a consumer group of its own, so that an engine that is away stalls only what needs it:
//! - [`flags`]: marks the recipients of parked records in the registry, then says how far;
//! - [`rows`]: writes parked records to the store and, in the same transaction, how far;
//! - [`dead`]: as `rows`, for dead letters.
//!
//! [`requeue`] appends dead letters again that somebody asked for, and purges old ones;
//! [`sweep`] marks again who still has rows, and expires rows. [`stage`] is what the three have in common. What they
//! decide is pure: [`reading`], which records are the ones a stage asked for, and [`marking`], what the flags stage asks
//! of the engines in which order.

mod dead;
mod flags;
pub mod marking;
pub mod reading;
mod requeue;
mod rows;
mod stage;
mod sweep;

use std::sync::Arc;

use shared::clock::Clock;
use shared::group::intake::Limits;
use shared::group::{self, Group};
use shared::log::{Appender, Interest, Subscriber, groups};
use shared::position::Epoch;
use shared::registry::Flags;
use shared::retry::Backoff;
use shared::shutdown::Shutdown;
use shared::store::{DeadLetters, Inbox, Requeues};
use shared::topic::Topic;

use crate::config::{ArchiverSettings, Config, DeadLetterSettings};
use crate::error::Error;
use crate::metrics;
use crate::park::Parker;

/// What the stages share.
#[derive(Clone)]
pub(crate) struct Archiver {
    pub(crate) settings: ArchiverSettings,
    pub(crate) backoff: Backoff,
    pub(crate) flags: Arc<dyn Flags>,
    pub(crate) inbox: Arc<dyn Inbox>,
    pub(crate) dead_letters: Arc<dyn DeadLetters>,
    pub(crate) dead_letter_settings: DeadLetterSettings,
    pub(crate) requeues: Arc<dyn Requeues>,
    /// Where requeued ones are appended, and in which generation.
    pub(crate) appender: Arc<dyn Appender>,
    pub(crate) epoch: Epoch,
    pub(crate) parker: Parker,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Archiver {
    /// Runs the three stages until `shutdown`.
    ///
    /// # Errors
    /// As [`consumer::run`]; the others drain then too.
    pub(crate) async fn run(
        &self,
        config: &Config,
        subscriber: &dyn Subscriber,
        joined: impl Fn(&'static str) + Copy,
        shutdown: &Shutdown,
    ) -> Result<(), Error> {
        let ArchiverSettings { waiting_records: records, waiting_bytes: bytes, .. } = self.settings;
        let limits = Limits { records, bytes, room_percent: 50 };
        let group_of = |name, topic| Group {
            name,
            topic,
            interest: Interest::default(),
            limits,
            drain: config.drain_ms,
            backoff: self.backoff,
            counts: metrics::COUNTS,
        };
        let flags = flags::Crew(self.clone());
        let rows = rows::Crew(self.clone());
        let dead = dead::Crew(self.clone());
        let stop = |result: Result<(), group::Error>| {
            if result.is_err() {
                shutdown.begin();
            }
            result.map_err(Error::from)
        };
        let flags = async {
            let group = group_of(groups::ARCHIVER_FLAGS, Topic::Parked);
            stop(group::run(group, subscriber, &flags, || joined("flags"), shutdown).await)
        };
        let rows = async {
            let group = group_of(groups::ARCHIVER_ROWS, Topic::Parked);
            stop(group::run(group, subscriber, &rows, || joined("rows"), shutdown).await)
        };
        let dead = async {
            let group = group_of(groups::ARCHIVER_DEAD, Topic::Dead);
            stop(group::run(group, subscriber, &dead, || joined("dead"), shutdown).await)
        };
        let (flags, rows, dead) = tokio::join!(flags, rows, dead);
        flags.and(rows).and(dead)
    }
}
