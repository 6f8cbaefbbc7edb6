//! Checks of [`TaskReview`](crate::store::TaskReview)'s lists.

use std::time::Duration;

use super::{Tasks, after, failed, finish, lease, new_task, run, states, tenant};
use crate::clock::Timestamp;
use crate::recipient::TenantId;
use crate::store::contract::NOW;
use crate::store::{NewTask, TaskFilter, TaskKey};
use crate::task::{ModuleName, Origin, TaskCode, TaskState};

/// All checks.
pub(super) async fn all(tasks: &dyn Tasks) {
    entering_twice_changes_nothing(tasks).await;
    a_list_goes_page_by_page_from_the_newest(tasks).await;
    the_operator_sees_all_tenants_page_by_page(tasks).await;
    every_filter_narrows(tasks).await;
    a_prefix_is_taken_literally(tasks).await;
    tenants_never_see_each_others(tasks).await;
}

fn of(tenant: &TenantId) -> TaskFilter {
    TaskFilter { tenant: Some(tenant.clone()), ..TaskFilter::default() }
}

async fn list(tasks: &dyn Tasks, filter: &TaskFilter) -> Vec<String> {
    let found = tasks.list_tasks(filter, None, 100).await.expect("list_tasks");
    let mut found: Vec<_> = found.into_iter().map(|task| task.key.id.to_string()).collect();
    found.sort_unstable();
    found
}

/// All pages, in steps of `limit`.
async fn pages(tasks: &dyn Tasks, filter: &TaskFilter, limit: u32) -> Vec<(Timestamp, TaskKey)> {
    let mut seen: Vec<(Timestamp, TaskKey)> = Vec::new();
    loop {
        let page = tasks.list_tasks(filter, seen.last().cloned(), limit).await.expect("list_tasks");
        assert!(page.len() <= limit as usize);
        if page.is_empty() {
            return seen;
        }
        seen.extend(page.into_iter().map(|task| (task.created, task.key)));
    }
}

fn assert_each_once_and_newest_first(seen: &[(Timestamp, TaskKey)], expected: usize) {
    assert!(seen.is_sorted_by(|one, next| one.0 >= next.0), "{seen:?}");
    let distinct: std::collections::BTreeSet<_> = seen.iter().collect();
    assert_eq!((seen.len(), distinct.len()), (expected, expected));
}

async fn entering_twice_changes_nothing(tasks: &dyn Tasks) {
    let acme = tenant();
    let task = new_task(&acme, "n-1");
    tasks.enter_tasks(&[task.clone(), new_task(&acme, "n-2")]).await.expect("enter_tasks");
    run(tasks, &task, &lease("one", 30), NOW).await;
    let other = NewTask { module: ModuleName::parse("echo").expect("a name"), ..task.clone() };
    tasks.enter_tasks(&[other, new_task(&acme, "n-3")]).await.expect("enter_tasks");
    let found = super::get(tasks, &task.key).await;
    assert_eq!((found.state, found.module), (TaskState::Running, task.module));
    assert_eq!(states(tasks, &task.key).await, [TaskState::Pending, TaskState::Running]);
    assert_eq!(list(tasks, &of(&acme)).await, ["n-1", "n-2", "n-3"]);
}

/// Also among those of one moment.
async fn a_list_goes_page_by_page_from_the_newest(tasks: &dyn Tasks) {
    let acme = tenant();
    let all: Vec<_> = (0..23)
        .map(|number: u64| NewTask {
            created: after(number / 9),
            ..new_task(&acme, &format!("n-{}", number * 7 % 23))
        })
        .collect();
    tasks.enter_tasks(&all).await.expect("enter_tasks");
    for limit in [1, 2, 5, 9, 50] {
        let seen = pages(tasks, &of(&acme), limit).await;
        assert_each_once_and_newest_first(&seen, all.len());
    }
    let pending = TaskFilter { state: Some(TaskState::Pending), ..of(&acme) };
    assert_each_once_and_newest_first(&pages(tasks, &pending, 4).await, all.len());
}

async fn the_operator_sees_all_tenants_page_by_page(tasks: &dyn Tasks) {
    // A code that no other check uses; the same ids and moments in three tenants.
    let code = TaskCode::parse(&format!("c{:016x}", rand::random::<u64>())).expect("a code");
    let mut all = Vec::new();
    for acme in [tenant(), tenant(), tenant()] {
        let of_one = (0..4).map(|number| new_task(&acme, &format!("n-{number}")));
        all.extend(of_one.map(|task| NewTask { code: Some(code.clone()), ..task }));
    }
    tasks.enter_tasks(&all).await.expect("enter_tasks");
    let filter = TaskFilter { code_prefix: Some(code.as_str()[..9].to_owned()), ..TaskFilter::default() };
    for limit in [1, 5, 12] {
        assert_each_once_and_newest_first(&pages(tasks, &filter, limit).await, all.len());
    }
}

async fn every_filter_narrows(tasks: &dyn Tasks) {
    let acme = tenant();
    let mut all = [0, 1, 2, 3].map(|number| NewTask {
        created: NOW.after(Duration::from_millis(number)),
        schedule: None,
        origin: Origin::Api,
        ..new_task(&acme, &format!("n-{number}"))
    });
    all[1].code = None;
    all[2].code = TaskCode::parse("orders/48").ok();
    all[2].module = ModuleName::parse("echo").expect("a name");
    (all[3].origin, all[3].schedule) = (Origin::Schedule, Some("nightly".into()));
    tasks.enter_tasks(&all).await.expect("enter_tasks");
    let (hold, _) = run(tasks, &all[0], &lease("one", 30), after(1)).await;
    assert!(finish(tasks, &hold, failed(), after(2)).await);
    let code = |prefix: &str| TaskFilter { code_prefix: Some(prefix.into()), ..of(&acme) };
    let failure = |prefix: &str| TaskFilter { failure_prefix: Some(prefix.into()), ..of(&acme) };
    let module = |name| TaskFilter { module: ModuleName::parse(name).ok(), ..of(&acme) };
    let time = |millis| Some(NOW.after(Duration::from_millis(millis)));
    for (filter, expected) in [
        (of(&acme), &["n-0", "n-1", "n-2", "n-3"][..]),
        (code("orders/4"), &["n-0", "n-2", "n-3"]),
        (code("orders/47"), &["n-0", "n-3"]),
        (code("orders/48"), &["n-2"]),
        (code("Orders"), &[]),
        (code("orders/480"), &[]),
        (module("echo"), &["n-2"]),
        (module("ech"), &[]),
        (TaskFilter { state: Some(TaskState::Pending), ..of(&acme) }, &["n-1", "n-2", "n-3"]),
        (TaskFilter { state: Some(TaskState::Failed), ..of(&acme) }, &["n-0"]),
        (TaskFilter { state: Some(TaskState::Completed), ..of(&acme) }, &[]),
        (TaskFilter { origin: Some(Origin::Schedule), ..of(&acme) }, &["n-3"]),
        (TaskFilter { origin: Some(Origin::Record), ..of(&acme) }, &[]),
        (TaskFilter { schedule: Some("nightly".into()), ..of(&acme) }, &["n-3"]),
        (TaskFilter { schedule: Some("night".into()), ..of(&acme) }, &[]),
        (failure("tr"), &["n-0"]),
        (failure("trap"), &["n-0"]),
        (failure("rap"), &[]),
        (TaskFilter { from: time(2), ..of(&acme) }, &["n-2", "n-3"]),
        (TaskFilter { until: time(2), ..of(&acme) }, &["n-0", "n-1"]),
        (TaskFilter { from: time(1), until: time(3), ..of(&acme) }, &["n-1", "n-2"]),
        (TaskFilter { state: Some(TaskState::Pending), ..code("orders") }, &["n-2", "n-3"]),
        (TaskFilter { schedule: Some("\0".into()), ..of(&acme) }, &[]),
    ] {
        assert_eq!(list(tasks, &filter).await, expected, "{filter:?}");
    }
}

/// No character of it stands for others.
async fn a_prefix_is_taken_literally(tasks: &dyn Tasks) {
    let acme = tenant();
    let codes = ["a_b", "axb", "a-b", "a_b/c", "A_B"];
    let all: Vec<_> = (0..)
        .zip(codes)
        .map(|(number, code)| NewTask {
            code: TaskCode::parse(code).ok(),
            ..new_task(&acme, &format!("n-{number}"))
        })
        .collect();
    tasks.enter_tasks(&all).await.expect("enter_tasks");
    for (prefix, expected) in [
        ("a_b", &["n-0", "n-3"][..]),
        ("a_", &["n-0", "n-3"]),
        ("a", &["n-0", "n-1", "n-2", "n-3"]),
        ("a%", &[]),
        ("%", &[]),
        ("_", &[]),
        ("a\\_", &[]),
        ("a*", &[]),
        ("[a]", &[]),
        ("a_b'", &[]),
        ("a\0", &[]),
        ("\u{10ffff}", &[]),
        ("", &["n-0", "n-1", "n-2", "n-3", "n-4"]),
    ] {
        let filter = TaskFilter { code_prefix: Some(prefix.into()), ..of(&acme) };
        assert_eq!(list(tasks, &filter).await, expected, "{prefix:?}");
    }
}

async fn tenants_never_see_each_others(tasks: &dyn Tasks) {
    let (acme, other) = (tenant(), tenant());
    let mine = new_task(&acme, "n-1");
    tasks.enter_tasks(std::slice::from_ref(&mine)).await.expect("enter_tasks");
    let theirs = TaskKey { tenant: other.clone(), ..mine.key.clone() };
    assert_eq!(list(tasks, &of(&other)).await, [""; 0]);
    assert_eq!(tasks.get_task(&theirs).await.expect("get_task"), None);
    assert_eq!(tasks.task_steps(&theirs, 0, 9).await.expect("task_steps"), None);
    let cancel = crate::store::TaskChange::Cancel;
    assert_eq!(tasks.change_task(&theirs, cancel, "tests", NOW).await.expect("change_task"), None);
    let own = NewTask { key: theirs, ..mine.clone() };
    run(tasks, &own, &lease("one", 30), NOW).await;
    assert_eq!(super::state(tasks, &mine.key).await, TaskState::Pending);
}
