//! What may become of a task, and what its history says of that. Pure: an adapter reads a [`Life`], lets something happen
//! to it, and keeps what it is then, all in one transaction. [`TaskRuns`](super::TaskRuns) and
//! [`TaskReview`](super::TaskReview) say what this must come to.

use super::{Effort, Finish, Lease, Renewed, TaskChange, TaskStep};
use crate::clock::Timestamp;
use crate::task::TaskState;

/// The code in the history of an attempt whose lease ran out before it ended.
const LOST: &str = "lost";

/// What changes about a task.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Life {
    pub(super) state: TaskState,
    pub(super) attempt: u32,
    /// The newest one given; 0: none yet.
    pub(super) fence: u64,
    /// Whoever has the lease, or had the last one.
    pub(super) instance: Option<String>,
    /// The end of the lease, while there is one.
    pub(super) lease: Option<Timestamp>,
    /// While it is `retrying`.
    pub(super) due: Option<Timestamp>,
    /// Who asked to cancel it, while it runs.
    pub(super) cancel_by: Option<String>,
    pub(super) failure: Option<String>,
    pub(super) reason: Option<String>,
    pub(super) changed: Timestamp,
    /// Steps in its history.
    pub(super) steps: u32,
    /// The fence of the last end that counted, and what that end said.
    pub(super) ended: Option<(u64, TaskState)>,
    /// Whether it has outputs that nobody has published.
    pub(super) unpublished: bool,
}

/// What [`Life::begin`] comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Given {
    Run,
    Publish,
    Ended,
    NotBefore(Timestamp),
}

/// A state does not allow what was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Illegal;

impl Finish {
    /// The state that it says.
    const fn state(&self) -> TaskState {
        match self {
            Self::Completed { .. } => TaskState::Completed,
            Self::Retrying { .. } => TaskState::Retrying,
            Self::Failed { .. } => TaskState::Failed,
            Self::Cancelled => TaskState::Cancelled,
        }
    }

    /// The failure and its reason.
    fn failure(&self) -> Option<(String, String)> {
        match self {
            Self::Retrying { failure, reason, .. } | Self::Failed { failure, reason } => {
                Some((failure.clone(), reason.clone()))
            }
            Self::Completed { .. } | Self::Cancelled => None,
        }
    }
}

impl Life {
    /// One that is accepted at `created`, and the first line of its history.
    pub(super) fn entered(created: Timestamp) -> (Self, TaskStep) {
        let mut life = Self::default();
        let step = life.go(TaskState::Pending, None, None, created);
        (life, step)
    }

    /// When somebody should run it, or publish what it answered; none: nothing is left to do. For one that nobody ever
    /// began (fence 0) it is when it was entered, and whoever asks adds a patience.
    pub(super) fn wake(&self) -> Option<Timestamp> {
        match self.state {
            TaskState::Pending => Some(self.changed),
            TaskState::Running | TaskState::Completed => self.lease,
            TaskState::Retrying => self.lease.max(self.due),
            TaskState::Failed | TaskState::Cancelled => None,
        }
    }

    /// Gives it to `lease` if there is something to do that may be done at `now`.
    pub(super) fn begin(&mut self, lease: &Lease, now: Timestamp) -> (Given, Option<TaskStep>) {
        if self.state.is_end() && !self.unpublished {
            return (Given::Ended, None);
        }
        let held = self.lease.filter(|until| now < *until);
        let due = self.due.filter(|due| now < *due);
        let own = self.instance.as_deref() == Some(lease.instance.as_str());
        if let Some(time) = if own { due } else { held.max(due) } {
            return (Given::NotBefore(time), None);
        }
        if let Some(by) = self.cancel_by.take() {
            self.lease = None;
            return (Given::Ended, Some(self.go(TaskState::Cancelled, Some(by), None, now)));
        }
        let last = self.instance.replace(lease.instance.clone());
        self.lease = Some(lease.until);
        self.fence += 1;
        let lost = match (self.state, held) {
            (TaskState::Completed, _) => return (Given::Publish, None),
            // Its own attempt: the answer that gave it was lost, or it has dropped what it was at.
            (TaskState::Running, Some(_)) => return (Given::Run, None),
            (TaskState::Running, None) => {
                let last = last.unwrap_or_default();
                Some((LOST.to_owned(), format!("the lease of {last} ran out before the attempt ended")))
            }
            (TaskState::Pending | TaskState::Retrying | TaskState::Failed | TaskState::Cancelled, _) => None,
        };
        self.attempt += 1;
        (Given::Run, Some(self.go(TaskState::Running, Some(lease.instance.clone()), lost, now)))
    }

    /// Prolongs the lease of whoever has `fence`.
    pub(super) fn renew(&mut self, fence: u64, until: Timestamp) -> Renewed {
        if fence != self.fence || self.lease.is_none() {
            return Renewed::Lost;
        }
        self.lease = self.lease.max(Some(until));
        if self.cancel_by.is_some() { Renewed::CancelAsked } else { Renewed::Held }
    }

    /// Ends what `fence` was given for; none when that counts for nothing. A repetition counts, and makes no step.
    pub(super) fn finish(
        &mut self,
        fence: u64,
        finish: &Finish,
        effort: &Effort,
        now: Timestamp,
    ) -> Option<Option<TaskStep>> {
        let said = finish.state();
        if self.ended == Some((fence, said)) {
            return Some(None);
        }
        let cancel_by = self.cancel_by.clone();
        let state = match said {
            TaskState::Retrying if cancel_by.is_some() => TaskState::Cancelled,
            said => said,
        };
        let begun = matches!(self.state, TaskState::Running | TaskState::Retrying);
        if fence != self.fence || !begun || !self.state.may_become(state) {
            return None;
        }
        self.ended = Some((fence, said));
        let by = cancel_by.filter(|_| state == TaskState::Cancelled).or_else(|| self.instance.clone());
        let mut step = self.go(state, by, finish.failure(), now);
        step.effort = effort.clone();
        let keeps = match finish {
            Finish::Completed { outputs, .. } => {
                (self.failure, self.reason) = (None, None);
                self.unpublished = !outputs.is_empty();
                self.unpublished
            }
            Finish::Retrying { due, keep, .. } if state == TaskState::Retrying => {
                self.due = Some(*due);
                *keep
            }
            Finish::Retrying { .. } | Finish::Failed { .. } | Finish::Cancelled => false,
        };
        self.lease = self.lease.filter(|_| keeps);
        Some(Some(step))
    }

    /// Notes that its outputs are published, if `fence` may say so.
    pub(super) fn published(&mut self, fence: u64) {
        if fence == self.fence && self.unpublished {
            (self.unpublished, self.lease) = (false, None);
        }
    }

    /// Does what somebody asks for, as far as it can be done at once.
    pub(super) fn change(
        &mut self,
        change: TaskChange,
        by: &str,
        now: Timestamp,
    ) -> Result<Option<TaskStep>, Illegal> {
        let by = Some(by.to_owned());
        match (change, self.state) {
            (TaskChange::Cancel, TaskState::Pending | TaskState::Retrying) => {
                self.lease = None;
                Ok(Some(self.go(TaskState::Cancelled, by, None, now)))
            }
            (TaskChange::Cancel, TaskState::Running) => {
                self.cancel_by = self.cancel_by.take().or(by);
                Ok(None)
            }
            (TaskChange::Retry, TaskState::Failed | TaskState::Cancelled) => {
                // So that nobody who began it before has the newest.
                self.fence += 1;
                self.attempt = 0;
                (self.failure, self.reason) = (None, None);
                Ok(Some(self.go(TaskState::Pending, by, None, now)))
            }
            (TaskChange::Cancel, TaskState::Cancelled) | (TaskChange::Retry, TaskState::Pending) => Ok(None),
            (TaskChange::Cancel, TaskState::Completed | TaskState::Failed)
            | (TaskChange::Retry, TaskState::Running | TaskState::Retrying | TaskState::Completed) => {
                Err(Illegal)
            }
        }
    }

    fn go(
        &mut self,
        state: TaskState,
        by: Option<String>,
        failure: Option<(String, String)>,
        now: Timestamp,
    ) -> TaskStep {
        let (failure, reason) = failure.unzip();
        if failure.is_some() {
            (self.failure, self.reason) = (failure.clone(), reason.clone());
        }
        (self.state, self.changed, self.due, self.cancel_by) = (state, now, None, None);
        self.steps += 1;
        let effort = Effort::default();
        TaskStep { number: self.steps, time: now, state, attempt: self.attempt, by, failure, reason, effort }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;

    const START: Timestamp = Timestamp::from_millis(1_000_000);

    #[derive(Clone, Debug)]
    enum Happening {
        Begin(u8),
        Renew(u64),
        Finish(u64, u8),
        Published(u64),
        Change(TaskChange),
        Time(u8),
    }

    fn happening() -> impl Strategy<Value = Happening> {
        prop_oneof![
            (0_u8..3).prop_map(Happening::Begin),
            (0_u64..3).prop_map(Happening::Renew),
            (0_u64..3, 0_u8..6).prop_map(|(old, which)| Happening::Finish(old, which)),
            (0_u64..3).prop_map(Happening::Published),
            prop_oneof![Just(TaskChange::Cancel), Just(TaskChange::Retry)].prop_map(Happening::Change),
            (1_u8..9).prop_map(Happening::Time),
        ]
    }

    fn finish(which: u8, now: Timestamp) -> Finish {
        let (failure, reason) = ("trap".to_owned(), "it trapped".to_owned());
        let due = now.after(Duration::from_secs(2));
        match which {
            0 => Finish::Completed { outputs: Bytes::from_static(b"o"), result: "1".into() },
            1 => Finish::Completed { outputs: Bytes::new(), result: "1".into() },
            2 => Finish::Retrying { failure, reason, due, keep: true },
            3 => Finish::Retrying { failure, reason, due, keep: false },
            4 => Finish::Failed { failure, reason },
            _ => Finish::Cancelled,
        }
    }

    /// One thing happens; answers the steps it made, and the fence that an end counted for.
    fn happens(life: &mut Life, what: &Happening, now: &mut Timestamp) -> (Option<TaskStep>, Option<u64>) {
        match what {
            Happening::Begin(instance) => {
                let until = now.after(Duration::from_secs(3));
                (life.begin(&Lease { instance: format!("i{instance}"), until }, *now).1, None)
            }
            Happening::Renew(old) => {
                life.renew(life.fence.saturating_sub(*old), now.after(Duration::from_secs(3)));
                (None, None)
            }
            Happening::Finish(old, which) => {
                let fence = life.fence.saturating_sub(*old);
                let counted = life.finish(fence, &finish(*which, *now), &Effort::default(), *now);
                let first = counted.as_ref().is_some_and(Option::is_some);
                (counted.flatten(), first.then_some(fence))
            }
            Happening::Published(old) => {
                life.published(life.fence.saturating_sub(*old));
                (None, None)
            }
            Happening::Change(change) => (life.change(*change, "tests", *now).unwrap_or(None), None),
            Happening::Time(seconds) => {
                *now = now.after(Duration::from_secs((*seconds).into()));
                (None, None)
            }
        }
    }

    proptest! {
        #[test]
        fn whatever_happens_follows_the_states_and_ends_once(all in proptest::collection::vec(happening(), 0..80)) {
            let (mut now, (mut life, _)) = (START, Life::entered(START));
            let mut ended = std::collections::BTreeSet::new();
            for what in &all {
                let before = life.clone();
                let (step, end) = happens(&mut life, what, &mut now);
                prop_assert!(life.fence >= before.fence);
                match step {
                    None => prop_assert_eq!((life.state, life.steps), (before.state, before.steps)),
                    Some(step) => {
                        prop_assert!(before.state.may_become(step.state), "{:?} to {:?}", before.state, step.state);
                        prop_assert_eq!((step.state, step.number), (life.state, before.steps + 1));
                        prop_assert_eq!((step.attempt, step.time), (life.attempt, life.changed));
                    }
                }
                if let Some(fence) = end {
                    prop_assert_eq!(fence, before.fence);
                    let is_end = life.state.is_end();
                    prop_assert!(!is_end || ended.insert(fence), "{} ended twice", fence);
                }
            }
        }

        #[test]
        fn somebody_can_always_bring_it_to_an_end(all in proptest::collection::vec(happening(), 0..80)) {
            let (mut now, (mut life, _)) = (START, Life::entered(START));
            for what in &all {
                happens(&mut life, what, &mut now);
            }
            match life.wake() {
                None => prop_assert!(life.state.is_end() && !life.unpublished, "{life:?}"),
                Some(wake) => {
                    let lease = Lease { instance: "last".into(), until: wake.after(Duration::from_secs(3)) };
                    let (given, _) = life.begin(&lease, wake);
                    match given {
                        Given::Run => {
                            let counted = life.finish(life.fence, &finish(1, wake), &Effort::default(), wake);
                            prop_assert!(counted.is_some_and(|step| step.is_some()));
                        }
                        Given::Publish => life.published(life.fence),
                        Given::Ended => {}
                        Given::NotBefore(_) => prop_assert!(false, "asleep after it woke: {life:?}"),
                    }
                    prop_assert_eq!(life.wake(), None);
                }
            }
        }
    }
}
