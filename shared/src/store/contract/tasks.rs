//! Checks of [`TaskRuns`] and [`TaskReview`]: `begins` and `ends` of attempts, what is `due`, `review` by whoever looks,
//! and a `race`.

mod begins;
mod due;
mod ends;
mod race;
mod review;

use std::time::Duration;

use bytes::Bytes;

use super::super::{
    Begun, Effort, Error, Finish, Hold, Lease, NewTask, TaskChange, TaskKey, TaskReview, TaskRuns, TaskStep,
    TaskSummary,
};
use super::{NOW, at, partition, tenant};
use crate::clock::Timestamp;
use crate::log::Entry;
use crate::notification::NotificationId;
use crate::recipient::{RecipientId, TenantId};
use crate::task::{ModuleName, ModuleVersion, Origin, TaskCode, TaskState};

/// An adapter with both ports.
pub trait Tasks: TaskRuns + TaskReview {}
impl<T: TaskRuns + TaskReview> Tasks for T {}

/// All checks. They need a store whose tasks no other checks touch.
pub async fn all(tasks: &dyn Tasks) {
    begins::all(tasks).await;
    ends::all(tasks).await;
    due::all(tasks).await;
    review::all(tasks).await;
    race::all(tasks).await;
}

/// A task with every column set.
fn new_task(tenant: &TenantId, id: &str) -> NewTask {
    NewTask {
        key: TaskKey { tenant: tenant.clone(), id: NotificationId::parse(id).expect("an id") },
        recipient: RecipientId::parse("alice").expect("a recipient's name"),
        module: ModuleName::parse("sum").expect("a module's name"),
        version: ModuleVersion::parse("1.2.0").ok(),
        code: TaskCode::parse("orders/4711").ok(),
        origin: Origin::Schedule,
        schedule: Some("nightly".into()),
        record: Entry {
            key: format!("{tenant}/alice").into(),
            headers: vec![
                ("ce_id".into(), Bytes::from_static(b"\x00\xff")),
                ("ü".into(), Bytes::from_static(b"")),
            ],
            payload: Bytes::from_static(b"\x00\x01\xff"),
        },
        position: Some(at(1, partition(), 7)),
        created: NOW,
    }
}

/// This many seconds after [`NOW`].
fn after(seconds: u64) -> Timestamp {
    NOW.after(Duration::from_secs(seconds))
}

/// A lease of `instance` that ends this many seconds after [`NOW`].
fn lease(instance: &str, seconds: u64) -> Lease {
    Lease { instance: instance.into(), until: after(seconds) }
}

async fn begin(tasks: &dyn Tasks, task: &NewTask, lease: &Lease, now: Timestamp) -> Begun {
    tasks.begin(std::slice::from_ref(task), lease, now).await.expect("begin").remove(0)
}

/// The attempt, if one was given.
fn given(begun: Begun) -> Option<(Hold, u32)> {
    match begun {
        Begun::Run { hold, attempt } => Some((hold, attempt)),
        Begun::Publish { .. } | Begun::Ended(_) | Begun::NotBefore(_) => None,
    }
}

/// What is to be published, if that was given.
fn to_publish(begun: Begun) -> Option<(Hold, Bytes)> {
    match begun {
        Begun::Publish { hold, outputs } => Some((hold, outputs)),
        Begun::Run { .. } | Begun::Ended(_) | Begun::NotBefore(_) => None,
    }
}

/// Begins an attempt that must be given.
async fn run(tasks: &dyn Tasks, task: &NewTask, lease: &Lease, now: Timestamp) -> (Hold, u32) {
    given(begin(tasks, task, lease, now).await).expect("an attempt")
}

/// Whether an end counted.
async fn finish(tasks: &dyn Tasks, hold: &Hold, finish: Finish, now: Timestamp) -> bool {
    let counted = tasks.finish(&[(hold.clone(), finish, effort())], now).await;
    counted.expect("finish").remove(0)
}

async fn get(tasks: &dyn Tasks, key: &TaskKey) -> TaskSummary {
    tasks.get_task(key).await.expect("get_task").expect("is there")
}

async fn state(tasks: &dyn Tasks, key: &TaskKey) -> TaskState {
    get(tasks, key).await.state
}

async fn steps(tasks: &dyn Tasks, key: &TaskKey) -> Vec<TaskStep> {
    tasks.task_steps(key, 0, 100).await.expect("task_steps").expect("is there")
}

/// The states of a history.
async fn states(tasks: &dyn Tasks, key: &TaskKey) -> Vec<TaskState> {
    steps(tasks, key).await.into_iter().map(|step| step.state).collect()
}

async fn change(
    tasks: &dyn Tasks,
    key: &TaskKey,
    change: TaskChange,
    now: Timestamp,
) -> Result<TaskSummary, Error> {
    tasks.change_task(key, change, "tests", now).await.map(|summary| summary.expect("is there"))
}

/// What an attempt took, with every column set.
fn effort() -> Effort {
    Effort {
        ran: ModuleVersion::parse("1.2.1").ok().map(|version| (version, [7; 32])),
        took: Duration::from_micros(1_234_567),
        fuel: 99,
        memory_bytes: 65_536,
        log: "ü\nline".into(),
    }
}

fn completed(outputs: &'static [u8]) -> Finish {
    Finish::Completed { outputs: Bytes::from_static(outputs), result: r#"{"sum":"ü"}"#.into() }
}

fn failed() -> Finish {
    Finish::Failed { failure: "trap".into(), reason: "it trapped".into() }
}

fn kept(due: Timestamp) -> Finish {
    Finish::Retrying { failure: "asked".into(), reason: "the task asked".into(), due, keep: true }
}

fn given_up(due: Timestamp) -> Finish {
    Finish::Retrying { failure: "asked".into(), reason: "the task asked".into(), due, keep: false }
}
