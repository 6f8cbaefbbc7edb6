//! Checks of what somebody should run, of how much there is, and of what is forgotten. They take place long before the
//! other checks, so that those have nothing due.

use std::time::Duration;

use super::{Tasks, change, completed, failed, finish, given_up, kept, new_task, run, state, tenant};
use crate::clock::Timestamp;
use crate::recipient::TenantId;
use crate::store::{DueTask, Hold, Lease, NewTask, TaskChange};
use crate::task::TaskState;

pub(super) const SECOND: Duration = Duration::from_secs(1);

/// This many seconds after a time that no other check knows.
pub(super) fn long_ago(seconds: u64) -> Timestamp {
    Timestamp::from_millis(1_000_000 + 1000 * seconds)
}

/// All checks.
pub(super) async fn all(tasks: &dyn Tasks) {
    what_nobody_began_is_due_after_a_patience(tasks).await;
    what_is_held_is_due_when_its_lease_is_over(tasks).await;
    a_retry_is_due_when_it_is_and_nobody_keeps_it(tasks).await;
    what_was_asked_for_again_is_due_at_once(tasks).await;
    what_waits_longest_comes_first_and_there_is_a_limit(tasks).await;
    the_backlog_is_counted_and_no_further_than_asked(tasks).await;
    what_is_long_at_an_end_is_forgotten(tasks).await;
}

fn old_task(tenant: &TenantId, id: &str, created: u64) -> NewTask {
    NewTask { created: long_ago(created), ..new_task(tenant, id) }
}

fn lease(instance: &str, seconds: u64) -> Lease {
    Lease { instance: instance.into(), until: long_ago(seconds) }
}

async fn enter(tasks: &dyn Tasks, task: &NewTask) {
    tasks.enter_tasks(std::slice::from_ref(task)).await.expect("enter_tasks");
}

async fn due_at(tasks: &dyn Tasks, seconds: u64) -> Vec<String> {
    let due = tasks.due(long_ago(seconds), SECOND * 5, 100).await.expect("due");
    due.into_iter().map(|due| due.key.id.to_string()).collect()
}

/// Brings one to an end that is running for `hold`, so that it is due no more.
async fn away(tasks: &dyn Tasks, hold: &Hold, seconds: u64) {
    assert!(finish(tasks, hold, completed(b""), long_ago(seconds)).await);
    assert_eq!(due_at(tasks, 10_000).await, [""; 0]);
}

async fn what_nobody_began_is_due_after_a_patience(tasks: &dyn Tasks) {
    let task = old_task(&tenant(), "n-1", 0);
    enter(tasks, &task).await;
    assert_eq!(due_at(tasks, 4).await, [""; 0]);
    let due = tasks.due(long_ago(5), SECOND * 5, 9).await.expect("due");
    let expected = DueTask { key: task.key.clone(), record: task.record.clone(), position: task.position };
    assert_eq!(due, std::slice::from_ref(&expected));
    assert_eq!(tasks.due(long_ago(5), SECOND * 5, 9).await.expect("due"), [expected], "given to nobody");
    let (hold, _) = run(tasks, &task, &lease("one", 30), long_ago(5)).await;
    assert_eq!(due_at(tasks, 29).await, [""; 0]);
    away(tasks, &hold, 6).await;
    let unwanted = old_task(&task.key.tenant, "n-2", 0);
    enter(tasks, &unwanted).await;
    change(tasks, &unwanted.key, TaskChange::Cancel, long_ago(1)).await.expect("change_task");
    assert_eq!(due_at(tasks, 10_000).await, [""; 0]);
}

async fn what_is_held_is_due_when_its_lease_is_over(tasks: &dyn Tasks) {
    let task = old_task(&tenant(), "n-1", 0);
    let (hold, _) = run(tasks, &task, &lease("one", 30), long_ago(1)).await;
    assert_eq!((due_at(tasks, 29).await, due_at(tasks, 30).await), (vec![], vec!["n-1".to_owned()]));
    tasks.renew(std::slice::from_ref(&hold), long_ago(40)).await.expect("renew");
    assert_eq!((due_at(tasks, 39).await, due_at(tasks, 40).await), (vec![], vec!["n-1".to_owned()]));
    assert!(finish(tasks, &hold, completed(b"outputs"), long_ago(2)).await);
    assert_eq!((due_at(tasks, 39).await, due_at(tasks, 40).await), (vec![], vec!["n-1".to_owned()]));
    tasks.published(&[hold]).await.expect("published");
    assert_eq!(due_at(tasks, 10_000).await, [""; 0]);
}

async fn a_retry_is_due_when_it_is_and_nobody_keeps_it(tasks: &dyn Tasks) {
    let acme = tenant();
    let task = old_task(&acme, "n-1", 0);
    for (end, until, first) in
        [(given_up(long_ago(10)), 30, 10), (kept(long_ago(10)), 60, 60), (kept(long_ago(70)), 65, 70)]
    {
        let (hold, _) = run(tasks, &task, &lease("one", until), long_ago(until - 30)).await;
        assert!(finish(tasks, &hold, end.clone(), long_ago(until - 29)).await);
        assert_eq!(due_at(tasks, first - 1).await, [""; 0], "{end:?}");
        assert_eq!(due_at(tasks, first).await, ["n-1"], "{end:?}");
    }
    let (hold, _) = run(tasks, &task, &lease("two", 90), long_ago(70)).await;
    away(tasks, &hold, 71).await;
}

async fn what_was_asked_for_again_is_due_at_once(tasks: &dyn Tasks) {
    let acme = tenant();
    let (begun, never) = (old_task(&acme, "n-1", 0), old_task(&acme, "n-2", 0));
    let (hold, _) = run(tasks, &begun, &lease("one", 30), long_ago(1)).await;
    assert!(finish(tasks, &hold, failed(), long_ago(2)).await);
    enter(tasks, &never).await;
    change(tasks, &never.key, TaskChange::Cancel, long_ago(2)).await.expect("change_task");
    assert_eq!(due_at(tasks, 10_000).await, [""; 0]);
    for (seconds, task) in [(50, &begun), (51, &never)] {
        change(tasks, &task.key, TaskChange::Retry, long_ago(seconds)).await.expect("change_task");
    }
    assert_eq!(due_at(tasks, 50).await, ["n-1"]);
    assert_eq!(due_at(tasks, 51).await, ["n-1", "n-2"]);
    for task in [begun, never] {
        change(tasks, &task.key, TaskChange::Cancel, long_ago(52)).await.expect("change_task");
    }
    assert_eq!(due_at(tasks, 10_000).await, [""; 0]);
}

async fn what_waits_longest_comes_first_and_there_is_a_limit(tasks: &dyn Tasks) {
    let acme = tenant();
    let [first, second, third, fourth] =
        [("n-3", 10), ("n-1", 20), ("n-4", 30), ("n-2", 40)].map(|(id, time)| old_task(&acme, id, time));
    for task in [&fourth, &second] {
        enter(tasks, task).await;
    }
    for (task, until) in [(&third, 30), (&first, 10)] {
        run(tasks, task, &lease("one", until), long_ago(1)).await;
    }
    assert_eq!(due_at(tasks, 100).await, ["n-3", "n-1", "n-4", "n-2"]);
    let two = tasks.due(long_ago(100), SECOND * 5, 2).await.expect("due");
    let two: Vec<_> = two.iter().map(|due| due.key.id.as_str()).collect();
    assert_eq!(two, ["n-3", "n-1"]);
    for task in [&first, &second, &third, &fourth] {
        let (hold, _) = run(tasks, task, &lease("two", 200), long_ago(100)).await;
        assert!(finish(tasks, &hold, completed(b""), long_ago(101)).await);
    }
}

async fn the_backlog_is_counted_and_no_further_than_asked(tasks: &dyn Tasks) {
    let acme = tenant();
    let before = tasks.backlog(1_000_000).await.expect("backlog");
    let all: Vec<_> = (0..9).map(|number| old_task(&acme, &format!("n-{number}"), 0)).collect();
    tasks.enter_tasks(&all[..3]).await.expect("enter_tasks");
    tasks.begin(&all[3..5], &lease("one", 30), long_ago(1)).await.expect("begin");
    for (task, end) in [(5, kept(long_ago(9))), (6, completed(b"o")), (7, completed(b"")), (8, failed())] {
        let (hold, _) = run(tasks, &all[task], &lease("one", 30), long_ago(1)).await;
        assert!(finish(tasks, &hold, end, long_ago(2)).await);
    }
    let now = tasks.backlog(1_000_000).await.expect("backlog");
    assert_eq!([now[0] - before[0], now[1] - before[1], now[2] - before[2]], [3, 2, 1]);
    assert_eq!(tasks.backlog(1).await.expect("backlog"), [1, 1, 1]);
    for task in &all {
        let begun = super::begin(tasks, task, &lease("two", 90), long_ago(60)).await;
        if let Some((hold, _)) = super::given(begun.clone()) {
            assert!(finish(tasks, &hold, completed(b""), long_ago(61)).await);
        }
        if let Some((hold, _)) = super::to_publish(begun) {
            tasks.published(&[hold]).await.expect("published");
        }
    }
    assert_eq!(tasks.backlog(1_000_000).await.expect("backlog"), before);
}

async fn what_is_long_at_an_end_is_forgotten(tasks: &dyn Tasks) {
    let acme = tenant();
    // What the checks before this have left.
    while tasks.purge_tasks(long_ago(10_000), 100).await.expect("purge_tasks") > 0 {}
    let all: Vec<_> = (0..8).map(|number| old_task(&acme, &format!("n-{number}"), 0)).collect();
    enter(tasks, &all[6]).await;
    run(tasks, &all[7], &lease("one", 30), long_ago(1)).await;
    let ends = [
        completed(b""),
        failed(),
        crate::store::Finish::Cancelled,
        failed(),
        completed(b"o"),
        kept(long_ago(3)),
    ];
    for (number, end) in (0..).zip(ends) {
        let (hold, _) = run(tasks, &all[number], &lease("one", 30), long_ago(1)).await;
        let seconds = 10 + u64::try_from(number).expect("few");
        assert!(finish(tasks, &hold, end, long_ago(seconds)).await);
    }
    assert_eq!(tasks.purge_tasks(long_ago(10), 9).await.expect("purge_tasks"), 0, "not since before then");
    assert_eq!(tasks.purge_tasks(long_ago(13), 2).await.expect("purge_tasks"), 2);
    for (task, there) in all.iter().zip([false, false, true, true, true, true, true, true]) {
        assert_eq!(tasks.get_task(&task.key).await.expect("get_task").is_some(), there, "{:?}", task.key);
        assert_eq!(tasks.task_steps(&task.key, 0, 9).await.expect("task_steps").is_some(), there);
    }
    assert_eq!(tasks.purge_tasks(long_ago(13), 2).await.expect("purge_tasks"), 1);
    assert_eq!(tasks.purge_tasks(long_ago(100), 9).await.expect("purge_tasks"), 1);
    assert_eq!(tasks.purge_tasks(long_ago(100), 9).await.expect("purge_tasks"), 0);
    assert_eq!(state(tasks, &all[4].key).await, TaskState::Completed, "its outputs are not published");
    let (_, attempt) = run(tasks, &all[0], &lease("one", 30), long_ago(50)).await;
    assert_eq!(attempt, 1);
    assert_eq!(super::steps(tasks, &all[0].key).await.len(), 2, "with a history of its own");
}
