//! Schedules: appends a record for each time that a schedule fires. Called by `service.rs`, in every executor; who of them
//! fires is who has the lease.
//!
//! For each schedule that is due: the records first, then the note of it in the store, by the schedule's revision. Whoever
//! dies between leaves the schedule due, and the next one appends again. The id of a record is made of the schedule and
//! the time, so that what is appended twice is one task; and so it does no harm if two believe to have the lease, as they
//! may when their clocks are apart.

mod firing;

use std::sync::Arc;

use shared::clock::{Clock, Timestamp};
use shared::log::{self, Appender};
use shared::retry::Backoff;
use shared::shutdown::Shutdown;
use shared::store::{self, Leases, ScheduleRow, Schedules};
use shared::topic::Topic;
use tokio::time::Instant;

use self::firing::{Firing, Plan, plan};
use crate::config::ScheduleSettings;
use crate::metrics::{self, Fired};

/// The lease of who fires.
const LEASE: &str = "schedules";

/// What a scheduler works with.
pub struct SchedulerPorts {
    /// What is due.
    pub schedules: Arc<dyn Schedules>,
    /// Who fires.
    pub leases: Arc<dyn Leases>,
    /// Where records of tasks go.
    pub appender: Arc<dyn Appender>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
}

/// Fires schedules, or waits until whoever does is gone.
pub struct Scheduler {
    ports: SchedulerPorts,
    settings: ScheduleSettings,
    backoff: Backoff,
    instance: String,
}

/// An engine that did not answer.
#[derive(Debug, thiserror::Error)]
enum Away {
    #[error("the store does not answer")]
    Store(#[source] store::Error),
    #[error("the log does not answer")]
    Log(#[source] log::Error),
}

/// What a look at the store came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    /// Another instance has the lease.
    Follows,
    /// What was due was fired.
    Done,
    /// There may be more that is due already.
    More,
}

impl Scheduler {
    /// A scheduler that holds the lease as `instance`, which no other one that runs may be called. Engines that are away are
    /// tried again by `backoff`.
    #[must_use]
    pub fn new(
        ports: SchedulerPorts,
        settings: ScheduleSettings,
        backoff: Backoff,
        instance: String,
    ) -> Self {
        Self { ports, settings, backoff, instance }
    }

    /// Works until `shutdown`, then gives up the lease. What is being appended then is left to whoever has it next.
    ///
    /// # Cancel safety
    /// Dropping the future is as if its process had died: another one fires when the lease has run out.
    pub async fn run(self, shutdown: Shutdown) {
        let mut failures = 0_u32;
        let mut led = false;
        let mut looked_at = Instant::now();
        while !shutdown.has_begun() {
            let looked = tokio::select! {
                () = shutdown.begun() => break,
                looked = self.look() => looked,
            };
            let pause = match looked {
                Ok(look) => {
                    failures = 0;
                    looked_at = Instant::now();
                    self.note_lead(&mut led, look != Look::Follows);
                    let tick = self.settings.tick_ms.mul_f64(0.5 + rand::random::<f64>());
                    if look == Look::More { std::time::Duration::ZERO } else { tick }
                }
                Err(away) => {
                    let delay = self.backoff.delay(failures, rand::random());
                    note_away(&away, failures);
                    if looked_at.elapsed() >= self.settings.lease_ms {
                        // Whoever holds the lease: nothing is fired here.
                        self.note_lead(&mut led, false);
                    }
                    failures = failures.saturating_add(1);
                    delay
                }
            };
            tokio::select! {
                () = shutdown.begun() => break,
                () = tokio::time::sleep(pause) => {}
            }
        }
        self.note_lead(&mut led, false);
        // Also when a look was cut off that had just taken it.
        if let Err(error) = self.ports.leases.release_lease(LEASE, &self.instance).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "the lease is left to run out");
        }
    }

    fn note_lead(&self, led: &mut bool, leads: bool) {
        if *led != leads {
            tracing::info!(instance = self.instance, leads, "who fires schedules has changed");
        }
        *led = leads;
        metrics::schedules_lead(leads);
    }

    /// Takes or prolongs the lease, and fires what is due.
    async fn look(&self) -> Result<Look, Away> {
        let now = self.ports.clock.now();
        let until = now.after(self.settings.lease_ms);
        let taken = self.ports.leases.take_lease(LEASE, &self.instance, now, until).await;
        if !taken.map_err(Away::Store)? {
            return Ok(Look::Follows);
        }
        let batch = self.settings.batch;
        let due = self.ports.schedules.due_schedules(now, batch).await.map_err(Away::Store)?;
        let full = due.len() >= batch as usize;
        for schedule in due {
            // Half of the lease is left for the schedule that is begun.
            if self.ports.clock.now().since(now) > self.settings.lease_ms / 2 {
                return Ok(Look::More);
            }
            self.fire(schedule).await?;
        }
        Ok(if full { Look::More } else { Look::Done })
    }

    /// Fires what is due of one schedule, in steps: each is appended, then noted.
    async fn fire(&self, mut schedule: ScheduleRow) -> Result<(), Away> {
        let now = self.ports.clock.now();
        let plan = match plan(&schedule, now, self.settings.grace_ms) {
            Ok(plan) => plan,
            Err(broken) => {
                let error = &broken as &dyn std::error::Error;
                let (tenant, name) = (&schedule.tenant, &schedule.name);
                tracing::error!(%tenant, %name, error, "a schedule cannot fire, and does not until it is changed");
                Plan { firings: Vec::new(), skipped: false, broken: true, next: None }
            }
        };
        metrics::schedule_not_fired(plan.skipped, plan.broken);
        let steps = plan.firings.chunks(self.settings.append_records);
        let last = steps.len().saturating_sub(1);
        for (at, firings) in steps.enumerate() {
            let next = if at == last { plan.next } else { first_after(&plan.firings, firings) };
            if !self.step(&mut schedule, firings, next, now).await? {
                return Ok(());
            }
        }
        if plan.firings.is_empty() {
            self.step(&mut schedule, &[], plan.next, now).await?;
        }
        Ok(())
    }

    /// Appends records and notes that they are. Answers whether the schedule is still the one that was read.
    async fn step(
        &self,
        schedule: &mut ScheduleRow,
        firings: &[Firing],
        next: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<bool, Away> {
        let taken = self.append(schedule, firings).await?;
        let fired = firings.last().map(|firing| firing.time);
        let noted = self.ports.schedules.advance_schedule(schedule, fired, taken, next).await;
        match noted {
            Ok(()) => {
                schedule.revision += 1;
                metrics::schedule_refused(firings.len() as u64 - taken);
                firings.iter().take(usize::try_from(taken).unwrap_or(usize::MAX)).for_each(|firing| {
                    let fired = if firing.missed { Fired::Missed } else { Fired::OnTime };
                    metrics::schedule_fired(fired, now.since(firing.time));
                });
                Ok(true)
            }
            // Somebody changed it, or fired it meanwhile: it is read again if it is due.
            Err(store::Error::Conflict) => Ok(false),
            Err(error @ (store::Error::Unavailable(_) | store::Error::Rejected(_))) => {
                Err(Away::Store(error))
            }
        }
    }

    /// Appends until the log has taken all, and answers how many it took: not what is larger than it takes.
    async fn append(&self, schedule: &ScheduleRow, firings: &[Firing]) -> Result<u64, Away> {
        if firings.is_empty() {
            return Ok(0);
        }
        let entries = firings.iter().map(|firing| firing.record.clone()).collect();
        let mut taken = 0;
        for answer in self.ports.appender.append(Topic::Notifications, entries).await {
            match answer {
                Ok(_placed) => taken += 1,
                Err(log::Error::TooLarge) => {
                    let (tenant, name) = (&schedule.tenant, &schedule.name);
                    tracing::error!(%tenant, %name, "the record of a schedule is larger than the log takes");
                }
                Err(error @ (log::Error::Unavailable(_) | log::Error::Rejected(_) | log::Error::Closed)) => {
                    return Err(Away::Log(error));
                }
            }
        }
        Ok(taken)
    }
}

/// The time of the first of `all` behind `part`.
fn first_after(all: &[Firing], part: &[Firing]) -> Option<Timestamp> {
    let last = part.last()?.time;
    all.iter().map(|firing| firing.time).find(|time| *time > last)
}

fn note_away(away: &Away, failures: u32) {
    metrics::engine_failure(match away {
        Away::Store(_) => "store",
        Away::Log(_) => "log",
    });
    if failures == 0 || failures % 16 == 15 {
        tracing::warn!(failures, error = away as &dyn std::error::Error, "schedules wait");
    }
}
