//! `postrider schedule`: tasks at their times, by a receiver's API, with a producer's key.

use clap::{Args, Subcommand};
use postrider_receiver::http::Schedule;
use reqwest::Method;

use super::desk::{Desk, segment};
use super::failure::Failure;
use super::task::request::Wanted;
use super::{pages, print};

#[derive(Subcommand, Debug)]
pub(super) enum Command {
    /// Put one there, or another in its place
    Put(Box<Put>),
    /// List them, by name
    List(List),
    /// Show one, as JSON
    Get(Named),
    /// It fires again, from now on
    Enable(Named),
    /// It does not fire until it is enabled
    Disable(Named),
    /// Remove one
    Delete(Named),
}

#[derive(Args, Debug)]
#[group(skip)]
pub(super) struct Put {
    /// Its name
    name: String,
    #[command(flatten)]
    times: Times,
    /// The time zone of --cron, by its IANA name [default: UTC]
    #[arg(long, value_name = "ZONE", requires = "cron")]
    timezone: Option<String>,
    /// What becomes of times at which nobody could fire: skip, fire_once or fire_all [default: fire_once]
    #[arg(long, value_name = "WORD")]
    misfire: Option<String>,
    /// With fire_all, most of those that are made up for
    #[arg(long, value_name = "COUNT")]
    misfire_limit: Option<u32>,
    /// It does not fire until it is enabled
    #[arg(long)]
    disabled: bool,
    /// The module: `name`, or `name@version`, where the version may be an alias
    #[arg(long)]
    module: String,
    #[command(flatten)]
    wanted: Wanted,
    #[command(flatten)]
    desk: Desk,
}

#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
struct Times {
    /// Minute, hour, day of the month, month, day of the week
    #[arg(long, value_name = "EXPRESSION")]
    cron: Option<String>,
    /// At each multiple of this since 1970, in milliseconds
    #[arg(long, value_name = "MS")]
    every_ms: Option<u64>,
    /// Once, then (RFC 3339)
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
}

#[derive(Args, Debug)]
pub(super) struct List {
    /// Most that are listed
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    #[command(flatten)]
    desk: Desk,
}

#[derive(Args, Debug)]
pub(super) struct Named {
    /// The name that `list` shows
    name: String,
    #[command(flatten)]
    desk: Desk,
}

pub(super) async fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Put(arguments) => put(*arguments).await,
        Command::List(arguments) => list(arguments).await,
        Command::Get(Named { name, desk }) => {
            Desk::print(&desk.call(Method::GET, &format!("/v1/schedules/{}", segment(&name)?)).await?)
        }
        Command::Enable(arguments) => switch(arguments, "enable").await,
        Command::Disable(arguments) => switch(arguments, "disable").await,
        Command::Delete(Named { name, desk }) => {
            desk.call(Method::DELETE, &format!("/v1/schedules/{}", segment(&name)?)).await.map(drop)
        }
    }
}

async fn put(arguments: Put) -> Result<(), Failure> {
    let Put { name, times, timezone, misfire, misfire_limit, disabled, module, wanted, desk } = arguments;
    let mut asked = serde_json::json!({"enabled": !disabled, "task": wanted.request(&module)?});
    for (field, value) in [
        ("cron", times.cron.map(serde_json::Value::from)),
        ("every_ms", times.every_ms.map(serde_json::Value::from)),
        ("at", times.at.map(serde_json::Value::from)),
        ("timezone", timezone.map(serde_json::Value::from)),
        ("misfire", misfire.map(serde_json::Value::from)),
        ("misfire_limit", misfire_limit.map(serde_json::Value::from)),
    ] {
        if let Some(value) = value {
            asked[field] = value;
        }
    }
    let receiver = desk.receiver()?;
    let request = receiver.request(Method::PUT, &format!("/v1/schedules/{}", segment(&name)?)).json(&asked);
    show(&desk, &receiver.answer(request).await?)
}

async fn list(arguments: List) -> Result<(), Failure> {
    let List { limit, desk } = arguments;
    let found: Vec<Schedule> =
        pages::first(&desk.receiver()?, "/v1/schedules", "schedules", &[], limit).await?;
    for schedule in &found {
        if desk.json { print::line(serde_json::to_string(schedule)?)? } else { print_schedule(schedule)? }
    }
    pages::note_more(found.len(), limit);
    Ok(())
}

async fn switch(arguments: Named, what: &str) -> Result<(), Failure> {
    let Named { name, desk } = arguments;
    show(&desk, &desk.call(Method::POST, &format!("/v1/schedules/{}/{what}", segment(&name)?)).await?)
}

fn show(desk: &Desk, body: &[u8]) -> Result<(), Failure> {
    if desk.json { Desk::print(body) } else { print_schedule(&serde_json::from_slice(body)?) }
}

fn print_schedule(schedule: &Schedule) -> Result<(), Failure> {
    let module = schedule.task.as_ref().map(|task| task.module.as_str());
    let recipient = schedule.task.as_ref().map(|task| task.recipient.as_str());
    let state = if schedule.enabled { "enabled" } else { "disabled" };
    let count = schedule.count.to_string();
    Ok(print::cells(&[
        Some(&schedule.name),
        Some(state),
        schedule.next.as_deref(),
        schedule.fired.as_deref(),
        Some(&count),
        module,
        recipient,
        Some(schedule.when.get()),
    ])?)
}
