//! Checks of how attempts begin and are held.

use super::{
    Tasks, after, begin, change, completed, effort, finish, get, given_up, kept, lease, new_task, run, state,
    states, steps, tenant,
};
use crate::store::contract::NOW;
use crate::store::{Begun, Effort, NewTask, Renewed, TaskChange, TaskStep, TaskSummary};
use crate::task::TaskState;

/// All checks.
pub(super) async fn all(tasks: &dyn Tasks) {
    beginning_enters_and_gives(tasks).await;
    what_is_held_is_given_to_nobody_else_before_its_lease_is_over(tasks).await;
    a_lost_attempt_is_followed_by_another_and_told(tasks).await;
    whoever_holds_an_attempt_is_given_it_again(tasks).await;
    a_retry_waits_until_it_is_due(tasks).await;
    a_kept_retry_is_its_keepers_until_the_lease_is_over(tasks).await;
    a_position_that_was_not_known_is_kept(tasks).await;
    a_batch_is_answered_in_the_order_asked(tasks).await;
    a_lease_holds_for_as_long_as_it_is_renewed(tasks).await;
    what_is_held_no_more_is_not_renewed(tasks).await;
}

async fn beginning_enters_and_gives(tasks: &dyn Tasks) {
    let task = new_task(&tenant(), "n-1");
    assert_eq!(tasks.get_task(&task.key).await.expect("get_task"), None);
    assert_eq!(tasks.task_steps(&task.key, 0, 9).await.expect("task_steps"), None);
    let (hold, attempt) = run(tasks, &task, &lease("one", 30), after(1)).await;
    assert_eq!((&hold.key, attempt), (&task.key, 1));
    let expected = TaskSummary {
        key: task.key.clone(),
        recipient: task.recipient.clone(),
        module: task.module.clone(),
        version: task.version.clone(),
        digest: None,
        code: task.code.clone(),
        origin: task.origin,
        schedule: task.schedule.clone(),
        state: TaskState::Running,
        attempt: 1,
        instance: Some("one".into()),
        failure: None,
        reason: None,
        cancel_asked: false,
        created: NOW,
        changed: after(1),
        due: None,
        result: None,
    };
    assert_eq!(get(tasks, &task.key).await, expected);
    let entered = TaskStep {
        number: 1,
        time: NOW,
        state: TaskState::Pending,
        attempt: 0,
        by: None,
        failure: None,
        reason: None,
        effort: Effort::default(),
    };
    let began = TaskStep {
        number: 2,
        time: after(1),
        state: TaskState::Running,
        attempt: 1,
        by: Some("one".into()),
        ..entered.clone()
    };
    assert_eq!(steps(tasks, &task.key).await, [entered, began]);
}

async fn what_is_held_is_given_to_nobody_else_before_its_lease_is_over(tasks: &dyn Tasks) {
    let task = new_task(&tenant(), "n-1");
    run(tasks, &task, &lease("one", 30), NOW).await;
    for now in [NOW, after(29)] {
        let other = begin(tasks, &task, &lease("two", 60), now).await;
        assert_eq!(other, Begun::NotBefore(after(30)));
    }
    assert_eq!(get(tasks, &task.key).await.instance.as_deref(), Some("one"));
    run(tasks, &task, &lease("two", 60), after(30)).await;
}

async fn a_lost_attempt_is_followed_by_another_and_told(tasks: &dyn Tasks) {
    let task = new_task(&tenant(), "n-1");
    let (lost, _) = run(tasks, &task, &lease("one", 30), NOW).await;
    let (hold, attempt) = run(tasks, &task, &lease("two", 60), after(31)).await;
    assert!(hold.fence > lost.fence, "{hold:?} after {lost:?}");
    assert_eq!(attempt, 2);
    let told = steps(tasks, &task.key).await.pop().expect("a step");
    assert_eq!((told.number, told.state, told.attempt), (3, TaskState::Running, 2));
    assert_eq!((told.by.as_deref(), told.failure.as_deref()), (Some("two"), Some("lost")));
    assert!(told.reason.expect("a reason").contains("one"), "the reason names who had it");
    let summary = get(tasks, &task.key).await;
    assert_eq!((summary.failure.as_deref(), summary.instance.as_deref()), (Some("lost"), Some("two")));
    assert!(!finish(tasks, &lost, completed(b"old"), after(32)).await, "an attempt that was lost counted");
    assert_eq!(tasks.renew(&[lost], after(90)).await.expect("renew"), [Renewed::Lost]);
    assert_eq!(state(tasks, &task.key).await, TaskState::Running);
    assert!(finish(tasks, &hold, completed(b""), after(33)).await);
    assert_eq!(get(tasks, &task.key).await.failure, None, "it succeeded");
}

/// An answer that was lost costs no attempt.
async fn whoever_holds_an_attempt_is_given_it_again(tasks: &dyn Tasks) {
    let task = new_task(&tenant(), "n-1");
    let (first, _) = run(tasks, &task, &lease("one", 30), NOW).await;
    let (again, attempt) = run(tasks, &task, &lease("one", 40), after(10)).await;
    assert!(again.fence > first.fence);
    assert_eq!(attempt, 1);
    assert_eq!(states(tasks, &task.key).await, [TaskState::Pending, TaskState::Running]);
    assert!(!finish(tasks, &first, completed(b""), after(11)).await);
    assert_eq!(begin(tasks, &task, &lease("two", 60), after(39)).await, Begun::NotBefore(after(40)));
    let (_, attempt) = run(tasks, &task, &lease("one", 60), after(40)).await;
    assert_eq!(attempt, 2, "its own lease was over");
}

async fn a_retry_waits_until_it_is_due(tasks: &dyn Tasks) {
    let task = new_task(&tenant(), "n-1");
    let (hold, _) = run(tasks, &task, &lease("one", 30), NOW).await;
    assert!(finish(tasks, &hold, given_up(after(10)), after(1)).await);
    let waiting = get(tasks, &task.key).await;
    assert_eq!((waiting.state, waiting.due), (TaskState::Retrying, Some(after(10))));
    assert_eq!(waiting.failure.as_deref(), Some("asked"));
    for instance in ["one", "two"] {
        let early = begin(tasks, &task, &lease(instance, 60), after(9)).await;
        assert_eq!(early, Begun::NotBefore(after(10)), "{instance}");
    }
    let (next, attempt) = run(tasks, &task, &lease("two", 60), after(10)).await;
    assert!(next.fence > hold.fence);
    let running = get(tasks, &task.key).await;
    assert_eq!((attempt, running.attempt, running.due), (2, 2, None));
    let told = steps(tasks, &task.key).await.pop().expect("a step");
    assert_eq!((told.state, told.failure), (TaskState::Running, None), "nothing was lost");
}

async fn a_kept_retry_is_its_keepers_until_the_lease_is_over(tasks: &dyn Tasks) {
    let acme = tenant();
    let [mine, lost, late] = ["n-1", "n-2", "n-3"].map(|id| new_task(&acme, id));
    for (task, due) in [(&mine, 10), (&lost, 10), (&late, 50)] {
        let (hold, _) = run(tasks, task, &lease("one", 30), NOW).await;
        assert!(finish(tasks, &hold, kept(after(due)), after(1)).await);
    }
    assert_eq!(begin(tasks, &mine, &lease("one", 60), after(9)).await, Begun::NotBefore(after(10)));
    assert_eq!(begin(tasks, &mine, &lease("two", 60), after(20)).await, Begun::NotBefore(after(30)));
    assert_eq!(begin(tasks, &late, &lease("two", 60), after(20)).await, Begun::NotBefore(after(50)));
    assert_eq!(run(tasks, &mine, &lease("one", 60), after(20)).await.1, 2);
    assert_eq!(run(tasks, &lost, &lease("two", 60), after(30)).await.1, 2);
}

async fn a_position_that_was_not_known_is_kept(tasks: &dyn Tasks) {
    let known = NewTask { created: super::due::long_ago(0), ..new_task(&tenant(), "n-1") };
    let unknown = NewTask { position: None, ..known.clone() };
    let due = async || {
        let due = tasks.due(super::due::long_ago(9), super::due::SECOND, 1).await.expect("due").remove(0);
        assert_eq!(due.key, known.key);
        due.position
    };
    tasks.enter_tasks(std::slice::from_ref(&unknown)).await.expect("enter_tasks");
    assert_eq!(due().await, None);
    tasks.enter_tasks(std::slice::from_ref(&known)).await.expect("enter_tasks");
    assert_eq!(due().await, None, "one that is there is left as it is");
    let early = lease("one", 0);
    let (hold, _) = run(tasks, &known, &early, super::due::long_ago(1)).await;
    assert!(finish(tasks, &hold, given_up(super::due::long_ago(2)), super::due::long_ago(2)).await);
    assert_eq!(due().await, known.position);
    let elsewhere = NewTask { position: new_task(&tenant(), "n").position, ..known.clone() };
    let (hold, _) = run(tasks, &elsewhere, &early, super::due::long_ago(3)).await;
    assert!(finish(tasks, &hold, given_up(super::due::long_ago(4)), super::due::long_ago(4)).await);
    assert_eq!(due().await, known.position, "the first place that was known stays");
    change(tasks, &known.key, TaskChange::Cancel, NOW).await.expect("change_task");
}

async fn a_batch_is_answered_in_the_order_asked(tasks: &dyn Tasks) {
    let acme = tenant();
    let all = ["n-3", "n-1", "n-4", "n-2"].map(|id| new_task(&acme, id));
    let (hold, _) = run(tasks, &all[1], &lease("two", 30), NOW).await;
    assert!(finish(tasks, &hold, super::failed(), NOW).await);
    run(tasks, &all[2], &lease("two", 30), NOW).await;
    let begun = tasks.begin(&all, &lease("one", 60), after(1)).await.expect("begin");
    assert_eq!(begun[1], Begun::Ended(TaskState::Failed));
    assert_eq!(begun[2], Begun::NotBefore(after(30)));
    let (mut holds, attempts): (Vec<_>, Vec<_>) = begun.into_iter().filter_map(super::given).unzip();
    assert_eq!((&holds[0].key, &holds[1].key, attempts), (&all[0].key, &all[3].key, vec![1, 1]));
    holds.insert(1, hold);
    let renewed = tasks.renew(&holds, after(90)).await.expect("renew");
    assert_eq!(renewed, [Renewed::Held, Renewed::Lost, Renewed::Held]);
    let ends: Vec<_> = holds.into_iter().map(|hold| (hold, completed(b""), effort())).collect();
    assert_eq!(tasks.finish(&ends, after(2)).await.expect("finish"), [true, false, true]);
    assert_eq!(tasks.begin(&[], &lease("one", 60), NOW).await.expect("begin"), []);
    assert_eq!(tasks.renew(&[], NOW).await.expect("renew"), []);
    assert_eq!(tasks.finish(&[], NOW).await.expect("finish"), [false; 0]);
    tasks.published(&[]).await.expect("published");
    tasks.enter_tasks(&[]).await.expect("enter_tasks");
}

async fn a_lease_holds_for_as_long_as_it_is_renewed(tasks: &dyn Tasks) {
    let task = new_task(&tenant(), "n-1");
    let (hold, _) = run(tasks, &task, &lease("one", 30), NOW).await;
    let renew = async |until| tasks.renew(std::slice::from_ref(&hold), after(until)).await.expect("renew");
    assert_eq!(renew(60).await, [Renewed::Held]);
    assert_eq!(begin(tasks, &task, &lease("two", 90), after(59)).await, Begun::NotBefore(after(60)));
    assert_eq!(renew(40).await, [Renewed::Held], "and is never cut short");
    assert_eq!(begin(tasks, &task, &lease("two", 90), after(59)).await, Begun::NotBefore(after(60)));
    assert_eq!(renew(80).await, [Renewed::Held], "it was over, and nobody else has begun");
    assert!(finish(tasks, &hold, kept(after(70)), after(61)).await);
    assert_eq!(renew(95).await, [Renewed::Held], "a retry that is kept");
    assert_eq!(begin(tasks, &task, &lease("two", 99), after(94)).await, Begun::NotBefore(after(95)));
}

async fn what_is_held_no_more_is_not_renewed(tasks: &dyn Tasks) {
    let acme = tenant();
    let ends = [completed(b""), given_up(after(5)), super::failed(), crate::store::Finish::Cancelled];
    for (number, end) in ends.into_iter().enumerate() {
        let task = new_task(&acme, &format!("n-{number}"));
        let (hold, _) = run(tasks, &task, &lease("one", 30), NOW).await;
        assert!(finish(tasks, &hold, end.clone(), NOW).await);
        let renewed = tasks.renew(std::slice::from_ref(&hold), after(60)).await.expect("renew");
        assert_eq!(renewed, [Renewed::Lost], "{end:?}");
    }
    let never = crate::store::Hold { key: new_task(&acme, "n-9").key, fence: 1 };
    assert_eq!(tasks.renew(std::slice::from_ref(&never), NOW).await.expect("renew"), [Renewed::Lost]);
    assert!(!finish(tasks, &never, completed(b""), NOW).await);
}
