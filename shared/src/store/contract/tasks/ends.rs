//! Checks of how attempts and tasks end.

use bytes::Bytes;

use super::{
    Tasks, after, begin, change, completed, effort, failed, finish, get, given_up, kept, lease, new_task,
    run, state, states, steps, tenant,
};
use crate::store::contract::NOW;
use crate::store::{Begun, Effort, Error, Finish, Renewed, TaskChange};
use crate::task::TaskState;

/// All checks.
pub(super) async fn all(tasks: &dyn Tasks) {
    what_is_completed_without_outputs_is_at_an_end(tasks).await;
    outputs_are_kept_until_they_are_published(tasks).await;
    the_effort_of_an_attempt_is_in_its_history(tasks).await;
    an_end_that_is_repeated_counts_once(tasks).await;
    an_end_counts_only_where_it_may_follow(tasks).await;
    what_waits_is_cancelled_at_once(tasks).await;
    what_runs_is_cancelled_when_its_attempt_has_stopped(tasks).await;
    what_ends_before_it_is_stopped_is_not_cancelled(tasks).await;
    what_is_lost_while_it_was_to_be_cancelled_is_cancelled(tasks).await;
    what_is_at_an_end_is_not_cancelled(tasks).await;
    what_failed_or_was_cancelled_may_be_asked_for_again(tasks).await;
    any_text_is_kept(tasks).await;
}

async fn what_is_completed_without_outputs_is_at_an_end(tasks: &dyn Tasks) {
    let task = new_task(&tenant(), "n-1");
    let (hold, _) = run(tasks, &task, &lease("one", 30), NOW).await;
    assert!(finish(tasks, &hold, completed(b""), after(1)).await);
    let done = get(tasks, &task.key).await;
    assert_eq!((done.state, done.changed), (TaskState::Completed, after(1)));
    assert_eq!(done.result.as_deref(), Some(r#"{"sum":"ü"}"#));
    assert_eq!(done.version.as_ref().map(ToString::to_string).as_deref(), Some("1.2.1"));
    assert_eq!(done.digest, Some([7; 32]));
    for instance in ["one", "two"] {
        let again = begin(tasks, &task, &lease(instance, 90), after(60)).await;
        assert_eq!(again, Begun::Ended(TaskState::Completed));
    }
    assert_eq!(states(tasks, &task.key).await.len(), 3);
}

async fn outputs_are_kept_until_they_are_published(tasks: &dyn Tasks) {
    let task = new_task(&tenant(), "n-1");
    let (hold, _) = run(tasks, &task, &lease("one", 30), NOW).await;
    assert!(finish(tasks, &hold, completed(b"\x00outputs"), after(1)).await);
    assert_eq!(begin(tasks, &task, &lease("two", 60), after(29)).await, Begun::NotBefore(after(30)));
    let renewed = tasks.renew(std::slice::from_ref(&hold), after(40)).await.expect("renew");
    assert_eq!(renewed, [Renewed::Held], "whoever completed it is to publish");
    assert_eq!(begin(tasks, &task, &lease("two", 60), after(39)).await, Begun::NotBefore(after(40)));
    let taken = begin(tasks, &task, &lease("two", 60), after(40)).await;
    let (second, outputs) = super::to_publish(taken).expect("the outputs of a lost instance");
    assert!(second.fence > hold.fence);
    assert_eq!(outputs, Bytes::from_static(b"\x00outputs"));
    tasks.published(std::slice::from_ref(&hold)).await.expect("published");
    let still = begin(tasks, &task, &lease("three", 90), after(50)).await;
    assert_eq!(still, Begun::NotBefore(after(60)), "whose hold is not the newest has nothing to say");
    let again = begin(tasks, &task, &lease("two", 60), after(50)).await;
    let (third, outputs) = super::to_publish(again).expect("its own");
    assert_eq!(outputs.len(), 8);
    for _ in 0..2 {
        tasks.published(std::slice::from_ref(&third)).await.expect("published");
    }
    let after_all = begin(tasks, &task, &lease("three", 90), after(50)).await;
    assert_eq!(after_all, Begun::Ended(TaskState::Completed));
    assert_eq!(tasks.renew(&[third], after(90)).await.expect("renew"), [Renewed::Lost]);
    let done = get(tasks, &task.key).await;
    assert_eq!((done.changed, done.result.is_some()), (after(1), true));
    assert_eq!(states(tasks, &task.key).await.len(), 3, "publishing is no step");
}

async fn the_effort_of_an_attempt_is_in_its_history(tasks: &dyn Tasks) {
    let task = new_task(&tenant(), "n-1");
    let (hold, _) = run(tasks, &task, &lease("one", 30), NOW).await;
    assert!(finish(tasks, &hold, given_up(after(2)), after(1)).await);
    let (hold, _) = run(tasks, &task, &lease("two", 30), after(2)).await;
    let nothing_ran = (hold, failed(), Effort::default());
    assert_eq!(tasks.finish(&[nothing_ran], after(3)).await.expect("finish"), [true]);
    let told = steps(tasks, &task.key).await;
    let number: Vec<u32> = told.iter().map(|step| step.number).collect();
    assert_eq!(number, [1, 2, 3, 4, 5]);
    let (retrying, end) = (&told[2], &told[4]);
    assert_eq!((retrying.state, retrying.attempt, retrying.time), (TaskState::Retrying, 1, after(1)));
    assert_eq!((retrying.failure.as_deref(), retrying.by.as_deref()), (Some("asked"), Some("one")));
    assert_eq!((&retrying.effort, retrying.reason.as_deref()), (&effort(), Some("the task asked")));
    assert_eq!((end.state, end.attempt, end.by.as_deref()), (TaskState::Failed, 2, Some("two")));
    assert_eq!((&end.effort, end.failure.as_deref()), (&Effort::default(), Some("trap")));
    let summary = get(tasks, &task.key).await;
    assert_eq!((summary.failure.as_deref(), summary.reason.as_deref()), (Some("trap"), Some("it trapped")));
    assert_eq!(summary.digest, Some([7; 32]), "what ran last stays known");
    let page = tasks.task_steps(&task.key, 2, 2).await.expect("task_steps").expect("is there");
    assert_eq!(page, told[2..4]);
    assert_eq!(tasks.task_steps(&task.key, 5, 2).await.expect("task_steps"), Some(Vec::new()));
}

async fn an_end_that_is_repeated_counts_once(tasks: &dyn Tasks) {
    let acme = tenant();
    let ends =
        [completed(b"o"), completed(b""), kept(after(5)), given_up(after(5)), failed(), Finish::Cancelled];
    for (number, end) in ends.into_iter().enumerate() {
        let task = new_task(&acme, &format!("n-{number}"));
        let (hold, _) = run(tasks, &task, &lease("one", 30), NOW).await;
        assert!(finish(tasks, &hold, end.clone(), after(1)).await);
        let once = (get(tasks, &task.key).await, steps(tasks, &task.key).await);
        assert!(finish(tasks, &hold, end.clone(), after(2)).await, "{end:?}");
        assert_eq!((get(tasks, &task.key).await, steps(tasks, &task.key).await), once, "{end:?}");
    }
    let task = new_task(&acme, "n-9");
    let (hold, _) = run(tasks, &task, &lease("one", 30), NOW).await;
    assert!(finish(tasks, &hold, given_up(after(1)), NOW).await);
    let (next, _) = run(tasks, &task, &lease("two", 30), after(1)).await;
    assert!(finish(tasks, &hold, given_up(after(1)), after(2)).await, "it counted, whatever came after");
    assert_eq!(state(tasks, &task.key).await, TaskState::Running);
    assert!(finish(tasks, &next, completed(b""), after(3)).await);
}

async fn an_end_counts_only_where_it_may_follow(tasks: &dyn Tasks) {
    let acme = tenant();
    let task = new_task(&acme, "n-1");
    let (hold, _) = run(tasks, &task, &lease("one", 30), NOW).await;
    assert!(finish(tasks, &hold, completed(b"o"), NOW).await);
    for end in [failed(), kept(after(5)), Finish::Cancelled] {
        assert!(!finish(tasks, &hold, end.clone(), after(1)).await, "{end:?}");
    }
    assert_eq!(state(tasks, &task.key).await, TaskState::Completed);
    let task = new_task(&acme, "n-2");
    let (hold, _) = run(tasks, &task, &lease("one", 30), NOW).await;
    assert!(finish(tasks, &hold, kept(after(5)), NOW).await);
    assert!(!finish(tasks, &hold, completed(b"o"), after(1)).await, "nothing runs");
    assert!(finish(tasks, &hold, failed(), after(1)).await, "its keeper may give it up");
    assert_eq!(state(tasks, &task.key).await, TaskState::Failed);
}

async fn what_waits_is_cancelled_at_once(tasks: &dyn Tasks) {
    let acme = tenant();
    let [pending, kept_one, given] = ["n-1", "n-2", "n-3"].map(|id| new_task(&acme, id));
    tasks.enter_tasks(std::slice::from_ref(&pending)).await.expect("enter_tasks");
    for (task, end) in [(&kept_one, kept(after(5))), (&given, given_up(after(5)))] {
        let (hold, _) = run(tasks, task, &lease("one", 30), NOW).await;
        assert!(finish(tasks, &hold, end, NOW).await);
    }
    for task in [&pending, &kept_one, &given] {
        let gone = change(tasks, &task.key, TaskChange::Cancel, after(1)).await.expect("change_task");
        assert_eq!((gone.state, gone.changed), (TaskState::Cancelled, after(1)));
        assert_eq!((gone.due, gone.cancel_asked), (None, false));
        let told = steps(tasks, &task.key).await.pop().expect("a step");
        assert_eq!((told.state, told.by.as_deref()), (TaskState::Cancelled, Some("tests")));
        let again = change(tasks, &task.key, TaskChange::Cancel, after(2)).await.expect("asking twice");
        assert_eq!(again, gone);
        let ended = begin(tasks, task, &lease("one", 60), after(9)).await;
        assert_eq!(ended, Begun::Ended(TaskState::Cancelled));
    }
}

async fn what_runs_is_cancelled_when_its_attempt_has_stopped(tasks: &dyn Tasks) {
    let acme = tenant();
    for (id, end) in [("n-1", Finish::Cancelled), ("n-2", kept(after(5))), ("n-3", given_up(after(5)))] {
        let task = new_task(&acme, id);
        let (hold, _) = run(tasks, &task, &lease("one", 30), NOW).await;
        let asked = change(tasks, &task.key, TaskChange::Cancel, after(1)).await.expect("change_task");
        assert_eq!((asked.state, asked.cancel_asked, asked.changed), (TaskState::Running, true, NOW));
        let again = tasks.change_task(&task.key, TaskChange::Cancel, "another", after(2)).await;
        assert_eq!(again.expect("asking twice"), Some(asked));
        let renewed = tasks.renew(std::slice::from_ref(&hold), after(40)).await.expect("renew");
        assert_eq!(renewed, [Renewed::CancelAsked]);
        assert_eq!(begin(tasks, &task, &lease("two", 60), after(39)).await, Begun::NotBefore(after(40)));
        for _ in 0..2 {
            assert!(finish(tasks, &hold, end.clone(), after(3)).await);
        }
        let gone = get(tasks, &task.key).await;
        assert_eq!((gone.state, gone.cancel_asked, gone.due), (TaskState::Cancelled, false, None));
        let told = steps(tasks, &task.key).await.pop().expect("a step");
        assert_eq!((told.number, told.by.as_deref(), &told.effort), (3, Some("tests"), &effort()));
        let ended = begin(tasks, &task, &lease("one", 60), after(9)).await;
        assert_eq!(ended, Begun::Ended(TaskState::Cancelled));
    }
}

async fn what_ends_before_it_is_stopped_is_not_cancelled(tasks: &dyn Tasks) {
    let acme = tenant();
    for (id, end, state) in
        [("n-1", completed(b""), TaskState::Completed), ("n-2", failed(), TaskState::Failed)]
    {
        let task = new_task(&acme, id);
        let (hold, _) = run(tasks, &task, &lease("one", 30), NOW).await;
        change(tasks, &task.key, TaskChange::Cancel, after(1)).await.expect("change_task");
        assert!(finish(tasks, &hold, end, after(3)).await);
        let ended = get(tasks, &task.key).await;
        assert_eq!((ended.state, ended.cancel_asked), (state, false));
        assert_eq!(steps(tasks, &task.key).await.pop().and_then(|step| step.by).as_deref(), Some("one"));
    }
}

async fn what_is_lost_while_it_was_to_be_cancelled_is_cancelled(tasks: &dyn Tasks) {
    let task = new_task(&tenant(), "n-1");
    let (lost, _) = run(tasks, &task, &lease("one", 30), NOW).await;
    change(tasks, &task.key, TaskChange::Cancel, after(1)).await.expect("change_task");
    let ended = begin(tasks, &task, &lease("two", 60), after(30)).await;
    assert_eq!(ended, Begun::Ended(TaskState::Cancelled));
    let told = steps(tasks, &task.key).await.pop().expect("a step");
    assert_eq!((told.state, told.by.as_deref()), (TaskState::Cancelled, Some("tests")));
    assert!(!finish(tasks, &lost, completed(b""), after(31)).await);
    assert_eq!(state(tasks, &task.key).await, TaskState::Cancelled);
}

async fn what_is_at_an_end_is_not_cancelled(tasks: &dyn Tasks) {
    let acme = tenant();
    for (id, end) in [("n-1", completed(b"o")), ("n-2", completed(b"")), ("n-3", failed())] {
        let task = new_task(&acme, id);
        let (hold, _) = run(tasks, &task, &lease("one", 30), NOW).await;
        assert!(finish(tasks, &hold, end, NOW).await);
        let before = get(tasks, &task.key).await;
        let refused = change(tasks, &task.key, TaskChange::Cancel, after(1)).await;
        assert!(matches!(refused, Err(Error::Conflict)), "{refused:?}");
        assert_eq!(get(tasks, &task.key).await, before);
    }
    let nobodys = new_task(&acme, "n-9").key;
    let none = tasks.change_task(&nobodys, TaskChange::Cancel, "tests", NOW).await.expect("change_task");
    assert_eq!(none, None);
}

async fn what_failed_or_was_cancelled_may_be_asked_for_again(tasks: &dyn Tasks) {
    let acme = tenant();
    for (id, end) in [("n-1", failed()), ("n-2", Finish::Cancelled)] {
        let task = new_task(&acme, id);
        let (first, _) = run(tasks, &task, &lease("one", 30), NOW).await;
        assert!(finish(tasks, &first, given_up(NOW), NOW).await);
        let (second, attempt) = run(tasks, &task, &lease("one", 30), NOW).await;
        assert_eq!(attempt, 2);
        assert!(finish(tasks, &second, end, NOW).await);
        let asked = change(tasks, &task.key, TaskChange::Retry, after(1)).await.expect("change_task");
        assert_eq!((asked.state, asked.attempt, asked.changed), (TaskState::Pending, 0, after(1)));
        assert_eq!((&asked.failure, &asked.reason), (&None, &None));
        let told = steps(tasks, &task.key).await.pop().expect("a step");
        assert_eq!((told.state, told.by.as_deref()), (TaskState::Pending, Some("tests")));
        let again = change(tasks, &task.key, TaskChange::Retry, after(2)).await.expect("asking twice");
        assert_eq!(again, asked);
        assert!(!finish(tasks, &second, kept(after(9)), after(2)).await, "a hold from before");
        let (third, attempt) = run(tasks, &task, &lease("one", 30), after(2)).await;
        assert_eq!(attempt, 1, "a new round");
        assert!(third.fence > second.fence);
        for busy in [None, Some(given_up(after(3))), Some(completed(b""))] {
            if let Some(end) = busy {
                let (hold, _) = run(tasks, &task, &lease("one", 30), after(3)).await;
                assert!(finish(tasks, &hold, end, after(3)).await);
            }
            let refused = change(tasks, &task.key, TaskChange::Retry, after(3)).await;
            assert!(matches!(refused, Err(Error::Conflict)), "{refused:?}");
        }
    }
}

/// Text that an engine cannot hold is mended, never refused.
async fn any_text_is_kept(tasks: &dyn Tasks) {
    let task = new_task(&tenant(), "n-1");
    let (hold, _) = run(tasks, &task, &lease("one", 30), NOW).await;
    let end = Finish::Failed { failure: "trap".into(), reason: "a\0b".into() };
    let effort = Effort { log: "\0".repeat(70_000), fuel: u64::MAX, ..effort() };
    assert_eq!(tasks.finish(&[(hold, end, effort)], NOW).await.expect("finish"), [true]);
    let told = steps(tasks, &task.key).await.pop().expect("a step");
    assert_eq!(told.reason.as_deref(), Some("a\u{fffd}b"));
    assert_eq!(told.effort.log.chars().count(), 70_000);
    assert_eq!(get(tasks, &task.key).await.reason, told.reason);
}
