//! `postrider task`: tasks, asked for and looked at by a receiver's API, with a producer's key; what is done on one's own
//! machine is `task_local.rs`.

pub(super) mod request;
mod run;
mod shown;

use clap::{Args, Subcommand};
use postrider_receiver::http::{Task, TaskEvents};
use reqwest::Method;

use self::shown::{event, log, task, whole};
use super::desk::{Desk, segment};
use super::failure::Failure;
use super::{pages, print, task_local};

#[derive(Subcommand, Debug)]
pub(super) enum Command {
    /// Have a module run with an input
    Run(run::Arguments),
    /// List tasks, the newest first
    List(List),
    /// Show one
    Get(One),
    /// What happened to one, attempt by attempt
    Events(One),
    /// What its attempts logged
    Logs(One),
    /// No more of them: those that run are stopped
    Cancel(Several),
    /// Once more, after they failed or were cancelled
    Retry(Several),
    #[command(flatten)]
    Local(task_local::Command),
}

#[derive(Args, Debug)]
pub(super) struct List {
    /// Whose code starts with this
    #[arg(long)]
    code: Option<String>,
    /// Of the module of this name
    #[arg(long)]
    module: Option<String>,
    /// pending, running, retrying, completed, failed or cancelled
    #[arg(long)]
    state: Option<String>,
    /// api, record or schedule
    #[arg(long)]
    origin: Option<String>,
    /// Of this schedule
    #[arg(long)]
    schedule: Option<String>,
    /// Whose failure starts with this, for example deadline
    #[arg(long)]
    failure: Option<String>,
    /// Accepted then or later (RFC 3339)
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Accepted before then (RFC 3339)
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Most that are listed
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    #[command(flatten)]
    desk: Desk,
}

#[derive(Args, Debug)]
pub(super) struct One {
    /// The id that `run` and `list` show
    id: String,
    #[command(flatten)]
    desk: Desk,
}

#[derive(Args, Debug)]
pub(super) struct Several {
    /// Ids that `run` and `list` show
    #[arg(required = true)]
    ids: Vec<String>,
    #[command(flatten)]
    desk: Desk,
}

pub(super) async fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Run(arguments) => run::run(arguments).await,
        Command::Local(command) => task_local::run(command).await,
        Command::List(arguments) => list(arguments).await,
        Command::Get(arguments) => get(arguments).await,
        Command::Events(arguments) => events(arguments).await,
        Command::Logs(arguments) => logs(arguments).await,
        Command::Cancel(arguments) => change(arguments, "cancel").await,
        Command::Retry(arguments) => change(arguments, "retry").await,
    }
}

async fn list(arguments: List) -> Result<(), Failure> {
    let List { code, module, state, origin, schedule, failure, from, until, limit, desk } = arguments;
    let query = [
        ("code", code),
        ("module", module),
        ("state", state),
        ("origin", origin),
        ("schedule", schedule),
        ("failure", failure),
        ("from", from),
        ("until", until),
    ];
    let found: Vec<Task> = pages::first(&desk.receiver()?, "/v1/tasks", "tasks", &query, limit).await?;
    for one in &found {
        if desk.json { print::line(serde_json::to_string(one)?)? } else { task(one)? }
    }
    pages::note_more(found.len(), limit);
    Ok(())
}

async fn get(arguments: One) -> Result<(), Failure> {
    let One { id, desk } = arguments;
    let body = desk.call(Method::GET, &format!("/v1/tasks/{}", segment(&id)?)).await?;
    if desk.json { Desk::print(&body) } else { whole(&serde_json::from_slice(&body)?) }
}

async fn events(arguments: One) -> Result<(), Failure> {
    let json = arguments.desk.json;
    each_event(
        &arguments,
        |one| {
            if json { Ok(print::line(serde_json::to_string(one)?)?) } else { event(one) }
        },
    )
    .await
}

async fn logs(arguments: One) -> Result<(), Failure> {
    let json = arguments.desk.json;
    each_event(&arguments, |one| log(one, json)).await
}

/// Goes through a task's history, page by page.
async fn each_event(
    One { id, desk }: &One,
    mut show: impl FnMut(&postrider_receiver::http::TaskEvent) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let (receiver, path) = (desk.receiver()?, format!("/v1/tasks/{}/events", segment(id)?));
    let mut after = 0;
    loop {
        let asked = receiver.ask(&path, &[("after", after.to_string())])?;
        let page: TaskEvents = serde_json::from_slice(&receiver.answer(asked).await?)?;
        page.events.iter().try_for_each(&mut show)?;
        match page.events.last().filter(|_| page.more) {
            Some(last) => after = last.number,
            None => return Ok(()),
        }
    }
}

async fn change(arguments: Several, what: &str) -> Result<(), Failure> {
    let Several { ids, desk } = arguments;
    let receiver = desk.receiver()?;
    for id in &ids {
        let path = format!("/v1/tasks/{}/{what}", segment(id)?);
        let body = receiver.answer(receiver.request(Method::POST, &path)).await?;
        if desk.json { Desk::print(&body)? } else { task(&serde_json::from_slice(&body)?)? }
    }
    Ok(())
}
