//! How a task and its history are printed.

use postrider_receiver::http::{Task, TaskEvent};

use crate::cli::failure::Failure;
use crate::cli::print;

/// One line of a list.
pub(super) fn task(task: &Task) -> Result<(), Failure> {
    let module = module(task);
    Ok(print::cells(&[
        Some(&task.id),
        Some(&task.created),
        Some(&task.state),
        Some(&module),
        Some(&task.recipient),
        task.code.as_deref(),
        task.failure.as_deref(),
        task.reason.as_deref(),
    ])?)
}

/// All that is known of one.
pub(super) fn whole(task: &Task) -> Result<(), Failure> {
    print::field("id", &task.id)?;
    let asked = if task.cancel_asked { ", to be cancelled" } else { "" };
    print::field("state", format_args!("{} since {}{asked}", task.state, task.changed))?;
    print::field("module", module(task))?;
    print::field("recipient", &task.recipient)?;
    print::field("accepted", format_args!("{} from {}", task.created, task.origin))?;
    print::field("attempt", task.attempt)?;
    for (name, value) in [
        ("code", &task.code),
        ("schedule", &task.schedule),
        ("instance", &task.instance),
        ("due", &task.due),
        ("failure", &task.failure),
        ("reason", &task.reason),
        ("digest", &task.digest),
    ] {
        if let Some(value) = value {
            print::field(name, value)?;
        }
    }
    if let Some(result) = &task.result {
        print::line(print::harmless(result.get()))?;
    }
    Ok(())
}

/// One line of a history.
pub(super) fn event(event: &TaskEvent) -> Result<(), Failure> {
    let number = |number: Option<u64>| number.map(|number| number.to_string());
    let took = event.took_ms.map(|took| format!("{took} ms"));
    Ok(print::cells(&[
        Some(&event.number.to_string()),
        Some(&event.time),
        Some(&event.state),
        Some(&event.attempt.to_string()),
        took.as_deref(),
        number(event.fuel).as_deref(),
        event.by.as_deref(),
        event.failure.as_deref(),
        event.reason.as_deref(),
    ])?)
}

/// What an attempt logged.
pub(super) fn log(event: &TaskEvent, json: bool) -> Result<(), Failure> {
    if event.log.is_empty() {
        return Ok(());
    }
    if json {
        let line = serde_json::json!({"attempt": event.attempt, "time": event.time, "log": event.log});
        return Ok(print::line(line)?);
    }
    print::note(format_args!("attempt {} until {}:", event.attempt, event.time));
    Ok(print::line(print::harmless(event.log.trim_end()))?)
}

fn module(task: &Task) -> String {
    task.version.as_ref().map_or_else(|| task.module.clone(), |version| format!("{}@{version}", task.module))
}
