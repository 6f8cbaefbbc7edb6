//! The reconciler: compares the log with what directors have committed, and counts what was lost. It stands beside the
//! [archiver](crate::archiver), trusts nothing that the [tracker](crate::offsets) or the [lanes](crate::lane) say, and
//! shares nothing with them: it reads the commit and the ends that stand on `outcomes`, `parked` and `dead` from the log.
//!
//! It joins a group on `notifications` only to share the partitions among directors; it fetches no record of it but those
//! that seem to have no end. Per partition: [`look`] asks the log, [`account`] decides, [`window`] remembers. [`tally`]
//! shows the sum in `postrider_unaccounted`. What it costs and why it may be believed: `docs/adr/`.
//!
//! Whatever becomes of it costs no delivery: where it cannot go on it starts again, and `postrider_reconciler_behind_seconds`
//! grows meanwhile.

mod account;
mod look;
mod probe;
mod tally;
mod window;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt as _};
use shared::clock::Clock;
use shared::group::intake::Limits;
use shared::group::{self, Assignment, Group};
use shared::log::{Commits, Ends, Interest, Reader, Subscriber};
use shared::retry::Backoff;
use shared::shutdown::Shutdown;
use shared::topic::Topic;

use crate::config::ReconcilerSettings;
use crate::metrics;
use look::Look;
use tally::Tally;

/// The group whose members share the partitions.
const GROUP: &str = "reconciler";

/// What the reconciler works with.
#[derive(Clone)]
pub(crate) struct Reconciler {
    pub(crate) settings: ReconcilerSettings,
    pub(crate) backoff: Backoff,
    pub(crate) ends: Arc<dyn Ends>,
    pub(crate) reader: Arc<dyn Reader>,
    pub(crate) commits: Arc<dyn Commits>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Reconciler {
    /// Reconciles until `shutdown`; a partition that is given up is left within `drain`. `joined` is called once the group
    /// is joined.
    pub(crate) async fn run(
        self,
        drain: Duration,
        subscriber: &dyn Subscriber,
        joined: impl Fn(),
        shutdown: &Shutdown,
    ) {
        let tally = Arc::new(Tally::new(Arc::clone(&self.clock)));
        let (enabled, backoff) = (self.settings.enabled, self.backoff);
        let crew = Crew { reconciler: self, tally: Arc::clone(&tally) };
        // Fetching stops with the first batch, which nobody takes.
        let limits = Limits { records: 1, bytes: 1, room_percent: 100 };
        let group = Group {
            name: GROUP,
            topic: Topic::Notifications,
            interest: Interest::default(),
            limits,
            drain,
            backoff,
            counts: metrics::COUNTS,
        };
        let reconciling = async {
            let mut attempt = 0;
            loop {
                let joined = || {
                    tally.goes_on();
                    joined();
                };
                match group::run(group, subscriber, &crew, joined, shutdown).await {
                    Ok(()) => return,
                    Err(error) => {
                        tally.stands_still();
                        tracing::error!(
                            error = &error as &dyn std::error::Error,
                            "the reconciler starts again"
                        );
                    }
                }
                tokio::select! {
                    () = shutdown.begun() => return,
                    () = tokio::time::sleep(backoff.delay(attempt, rand::random())) => {}
                }
                attempt = attempt.saturating_add(1);
            }
        };
        let showing = async { if enabled { tally.show().await } else { std::future::pending().await } };
        tokio::select! {
            () = reconciling => {}
            () = showing => {}
        }
    }
}

struct Crew {
    reconciler: Reconciler,
    tally: Arc<Tally>,
}

impl group::Crew for Crew {
    fn work(&self, assignment: Assignment) -> BoxFuture<'static, ()> {
        let (reconciler, tally) = (self.reconciler.clone(), Arc::clone(&self.tally));
        async move {
            let drain = assignment.drain.clone();
            tokio::select! {
                () = drain.cancelled() => {}
                () = work(reconciler, tally, assignment) => {}
            }
        }
        .boxed()
    }
}

/// Looks at one partition, again and again.
async fn work(reconciler: Reconciler, tally: Arc<Tally>, assignment: Assignment) {
    assignment.progress.pause(assignment.partition);
    let (settings, backoff) = (reconciler.settings.clone(), reconciler.backoff);
    let seat = tally.enter(assignment.partition);
    let mut look = Look::new(reconciler, &assignment, seat);
    let mut failures = 0;
    loop {
        // Whatever came before fetching stopped.
        assignment.intake.drop_waiting();
        let looked = if settings.enabled { look.once().await } else { look.leave_behind().await };
        let pause = match looked {
            Ok(look::Reached::Everything) if settings.enabled => settings.look_ms,
            Ok(look::Reached::Everything) => settings.save_ms,
            Ok(look::Reached::Further) => Duration::ZERO,
            Ok(look::Reached::Nothing) => settings.look_ms,
            Err(error) => {
                metrics::engine_failure("log");
                if failures % 16 == 0 {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(partition = %assignment.partition, error, "not reconciled; trying again");
                }
                failures += 1;
                backoff.delay(failures, rand::random())
            }
        };
        tokio::time::sleep(pause).await;
    }
}
