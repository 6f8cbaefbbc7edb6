//! Brings one task as far as it can go now: to an end, or to an attempt that somebody makes later. Whoever found the task
//! calls it, a worker or the reaper; what it does may be cut off anywhere, and whoever runs the task next goes on.

use std::sync::Arc;
use std::time::Duration;

use shared::clock::{Clock, Timestamp};
use shared::log::outlet::{Outlet, Taken};
use shared::notification::Notification;
use shared::recipient::Recipient;
use shared::store::{Begun, Effort, Finish, NewTask, TaskKey};
use shared::task::{Order, TaskState};
use shared::topic::Topic;
use tokio_util::sync::CancellationToken;

use super::leases::{Kept, Leases, Stop};
use super::ledger::Ledger;
use super::places::{Claim, Places};
use crate::attempts::{Attempted, Attempts};
use crate::config::TaskSettings;
use crate::metrics;
use crate::outputs;
use crate::plan::{self, Fault, Next, Policy};
use crate::results::{self, Standing};
use crate::routing::Asked;
use crate::sandbox::{Failure, Output};
use crate::worker::Ended;

/// A record that asks for a task.
pub(crate) type Task = Asked<Order>;

/// What running tasks uses.
pub(crate) struct Runner {
    pub(crate) settings: TaskSettings,
    pub(crate) max_record_bytes: usize,
    pub(crate) ledger: Ledger,
    pub(crate) leases: Arc<Leases>,
    pub(crate) places: Arc<Places>,
    pub(crate) attempts: Arc<Attempts>,
    pub(crate) outlet: Outlet,
    pub(crate) clock: Arc<dyn Clock>,
}

/// Who waits for the task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waits {
    /// What is behind it in its lane: it is waited for, for a while, so that the order of the key is kept.
    Lane,
    /// Nobody.
    Nobody,
}

/// How far an attempt brought the task.
enum Step {
    /// As far as it can go.
    Over,
    /// There is another attempt then, and the lease is kept for it.
    Wait(Timestamp, Kept),
    /// It is another's, or the store knows something else: ask it.
    Ask,
}

impl Runner {
    /// Runs `task`. Once `drain` is cancelled, what has not begun is left, and what waits for another attempt.
    pub(crate) async fn run(
        &self,
        task: &Task,
        _claim: Claim,
        waits: Waits,
        drain: &CancellationToken,
    ) -> Ended {
        let mut patience = self.settings.hold_ms;
        loop {
            let Recipient { tenant, .. } = &task.notification.recipient;
            let place = tokio::select! {
                biased;
                () = drain.cancelled() => return Ended::Left,
                place = self.places.take(tenant, &task.ask.module.name) => place,
            };
            // Not given up once it was asked: what was begun is to be heard of.
            let begun = match self.ledger.begin(new_task(task)).await {
                Ok(begun) => begun,
                Err(refused) => {
                    self.bury(task, &Fault::new("unfit", refused.to_string())).await;
                    return Ended::Done;
                }
            };
            let (until, kept) = match begun {
                Begun::Ended(_) => return Ended::Done,
                Begun::NotBefore(until) => (until, None),
                Begun::Publish { hold, outputs } => {
                    self.publish(task, self.leases.keep(hold), &outputs).await;
                    return Ended::Done;
                }
                Begun::Run { hold, attempt } => {
                    let kept = self.leases.keep(hold);
                    match self.attempt(task, kept, attempt, waits, drain).await {
                        Step::Over => return Ended::Done,
                        Step::Ask => continue,
                        Step::Wait(due, kept) => (due, Some(kept)),
                    }
                }
            };
            drop(place);
            // Clocks differ a little: who comes too early is told the same again.
            let wait = until.since(self.clock.now()).max(Duration::from_millis(20));
            if kept.is_none() && (waits == Waits::Nobody || wait > patience) {
                return Ended::Done;
            }
            patience = patience.saturating_sub(wait);
            let stopped = async {
                match kept {
                    Some(mut kept) => kept.stopped().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = drain.cancelled() => return Ended::Left,
                // The store says why.
                _stop = stopped => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    async fn attempt(
        &self,
        task: &Task,
        mut kept: Kept,
        attempt: u32,
        waits: Waits,
        drain: &CancellationToken,
    ) -> Step {
        let most = self.settings.attempts;
        if attempt > most {
            return self.fail(task, &kept, attempt, Fault::lost(most), Effort::default()).await;
        }
        if task.notification.is_expired(self.clock.now()) {
            return self.fail(task, &kept, attempt, Fault::expired(), Effort::default()).await;
        }
        self.tell(task, attempt, TaskState::Running, None).await;
        let attempted = tokio::select! {
            biased;
            stop = kept.stopped() => return match stop {
                Stop::Lost => lost(),
                Stop::Cancel => self.cancelled(task, &kept, attempt).await,
            },
            attempted = self.attempts.make_patiently(
                &task.notification, &task.ask.module, attempt, self.settings.unavailable_ms
            ) => attempted,
        };
        let effort = effort(&attempted);
        let own = attempted.module.as_ref().and_then(|module| module.limits.attempts);
        let policy =
            Policy { attempts: own.map_or(most, |own| own.min(most)), backoff: self.settings.backoff.into() };
        let times = (self.clock.now(), task.notification.expires);
        match plan::next(attempted.answer, attempt, policy, times, rand::random()) {
            Next::Done(outputs) => {
                self.complete(task, kept, attempt, (&attempted.input, outputs), effort).await
            }
            Next::Failed(fault) => self.fail(task, &kept, attempt, fault, effort).await,
            Next::Again { fault, due } => {
                let soon = due.since(self.clock.now()) <= self.settings.hold_ms;
                let keep = soon && waits == Waits::Lane && !drain.is_cancelled();
                self.again(task, kept, attempt, fault, (due, keep), effort).await
            }
        }
    }

    async fn complete(
        &self,
        task: &Task,
        kept: Kept,
        attempt: u32,
        (input, outputs): (&Notification, Vec<Output>),
        effort: Effort,
    ) -> Step {
        let module = &task.ask.module.name;
        let now = self.clock.now();
        let made = outputs.into_iter().enumerate();
        let made = made.map(|(place, output)| outputs::notification(input, module, output, place, now));
        let made: Result<Vec<Notification>, _> = made.collect();
        let made = made.map_err(|error| Failure::Host(error.to_string()));
        let entries = made.and_then(|mut published| {
            let result = results::result(&published, self.settings.result_bytes);
            published.extend(self.standing(task, attempt, TaskState::Completed, None));
            Ok((outputs::entries(&published, self.max_record_bytes)?, result))
        });
        let (entries, result) = match entries {
            Ok(made) => made,
            Err(failure) => return self.fail(task, &kept, attempt, Fault::from(&failure), effort).await,
        };
        let packed = outputs::pack(&entries);
        let finish = Finish::Completed { outputs: packed.clone(), result: result.replace('\0', "\u{fffd}") };
        match self.ledger.finish((kept.hold().clone(), finish, effort)).await {
            Ok(true) => {}
            Ok(false) => return lost(),
            Err(refused) => {
                let fault = Fault::new("unfit", refused.to_string());
                return self.fail(task, &kept, attempt, fault, Effort::default()).await;
            }
        }
        self.ended(task, TaskState::Completed, "none");
        if !packed.is_empty() {
            self.publish(task, kept, &packed).await;
        }
        Step::Over
    }

    /// Appends what a completed task answered, and notes that it stands there.
    async fn publish(&self, task: &Task, kept: Kept, packed: &bytes::Bytes) {
        let Some(entries) = outputs::unpack(packed) else {
            // Its lease runs out, and then somebody else finds it.
            tracing::error!(key = ?kept.hold().key, "outputs in a form that this version does not read");
            return;
        };
        let count = entries.len();
        let taken = self.outlet.append(Topic::Notifications, entries).await;
        metrics::outputs(count);
        let refused = taken.iter().filter(|taken| **taken == Taken::TooLarge).count();
        if refused > 0 {
            // They were measured before; the log's limit was lowered meanwhile.
            let reason = format!("{refused} of {count} outputs are larger than the log takes now");
            self.bury(task, &Fault::new("output_too_large", reason)).await;
        }
        self.ledger.published(kept.hold().clone()).await;
    }

    async fn again(
        &self,
        task: &Task,
        kept: Kept,
        attempt: u32,
        fault: Fault,
        (due, keep): (Timestamp, bool),
        effort: Effort,
    ) -> Step {
        let finish =
            Finish::Retrying { failure: fault.code.to_owned(), reason: text(&fault.reason), due, keep };
        match self.ledger.finish((kept.hold().clone(), finish, effort)).await {
            Ok(true) => {}
            Ok(false) => return lost(),
            Err(_refused) => return Step::Ask,
        }
        self.tell(task, attempt, TaskState::Retrying, Some(&fault)).await;
        if keep { Step::Wait(due, kept) } else { Step::Over }
    }

    /// What is told comes first, so that it is not lost with the executor: it is told again by whoever comes to the same.
    async fn fail(&self, task: &Task, kept: &Kept, attempt: u32, fault: Fault, effort: Effort) -> Step {
        if kept.is_lost() {
            return lost();
        }
        self.bury(task, &fault).await;
        self.tell(task, attempt, TaskState::Failed, Some(&fault)).await;
        let finish = Finish::Failed { failure: fault.code.to_owned(), reason: text(&fault.reason) };
        match self.ledger.finish((kept.hold().clone(), finish, effort)).await {
            Ok(true) => {
                self.ended(task, TaskState::Failed, fault.code);
                Step::Over
            }
            Ok(false) => lost(),
            Err(_refused) => Step::Ask,
        }
    }

    async fn cancelled(&self, task: &Task, kept: &Kept, attempt: u32) -> Step {
        let end = (kept.hold().clone(), Finish::Cancelled, Effort::default());
        if let Ok(true) = self.ledger.finish(end).await {
            self.ended(task, TaskState::Cancelled, "none");
            self.tell(task, attempt, TaskState::Cancelled, None).await;
            return Step::Over;
        }
        Step::Ask
    }

    async fn bury(&self, task: &Task, fault: &Fault) {
        if let Some(letter) = task.letter(fault.code, &fault.reason) {
            self.outlet.bury(&[letter]).await;
        }
    }

    /// Tells the recipient, where that was ordered.
    async fn tell(&self, task: &Task, attempt: u32, state: TaskState, fault: Option<&Fault>) {
        if let Some(told) = self.standing(task, attempt, state, fault) {
            self.outlet.append(Topic::Notifications, vec![shared::record::encode(&told)]).await;
        }
    }

    fn standing(
        &self,
        task: &Task,
        attempt: u32,
        state: TaskState,
        fault: Option<&Fault>,
    ) -> Option<Notification> {
        if !task.ask.progress {
            return None;
        }
        let standing = Standing { input: &task.notification, order: &task.ask, attempt };
        standing.told(state, fault, self.clock.now()).ok()
    }

    fn ended(&self, task: &Task, state: TaskState, failure: &'static str) {
        let (key, module) = (key(task), task.ask.module.to_string());
        let (tenant, id) = (key.tenant.as_str(), key.id.as_str());
        if state == TaskState::Failed {
            tracing::info!(tenant, id, module, failure, "a task failed");
        } else {
            tracing::debug!(tenant, id, module, state = state.as_str(), "a task ended");
        }
        metrics::ended(state, failure, self.clock.now().since(task.notification.time));
    }
}

/// Another instance has it: what this one did counts for nothing.
fn lost() -> Step {
    metrics::lease_lost();
    Step::Ask
}

/// What the store is told of a task.
fn new_task(task: &Task) -> NewTask {
    let (notification, order) = (&task.notification, &task.ask);
    NewTask {
        key: key(task),
        recipient: notification.recipient.id.clone(),
        module: order.module.name.clone(),
        version: order.module.version.clone(),
        code: order.code.clone(),
        origin: order.origin,
        schedule: order.schedule.clone(),
        record: task.entry.clone(),
        position: task.position,
        created: notification.time,
    }
}

/// Which task a record asks for.
pub(crate) fn key(task: &Task) -> TaskKey {
    TaskKey { tenant: task.notification.recipient.tenant.clone(), id: task.notification.id.clone() }
}

fn effort(attempted: &Attempted) -> Effort {
    Effort {
        ran: attempted.module.as_ref().map(|module| (module.version.clone(), *module.digest.as_bytes())),
        took: attempted.took,
        fuel: attempted.usage.fuel,
        memory_bytes: attempted.usage.memory_bytes as u64,
        log: text(&attempted.log),
    }
}

/// Text as every store takes it.
fn text(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}
