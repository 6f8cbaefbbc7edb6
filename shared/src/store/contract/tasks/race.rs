//! Checks of many who want the same tasks at once.

use futures_util::future::join_all;

use super::{Tasks, after, change, completed, finish, lease, new_task, run, state, states, tenant};
use crate::store::contract::NOW;
use crate::store::{Begun, NewTask, Renewed, TaskChange};
use crate::task::TaskState;

/// All checks.
pub(super) async fn all(tasks: &dyn Tasks) {
    of_many_who_begin_at_once_one_is_given(tasks).await;
    of_many_who_take_over_at_once_one_is_given(tasks).await;
    a_cancel_and_an_end_at_once_leave_one_of_them(tasks).await;
    a_cancel_and_a_retry_at_once_leave_it_cancelled(tasks).await;
    a_lease_is_not_both_prolonged_and_taken_over(tasks).await;
    a_position_that_becomes_known_and_an_end_at_once_are_both_kept(tasks).await;
}

/// Everybody begins all of `all`, in orders of their own; answers how often each was given.
async fn rush(tasks: &dyn Tasks, all: &[NewTask], now: crate::clock::Timestamp) -> Vec<usize> {
    let rush = join_all((0..8).map(async |number: usize| {
        let mut own = all.to_vec();
        own.rotate_left(number);
        if number.is_multiple_of(2) {
            own.reverse();
        }
        let begun = tasks.begin(&own, &lease(&format!("i-{number}"), 100), now).await.expect("begin");
        assert_eq!(begun.len(), own.len());
        assert!(
            begun.iter().all(|begun| matches!(begun, Begun::Run { .. } | Begun::NotBefore(_))),
            "{begun:?}"
        );
        begun.into_iter().filter_map(super::given).map(|(hold, _)| hold.key).collect::<Vec<_>>()
    }));
    let given: Vec<_> = rush.await.into_iter().flatten().collect();
    all.iter().map(|task| given.iter().filter(|key| **key == task.key).count()).collect()
}

async fn of_many_who_begin_at_once_one_is_given(tasks: &dyn Tasks) {
    let acme = tenant();
    for round in 0..10 {
        let all: Vec<_> = (0..9).map(|number| new_task(&acme, &format!("n-{round}-{number}"))).collect();
        tasks.enter_tasks(&all[..3]).await.expect("enter_tasks");
        assert_eq!(rush(tasks, &all, NOW).await, [1; 9]);
        for task in &all {
            assert_eq!(states(tasks, &task.key).await, [TaskState::Pending, TaskState::Running]);
        }
    }
}

async fn of_many_who_take_over_at_once_one_is_given(tasks: &dyn Tasks) {
    let acme = tenant();
    let all: Vec<_> = (0..9).map(|number| new_task(&acme, &format!("n-{number}"))).collect();
    tasks.begin(&all, &lease("lost", 30), NOW).await.expect("begin");
    assert_eq!(rush(tasks, &all, after(30)).await, [1; 9]);
}

async fn a_cancel_and_an_end_at_once_leave_one_of_them(tasks: &dyn Tasks) {
    let acme = tenant();
    for round in 0..20 {
        let task = new_task(&acme, &format!("n-{round}"));
        let (hold, _) = run(tasks, &task, &lease("one", 30), NOW).await;
        let (cancelled, counted) = futures_util::future::join(
            change(tasks, &task.key, TaskChange::Cancel, after(1)),
            finish(tasks, &hold, completed(b""), after(1)),
        )
        .await;
        assert!(counted, "whatever somebody asked for meanwhile");
        if let Ok(asked) = cancelled {
            assert!(asked.cancel_asked || asked.state == TaskState::Completed, "{asked:?}");
        }
        assert_eq!(state(tasks, &task.key).await, TaskState::Completed);
        let history = [TaskState::Pending, TaskState::Running, TaskState::Completed];
        assert_eq!(states(tasks, &task.key).await, history);
    }
}

/// The two write the same row, and neither knows of the other.
async fn a_position_that_becomes_known_and_an_end_at_once_are_both_kept(tasks: &dyn Tasks) {
    use super::due::{SECOND, long_ago};
    let acme = tenant();
    for round in 0..20 {
        let known = NewTask { created: long_ago(0), ..new_task(&acme, &format!("n-{round}")) };
        let unknown = NewTask { position: None, ..known.clone() };
        let (hold, _) = run(tasks, &unknown, &lease("one", 0), long_ago(1)).await;
        let (begun, counted) = futures_util::future::join(
            super::begin(tasks, &known, &lease("two", 0), long_ago(2)),
            finish(tasks, &hold, super::given_up(long_ago(3)), long_ago(2)),
        )
        .await;
        assert!(counted && matches!(begun, Begun::NotBefore(_)), "{begun:?}");
        let due = tasks.due(long_ago(3), SECOND, 100).await.expect("due");
        let due = due.into_iter().find(|due| due.key == known.key).expect("is due");
        assert_eq!(due.position, known.position);
        change(tasks, &known.key, TaskChange::Cancel, NOW).await.expect("change_task");
    }
}

/// Whichever is first: who asks is never told that it is being cancelled and then sees it tried again.
async fn a_cancel_and_a_retry_at_once_leave_it_cancelled(tasks: &dyn Tasks) {
    let acme = tenant();
    for round in 0..20 {
        let task = new_task(&acme, &format!("n-{round}"));
        let (hold, _) = run(tasks, &task, &lease("one", 30), NOW).await;
        let (cancelled, counted) = futures_util::future::join(
            change(tasks, &task.key, TaskChange::Cancel, after(1)),
            finish(tasks, &hold, super::kept(after(5)), after(1)),
        )
        .await;
        let asked = cancelled.expect("change_task");
        assert!(counted && (asked.cancel_asked || asked.state == TaskState::Cancelled), "{asked:?}");
        assert_eq!(state(tasks, &task.key).await, TaskState::Cancelled);
    }
}

async fn a_lease_is_not_both_prolonged_and_taken_over(tasks: &dyn Tasks) {
    let acme = tenant();
    for round in 0..20 {
        let task = new_task(&acme, &format!("n-{round}"));
        let (hold, _) = run(tasks, &task, &lease("one", 30), NOW).await;
        let (renewed, begun) = futures_util::future::join(
            tasks.renew(std::slice::from_ref(&hold), after(60)),
            super::begin(tasks, &task, &lease("two", 60), after(30)),
        )
        .await;
        match renewed.expect("renew")[..] {
            [Renewed::Held] => assert_eq!(begun, Begun::NotBefore(after(60))),
            [Renewed::Lost] => assert!(super::given(begun).is_some()),
            ref other => assert!(other.is_empty(), "{other:?}"),
        }
    }
}
